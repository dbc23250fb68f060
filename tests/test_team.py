"""Devices and processes that train one student together."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from servers import free_port
from small_run import SMALL

from edgesea import team
from edgesea.distillation import _Stages
from edgesea.errors import UsageError
from edgesea.progress import SILENT
from edgesea.run import Config


def config(index: int, ports: list[int]) -> str:
    workers = [f"127.0.0.1:{port}" for port in ports]
    return json.dumps({"cluster": {"worker": workers}, "task": {"type": "worker", "index": index}})


def test_one_device_is_no_team(monkeypatch):
    monkeypatch.delenv("TF_CONFIG", raising=False)
    assert team.gather(None, 64) is None
    assert team.gather(1, 64) is None
    monkeypatch.setenv("TF_CONFIG", config(0, [1]))
    assert team.gather(None, 64) is None


@pytest.mark.parametrize(
    "text",
    [
        "no json",
        "[]",
        '{"cluster": {"worker": 5}, "task": {"type": "worker", "index": 0}}',
        '{"cluster": {"worker": ["a:1", "b:1"]}}',
        '{"cluster": {"worker": ["a:1", "b:1"]}, "task": {"type": "worker", "index": 2}}',
        '{"cluster": {"worker": ["a:1"], "ps": ["b:1"]}, "task": {"type": "ps", "index": 0}}',
    ],
)
def test_a_tf_config_that_is_none_is_refused(text, monkeypatch):
    monkeypatch.setenv("TF_CONFIG", text)
    with pytest.raises(UsageError, match=r"^The environment's TF_CONFIG cannot be used \(.*write it as"):
        team.gather(None, 64)


def test_devices_beside_a_tf_config_are_refused(monkeypatch):
    monkeypatch.setenv("TF_CONFIG", config(0, [1, 2]))
    with pytest.raises(UsageError, match=r"^Received --devices 2 and a TF_CONFIG of several processes"):
        team.gather(2, 64)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"objective": "compress"}, "--objective compress"),
        ({"objective": "sea+0.5*compress"}, "--objective sum"),
        ({"qat_epochs": 1}, "--qat-epochs"),
        ({"ema": 0.9}, "--ema"),
        ({"fresh": True}, "--fresh"),
    ],
)
def test_what_cannot_be_divided_is_refused(options, words, street):
    found = _Stages(Config(**{"teacher": "demo", "data": str(street), "objective": "sea", **options}), SILENT)
    with pytest.raises(UsageError, match=f"^Received {words}.* for several devices"):
        found._check_divided()


# Two devices learn what one learns of the same batches, but for rounding: without batch statistics.
TWICE = """
import sys
import keras, numpy as np
from edgesea import reduction, team
from edgesea.examples import Examples
from edgesea.objectives.base import Setting
from edgesea.objectives.cosine import Cosine
from edgesea.store import Store
from edgesea.train import Schedule, train
from pathlib import Path

here = Path(sys.argv[1])
both = team.gather(2, 16)
try:
    team.gather(2, 15)
except team.UsageError as error:
    print(error)
rng = np.random.default_rng(0)
patches = rng.standard_normal((96, 4, 4, 1)).astype(np.float16)
embedding = (patches.reshape(96, 16) @ rng.standard_normal((16, 3))).astype(np.float32)
store = Store(here / "store", {})
store.write(0, {"embedding": embedding, "patch": patches})
reducer = reduction.reducer("identity", 3).fit([embedding])
data = [Examples(store, rows, reducer) for rows in (np.arange(64), np.arange(64, 96))]
schedule = Schedule(3, 16, learning_rate=3e-2, weight_decay=1e-4, patience=10, seed=3, kind=sys.argv[2])
layers = keras.layers
weights = []
for name, gathered in (("one", None), ("both", both)):
    def begin():
        keras.utils.set_random_seed(0)
        convolutions = [layers.Conv2D(5, 2, 2), layers.Conv2D(6, 1)]
        student = keras.Sequential([keras.Input((4, 4, 1)), *convolutions, layers.Flatten(), layers.Dense(3)])
        objective = Cosine()
        objective.begin(Setting(student, {"embedding": (3,)}, schedule.optimizer(12), 0))
        return objective
    if gathered:
        with gathered.together():
            objective = begin()
    else:
        objective = begin()
    course = train(objective, *data, schedule, here / name, here / "board", team=gathered)
    weights.append([each.numpy() for each in objective.deploy().variables])
    print(name, [round(each["loss"], 6) for each in course])
for one, two in zip(*weights, strict=True):
    print("apart", float(np.abs(one - two).max()), float(np.abs(one).max()))
"""


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["adamw", "muon"])
def test_two_devices_learn_what_one_learns(optimizer, tmp_path):
    environment = os.environ | {"PYTHONPATH": str(Path(team.__file__).parents[1])}
    environment.pop("TF_CONFIG", None)
    done = subprocess.run(
        [sys.executable, "-c", TWICE, str(tmp_path), optimizer],
        capture_output=True,
        text=True,
        env=environment,
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert "Received --batch 15 for 2 devices: give a multiple of 2." in lines
    apart = [line.split()[1:] for line in lines if line.startswith("apart")]
    assert len(apart) == 6
    assert all(float(difference) < 1e-4 and float(size) > 0.01 for difference, size in apart)


@pytest.mark.slow
def test_of_two_processes_one_is_killed_and_training_goes_on(street, tmp_path):
    """The killed one is started again, the other ends with a sentence and is started again too."""
    out = tmp_path / "run"
    arguments = ("distill", "--data", street, "--out", out, *SMALL, "--objective", "cosine", "--epochs", "12")

    def start(index: int, ports: list[int]):
        command = [sys.executable, "-m", "edgesea", *map(str, arguments)]
        environment = os.environ | {
            "TF_CONFIG": config(index, ports),
            "PYTHONPATH": str(Path(team.__file__).parents[1]),
        }
        with open(tmp_path / f"said{index}", "w") as said:
            return subprocess.Popen(command, stdout=said, stderr=said, env=environment)

    ports = [free_port(), free_port()]
    pair = [start(index, ports) for index in (0, 1)]
    state = out / "checkpoints" / "state.npz"
    try:
        while not state.exists():
            assert pair[0].poll() is None, (tmp_path / "said0").read_text()
            time.sleep(0.05)
        os.kill(pair[1].pid, signal.SIGKILL)
        assert pair[0].wait(120) == 1
        assert "A process of TF_CONFIG has ended" in (tmp_path / "said0").read_text()
        before = json.loads(str(np.load(state)["course"]))
        assert 0 < len(before) < 12
        ports = [free_port(), free_port()]
        pair = [start(index, ports) for index in (0, 1)]
        assert [process.wait(300) for process in pair] == [0, 0], (tmp_path / "said0").read_text()
    finally:
        for process in pair:
            process.kill()
            process.wait()
    metrics = json.loads((out / "metrics.json").read_text())
    assert metrics["course"][: len(before)] == before
    assert [each["epoch"] for each in metrics["course"]] == list(range(1, len(metrics["course"]) + 1))
    assert np.isfinite(metrics["fidelity"]["held-out"]["cosine"])
