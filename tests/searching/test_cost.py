"""What a student would cost: bytes are the compiler's, instructions within 3 % of the emulator's."""

import json
import shutil
from pathlib import Path

import calibrate
import numpy as np
import pytest

from edgesea.devices import qemu
from edgesea.errors import EdgeseaError
from edgesea.frontend import preset
from edgesea.searching import cost, instructions
from edgesea.searching.budget import RECORD_BYTES
from firmware_export.compile import compile_model

# Of no student that the table was fitted to, nor of those that calibrate.py keeps aside.
SEED = 1_000
WITHIN = 0.03
YAMNET = preset("yamnet-16k")


@pytest.mark.parametrize(
    "number",
    # Families come in turn, ten numbers a turn; the fast ones are a separable, a factorised, a temporal one.
    [n if n in (0, 2, 3) else pytest.param(n, marks=pytest.mark.slow) for n in range(20)],
)
def test_what_a_random_student_costs_is_what_the_emulator_counts(number, tmp_path):
    for program in ("qemu-system-arm", "arm-none-eabi-gcc"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    student, frontend, dimension = calibrate.drawn(SEED, number)
    model = cost.untrained(student, frontend, dimension)
    found = cost.cost_of(model)
    (tmp_path / "a.tflite").write_bytes(model)
    measured = qemu.measure(tmp_path / "a.tflite", instructions.CORE, profile=False)
    assert found.instructions == pytest.approx(measured["emulated"]["instructions"], rel=WITHIN), student
    assert found.arenas["dsp"] == measured["emulated"]["arena_bytes"]
    assert found.multiply_accumulates == measured["model"]["multiply_accumulates"]
    compiled = compile_model(model, tmp_path / "code", "model")
    assert found.constant_bytes == compiled.constant_bytes
    # The image holds them, and a record a step that says where they are.
    beside = measured["model"]["constant_bytes"] - found.constant_bytes["dsp"]
    assert found.steps == len(compiled.operators)
    assert 0 <= beside <= RECORD_BYTES * found.steps


def test_bytes_are_those_of_a_student_with_other_weights(tmp_path):
    """What a student has learnt changes no byte of its size."""
    import keras

    from edgesea import students
    from edgesea.exporting.tflite import convert_int8

    student = "separable-s:shrink=[4,2]"
    found = cost.cost(student, YAMNET, 16)
    keras.utils.set_random_seed(9)
    model = students.build(student, YAMNET.frames, YAMNET.mels, 16)
    model.set_weights([1.2 * each + 0.01 for each in model.get_weights()])
    patches = np.random.default_rng(3).normal(-4, 3, (32, 96, 64, 1)).astype(np.float32)
    compiled = compile_model(convert_int8(model, patches), tmp_path, "other")
    assert found.arena_bytes == compiled.arena_bytes
    assert found.constant_bytes == compiled.constant_bytes
    assert (found.input_bytes, found.output_bytes) == (96 * 64, 16)


def test_the_same_student_costs_the_same():
    assert cost.cost("separable-s", YAMNET, 16) == cost.cost("separable-s", YAMNET, 16)


def test_a_kernel_that_was_not_measured_is_named(monkeypatch):
    monkeypatch.setattr(instructions, "_table", dict)
    with pytest.raises(
        EdgeseaError, match=r"^What the kernel edgesea_conv_row takes on a cortex-m4 was not measured: choose"
    ):
        cost.cost("separable-s", YAMNET, 16)


def test_the_fit_finds_the_constants_of_a_kernel_of_known_cost():
    rng = np.random.default_rng(0)
    steps = [{"rows": float(r), "values": float(v)} for r, v in rng.integers(1, 1000, (40, 2))]
    models = [
        {"steps": [{"kernel": "k", "counts": s, "instructions": 30 * s["rows"] + 7 * s["values"]}]}
        for s in steps
    ]
    table = calibrate.fitted(models)
    assert table == {"k": pytest.approx({"rows": 30, "values": 7}, rel=1e-4)}
    assert np.abs(calibrate.errors(models, table)).max() < 1e-4
    assert calibrate.errors(models, {"k": {"rows": 60, "values": 14}}) == pytest.approx([1] * 40)


def test_the_page_says_how_far_the_table_is_off():
    held = json.loads(instructions.FILE.read_text())
    page = " ".join((Path(__file__).parents[2] / "docs" / "search.md").read_text().split())
    students, off = held["students"], held["off by"]["kept aside"]
    assert f"of every operator of {students['fitted']} random students." in page
    assert (
        f"Of {students['kept aside']} others, kept aside, the table is off by {100 * off['median']:.2f} % at "
        f"the median and {100 * off['most']:.2f} % at most"
    ) in page
    assert max(each["most"] for each in held["off by"].values()) < WITHIN
