"""C text: no name, comment or number leaves its place in C, and no name is another's."""

import re
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from firmware_export import ctext
from firmware_export.ctext import comment, float32, identifier, is_identifier, number, renamed, string

# Text that is likelier than any to leave a comment or a literal.
HOSTILE = st.text(max_size=80) | st.text('*/\\ \n?"\x00\x1b\r\u2028', max_size=20)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Street Sounds", "street_sounds"),
        ("../../etc/passwd", "etc_passwd"),
        ("a*/ int x; /*", "a_int_x"),
        ("7up", "model_7up"),
        ("int", "model_int"),
        ("Rue Bérard 2!", "rue_berard_2"),
        ("", "model"),
        ("∞", "model"),
        ("edgesea_stream", "model_edgesea_stream"),
        ("arena", "model_arena"),
        ("stdint", "model_stdint"),
        ("STRING", "model_string"),
        ("math", "model_math"),
        ("Arduino", "model_arduino"),
        ("zephyr", "model_zephyr"),
        ("esp_log", "model_esp_log"),
        ("sensor", "model_sensor"),
        ("x" * 100, "x" * 48),
    ],
)
def test_identifier(name, expected):
    assert identifier(name) == expected


@given(st.text())
def test_identifier_of_any_text(name):
    found = identifier(name)
    assert re.fullmatch(r"[a-z][a-z0-9_]{0,47}", found)
    assert "__" not in found
    assert is_identifier(found)
    assert identifier(found) == found, "the C model is given the identifier, not the name"


@pytest.mark.parametrize(
    "text",
    ["", "a b", "A", "a__b", "_a", "a_", "1a", "a\n", "a.b", "../a", "stdint", "int", "esp_x", "é", "a" * 49],
)
def test_what_is_no_identifier(text):
    assert not is_identifier(text)


def test_a_name_that_is_anothers_is_told_in_a_sentence():
    assert renamed("Street") is None
    assert renamed("7up") is None, "a digit in front is nobody's"
    assert renamed("stdint") == ("The name 'stdint' is a header of C: in C the model is called model_stdint.")
    assert renamed("Wire\x1b") == (
        "The name 'Wire' is a header or name of Arduino or PlatformIO: in C the model is called model_wire."
    )


@pytest.mark.parametrize(
    ("compiler", "language", "folders"), [("arm-none-eabi-gcc", "c", ""), ("g++", "c++", "c++")]
)
def test_no_header_of_a_c_library_is_free(compiler, language, folders):
    """Every header in the folders that the compiler looks into; the compiler says which these are."""
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is not installed")
    command = [compiler, "-x", language, "-E", "-v", "-"]
    said = subprocess.run(command, input="", capture_output=True, text=True, check=True).stderr
    searched = said.split("search starts here:\n")[-1].split("End of search list")[0].split()
    headers = {
        header.stem
        for folder in searched
        if folders in folder
        for header in Path(folder).glob("*")
        if header.is_file() and header.suffix in ("", ".h")
    }
    assert headers >= {"stdint", "math"} if language == "c" else {"vector", "cstdint"}
    assert sorted(filter(is_identifier, headers)) == []


@given(HOSTILE)
def test_no_text_leaves_its_comment(text):
    line = comment(text)
    assert line.isascii()
    assert line == "" or line.isprintable()
    assert "*/" not in f"{line} */"[:-2]
    assert "/*" not in line
    assert "??" not in line
    assert not line.endswith("\\")


def test_a_comment_is_not_endless():
    assert len(comment("x" * 10_000)) == ctext.LONGEST_COMMENT


@settings(max_examples=30, deadline=None)
@given(st.lists(HOSTILE, min_size=1, max_size=10))
def test_a_compiler_reads_every_literal_and_comment_back(tmp_path_factory, texts):
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    folder = tmp_path_factory.mktemp("literals")
    texts = [text for text in texts if text.isprintable() or "\ud800" not in text]
    texts = [text.encode("utf-8", "ignore").decode() for text in texts]
    lines = [f"/* {comment(text)} */ // {comment(text)}\n{string(text)}," for text in texts]
    sizes = ",".join(f"{len(text.encode())}" for text in texts)
    (folder / "a.c").write_text(
        "#include <stdio.h>\nstatic const char *const texts[] = {\n"
        + "\n".join(lines)
        + f"\n}};\nstatic const unsigned sizes[] = {{{sizes}}};\n"
        "int main(void) {\n    for (unsigned i = 0; i < sizeof sizes / sizeof *sizes; i++) {\n"
        "        fwrite(texts[i], 1, sizes[i], stdout);\n    }\n    return 0;\n}\n"
    )
    command = ["gcc", "-std=c99", "-trigraphs", "-Wall", "-Wextra", "-Werror", "-o", "a", "a.c"]
    built = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    assert subprocess.run(["./a"], cwd=folder, capture_output=True).stdout == "".join(texts).encode()


@given(st.floats(width=32, allow_nan=False, allow_infinity=False))
def test_literals_give_the_float_back(value):
    text = float32(value)
    assert re.fullmatch(r"\(-[\d.]+(e[+-]\d+)?f\)|[\d.]+(e[+-]\d+)?f", text)
    assert np.float32(text.strip("()f")) == np.float32(value)
    assert number(value) == text


@pytest.mark.parametrize("value", [float("nan"), float("inf"), -1e39])
def test_what_is_no_float_is_no_literal(value):
    with pytest.raises(ValueError, match="is no finite float32, and C has no literal of it"):
        float32(value)


@given(st.integers(-(2**31) + 1, 2**31 - 1))
def test_literals_of_integers(value):
    assert int(number(value).strip("()")) == value


def test_the_least_int_is_an_expression():
    # -2147483648 is the negative of a number that is no int.
    assert number(-(2**31)) == "(-2147483647 - 1)"
    assert ctext.items(np.array([-(2**31), 5], np.int32)) == ["-2147483647 - 1", "5"]
