"""The tiny transformer as C: int8, equal to TensorFlow Lite's reference kernels to the bit."""

import shutil

import numpy as np
import pytest
import random_graphs
from host_program import HostProgram

from edgesea.devices import qemu
from edgesea.running import emulator


@pytest.fixture(scope="module")
def model() -> bytes:
    """A transformer with weights of its beginning, converted as a run's student is."""
    import keras

    from edgesea import students
    from edgesea.exporting.tflite import convert_int8

    keras.utils.set_random_seed(3)
    student = students.build("transformer:width=16,heads=4,layers=2,hidden=24", 96, 64, 8)
    patches = np.random.default_rng(0).normal(-4, 2, (40, 96, 64, 1)).astype(np.float32)
    return convert_int8(student, patches)


def test_on_this_machine_it_is_equal_to_the_reference_kernels(model, tmp_path):
    program = HostProgram({"transformer": model}, tmp_path / "c")
    requests = [("transformer", random_graphs.random_inputs(model, seed)) for seed in range(4)]
    answers = [answer for (answer,) in program.run(requests)]
    for (_, inputs), answer in zip(requests, answers, strict=True):
        (expected,) = random_graphs.reference(model, inputs)
        np.testing.assert_array_equal(answer, expected)
    assert len({answer.tobytes() for answer in answers}) > 1


@pytest.mark.slow
@pytest.mark.parametrize("core", emulator.cores())
def test_on_every_emulated_core_it_is_equal_too(model, core, tmp_path):
    for program in ("qemu-system-arm", "qemu-system-riscv32", "arm-none-eabi-gcc", "riscv64-unknown-elf-gcc"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    (tmp_path / "transformer.tflite").write_bytes(model)
    found = qemu.measure(tmp_path / "transformer.tflite", core, profile=False)
    assert found["emulated"]["bit_exact"]
    assert found["compared_bytes"] > 0
