"""What is written, what it says, and that nothing is written where the model is refused."""

import re
import subprocess

import numpy as np
import pytest
import random_graphs
from host_program import STRICT
from test_hostile import survive
from test_plan import deep_chain, planned

from firmware_export.compile import compile_model
from firmware_export.ctext import identifier
from firmware_export.emit import RUNTIME
from firmware_export.explain import as_text, draw
from firmware_export.graph import ModelError, read
from firmware_export.passes import check, simplify


def test_any_name_compiles(tmp_path):
    for name in (
        "while",
        "main",
        "memory",
        "places",
        "progress",
        "rows",
        "input",
        "ports",
        "stream_0",
        "NULL",
        "∞",
    ):
        folder = tmp_path / identifier(name)
        compiled = compile_model(deep_chain(), folder, name)
        for source in sorted(folder.glob(f"{compiled.name}.c")):
            command = ["gcc", *STRICT, "-c", str(source), "-o", str(tmp_path / "x.o")]
            built = subprocess.run(command, capture_output=True, text=True)
            assert built.returncode == 0, f"{name}: {built.stderr[:1000]}"


def test_header_says_what_it_is(shared, tmp_path):
    command = "edgesea export kéws.tflite --out b */ int evil; /*\nsecond \\ line"
    model = compile_model(shared / "models" / "kws_ref_model.tflite", tmp_path, "Key Words", command=command)
    text = (tmp_path / "key_words.h").read_text()
    assert model.sha256 in text
    assert "edgesea export k\\xe9ws.tflite --out b * / int evil; / * second \\ line" in text
    assert f"#define KEY_WORDS_ARENA_BYTES {model.arena_bytes}" in text
    assert "#define KEY_WORDS_INPUT_LENGTH 490" in text
    assert "#define KEY_WORDS_OUTPUT_SCALE 0.00390625f" in text
    assert "#define KEY_WORDS_OUTPUT_ZERO (-128)" in text
    assert "int8_t [1][49][10][1]" in text
    assert "int key_words_invoke_in(void *arena, const int8_t *input, int8_t *output);" in text
    assert text.count("*/") == text.count("/*")


def test_scales_read_back_exactly(shared, tmp_path):
    path = shared / "models" / "sea_student3_int8.tflite"
    compile_model(path, tmp_path, "student")
    text = (tmp_path / "student.h").read_text()
    literal = re.search(r"STUDENT_INPUT_SCALE (\S+)f", text).group(1)
    graph = read(path)
    assert np.float32(literal) == np.float32(graph.tensors[graph.inputs[0]].quantization.scale)


def test_compiled_model_says_what_it_costs(shared, tmp_path):
    path = shared / "models" / "kws_ref_model.tflite"
    model = compile_model(path, tmp_path, "kws")
    assert sum(op.multiply_accumulates for op in model.operators) == 2_656_768
    assert [op.number for op in model.operators] == list(range(12))
    assert model.operators[0].name == "CONV_2D"
    assert model.operators[0].indexes == (0,)
    assert model.operators[0].streamed
    assert not model.operators[-1].streamed
    assert model.operators[-1].kernel == "edgesea_softmax"
    assert model.inputs[0][:2] == ((1, 49, 10, 1), "int8")
    assert model.outputs[0][2].zero_point == -128
    assert "AVERAGE_POOL_2D" in model.peak
    assert 22_000 < model.constant_bytes["plain"] < model.constant_bytes["dsp"] < 40_000
    assert {p.name for p in model.files} == {p.name for p in tmp_path.iterdir()}


def test_same_model_same_bytes(tmp_path):
    for folder in ("a", "b"):
        compile_model(deep_chain(), tmp_path / folder, "m", command="x")
    for path in (tmp_path / "a").iterdir():
        assert path.read_bytes() == (tmp_path / "b" / path.name).read_bytes()


def test_only_the_kernels_that_are_needed(tmp_path):
    model = random_graphs.single_operator_model("SOFTMAX", 0)
    compile_model(model, tmp_path, "m")
    assert {p.name for p in tmp_path.iterdir()} >= {
        "edgesea_softmax.c",
        "edgesea_kernels.h",
        "edgesea_path.h",
        "m.c",
        "m.h",
    }
    assert not list(tmp_path.glob("edgesea_conv*")) + list(tmp_path.glob("edgesea_stream*"))
    for path in tmp_path.glob("edgesea_*"):
        assert path.read_bytes() == (RUNTIME / path.name).read_bytes()


@pytest.mark.parametrize(
    ("model", "message"),
    [
        (b"", "too short|damaged|not a .tflite"),
        (b"\0\0\0\0TFL3" * 10, "damaged"),
    ],
)
def test_refusal_writes_nothing(model, message, tmp_path):
    with pytest.raises(ModelError, match=message):
        compile_model(model, tmp_path / "out", "m")
    assert not (tmp_path / "out").exists()


def test_refused_operator_is_named_and_nothing_is_written(shared, tmp_path):
    with pytest.raises(ModelError, match=r"^Operator \d+ \(\w+\) cannot be compiled: "):
        compile_model(shared / "models" / "yamnet.tflite", tmp_path / "out", "m")
    assert not (tmp_path / "out").exists()


def test_budget_out_of_reach_writes_nothing(tmp_path):
    with pytest.raises(ModelError, match=r"needs an arena of"):
        compile_model(deep_chain(), tmp_path / "out", "m", ram_budget=10)
    with pytest.raises(ModelError, match=r"Received ram_budget = 0: give a number of bytes above 0\.$"):
        compile_model(deep_chain(), tmp_path / "out", "m", ram_budget=0)
    assert not (tmp_path / "out").exists()


def test_a_folder_that_cannot_be_written(tmp_path):
    (tmp_path / "file").write_text("in the way")
    with pytest.raises(ModelError, match=r"file cannot be written: "):
        compile_model(deep_chain(), tmp_path / "file", "m")


def compiling(folder):
    """A judge for test_hostile.survive: the whole compiler, into a folder of its own."""

    def judge(model: bytes) -> str:
        before = set(folder.parent.iterdir())
        try:
            check(simplify(read(model)))
            compile_model(model, folder, "m")
        except ModelError as error:
            return str(error) if re.fullmatch(r".+\.", str(error)) else f"not one sentence: {error}"
        finally:
            assert set(folder.parent.iterdir()) - before <= {folder}
        return "accepted"

    return judge


def test_hundreds_of_damaged_files_through_the_compiler(tmp_path):
    answers = survive(range(20_000, 20_150), compiling(tmp_path / "out"))
    assert set(answers) == {"accepted", "The", "Operator"}
    assert answers["accepted"] > 5


@pytest.mark.slow
def test_ten_thousand_damaged_files_through_the_compiler(tmp_path):
    answers = survive(range(30_000, 40_000), compiling(tmp_path / "out"))
    assert sum(answers.values()) == 10_000


# ---- explain -----------------------------------------------------------------------------------------------


def test_explanation_names_the_peak_and_its_cause():
    layout = planned(deep_chain())
    text = as_text(layout)
    assert f"arena {layout.arena_bytes} bytes" in text
    assert re.search(
        r"^peak \d+ bytes during group \d+; the largest part is .+, \d+ bytes", text, re.MULTILINE
    )
    assert text.count("the peak") == 1
    assert max(map(len, text.splitlines())) <= 130
    for number in range(len(layout.groups)):
        assert f"\n{number}: " in text


def test_explanation_of_a_model_without_an_arena():
    text = as_text(planned(random_graphs.single_operator_model("RELU", 1)))
    assert "nothing is kept in the arena" in text


@pytest.mark.parametrize(("ending", "magic"), [("png", b"\x89PNG"), ("svg", b"<?xml")])
def test_picture(ending, magic, tmp_path):
    layout = planned(deep_chain())
    for name in ("a", "b"):
        draw(layout, tmp_path / f"{name}.{ending}")
    first, second = ((tmp_path / f"{name}.{ending}").read_bytes() for name in "ab")
    assert first.startswith(magic)
    assert ending == "svg" or first == second
