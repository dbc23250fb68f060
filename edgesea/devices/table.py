"""Shows a measurement to people: every figure with its unit and how it was come by."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from edgesea.answers import measured_rows
from edgesea.measures.figures import at


def print_measurement(measurement: dict, console: Console | None = None) -> None:
    """Prints a measurement as a table, with the engine above it and the conditions below."""
    console = console or Console()
    console.print(Text(f"{at(measurement, 'model.name') or 'model'} on {measurement['device']}"))
    console.print(Text(f"engine: {measurement['engine']}"))
    table = Table("figure", "value", "unit", "how")
    table.columns[1].justify = "right"
    for row in measured_rows(measurement):
        table.add_row(*row)
    console.print(table)
    if operator := at(measurement, "activation.peak_operator"):
        console.print(Text(f"peak of live buffers at {operator}"))
    if n := at(measurement, "latency_ms.n"):
        threads = measurement["latency_ms"]["threads"]
        warm = measurement["latency_ms"]["warm_up_runs"]
        console.print(Text(f"n = {n} after {warm} to warm up, threads: {threads}"))
    console.print(Text("conditions: " + _conditions(measurement["conditions"])))


def _conditions(conditions: dict) -> str:
    """One line; what is unknown is left out, what differs between before and after is shown as `a -> b`."""
    parts = [
        f"{key} {value}"
        for key, value in conditions.items()
        if not isinstance(value, dict) and value is not None
    ]
    before, after = conditions.get("before", {}), conditions.get("after", {})
    for key, value in before.items():
        if value is not None:
            later = after.get(key)
            parts.append(f"{key} {value}" if later == value else f"{key} {value} -> {later}")
    return ", ".join(parts)
