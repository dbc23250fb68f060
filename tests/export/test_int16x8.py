"""int16 activations with int8 weights: from a student to a bundle to a core, and what is not made of it."""

import json
import subprocess

import numpy as np
import pytest
from click.testing import CliRunner
from host_firmware import random_graphs
from pydantic import ValidationError

from edgesea import devices
from edgesea.cli.export import export as export_command
from edgesea.cli.fit import fit as fit_command
from edgesea.errors import EdgeseaError, UsageError
from edgesea.evaluation.evaluate import evaluate
from edgesea.exporting import c_compiler, export_student, export_tflite, load_bundle, write_bundle
from edgesea.exporting.compare import compare
from edgesea.exporting.firmware import write_firmware
from edgesea.flash import plan
from edgesea.formats.bundle import Manifest
from edgesea.interpreter import open_interpreter
from firmware_export.fit import BASIS_INT16X8
from firmware_export.graph import read

PROVENANCE = {"teacher": "demo", "data": "street"}


@pytest.fixture(scope="module")
def bundle(student, patches, frontend, tmp_path_factory):
    out = tmp_path_factory.mktemp("int16x8") / "bundle"
    return export_student(
        student,
        name="wide",
        out=out,
        calibration=patches[:100],
        held_out=patches[100:],
        frontend=frontend,
        provenance=PROVENANCE,
        int8=False,
        int16x8=True,
        onnx=False,
        c_model=c_compiler(),
    )


def test_the_bundle_holds_it_in_the_place_of_int8(bundle):
    held = load_bundle(bundle.path)
    assert held.int8 is None
    assert held.integer == held.int16x8 == bundle.path / "model_int16x8.tflite"
    graph = read(held.int16x8)
    ends = [graph.tensors[number] for number in (*graph.inputs, *graph.outputs)]
    assert [(tensor.dtype, tensor.quantization.zero_point) for tensor in ends] == [("int16", 0)] * 2
    weighted = [op for op in graph.operators if op.opcode.endswith(("CONV_2D", "FULLY_CONNECTED"))]
    assert [graph.input(op, 1).dtype for op in weighted] == ["int8"] * 4
    described = held.manifest["int16x8"]
    assert (held.manifest["int8"], described["input"]["type"], described["output"]["type"]) == (
        None,
        "int16",
        "int16",
    )


def test_it_is_nearer_to_float_than_int8(bundle, float_model, int8_model, patches):
    narrow = compare(float_model, int8_model, patches[100:])
    found = bundle.manifest["comparison"]
    assert found["r2"] > narrow.r2
    # What has no weights loses next to nothing in 65,536 steps; weights are int8 in both.
    for wide, layer in zip(found["layers"], narrow.layers, strict=True):
        assert wide["operator"] == layer.operator
        if wide["operator"] in ("INPUT", "AVERAGE_POOL_2D", "RESHAPE"):
            assert wide["loss"] < layer.loss / 100
        else:
            assert wide["loss"] < 1.05 * layer.loss


def test_its_c_gives_the_golden_outputs(bundle, tmp_path):
    golden = bundle.golden()
    assert golden["inputs"].dtype == golden["outputs"].dtype == np.int16
    reference = open_interpreter(bundle.int16x8, resolver="reference")
    assert np.array_equal(golden["outputs"][0], reference.invoke(golden["inputs"][0]).reshape(-1))
    (tmp_path / "main.c").write_text(
        "#include <stdio.h>\n"
        '#include "wide.h"\n'
        "int main(void)\n{\n"
        "    static int16_t in[WIDE_INPUT_LENGTH], out[WIDE_OUTPUT_LENGTH];\n"
        "    while (fread(in, sizeof in, 1, stdin) == 1) {\n"
        "        if (wide_invoke(in, out) != 0) return 1;\n"
        "        fwrite(out, sizeof out, 1, stdout);\n"
        "    }\n    return 0;\n}\n"
    )
    sources = [file for file in (bundle.path / "c").glob("*.c") if not file.name.endswith("_model.c")]
    command = ["gcc", "-std=c99", "-O1", "-Wall", "-Werror", f"-I{bundle.path / 'c'}", *sources]
    subprocess.run([*command, tmp_path / "main.c", "-o", tmp_path / "program"], check=True)
    content = np.ascontiguousarray(golden["inputs"]).tobytes()
    said = subprocess.run([tmp_path / "program"], input=content, capture_output=True, check=True).stdout
    assert said == np.ascontiguousarray(golden["outputs"]).tobytes()


def test_the_c_frontend_is_left_out_because_it_makes_int8(bundle):
    c_model = bundle.manifest["c_model"]
    assert c_model["sensor_files"] == []
    assert not list((bundle.path / "c").rglob("*frontend*"))
    header = (bundle.path / "c" / "wide_model.h").read_text()
    assert "the int16x8 model" in header
    assert "within [-32768, 32767]" in header
    assert "int8 [" not in header


def test_the_python_of_the_card_runs(bundle, monkeypatch):
    card = (bundle.path / "MODEL_CARD.md").read_text()
    assert "## How far int16x8 is from float" in card
    monkeypatch.chdir(bundle.path)
    names = {}
    exec(card.split("```python\n")[1].split("```")[0], names)
    assert names["q"].dtype == np.int16
    assert names["embedding"].dtype == np.float32


def test_a_foreign_int16x8_model_is_as_welcome(bundle, tmp_path):
    made = export_tflite(bundle.int16x8, tmp_path / "bundle", name="wide", c_model=c_compiler())
    assert made.int16x8.read_bytes() == bundle.int16x8.read_bytes()
    assert made.manifest["c_model"]["arena_bytes"] == bundle.manifest["c_model"]["arena_bytes"]
    assert made.golden()["inputs"].min() < -30_000


def test_a_model_with_ends_of_two_types_is_refused(tmp_path):
    net = random_graphs.Net(np.random.default_rng(0))
    x = net.input((1, 8), 0.1)
    y = net.tensor((1, 8), "int16", 0.001)
    net.add("QUANTIZE", [x], [y])
    model = tmp_path / "mixed.tflite"
    model.write_bytes(net.bytes([y]))
    with pytest.raises(UsageError) as caught:
        export_tflite(model, tmp_path / "bundle")
    assert str(caught.value) == (
        f"{model} has an int8 input and an int16 output: convert it with both ends of one type."
    )


def test_bench_measures_it_on_the_host(bundle):
    found = devices.measure(bundle.path, "host", runs=3)
    assert found["model"]["sha256"] == bundle.manifest["int16x8"]["sha256"]


def test_bench_measures_it_on_an_emulated_core_to_the_bit(bundle):
    for program in ("qemu-system-arm", "arm-none-eabi-gcc"):
        if subprocess.run(["which", program], capture_output=True).returncode:
            pytest.skip(f"{program} is not installed")
    found = devices.measure(bundle.path, "qemu:cortex-m4")
    assert found["emulated"]["bit_exact"]
    assert found["compared_bytes"] > 0


def test_fit_says_what_it_takes_and_estimates_no_time(bundle):
    said = json.loads(CliRunner().invoke(fit_command, [str(bundle.path), "--json"]).output)
    assert said["basis"] == list(BASIS_INT16X8)
    assert all(each["estimate"] is None for each in said["boards"])
    compiled, ends = bundle.manifest["c_model"], bundle.manifest["int16x8"]
    needed = {each["ram"]["needed"] for each in said["boards"]}
    assert needed == {
        compiled["arena_bytes"] + ends["input"]["bytes"] + ends["output"]["bytes"] + 4096 + 8192,
    }


def test_firmware_is_made_of_int8(bundle, tmp_path):
    sentence = "holds no int8 model, which firmware is made of: export it again with --int8."
    with pytest.raises(EdgeseaError) as flashed:
        plan(bundle.path, "qemu-cortex-m4")
    with pytest.raises(EdgeseaError) as written:
        write_firmware(bundle.path, tmp_path / "firmware")
    for caught in (flashed, written):
        assert str(caught.value) == f"The bundle {bundle.path} {sentence}"
    assert not (tmp_path / "firmware").exists()


def test_evaluate_scores_int8_and_float_only(bundle, street):
    with pytest.raises(UsageError) as caught:
        evaluate(bundle.path, str(street))
    assert str(caught.value) == (
        f"The bundle {bundle.path} holds an int16x8 model where float and int8 can be scored: "
        "name its run, or export with --int8."
    )


def test_a_bundle_holds_one_integer_model(bundle, int8_model, tmp_path):
    with pytest.raises(
        UsageError, match=r"^A bundle holds one integer model: give int8 or int16x8, not both\.$"
    ):
        write_bundle(tmp_path / "both", name="both", int8=int8_model, int16x8=bundle.int16x8.read_bytes())
    manifest = json.loads((bundle.path / "manifest.json").read_text())
    with pytest.raises(ValidationError, match="holds an int8 or an int16x8 model, and this names both"):
        Manifest.model_validate_json(json.dumps({**manifest, "int8": manifest["int16x8"]}))


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--int8", "--int16x8"], "A bundle holds one integer model: say --int8 or --int16x8, not both."),
        (["--int16x8", "--project", "cmake"], "A project is made of the int8 model: say --int8 too."),
    ],
)
def test_calls_of_the_command_that_cannot_be(words, message, tmp_path):
    done = CliRunner().invoke(export_command, [str(tmp_path / "run"), "--out", str(tmp_path / "out"), *words])
    assert str(done.exception) == message


def test_a_tflite_stays_what_it_is(tmp_path):
    model = tmp_path / "model.tflite"
    done = CliRunner().invoke(export_command, [str(model), "--out", str(tmp_path / "out"), "--int16x8"])
    assert str(done.exception) == f"--int16x8 converts a run, and {model} stays what it is: leave it out."


def test_the_command_exports_a_run(finished_run, tmp_path):
    out = tmp_path / "bundle"
    words = ["--int16x8", "--no-onnx", "--min-r2=-1e9", "--min-cosine=-1", "--out", str(out)]
    done = CliRunner().invoke(export_command, [str(finished_run), *words])
    assert done.exception is None, done.exception
    assert "\nint16x8 against float on " in done.output
    assert (
        "The C frontend and the sensor program take int8 models, so this int16x8 bundle is without them: "
        "make its patches yourself, or export with --int8.\n" in done.output
    )
    held = load_bundle(out)
    assert held.int16x8 is not None
    assert held.manifest["comparison"]["n"] > 2
    assert held.manifest["c_model"]["files"]
