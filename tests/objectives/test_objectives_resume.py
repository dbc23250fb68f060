"""Every objective, killed in training, ends with the same student to the bit; a run keeps its objective."""

import random
import shutil
import signal
from pathlib import Path

import numpy as np
import pytest
from small_run import SMALL

from edgesea import files
from edgesea.errors import UsageError
from edgesea.objectives import OBJECTIVES
from edgesea.run import Config, Run

TRANSFORMER = Path(__file__).parents[1] / "teachers" / "transformer_teacher.tflite"
# One call each of all that there are; what each needs beside `SMALL`.
CALLS = {
    "sea": ("sea",),
    "cosine": ("cosine",),
    "simreg": ("simreg:hidden=16",),
    "kd": ("kd:hard=0.3",),
    "compress": ("compress:queue=64,momentum=0.9",),
    "compress 1q": ("compress:variant=1q,queue=64",),
    "reaug": ("reaug",),
    "amad": ("amad", "--teacher", TRANSFORMER, "--student", "transformer:width=16,layers=1,hidden=16"),
    "sum": ("sea+0.5*compress:queue=64",),
    "disk": ("disk:alone=1,turn=3,period=2,rise=3",),
}
STEPS = 8  # of an epoch of `SMALL`

# Kills the process when its training asks for the n-th batch, or writes its n-th state.
KILL = """
import os, signal
from edgesea.examples import Examples
real, seen = Examples.batch, []
def batch(self, places, columns):
    seen.append(1)
    if len(seen) == {time}:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(self, places, columns)
Examples.batch = batch
"""


def test_there_is_a_call_of_every_objective():
    assert {call.split()[0] for call in CALLS} == set(OBJECTIVES.entries)


@pytest.fixture(scope="module")
def trained(tmp_path_factory, street, edgesea_process):
    """name -> the folder of a run that nothing disturbed, made when it is asked for first."""
    made = {}

    def run(name):
        if name not in made:
            made[name] = tmp_path_factory.mktemp("runs") / "run"
            process = edgesea_process(*call(name, street, made[name]))
            _, errors = process.communicate(timeout=300)
            assert process.returncode == 0, errors
        return made[name]

    return run


def call(name, street, out):
    objective, *further = CALLS[name]
    return ("distill", "--data", street, "--out", out, *SMALL, "--objective", objective, *further)


def assert_survives(name, moments, trained, street, tmp_path, edgesea_process):
    whole, out = trained(name), tmp_path / "run"
    # All but the training is there: what is embedded survives by other tests.
    shutil.copytree(whole, out)
    for made in ("student.keras", "classes.npz", "metrics.json", "checkpoints/state.npz"):
        (out / made).unlink(missing_ok=True)
    for moment in moments:
        process = edgesea_process(*call(name, street, out), before=KILL.format(time=moment))
        _, errors = process.communicate(timeout=300)
        assert process.returncode == -signal.SIGKILL, errors
        assert not (out / "student.keras").exists()
    process = edgesea_process(*call(name, street, out))
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert (out / "student.keras").read_bytes() == (whole / "student.keras").read_bytes()
    for made in ("checkpoints/state.npz", "classes.npz"):
        assert (out / made).exists() == (whole / made).exists()
        if (out / made).exists():
            mine, theirs = files.read_arrays(out / made), files.read_arrays(whole / made)
            assert mine.keys() == theirs.keys()
            for key in mine.keys() - {"course"}:
                np.testing.assert_array_equal(mine[key], theirs[key])


def test_compress_survives_sigkill_in_its_third_epoch(trained, street, tmp_path, edgesea_process):
    assert_survives("compress", [2 * STEPS + 6], trained, street, tmp_path, edgesea_process)


@pytest.mark.slow
@pytest.mark.parametrize("name", CALLS)
def test_each_survives_sigkill_at_five_random_moments(name, trained, street, tmp_path, edgesea_process):
    # Each goes on from the last whole epoch, of which there are four: some kills come before the next.
    drawn = random.Random(name)
    moments = [drawn.randrange(1, STEPS) for _ in range(3)] + [
        drawn.randrange(STEPS, STEPS + 8) for _ in "ab"
    ]
    drawn.shuffle(moments)
    assert_survives(name, moments, trained, street, tmp_path, edgesea_process)


def test_a_run_of_one_objective_refuses_to_go_on_with_another(tmp_path):
    config = Config("demo", "sound", objective="compress:queue=64")
    Run.start(tmp_path / "run", config)
    for other in ("sea", "compress:queue=65", "compress:queue=64,variant=1q"):
        with pytest.raises(
            UsageError, match=r"holds a run with objective = .*, and this call says objective ="
        ):
            Run.start(tmp_path / "run", Config("demo", "sound", objective=other))
    Run.start(tmp_path / "run", config)
