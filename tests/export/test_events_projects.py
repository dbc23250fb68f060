"""The same sensor program, with a head and a memory, in every framework's project and on both runtimes."""

import json
import shutil

import numpy as np
import pytest
import soundfile
from deciding import exported
from test_projects import PARTS, cmake, compile_all, emulate, lacks_nothing

from edgesea import datasets
from edgesea.decisions import prototypes
from edgesea.exporting.decisions import Deciding
from edgesea.exporting.project import write_project


@pytest.fixture(scope="module")
def bundle(tmp_path_factory, student, heard, frontend, head, sounds):
    choice = prototypes.choice_of("kmeans:n=12,k=3")
    deciding = Deciding(head, memory=choice, data=str(sounds))
    return exported(student, tmp_path_factory.mktemp("events") / "b", heard, frontend, deciding)


PROGRAM = {
    "sensor.c",
    "sensor_say.c",
    "sensor_events.c",
    "sensor_memory.c",
    "edgesea_memory.c",
    "edgesea_decide.c",
}


@pytest.mark.parametrize("runtime", ["c", "tflm"])
@pytest.mark.parametrize(
    "kind",
    [
        each if each in ("arduino", "zephyr") else pytest.param(each, marks=pytest.mark.slow)
        for each in PARTS
        if each != "pico-sdk"  # No microphone is known there: its program runs the model alone.
    ],
)
def test_a_project_that_says_events_compiles_and_lacks_nothing(kind, runtime, bundle, tmp_path):
    folder = tmp_path / bundle.identifier
    write_project(bundle, kind, folder, runtime=runtime)
    names = {file.name for file in folder.rglob("*")}
    assert names >= PROGRAM
    assert "sensor_embedding.c" not in names
    assert "a line of JSON for every event" in (folder / "README.md").read_text()
    (tmp_path / "objects").mkdir()
    whole = runtime == "c"
    lacks_nothing(kind, compile_all(kind, folder, tmp_path / "objects", whole=whole), whole=whole)


def sounds_in_a_row(sounds) -> np.ndarray:
    clips = datasets.load(sounds).clips[::4]
    return np.concatenate([soundfile.read(clip.path, dtype="int16")[0] for clip in clips])


def test_the_cmake_project_passes_its_golden_vectors_of_both_outputs(bundle, sounds, tmp_path):
    """Linked and run in QEMU: golden vectors are of embedding and scores, then events are said."""
    for program in ("cmake", "qemu-system-arm", "arm-none-eabi-gcc"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    folder = tmp_path / "project"
    write_project(bundle, "cmake", folder)
    (folder / "build").mkdir()
    pcm = sounds_in_a_row(sounds)
    (folder / "build" / "sound.pcm").write_bytes(pcm.astype("<i2").tobytes())
    status, lines = emulate(folder, cmake(folder))
    assert lines[0].startswith(f"edgesea golden PASS 4 of 4 {bundle.identifier} ")
    assert status == 0
    assert len(lines) > 1
    for line in lines[1:]:
        assert json.loads(line).keys() <= {"event", "confidence", "samples", "level_db"}
