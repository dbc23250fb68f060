"""Sixteen real clips in a row: the emulated M4, evaluate's arithmetic and listen.py say the same events."""

import csv
import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile
from deciding import exported

from edgesea import datasets
from edgesea.decisions import heard as hearing
from edgesea.decisions import prototypes
from edgesea.exporting import c_compiler
from edgesea.exporting.decisions import Deciding
from edgesea.listen import listen
from edgesea.running import emulator

sys.path.append(str(Path(__file__).resolve().parents[2] / "benchmarks"))

import sensor

pytestmark = pytest.mark.slow

CLASSES = ("dog", "rain", "crying_baby")
CLIPS = 16


@pytest.fixture(scope="module")
def labelled(shared, tmp_path_factory):
    """Eight recordings of each of three classes, of other folds than the sixteen clips."""
    folder = shared / "data" / "esc10_other_folds"
    with open(folder / "index.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    chosen = []
    for label in CLASSES:
        own = {row["group"]: row for row in rows if row["label"] == label}
        chosen += [own[group] for group in sorted(own)[:8]]
    table = tmp_path_factory.mktemp("labelled") / "index.csv"
    with open(table, "w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["path", "label", "group"])
        writer.writerows([[folder / row["path"], row["label"], row["group"]] for row in chosen])
    return table


@pytest.fixture(scope="module")
def real_patches(labelled, frontend):
    """Of the labelled sound, (n, frames, mels, 1) float32."""
    manifest, ears = datasets.load(labelled), listen.Frontend(frontend.to_dict())
    clips = range(0, len(manifest), 2)
    held = hearing.hear(manifest, clips, ears, 12, lambda p: {"p": p.reshape(len(p), -1)})
    return held.outputs["p"].reshape(-1, *frontend.patch_shape)


@pytest.mark.parametrize("memory", [None, "kmeans:n=24,unknown=0.05"], ids=["head", "head and memory"])
def test_the_same_events(memory, shared, labelled, real_patches, student, float_model, frontend, tmp_path):
    from edgesea.decisions.head import train

    board = emulator.board_of(sensor.CORE)
    for program in (board.toolchain.prefix + "gcc", board.emulator.program):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    head = train(float_model, frontend, labelled, window=3, rest=0.0)
    choice = None if memory is None else prototypes.choice_of(memory)
    deciding = Deciding(head, memory=choice, data=str(labelled) if memory else None, min_agreement=0)
    bundle = exported(student, tmp_path / "b", real_patches, frontend, deciding, c_model=c_compiler())

    unheard = datasets.load(shared / "data" / "esc50-fold4")
    clips = [k for k, each in enumerate(unheard.clips) if set(each.labels) & set(CLASSES)]
    others = [k for k in range(len(unheard)) if k not in clips]
    pcm = sensor.stream(unheard, [*clips[: CLIPS - 4], *others[:4]], frontend.sample_rate)
    here, frames = sensor.said_here(bundle, pcm)
    there, cost = sensor.said_there(bundle, pcm)
    assert len(here) >= 10
    assert there == here
    assert cost["instructions"]["all"] > sum(cost["instructions"][part] for part in sensor.PARTS[:-1]) > 0
    assert frames > 100

    soundfile.write(tmp_path / "sound.wav", pcm, frontend.sample_rate, subtype="PCM_16")
    command = [sys.executable, listen.__file__, str(bundle.path), str(tmp_path / "sound.wav")]
    done = subprocess.run(command, capture_output=True, check=True)
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    found = [(each["event"], each["samples"], each["confidence"]) for each in lines if "event" in each]
    assert found == here
    assert np.unique([label for label, _, _ in here]).size >= 2
