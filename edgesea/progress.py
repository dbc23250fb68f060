"""Progress bars for people: one line a stage, with a note and the time left; silent when not a terminal."""

import contextlib
from collections.abc import Callable, Iterator

Advance = Callable[..., None]


class Progress:
    """Shows nothing; the base of what does, and what library calls use unless told otherwise."""

    @contextlib.contextmanager
    def stage(self, name: str, total: int, done: int = 0) -> Iterator[Advance]:
        """Yields a function advance(n=1, note='') to call as work is done.

        total, done : all there is to do, and how much of it was done before, in the unit of n
        """
        yield lambda n=1, note="": None

    def say(self, text: str) -> None:
        """One line for the user."""


class TerminalProgress(Progress):
    """Draws on the terminal with rich; where standard error is no terminal only the spoken lines appear."""

    def __init__(self):
        from rich.console import Console

        self._console = Console(stderr=True, highlight=False)

    @contextlib.contextmanager
    def stage(self, name, total, done=0):
        if not self._console.is_terminal:
            yield lambda n=1, note="": None
            return
        from rich import progress

        columns = (
            progress.TextColumn("{task.description:<10}"),
            progress.BarColumn(),
            progress.MofNCompleteColumn(),
            progress.TextColumn("{task.fields[note]}"),
            progress.TimeRemainingColumn(),
        )
        with progress.Progress(*columns, console=self._console) as bar:
            task = bar.add_task(name, total=total, completed=done, note="")
            yield lambda n=1, note="": bar.update(task, advance=n, **({"note": note} if note else {}))

    def say(self, text):
        self._console.print(text, markup=False, soft_wrap=True)


SILENT = Progress()
