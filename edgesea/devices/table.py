"""Shows a measurement to people: every figure with its unit and how it was come by."""

from rich.console import Console
from rich.table import Table
from rich.text import Text

from edgesea.answers import measured_rows
from edgesea.devices import circumstances
from edgesea.measures.figures import at


def print_measurement(measurement: dict, console: Console | None = None, *, verbose: bool = False) -> None:
    """Prints a measurement as a table, with the engine above it and the conditions below, all of them where
    `verbose` asks.
    """
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
    console.print(Text(circumstances.told(measurement["conditions"], verbose=verbose)))
