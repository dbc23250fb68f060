"""Progress for people: a bar a stage on a terminal; elsewhere a line whenever a stage goes on for long."""

import contextlib
import threading
import time
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


EVERY_S = 15.0  # from line to line where there is no terminal


class TerminalProgress(Progress):
    """Draws on the terminal with rich; where standard error is no terminal, writes a line every `EVERY_S`."""

    def __init__(self) -> None:
        from rich.console import Console

        self._console = Console(stderr=True, highlight=False)

    @contextlib.contextmanager
    def stage(self, name, total, done=0):
        if not self._console.is_terminal:
            with self._lines(name, total, done) as advance:
                yield advance
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

    @contextlib.contextmanager
    def _lines(self, name: str, total: int, done: int) -> Iterator[Advance]:
        """Says how far the stage is, every `EVERY_S` seconds, also while the work does not come to say so."""
        now = {"done": done, "note": ""}
        started, ended = time.monotonic(), threading.Event()

        def advance(n=1, note=""):
            now["done"] += n
            now["note"] = note or now["note"]

        def line():
            seconds, work = time.monotonic() - started, now["done"] - done
            left = f", {_clock(seconds / work * (total - now['done']))} left" if work else ""
            note = f", {now['note']}" if now["note"] else ""
            self.say(f"{name}: {now['done']:,} of {total:,} after {_clock(seconds)}{left}{note}")

        def run():
            while not ended.wait(EVERY_S):
                line()

        thread = threading.Thread(target=run, name="progress", daemon=True)
        thread.start()
        try:
            yield advance
        finally:
            ended.set()
            thread.join()

    def say(self, text):
        self._console.print(text, markup=False, soft_wrap=True)


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


SILENT = Progress()
