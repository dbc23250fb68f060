"""The reducer `contrastive`: PCA's projection, tuned so that frames of one class lie together.

phi(x) = W (x - mean), W begun as the d leading principal axes and then made to lower the supervised
contrastive loss of z = phi(x) / |phi(x)| over batches of the sample,

    L = mean_i -1/|P(i)| sum_{p in P(i)} log (exp(z_i . z_p / tau) / sum_{a != i} exp(z_i . z_a / tau))

where P(i) are the others of i's class (Khosla et al., "Supervised contrastive learning", NeurIPS 2020,
equation 2); a frame without others of its class does not count. Zhang et al., "ReAugKD", ACL 2023, tune the
teacher's projection so.

By gradient descent with Adam (Kingma and Ba, 2015) in NumPy, since W is all there is to learn: the same
sample and seed, the same W. The sample is held in memory.
"""

import dataclasses

import numpy as np

from edgesea.errors import UsageError
from edgesea.reduction import PCA

_BATCH = 256
_FIRST, _SECOND, _TINY = 0.9, 0.999, 1e-8  # Adam's beta 1 and 2, and epsilon


class Contrastive(PCA):
    """PCA, tuned by labels."""

    name = "contrastive"
    labelled = True

    @dataclasses.dataclass(frozen=True)
    class Options(PCA.Options):
        """whiten : of the axes that it begins with, see `PCA`; temperature : tau > 0; epochs : passes over
        the sample, >= 0; learning_rate : of Adam, > 0.
        """

        temperature: float = 0.1
        epochs: int = 20
        learning_rate: float = 3e-4

        def __post_init__(self):
            if not (self.temperature > 0 and self.learning_rate > 0 and self.epochs >= 0):
                raise UsageError(
                    f"Received temperature = {self.temperature}, learning_rate = {self.learning_rate} and "
                    f"epochs = {self.epochs} for the reducer contrastive: give numbers above 0, and epochs "
                    "of at least 0."
                )

    def _fit(self, batches):
        super()._fit(batches)
        sample = np.concatenate([np.asarray(batch, np.float64) for batch in batches]) - self.mean
        # In units of the sample's spread, so that one learning rate is good for all teachers.
        sample /= np.sqrt(np.square(sample).mean())
        classes = np.unique(np.asarray(self._labels), return_inverse=True)[1]
        rng = np.random.default_rng([self.seed, 3])
        moments = np.zeros((2, *self.axes.shape))
        step = 0
        self.course = []
        for _ in range(self.options.epochs):
            losses = []
            order = rng.permutation(len(sample))
            for rows in np.array_split(order, -(-len(order) // _BATCH)):
                loss, gradient = supervised(self.axes, sample[rows], classes[rows], self.options.temperature)
                step += 1
                moments[0] = _FIRST * moments[0] + (1 - _FIRST) * gradient
                moments[1] = _SECOND * moments[1] + (1 - _SECOND) * gradient**2
                first, second = moments[0] / (1 - _FIRST**step), moments[1] / (1 - _SECOND**step)
                self.axes = self.axes - self.options.learning_rate * first / (np.sqrt(second) + _TINY)
                losses.append(loss)
            self.course.append(float(np.mean(losses)))

    def _arrays(self):
        return {**super()._arrays(), "course": np.array(self.course)}

    def _restore(self, arrays):
        super()._restore(arrays)
        self.course = arrays["course"].tolist()

    def report(self):
        """The variance that PCA's axes kept, before they were tuned, and the loss in the first and last
        epoch.
        """
        found = super().report()
        found["explained_variance_of_pca"] = found.pop("explained_variance")
        return found | ({"first_loss": self.course[0], "last_loss": self.course[-1]} if self.course else {})


def supervised(
    axes: np.ndarray, sample: np.ndarray, classes: np.ndarray, temperature: float
) -> tuple[float, np.ndarray]:
    """The loss of a batch, and its gradient by the axes.

    axes (d, n), sample (B, n), classes (B,) -> scalar >= 0, (d, n)
    """
    mapped = sample @ axes.T
    length = np.linalg.norm(mapped, axis=1, keepdims=True)
    z = mapped / np.where(length > 0, length, 1)
    similarity = z @ z.T / temperature
    np.fill_diagonal(similarity, -np.inf)
    largest = similarity.max(axis=1, keepdims=True)
    logarithm = similarity - largest - np.log(np.exp(similarity - largest).sum(axis=1, keepdims=True))
    same = classes[:, None] == classes[None]
    np.fill_diagonal(same, False)
    positives = same.sum(axis=1, keepdims=True)
    counted = positives[:, 0] > 0
    if not counted.any():
        return 0.0, np.zeros_like(axes)
    share = same / np.maximum(positives, 1)
    loss = -(share * np.where(same, logarithm, 0)).sum() / counted.sum()
    # d loss / d similarity_ij = (softmax_ij - share_ij) / counted, of the rows that count.
    slope = (np.exp(logarithm) - share) * counted[:, None] / (counted.sum() * temperature)
    by_z = (slope + slope.T) @ z
    by_mapped = (by_z - z * (by_z * z).sum(axis=1, keepdims=True)) / np.where(length > 0, length, 1)
    return float(loss), by_mapped.T @ sample
