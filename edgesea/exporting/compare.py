"""How far the integer model, int8 or int16x8, is from its float twin, in all and layer by layer.

Over the whole model, on held-out patches, with y the float embedding and z the integer one of the same patch:

    cosine = y . z / (|y| |z|), for each patch; 1 where both are zero
    R^2    = 1 - sum (y - z)^2 / sum (y - mean y)^2, over all patches and dimensions (variance-weighted)

Layer by layer: the *loss* of a layer is the 1 - R^2 of the embedding when that layer alone is rounded, its
result and its weights, and all others are float (`alone`). The worst layer is the one that loses most. Errors
inside the int8 model would not tell: they gather on the way, and a layer that crushes its quiet channels
under a loud one looks well until another reads them.

The int8 model runs on TFLite's reference kernels, which the C model reproduces to the bit.
"""

import dataclasses
from dataclasses import dataclass

import numpy as np

from edgesea.errors import EdgeseaError, UsageError
from edgesea.exporting.alone import FloatModel
from edgesea.interpreter import Interpreter, Tensor, open_interpreter
from edgesea.measures.fidelity import normalised, r2
from firmware_export.graph import Graph, read

# The largest difference from Keras that a float twin may have, relative to the embeddings' largest value:
# float32 sums of some thousand products, taken in another order.
FLOAT_TOLERANCE = 1e-4

# Below this R^2 to phi(teacher) a student learnt nothing: a constant has 0, chance is within some hundredths.
LEAST_LEARNT = 0.05

# Inner tensors are looked at on so many patches at most; the embedding on all.
LAYER_PATCHES = 32

# The middle share of values that counts as typical for `Layer.typical_range`, in percent.
TYPICAL = (0.5, 99.5)


@dataclass(frozen=True)
class Layer:
    """One operator's result, or the patch itself, int8 against float.

    name : of its tensor, which is the Keras layer's (see `tflite`)
    operator : such as CONV_2D; INPUT for the patch
    loss : float >= 0, 1 - R^2 of the embedding when this layer alone is rounded
    cosine : of its result in the int8 model and in the float model, flattened, mean over patches
    range_used : share of the 256 or 65,536 steps between the smallest and the largest value seen, (0, 1]
    typical_range : the same for the middle 99 % of the values; small beside `range_used` where a few outliers
        take the steps from all others
    """

    name: str
    operator: str
    loss: float
    cosine: float
    range_used: float
    typical_range: float


@dataclass(frozen=True)
class Comparison:
    """int8 against float on `n` held-out patches; `layers` in running order, the patch first.

    r2 : None where the float embeddings do not vary
    spread : RMS distance of the float embeddings from their mean, a dimension
    error : the same of int8 from float; R^2 = 1 - (error / spread)^2
    """

    n: int
    cosine: float
    cosine_min: float
    cosine_median: float
    r2: float | None
    spread: float
    error: float
    layers: tuple[Layer, ...]

    @property
    def worst(self) -> Layer:
        """The layer that loses most."""
        return max(self.layers, key=lambda layer: layer.loss)

    def to_dict(self) -> dict:
        layers = [dataclasses.asdict(layer) for layer in self.layers]
        return {**dataclasses.asdict(self), "layers": layers, "worst_layer": self.worst.name}

    def check(
        self, *, min_cosine: float, min_r2: float, learnt: float | None = None, kind: str = "int8"
    ) -> None:
        """EdgeseaError where the mean cosine or R^2 is below its threshold.

        It names the worst layer, or the float student where that learnt nothing.

        learnt : R^2 of the float student to phi(teacher) on held-out sound; None where that is not known
        kind : what is compared with float, int8 or int16x8
        """
        for name, value, threshold in (("cosine", self.cosine, min_cosine), ("R^2", self.r2, min_r2)):
            if value is None or not value >= threshold:  # catches NaN too
                raise EdgeseaError(self._failure(name, value, threshold, learnt, kind))

    def _failure(
        self, name: str, value: float | None, threshold: float, learnt: float | None, kind: str
    ) -> str:
        if learnt is not None and learnt < LEAST_LEARNT:
            return (
                f"The float student learnt nothing that {kind} could keep: its R^2 to the reduced teacher is "
                f"{learnt:.3f} on held-out sound where {LEAST_LEARNT:g} is the least, and its embeddings "
                f"differ by {self.spread:.2g} between patches: train longer, or on more frames."
            )
        worst = self.worst
        figure = "not defined" if value is None else f"{value:.4f}"
        return (
            f"{kind.capitalize()} against float: the {name} is {figure} over {self.n} held-out patches where "
            f"at least {threshold:g} is asked for, an error of {self.error:.2g} beside the float embeddings' "
            f"own spread of {self.spread:.2g}; the worst layer is {worst.name!r}, a {worst.operator} that "
            f"alone loses {worst.loss:.2g} of R^2 and has 99 % of its values in {worst.typical_range:.0%} of "
            "its range: calibrate on more of the domain, change that layer, or lower the threshold."
        )


def compare(float_model: bytes, integer_model: bytes, patches: np.ndarray) -> Comparison:
    """Runs both .tflite on held-out patches.

    patches : (n, frames, mels, 1) float32, n >= 2, not those of the calibration

    Raises UsageError for too few patches.
    """
    if len(patches) < 2:
        raise UsageError(
            f"Comparing an integer model with float takes 2 held-out patches or more, "
            f"received {len(patches)}."
        )
    true = open_interpreter(float_model).run(patches)
    approximate = open_interpreter(integer_model, resolver="reference").run(patches)
    similar = cosine(true, approximate)
    explained = r2(true, approximate)
    return Comparison(
        n=len(patches),
        cosine=float(similar.mean()),
        cosine_min=float(similar.min()),
        cosine_median=float(np.median(similar)),
        r2=float(explained) if np.isfinite(explained) else None,
        spread=float(np.sqrt(np.mean(np.square(true - true.mean(axis=0, dtype=np.float64))))),
        error=float(np.sqrt(np.mean(np.square(true.astype(np.float64) - approximate)))),
        layers=_layers(float_model, integer_model, patches[:LAYER_PATCHES]),
    )


def agreement(keras: np.ndarray, twin: np.ndarray, kind: str) -> float:
    """The largest difference between Keras's embeddings and a float twin's, both (n, d).

    Raises EdgeseaError where it is more than 1e-4 of the embeddings' largest value.
    """
    largest, allowed = float(np.abs(twin - keras).max()), FLOAT_TOLERANCE * float(np.abs(keras).max())
    if not largest <= allowed:
        raise EdgeseaError(
            f"The {kind} model differs from Keras by {largest:.3g} where {allowed:.3g} is allowed: "
            "one of the student's layers does not survive the conversion; export a student without it."
        )
    return largest


def cosine(true: np.ndarray, other: np.ndarray) -> np.ndarray:
    """(n, ...), (n, ...) -> (n,) float64 in [-1, 1], each normalised first; 1 where both are zero."""
    true, other = true.reshape(len(true), -1), other.reshape(len(other), -1)
    both_zero = ~(true.any(axis=1) | other.any(axis=1))
    return np.where(both_zero, 1.0, np.sum(normalised(true) * normalised(other), axis=1))


def _layers(float_model: bytes, integer_model: bytes, patches: np.ndarray) -> tuple[Layer, ...]:
    graph = read(integer_model)
    exact = open_interpreter(float_model, preserve_all=True)
    rough = open_interpreter(integer_model, resolver="reference", preserve_all=True)
    pairs = _pairs(graph, exact, rough)
    trues = exact.run(patches, [pair[0] for pair in pairs])
    others = rough.run(patches, [pair[1] for pair in pairs])
    model = FloatModel(float_model)

    layers = []
    for (twin, tensor), true, other in zip(pairs, trues, others, strict=True):
        operator = graph.producer(tensor.index)
        mixed = model.with_rounded(twin.index, graph.tensors[tensor.index], graph)
        used, typical = _range(tensor, other)
        layers.append(
            Layer(
                name=tensor.name,
                operator=operator.opcode if operator else "INPUT",
                loss=_loss(trues[-1], open_interpreter(mixed).run(patches)),
                cosine=float(cosine(true, other).mean()),
                range_used=used,
                typical_range=typical,
            )
        )
    return tuple(layers)


def _pairs(graph: Graph, exact: Interpreter, rough: Interpreter) -> list[tuple[Tensor, Tensor]]:
    """(float tensor, integer tensor) of the input and of every result of the same name, in running order."""
    by_name = {tensor.name: tensor for tensor in exact.tensors()}
    by_index = {tensor.index: tensor for tensor in rough.tensors()}
    results = [by_index[index] for operator in graph.operators for index in operator.outputs]
    same = [
        (by_name[tensor.name], tensor)
        for tensor in results
        if tensor.index != rough.output.index
        and tensor.quantised
        and tensor.name in by_name
        and by_name[tensor.name].shape == tensor.shape
    ]
    return [(exact.input, rough.input), *same, (exact.output, rough.output)]


def _loss(true: np.ndarray, other: np.ndarray) -> float:
    """1 - R^2; where the true embedding does not vary over the patches, 1 or, for no error at all, 0."""
    explained = r2(true, other)
    return 1 - explained if np.isfinite(explained) else float((true != other).any())


def _range(tensor: Tensor, values: np.ndarray) -> tuple[float, float]:
    """The shares of an integer tensor's steps that all values and the middle 99 % of them span."""
    low, high = np.percentile(values, TYPICAL)
    steps = np.array([values.max() - values.min(), high - low]) / tensor.scale + 1
    used, typical = np.round(steps) / 2 ** (8 * tensor.dtype.itemsize)
    return float(used), float(typical)
