"""Fixtures that every test may use."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest
from small_run import SMALL

SHARED = Path(__file__).resolve().parents[2] / "shared"

# A shell's background jobs ignore SIGINT, and so would the programs that tests press Ctrl-C on.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

# `edgesea` with small shards, so that a small domain has several to be killed between.
PROGRAM = """
import sys
from edgesea import embed, examples
embed.PIECE_SECONDS, examples.SHARD = 8.0, 64
{before}
from edgesea.cli import main
main(sys.argv[1:])
"""


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real recordings and models beside a developer's checkout; users do not have it."""
    if not (SHARED / "models").is_dir():
        pytest.skip("the folder of real recordings and models (../shared) is not here")
    return SHARED


@pytest.fixture(scope="session")
def street(tmp_path_factory) -> Path:
    """32 synthesised clips of 1.5 seconds: 16 recordings in eight classes, in the table clips.csv."""
    from edgesea.datasets import street

    folder = tmp_path_factory.mktemp("sound") / "street"
    street.synthesise(folder, 32, seed=5, seconds=1.5, takes=2)
    return folder


@pytest.fixture(scope="session")
def edgesea_process():
    """Starts `edgesea ARGUMENTS` as a process of its own; `before` is Python that runs in it first."""

    def start(*arguments, before=""):
        command = [sys.executable, "-c", PROGRAM.format(before=before), *map(str, arguments)]
        return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)

    return start


@pytest.fixture
def deterministic():
    """`distill` makes TensorFlow deterministic for the whole process; this undoes it for the tests after."""
    from tensorflow.python.framework import config

    before = config.is_op_determinism_enabled()
    yield
    if not before:
        config.disable_op_determinism()


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory, street, edgesea_process) -> Path:
    """A run of `SMALL` on `street`, which nothing disturbed."""
    folder = tmp_path_factory.mktemp("runs") / "undisturbed"
    process = edgesea_process("distill", "--data", street, "--out", folder, *SMALL)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    return folder


@pytest.fixture(scope="session")
def small_bundle(tmp_path_factory, finished_run) -> Path:
    """The int8 bundle of `finished_run`, with everything but ONNX.

    Without thresholds: seconds of training make a student that hardly depends on what it hears.
    """
    from edgesea.exporting import c_compiler
    from edgesea.exporting.from_run import export_run

    folder = tmp_path_factory.mktemp("bundles") / "small"
    export_run(finished_run, folder, onnx=False, c_model=c_compiler(), min_cosine=-1, min_r2=-1e9)
    return folder
