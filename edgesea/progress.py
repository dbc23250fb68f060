"""Progress for people: a bar a stage on a terminal; elsewhere a line whenever a stage goes on for long."""

import contextlib
import sys
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


EVERY_S = 14.0  # from line to line of a stage where there is no terminal
SILENCE_S = 15.0  # without a line, after which a command says that it is at work

_said = [0.0]  # when the last line was said, by the monotonic clock


@contextlib.contextmanager
def sign_of_life(what: str) -> Iterator[None]:
    """Says every `SILENCE_S` that `what` is at work, where nothing else says so and there is no terminal."""
    if sys.stderr.isatty():
        yield
        return
    started = _said[0] = time.monotonic()
    ended = threading.Event()

    def run():
        while not ended.wait(min(1.0, SILENCE_S / 2)):
            now = time.monotonic()
            if now - _said[0] >= SILENCE_S:
                _said[0] = now
                print(f"{what}: at work for {_clock(now - started)}", file=sys.stderr, flush=True)

    thread = threading.Thread(target=run, name="sign of life", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


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
        _said[0] = time.monotonic()
        self._console.print(text, markup=False, soft_wrap=True)


def _clock(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    return f"{minutes} min {seconds} s" if minutes else f"{seconds} s"


SILENT = Progress()
