"""Events of the sensor program on an emulated core, against the same sound decided here."""

import json
import subprocess

import numpy as np
import pytest
import soundfile
from deciding import exported
from host_sensor import on_host

from edgesea import datasets
from edgesea.decisions import heard, prototypes
from edgesea.evaluation import decided
from edgesea.exporting import c_compiler, load_bundle
from edgesea.exporting.decisions import Deciding
from edgesea.listen import listen


@pytest.fixture(scope="module", params=["head", "memory", "both"])
def bundle(request, tmp_path_factory, student, heard, frontend, head, sounds):
    """Bundles that decide by a head, by a memory, and by both."""
    k = {"memory": 1, "both": 3}.get(request.param)
    choice = prototypes.choice_of(f"kmeans:n=12,k={k},unknown=0.05") if k else None
    deciding = Deciding(
        None if request.param == "memory" else head,
        memory=choice,
        data=None if choice is None else str(sounds),
    )
    folder = tmp_path_factory.mktemp(request.param) / "b"
    return exported(student, folder, heard, frontend, deciding, c_model=c_compiler())


def noise(count: int) -> np.ndarray:
    return np.random.default_rng(3).normal(0, 60, count).astype(np.int16)


@pytest.fixture(scope="module")
def stream(sounds):
    """All clips, one behind the other, and half a second of noise in between; int16."""
    manifest = datasets.load(sounds)
    parts = []
    for clip in manifest.clips[::3]:
        sound, _ = soundfile.read(clip.path, dtype="int16")
        parts += [sound, noise(4000)]
    return np.concatenate(parts)


def decided_here(bundle, pcm) -> tuple[list[tuple[str, int]], dict[tuple[str, int], float]]:
    """(label, samples) of the events of a stream, by NumPy and TFLite's reference kernels; and how far from
    its threshold each class was, in each frame and the one before.
    """
    ears = listen.Frontend(bundle.frontend.to_dict())
    ask, decider = heard.integers(bundle.int8.read_bytes(), bundle.outputs), decided.decider_of(bundle)
    events, margins, before = [], {}, np.inf
    for end, frame in listen.Framer(ears, bundle.decisions["every"]).push(pcm):
        outputs = {name: values[0] for name, values in ask(ears.patch(frame)[None, ..., None]).items()}
        said = decider.hear(outputs.get("scores", ()), outputs.get("embedding"))
        events += [(label, end) for label, _ in said]
        here = np.abs(decider.detector.pooled - decider.detector.thresholds) / 65536
        names = [decider.name(place) for place in range(len(here)) if place < len(decider.labels)]
        names += [str(place) for place in range(len(names), len(here) - 1)]
        names += [listen.UNKNOWN] if len(here) > len(names) else []
        margins |= {(name, end): each for name, each in zip(names, np.minimum(here, before), strict=True)}
        before = here
    return events, margins


def test_a_bundle_with_a_memory_is_checked_when_it_is_read(bundle):
    held = load_bundle(bundle.path)
    assert held.manifest == bundle.manifest
    memory = held.memory()
    if bundle.decisions["memory"] is None:
        assert memory is None
        return
    assert memory["prototypes"].shape[1] == 8
    assert 1 < len(memory["prototypes"]) <= 12
    assert np.abs(memory["prototypes"].astype(int)).max(axis=1).tolist() == [127] * len(memory["prototypes"])
    assert bundle.decisions["memory"]["bytes"] == len(memory["prototypes"]) * (8 + 3 + 4)


NEAR = 0.03  # of a score: the C frontend may be a step off, and that may move what is as near as this


def same_events(found, bundle, stream) -> None:
    """Asserts that events are those decided here, but for scores that lie on their threshold."""
    expected, margins = decided_here(bundle, stream)
    assert len({label for label, _ in expected}) >= 2
    differing = set(found) ^ set(expected)
    assert all(margins[each] < NEAR for each in differing), differing
    assert len(differing) <= len(expected) / 4


def test_the_program_says_the_same_events(bundle, stream, tmp_path):
    lines = on_host(bundle, tmp_path, stream)
    same_events([(line["event"], line["samples"]) for line in lines], bundle, stream)
    for line in lines:
        assert -91 < line["level_db"] <= 0
        assert 0 < line["confidence"] < 1


def test_levels_are_decibels_of_full_scale(bundle, tmp_path, sounds):
    """Said of the frame that an event is of: a square wave of a tenth of full scale has -20 dB."""
    time = np.arange(8000 * 3)
    square = np.where(time // 15 % 2, 3277, -3277).astype(np.int16)
    levels = [line["level_db"] for line in on_host(bundle, tmp_path, square)]
    assert all(abs(level + 20) < 0.11 for level in levels)


def test_requests_of_the_line(bundle, stream, tmp_path):
    """status, raw, memory: asked between two decisions."""
    asked = ["status", "raw 1", "raw 2", "rest", "memory list 0", "memory add drill 2", "memory add a*b 1"]
    lines = on_host(bundle, tmp_path, stream[:24000], asked)
    answers = [line["answer"] for line in lines if "answer" in line]
    embeds = bundle.outputs[0] == "embedding"
    count = bundle.decisions["memory"]["prototypes"] if bundle.decisions["memory"] else 0
    assert answers[0].split()[0] == "status"
    assert answers[0].split()[5] == f"{count:x}"
    assert answers[1:4] == ["raw 1" if embeds else "error range", "error range", "error request"]
    said = [line for line in lines if "embedding" in line]
    assert bool(said) == embeds
    if count:
        assert answers[4:] == ["error range", "memory add 2", "error label"]
        assert [line["learned"] for line in lines if "learned" in line] == ["drill"]
    else:
        assert answers[4:] == ["error request"] * 3


def test_it_learns_and_says_what_it_learned(bundle, tmp_path):
    """A sound that the memory does not hold, from three frames of it: from then on the nearest is the new
    one."""
    if bundle.decisions["head"] or bundle.decisions["memory"] is None:
        pytest.skip("this bundle does not decide by its memory alone")
    hum = np.sin(2 * np.pi * 900 * np.arange(8000 * 8) / 8000) * 9000
    lines = on_host(bundle, tmp_path, hum.astype(np.int16), ["memory add hum 3", "status", "memory list 0"])
    learned = next(line for line in lines if "learned" in line)
    assert learned["number"] == 1
    later = [line for line in lines if line.get("event") == "hum"]
    assert later
    assert later[0]["samples"] >= learned["samples"]


@pytest.mark.slow
@pytest.mark.parametrize("core", ["cortex-m4", "cortex-m0plus"])
def test_emulated_cores_say_the_same_events(core, bundle, stream, tmp_path):
    from test_sensor import build_for, hear, write_wav

    for file in (bundle.path / "c").rglob("*.[ch]"):
        place = tmp_path / file.relative_to(bundle.path / "c")
        place.parent.mkdir(exist_ok=True)
        place.write_bytes(file.read_bytes())
    write_wav(tmp_path / "sound.wav", stream, 8000)
    for array in tmp_path.glob("*_model.c"):
        array.unlink()
    board, image = build_for(core, tmp_path)
    found = [json.loads(line) for line in hear(board, image, tmp_path).splitlines()]
    same_events([(line["event"], line["samples"]) for line in found], bundle, stream)


def test_labels_of_any_text_are_json(student, heard, frontend, head, tmp_path, stream):
    from edgesea.decisions.head import Head

    odd = ['say "hi"\\', "Säge 🪚", "noise"]
    renamed = Head(head.layers, head.activation, {**head.values, "labels": odd})
    bundle = exported(student, tmp_path / "b", heard, frontend, Deciding(renamed), c_model=c_compiler())
    lines = on_host(bundle, tmp_path / "program", stream)
    assert {line["event"] for line in lines} <= set(odd)
    assert len({line["event"] for line in lines}) >= 2


def test_the_program_compiles_as_cpp(bundle, tmp_path):
    folder = bundle.path / "c"
    for source in sorted(folder.rglob("*.c")):
        command = ["g++", "-x", "c++", "-std=c++11", "-fsyntax-only", f"-I{folder}", f"-I{folder / 'sensor'}"]
        built = subprocess.run([*command, str(source)], capture_output=True, text=True)
        assert built.returncode == 0, built.stderr
