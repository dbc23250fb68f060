"""The command `edgesea listen`."""

import subprocess
import sys
import threading
from pathlib import Path

import click

from edgesea.errors import EdgeseaError, UsageError


@click.command()
@click.argument("bundle")
@click.argument("file", required=False)
@click.option("--microphone", help="ALSA's name of one, `default` for that, or a FIFO with raw samples.")
@click.option("--out", help="File of the events, put aside when it is large.  [default: standard output]")
@click.option("--mqtt", metavar="URL", help="Also tell a broker, and Home Assistant: mqtt://HOST.")
@click.option("--name", help="What the broker calls this sensor.  [default: the bundle's name]")
@click.option("--keep-clips", metavar="FOLDER", help="Keep the sound of events there.")
@click.option("--clip-bytes", type=int, default=100 << 20, show_default=True, help="Of all clips.")
@click.option(
    "--status", type=float, default=60.0, show_default=True, help="Seconds between two; 0 for none."
)
@click.option(
    "--kernels",
    default="reference",
    show_default=True,
    help="reference decides as evaluate and the sensor do; fast is XNNPACK.",
)
def listen(bundle, file, microphone, out, mqtt, name, keep_clips, clip_bytes, status, kernels):
    """Runs a bundle on a file or a microphone, here, and prints events as JSON lines.

    It runs the file that `edgesea deploy` puts on a Pi, in a process of its own.
    """
    from edgesea.exporting.bundle import load_bundle
    from edgesea.listen import listen as alone

    if bool(file) == bool(microphone):
        raise UsageError("Say what to listen to: a file, or --microphone.")
    if kernels not in ("reference", "fast"):
        raise UsageError(f"There are no kernels {kernels!r}: choose reference or fast.")
    loaded = load_bundle(bundle)
    if loaded.decisions is None or loaded.frontend is None:
        raise UsageError(
            f"The bundle {bundle} has neither head nor memory, or no frontend: export it with --head or "
            f"--memory."
        )
    given = {
        "--out": out,
        "--mqtt": mqtt,
        "--name": name,
        "--keep-clips": keep_clips,
        "--microphone": microphone,
    }
    options = [part for option, value in given.items() if value for part in (option, value)]
    options += ["--clip-bytes", str(clip_bytes), "--status", str(status), "--kernels", kernels]
    command = [sys.executable, alone.__file__, str(bundle), *options, *([] if microphone else ["-"])]
    sound = None if microphone else _samples(Path(file), loaded.frontend.sample_rate)
    _run(command, sound)


def _samples(path: Path, rate: int):
    """A file of audio as 16-bit samples at `rate`, block by block."""
    from edgesea import audio
    from edgesea.decisions.heard import pcm

    return (pcm(block).astype("<i2").tobytes() for block in audio.blocks(path, rate, silent_ok=True))


def _run(command: list[str], sound) -> None:
    process = subprocess.Popen(command, stdin=None if sound is None else subprocess.PIPE)
    failed: list[Exception] = []

    def feed() -> None:
        try:
            for block in sound:
                process.stdin.write(block)
        except BrokenPipeError:
            pass
        except Exception as error:
            failed.append(error)
        finally:
            process.stdin.close()

    if sound is not None:
        feeder = threading.Thread(target=feed, daemon=True)
        feeder.start()
    try:
        code = process.wait()
    except KeyboardInterrupt:
        code = process.wait()
    if failed:
        raise failed[0]
    if code == 2:
        raise UsageError("The listener refused: see its sentence above.")
    if code != 0:
        raise EdgeseaError(
            f"The listener ended with status {code}: run it again, or measure the bundle with bench."
        )
