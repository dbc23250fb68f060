"""Shows a measurement to people: every figure with its unit and how it was come by."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from edgesea.bench import circumstances

# (place in the measurement, what people call it, unit); what a measurement does not have is left out.
FIGURES = (
    ("storage.model_bytes", "model file", "bytes"),
    ("storage.weight_bytes", "weights and other constants", "bytes"),
    ("activation.largest_tensor_bytes", "largest tensor", "bytes"),
    (
        "activation.largest_tensor_float32_bytes",
        "largest tensor as float32 (the paper's definition)",
        "bytes",
    ),
    ("activation.peak_bytes", "peak of live buffers", "bytes"),
    ("activation.peak_float32_bytes", "peak of live buffers as float32", "bytes"),
    ("latency_ms.cold_load", "cold load", "ms"),
    ("latency_ms.first_inference", "first inference", "ms"),
    ("latency_ms.median", "inference, median", "ms"),
    ("latency_ms.p95", "inference, 95th percentile", "ms"),
    ("emulated.instructions", "instructions per inference", ""),
    ("emulated.flash_bytes", "flash without the model's constants", "bytes"),
    ("emulated.ram_bytes", "RAM (.data + .bss, arena included)", "bytes"),
    ("emulated.arena_bytes", "arena", "bytes"),
    ("emulated.stack_bytes", "stack, high-water mark", "bytes"),
    ("emulated.bit_exact", "output equal to TFLite's reference kernels", ""),
)


def print_measurement(measurement: dict, console: Console | None = None, *, verbose: bool = False) -> None:
    """Prints a measurement as a table, with the engine above it and the conditions below, all of them where
    `verbose` asks."""
    console = console or Console()
    console.print(Text(f"{_at(measurement, 'model.name') or 'model'} on {measurement['device']}"))
    console.print(Text(f"engine: {measurement['engine']}"))
    table = Table("figure", "value", "unit", "how")
    table.columns[1].justify = "right"
    for place, label, unit in FIGURES:
        value = _at(measurement, place)
        if value is not None:
            table.add_row(label, _number(value), unit, _how(measurement, place))
    console.print(table)
    if operator := _at(measurement, "activation.peak_operator"):
        console.print(Text(f"peak of live buffers at {operator}"))
    if n := _at(measurement, "latency_ms.n"):
        threads = measurement["latency_ms"]["threads"]
        warm = measurement["latency_ms"]["warm_up_runs"]
        console.print(Text(f"n = {n} after {warm} to warm up, threads: {threads}"))
    console.print(Text(circumstances.told(measurement["conditions"], verbose=verbose)))


def _at(measurement: dict, place: str):
    """The value at a dotted place; None where there is none."""
    value = measurement
    for key in place.split("."):
        if not isinstance(value, dict) or key not in value:
            return None
        value = value[key]
    return value


def _how(measurement: dict, place: str) -> str:
    how = measurement.get("how", {})
    return how.get(place) or how.get(place.split(".")[0], "")


def _number(value) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return f"{value:,.3f}" if isinstance(value, float) else f"{value:,}"
