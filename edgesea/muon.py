"""The optimiser Muon: kernels that are matrices learn in orthogonal steps, all else as AdamW has it.

    M <- 0.95 M + G,  W <- W - rate * 0.2 sqrt(max(n, m)) * O(G + 0.95 M)

for a gradient G (n, m), O(X) being the nearest matrix to X whose singular values are all about 1: no
direction of a layer learns faster than another because its gradients happen to be larger. Jordan et al.,
"Muon: An optimizer for hidden layers in neural networks", 2024; the factor, which gives a step the size of
one of AdamW's, is that of Liu et al., "Muon is scalable for LLM training", 2025, equation 4.

Matrices are the 1 x 1 kernels of convolutions. Depthwise kernels and vectors are none, a first layer and the
last one are left out as the authors advise.
"""

import keras
from keras import ops

MOMENTUM = 0.95
SIZE = 0.2
# Of the quintic iteration x <- a x + b x^3 + c x^5, which takes singular values to about 1 in so many steps.
_A, _B, _C = 3.4445, -4.7750, 2.0315
_STEPS = 5


def is_matrix(variable) -> bool:
    """Whether a variable is the kernel of a 1 x 1 convolution: (1, 1, n, m)."""
    return len(variable.shape) == 4 and tuple(variable.shape[:2]) == (1, 1) and min(variable.shape[2:]) > 1


class Muon(keras.optimizers.AdamW):
    """AdamW, and Muon for matrices; its arguments are AdamW's, its state too."""

    def update_step(self, gradient, variable, learning_rate):
        """One step of one variable; Keras calls it."""
        if not is_matrix(variable):
            super().update_step(gradient, variable, learning_rate)
            return
        momentum = self._momentums[self._get_variable_index(variable)]
        self.assign(momentum, ops.add(gradient, MOMENTUM * momentum))
        inward, outward = variable.shape[2:]
        ahead = ops.reshape(gradient + MOMENTUM * momentum, (inward, outward))
        step = orthogonal(ahead) * (SIZE * max(inward, outward) ** 0.5)
        self.assign_sub(variable, learning_rate * ops.reshape(step, variable.shape))


def orthogonal(matrix):
    """(n, m) -> (n, m) with the same singular vectors, and singular values within 0.3 of 1; zeros stay."""
    wide = matrix.shape[0] <= matrix.shape[1]
    x = matrix if wide else ops.transpose(matrix)
    x = x / (ops.norm(x) + 1e-7)
    for _ in range(_STEPS):
        square = ops.matmul(x, ops.transpose(x))
        x = _A * x + ops.matmul(_B * square + _C * ops.matmul(square, square), x)
    return x if wide else ops.transpose(x)
