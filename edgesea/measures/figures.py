"""What every figure is called, and its unit: the same on screens, in model cards and in comparisons.

A figure is named by its place in what holds it: `latency_ms.median` of a measurement, `r2` of a fidelity.
"""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Figure:
    """label : what people call it; unit : empty where it is a count, a share or an answer."""

    label: str
    unit: str = ""

    def __str__(self) -> str:
        return f"{self.label}, {self.unit}" if self.unit else self.label


# Of a measurement and, as far as they are computed, of a model in a bundle; in the order of showing.
MEASURED = {
    "storage.model_bytes": Figure("model file", "bytes"),
    "storage.weight_bytes": Figure("weights and other constants", "bytes"),
    "multiply_accumulates": Figure("multiply-accumulates a patch"),
    "activation.largest_tensor_bytes": Figure("largest tensor", "bytes"),
    "activation.largest_tensor_float32_bytes": Figure(
        "largest tensor as float32 (the paper's definition)", "bytes"
    ),
    "activation.peak_bytes": Figure("peak of live buffers", "bytes"),
    "activation.peak_float32_bytes": Figure("peak of live buffers as float32", "bytes"),
    "memory.peak_above_empty_bytes": Figure("peak of the process above an empty one", "bytes"),
    "latency_ms.cold_load": Figure("cold load", "ms"),
    "latency_ms.first_inference": Figure("first inference", "ms"),
    "latency_ms.median": Figure("inference, median", "ms"),
    "latency_ms.p95": Figure("inference, 95th percentile", "ms"),
    "latency_ms.p99": Figure("inference, 99th percentile", "ms"),
    "emulated.instructions": Figure("instructions per inference", "instructions"),
    "emulated.flash_bytes": Figure("flash without the model's constants", "bytes"),
    "emulated.ram_bytes": Figure("RAM (.data + .bss, arena included)", "bytes"),
    "emulated.arena_bytes": Figure("arena", "bytes"),
    "emulated.stack_bytes": Figure("stack, high-water mark", "bytes"),
    "emulated.bit_exact": Figure("output equal to TFLite's reference kernels"),
}

# Of a student beside its teacher.
FIDELITY = {
    "r2": Figure("R²"),
    "cosine": Figure("cosine"),
    "cka": Figure("linear CKA"),
    "knn_overlap": Figure("overlap of 10 neighbours"),
}


# Of what a student says of classes beside its teacher.
PREDICTIONS = {
    "agreement": Figure("agreement with the teacher"),
    "predictive_kl": Figure("predictive KL", "nats"),
    "accuracy": Figure("accuracy"),
    "ece": Figure("expected calibration error"),
    "brier": Figure("Brier score"),
}


def text(value: Any) -> str:
    """A figure as people read it; a dash where it is not defined."""
    if value is None:
        return "–"
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,.3f}" if isinstance(value, float) else f"{value:,}"


def how(measurement: dict, place: str) -> str:
    """How a figure of a measurement was come by: measured, computed or emulated."""
    said = measurement.get("how") or {}
    return said.get(place) or said.get(place.split(".")[0], "")


def at(values: Any, place: str) -> Any:
    """The value at a dotted place; None where there is none."""
    for key in place.split("."):
        values = values.get(key) if isinstance(values, dict) else None
    return values
