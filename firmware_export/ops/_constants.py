"""Computing an operator from constants alone.

A converter that leaves the batch open writes the shape of a RESHAPE as operators: SHAPE, STRIDED_SLICE, PACK.
Once the batch is 1 they are constants. What is computed so moves whole elements or does integer arithmetic on
shapes; there is no quantised arithmetic here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from firmware_export.ir import Operator, Tensor

# Shapes take a few bytes. The limit, on the inputs and on the output of one operator, keeps a hostile graph
# from costing memory or time.
LARGEST_BYTES = 2**12


def of_integers(
    compute: Callable[[list[np.ndarray], tuple[int, ...], Mapping[str, object]], np.ndarray | None],
) -> Callable[[Operator, Sequence[Tensor], Tensor], np.ndarray | None]:
    """A ``Kind.evaluate`` made of a function of small integer constants.

    Parameters
    ----------
    compute : callable(values, shape, options) -> np.ndarray or None
        Takes the constants, the shape that the file declares for the output and the operator's options, and
        returns the output, or None for what it does not know. What it makes is about as large as its inputs
        or that shape.
    """

    def evaluate(op: Operator, inputs: Sequence[Tensor], output: Tensor) -> np.ndarray | None:
        if not all(t.constant and not t.sparse and t.data.dtype.kind == "i" for t in inputs):
            return None
        if max(sum(t.bytes for t in inputs), output.bytes) > LARGEST_BYTES:
            return None
        return compute([t.data for t in inputs], output.shape, op.options)

    return evaluate
