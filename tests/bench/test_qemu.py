"""What a model costs on an emulated core: every byte is compared, every figure the same again."""

import shutil

import hostile_program
import numpy as np
import pytest
from host_firmware import random_graphs

from edgesea.devices import qemu
from edgesea.errors import EdgeseaError, UsageError
from edgesea.running import emulator

FAST = ("cortex-m4", "cortex-m55")
ALL = [core if core in FAST else pytest.param(core, marks=pytest.mark.slow) for core in emulator.cores()]


@pytest.fixture(autouse=True)
def tools():
    for program in ("qemu-system-arm", "qemu-system-riscv32", "arm-none-eabi-gcc", "riscv64-unknown-elf-gcc"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")


@pytest.mark.parametrize("core", ALL)
def test_keyword_spotting(core, shared):
    found = qemu.measure(shared / "models" / "kws_ref_model.tflite", core, profile=core == "cortex-m4")
    emulated = found["emulated"]
    assert emulated["bit_exact"]
    assert (found["differing_bytes"], found["compared_bytes"]) == (0, 3 * 16)
    assert emulated["flash_bytes"] < 12_000
    assert emulated["arena_bytes"] < emulated["ram_bytes"] < 12_000
    assert 200 < emulated["stack_bytes"] < 2_000
    assert found["model"]["multiply_accumulates"] == 2_656_768
    assert 50_000 > found["model"]["constant_bytes"] > 25_000
    assert "-icount" in found["conditions"]["qemu_arguments"]
    assert "latency" not in str(found)
    assert "_ms" not in str(found)
    # Below TensorFlow Lite Micro with CMSIS-NN by the ratios that the project promises for each core.
    limits = {"cortex-m4": 0.6 * 7_697_736, "cortex-m7": 0.6 * 7_643_511, "cortex-m55": 0.8 * 1_813_546}
    assert emulated["instructions"] < limits.get(core, 60_000_000)
    if core == "cortex-m4":
        assert len(found["operators"]) == 12
        total = sum(operator["instructions"] for operator in found["operators"])
        assert emulated["instructions"] <= total + 2000 <= 1.05 * emulated["instructions"]


@pytest.mark.slow
@pytest.mark.parametrize("core", emulator.cores())
def test_the_papers_student(core, shared):
    model = shared / "models" / "sea_student3_int8.tflite"
    generator = np.random.default_rng(5)
    patch = generator.integers(-128, 127, (1, 64, 50, 1), np.int8, endpoint=True)
    found = qemu.measure(model, core, inputs=[patch, np.full_like(patch, -128)], profile=False)
    assert found["emulated"]["bit_exact"]
    assert found["compared_bytes"] == 128
    assert found["emulated"]["ram_bytes"] < 45_000
    limits = {"cortex-m4": 0.6 * 228_038_667, "cortex-m7": 0.6 * 228_498_215, "cortex-m55": 0.8 * 30_185_594}
    assert found["emulated"]["instructions"] < limits.get(core, 3_000_000_000)


def test_two_measurements_agree_to_the_tick(shared):
    model = shared / "models" / "kws_ref_model.tflite"
    first, second = (qemu.measure(model, "cortex-m4", profile=False) for _ in range(2))
    assert first == second


def test_a_measurement_has_the_form_that_every_device_shares(shared):
    found = qemu.measure(shared / "models" / "kws_ref_model.tflite", "riscv32", profile=False)
    assert found["device"] == "qemu:riscv32"
    assert found["engine"].endswith("C model, plain kernels")
    assert found["model"]["name"] == "kws_ref_model.tflite"
    assert found["storage"]["model_bytes"] == 53_936
    assert found["activation"]["peak_bytes"] > found["activation"]["largest_tensor_bytes"]
    assert set(found["emulated"]) == {
        "instructions",
        "flash_bytes",
        "ram_bytes",
        "arena_bytes",
        "stack_bytes",
        "bit_exact",
    }
    assert found["how"]["emulated"] == "emulated"


def test_a_model_that_cannot_be_compiled_is_refused_with_the_reason(shared):
    with pytest.raises(EdgeseaError, match=r"yamnet\.tflite has no C model: .*float32"):
        qemu.measure(shared / "models" / "yamnet.tflite", "cortex-m3", profile=False)


def test_inputs_of_the_wrong_kind_are_refused(shared):
    model = shared / "models" / "kws_ref_model.tflite"
    with pytest.raises(
        UsageError, match=r"An input of this model is int8 \(1, 49, 10, 1\)\. Received: float32 \(490,\)"
    ):
        qemu.measure(model, "cortex-m4", inputs=[np.zeros(490, np.float32)])
    with pytest.raises(UsageError, match=r"Received: int8 \(3,\)"):
        qemu.measure(model, "cortex-m4", inputs=[np.zeros(3, np.int8)])
    with pytest.raises(UsageError, match=r"at least one input\. Received: none"):
        qemu.measure(model, "cortex-m4", inputs=[])


@pytest.mark.parametrize("core", ALL)
def test_a_hostile_c_model_reaches_nothing(core, tmp_path, monkeypatch):
    """The C is edgesea's own, made of the .tflite; were it not, it would still have no host."""
    victim = hostile_program.Victim(tmp_path / "victim")
    monkeypatch.chdir(victim.folder)
    made = qemu.compile_model

    def damaged(*arguments, **options):
        compiled = made(*arguments, **options)
        source = next(path for path in compiled.files if path.name == "measured.c")
        text, start = source.read_text(), "int measured_invoke_in("
        body = text.index("{", text.index(start))
        hostile = hostile_program.function("system", victim.folder)
        begin = text.index(start)
        source.write_text(text[:begin] + hostile + text[begin : body + 1] + " hostile();" + text[body + 1 :])
        return compiled

    monkeypatch.setattr(qemu, "compile_model", damaged)
    (tmp_path / "m.tflite").write_bytes(random_graphs.single_operator_model("CONV_2D", 3))
    with pytest.raises(EdgeseaError) as error:
        qemu.measure(tmp_path / "m.tflite", core, profile=False)
    assert str(error.value) == (
        f"The program on qemu-{core} asked its host for 'system', which no program gets, and was stopped."
    )
    victim.is_unharmed()
