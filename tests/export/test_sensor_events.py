"""Events of the sensor program on an emulated core, against the same sound decided here."""

import json
import subprocess

import numpy as np
import pytest
import soundfile
from deciding import exported
from host_sensor import on_host

from edgesea import datasets
from edgesea.decisions import heard, prototypes, score
from edgesea.exporting import c_compiler, load_bundle
from edgesea.exporting.decisions import Deciding
from edgesea.listen import listen


@pytest.fixture(scope="module", params=["head", "memory", "both"])
def bundle(request, tmp_path_factory, student, heard, frontend, head, sounds):
    """Bundles that decide by a head, by a memory, and by both."""
    choice = None if request.param == "head" else prototypes.choice_of("kmeans:n=12,k=3,unknown=0.05")
    deciding = Deciding(
        None if request.param == "memory" else head,
        memory=choice,
        data=None if choice is None else str(sounds),
    )
    folder = tmp_path_factory.mktemp(request.param) / "b"
    return exported(student, folder, heard, frontend, deciding, c_model=c_compiler())


@pytest.fixture(scope="module")
def stream(sounds):
    """All clips, one behind the other, and two seconds of nothing in between; int16."""
    manifest = datasets.load(sounds)
    parts = []
    for clip in manifest.clips[::3]:
        sound, _ = soundfile.read(clip.path, dtype="int16")
        parts += [sound, np.zeros(4000, np.int16)]
    return np.concatenate(parts)


def decided_here(bundle, pcm) -> list[tuple[str, int, float]]:
    """(label, samples, confidence) of a stream, by NumPy and TFLite's reference kernels."""
    ears = listen.Frontend(bundle.frontend.to_dict())
    ask, decider = heard.integers(bundle.int8.read_bytes(), bundle.outputs), score.decider_of(bundle)
    found = []
    for end, frame in listen.Framer(ears, bundle.decisions["every"]).push(pcm):
        outputs = ask(ears.patch(frame)[None, ..., None])
        scores = outputs["scores"][0] if "scores" in outputs else ()
        embedding = outputs["embedding"][0] if "embedding" in outputs else None
        found += [(label, end, pooled / 65536) for label, pooled in decider.hear(scores, embedding)]
    return found


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


def test_the_program_says_the_same_events(bundle, stream, tmp_path):
    """The C frontend may be a step off, so confidences may differ by little; what is said and when may
    not."""
    expected = decided_here(bundle, stream)
    assert len({label for label, *_ in expected}) >= 2
    lines = on_host(bundle, tmp_path, stream)
    found = [(line["event"], line["samples"], line["confidence"]) for line in lines]
    assert [each[:2] for each in found] == [each[:2] for each in expected]
    assert np.abs([a[2] - b[2] for a, b in zip(found, expected, strict=True)]).max() < 0.02
    for line in lines:
        assert -91 < line["level_db"] <= 0


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


def test_it_learns_and_says_what_it_learned(bundle, sounds, tmp_path):
    """A sound that neither head nor memory holds, from three frames of it."""
    if bundle.decisions["memory"] is None:
        pytest.skip("this bundle has no memory")
    time = np.arange(8000 * 12) / 8000
    chirp = np.sin(2 * np.pi * (600 + 500 * np.sin(2 * np.pi * 3 * time)) * time) * 9000
    lines = on_host(bundle, tmp_path, chirp.astype(np.int16), ["memory add chirp 3"])
    learned = next(line for line in lines if "learned" in line)
    assert learned["number"] == 1
    later = [line for line in lines if line.get("event") == "chirp"]
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
    assert [(line["event"], line["samples"]) for line in found] == [
        each[:2] for each in decided_here(bundle, stream)
    ]


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
