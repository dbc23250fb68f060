"""The command line: one small module a command, imported when it is called.

A command parses, calls the library and prints. Exit codes: 0, 1 (the work failed), 2 (the call was wrong).
An error is one sentence on standard error; `--debug` shows where it came from.
"""

import difflib
import os
import sys
from importlib import import_module

import click

from edgesea import __version__, backend
from edgesea.errors import UserError
from edgesea.progress import sign_of_life

# name -> what `edgesea --help` says of it; the module of that name holds a click command of that name.
COMMANDS = {
    "demo": "Runs the whole flow on synthesised street sounds, offline.",
    "init": "Writes a commented edgesea.toml for your data and teacher.",
    "embed": "Writes a teacher's embeddings of a domain into a store.",
    "distill": "Embeds, samples, reduces and trains a student; resumes where it stopped.",
    "search": "Looks for the student that learns most within a board's flash, RAM and instructions.",
    "evaluate": "Scores a run or a bundle: fidelity to the teacher, and a head.",
    "head": "Trains the classifier that goes into a bundle, with a threshold for each class.",
    "export": "Makes a bundle: int8 and float .tflite, ONNX, C arrays, the C model.",
    "bench": "Measures storage, activation memory and latency on a device.",
    "flash": "Builds a bundle's firmware, writes it to a board, and reads the golden test's verdict.",
    "listen": "Runs a bundle on a file or a microphone, here, and prints events.",
    "deploy": "Puts a bundle on a Pi, as a service; upgrades and rolls back.",
    "teachers": "Lists teachers, fetches their weights, and says what a foreign model is.",
    "fit": "Says which boards hold a bundle's model, with the margin in flash and RAM.",
}


class _Commands(click.Group):
    """Imports a command's module only when that command is called, so that --help answers at once."""

    def list_commands(self, context):
        return list(COMMANDS)

    def get_command(self, context, name):
        return getattr(import_module(f"edgesea.cli.{name}"), name) if name in COMMANDS else None

    def resolve_command(self, context, arguments):
        name = arguments[0] if arguments else ""
        if name not in COMMANDS and not name.startswith("-"):
            close = difflib.get_close_matches(name, COMMANDS, n=1)
            meant = f"did you mean {close[0]}? " if close else ""
            context.fail(
                f"There is no command {name!r}: {meant}{'T' if close else 't'}here are {', '.join(COMMANDS)}."
            )
        return super().resolve_command(context, arguments)

    def format_commands(self, context, formatter):
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.command(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="edgesea")
@click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error.")
def edgesea():
    """Turns a big audio embedding model into one that fits a sensor, for your kind of sound."""


def main(arguments=None) -> None:
    """The console script."""
    # TensorFlow's greetings are not for users; --debug does not need them either.
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    backend.ask_for_speed()
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    # Also behind the command, where one adds it to a call that has just failed.
    debug = "--debug" in arguments
    arguments = [each for each in arguments if each != "--debug"] or ["--help"]
    try:
        with sign_of_life(" ".join(["edgesea", *arguments[:1]])):
            code = edgesea.main(arguments, prog_name="edgesea", standalone_mode=False)
        sys.exit(code or 0)
    except click.exceptions.Abort:
        _fail("Stopped: call the same again to go on.", 1)
    except click.ClickException as error:
        if isinstance(error, click.UsageError) and error.ctx:
            click.echo(error.ctx.get_usage(), err=True)
        _fail(_sentence(error), error.exit_code)
    except UserError as error:
        if debug:
            raise
        _fail(str(error), error.exit_code)
    except MemoryError:
        if debug:
            raise
        _fail("Ran out of memory: close other programs, or give less at once, and run it again.", 1)
    except OSError as error:
        if debug:
            raise
        _fail(f"Cannot use {error.filename or 'a file'} ({error.strerror or error}): see to it and retry.", 1)
    except Exception as error:
        if debug:
            raise
        first = next(iter(str(error).splitlines()), "")
        _fail(
            f"Unexpected {type(error).__name__} ({first}): call again with --debug to see where it arose.", 1
        )


def _sentence(error: click.ClickException) -> str:
    """What click says of a call, as a sentence; of options that are close, the closest."""
    if isinstance(error, click.NoSuchOption):
        known = [each for one in error.ctx.command.params for each in one.opts] if error.ctx else []
        close = difflib.get_close_matches(error.option_name, known, n=1)
        meant = f"did you mean {close[0]}?" if close else "call it with --help to see which there are."
        return f"There is no option {error.option_name}: {meant}"
    said = error.format_message()
    return said if said.endswith((".", "?")) else f"{said}."


def _fail(sentence: str, code: int) -> None:
    click.echo(f"edgesea: {sentence}", err=True)
    sys.exit(code)
