"""Events of the sensor program, on this machine and on emulated cores, against those decided here."""

import json
import math
import shutil
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
from edgesea.running import emulator
from firmware_export.sensor import SEMIHOSTING


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


# Says each patch that the frontend makes, in hexadecimal, before the model sees it.
SHOWS_PATCHES = r"""
#include "edgesea_frontend.h"
#include "sensor.h"
void __real_edgesea_frontend_patch(const edgesea_frontend *, const edgesea_frontend_state *, int8_t *);
void __wrap_edgesea_frontend_patch(const edgesea_frontend *, const edgesea_frontend_state *, int8_t *);
void __wrap_edgesea_frontend_patch(const edgesea_frontend *f, const edgesea_frontend_state *s, int8_t *patch)
{
    static char text[2 * %d + 1];
    __real_edgesea_frontend_patch(f, s, patch);
    for (int i = 0; i < %d; i++) {
        text[2 * i] = "0123456789abcdef"[patch[i] >> 4 & 15];
        text[2 * i + 1] = "0123456789abcdef"[patch[i] & 15];
    }
    sensor_write("{\"patch\":\"");
    sensor_write(text);
    sensor_write("\"}\n");
}
"""
WRAPPED = "-Wl,--wrap=edgesea_frontend_patch"


def shows_patches(bundle, folder):
    """The C file that, linked with WRAPPED, makes the program say its patches."""
    folder.mkdir(exist_ok=True)
    size = math.prod(bundle.frontend.patch_shape)
    (folder / "patches.c").write_text(SHOWS_PATCHES % (size, size))
    return folder / "patches.c"


def decided_here(bundle, patches) -> list[tuple[int, str, float]]:
    """(frame, label, confidence) of the events of patches (n, frames, mels) int8, by NumPy and TFLite's
    reference kernels.
    """
    ask, decider = heard.integers(bundle.int8.read_bytes(), bundle.outputs), decided.decider_of(bundle)
    asked = ask(patches[..., None])
    events = []
    for frame in range(len(patches)):
        outputs = {name: values[frame] for name, values in asked.items()}
        said = decider.hear(outputs.get("scores", ()), outputs.get("embedding"))
        events += [(frame, label, (pooled * 10000 >> 16) / 10000) for label, pooled in said]
    return events


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


def same_events(lines, bundle, stream) -> None:
    """Asserts that patches, and events with their places, order and confidence, are those made here."""
    said = [bytes.fromhex(line["patch"]) for line in lines if "patch" in line]
    patches = np.frombuffer(b"".join(said), np.int8).reshape(-1, *bundle.frontend.patch_shape[:2])
    ears = listen.Ears(bundle.frontend.to_dict(), bundle.frontend_tables())
    ends, frames = zip(*listen.Framer(ears, bundle.decisions["every"]).push(stream), strict=True)
    here = np.stack([ears.patch(frame) for frame in frames])
    assert np.array_equal(here, patches)

    expected = decided_here(bundle, here)
    assert len({label for _, label, _ in expected}) >= 2
    found = [line for line in lines if "event" in line]
    assert [(line["samples"], line["event"], line["confidence"]) for line in found] == [
        (ends[frame], label, confidence) for frame, label, confidence in expected
    ]
    for line in found:
        assert -91 < line["level_db"] <= 0
        assert 0 < line["confidence"] < 1


@pytest.mark.parametrize("fpu", [0, 1], ids=["fixed", "float"])
def test_the_program_says_the_same_events(fpu, bundle, stream, tmp_path):
    shown = [f"-DEDGESEA_FRONTEND_FLOAT={fpu}", WRAPPED, shows_patches(bundle, tmp_path)]
    same_events(on_host(bundle, tmp_path, stream, defines=shown), bundle, stream)


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
    board, c = emulator.board_of(core), bundle.path / "c"
    for program in (board.toolchain.prefix + "gcc", board.emulator.program):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    sources = [file for file in sorted(c.rglob("*.c")) if not file.name.endswith("_model.c")]
    image = emulator.build(
        board,
        [*sources, SEMIHOSTING, shows_patches(bundle, tmp_path)],
        tmp_path,
        includes=[c, c / "sensor"],
        libraries=["-lm", WRAPPED],
    )
    soundfile.write(tmp_path / "sound.wav", stream, 8000, subtype="PCM_16")
    heard_on_core = emulator.run(board, image, given={"sound.wav": (tmp_path / "sound.wav").read_bytes()})
    same_events([json.loads(line) for line in heard_on_core.printed.splitlines()], bundle, stream)


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
