"""The door: what is no such file is refused in one sentence that names file, entry and value."""

import io
import os
import subprocess
import sys
import time
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from edgesea.errors import EdgeseaError, UsageError
from edgesea.formats import door
from edgesea.formats.store import StoreDescription

REMEDY = "run again"


def refused(path, content: bytes | None, *, read=door.read_json, schema=None, **options) -> str:
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(EdgeseaError) as caught:
        read(path, schema, **{"largest": 1000, "remedy": REMEDY, **options})
    text = str(caught.value)
    assert text.startswith(f"The file {path} ")
    assert text.endswith(": run again.")
    assert "\n" not in text
    return text


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "is not readable as JSON (Expecting value: line 1 column 1 (char 0))"),
        (b"[" * 900, "is not readable as JSON (Expecting value"),
        (b"[" * 40 + b"]" * 40, "nests deeper than 32 levels"),
        (b"NaN", "is not readable as JSON (NaN is no finite number)"),
        (b"-Infinity", "is not readable as JSON (-Infinity is no finite number)"),
        (b"1e400", "is not readable as JSON (1e400 is no finite number)"),
        (b"1" * 500, "is not readable as JSON (a number of 500 digits)"),
        (b"18446744073709551616", "holds 18446744073709551616, which is out of range"),
        (b'{"a": 1, "a": 2}', "is not readable as JSON (the name 'a' is there twice)"),
        (b'["\\ud800"]', "holds '\\ud800', which is no text"),
        (b'["\xff"]', "is not UTF-8 at byte 2"),
        (b" " * 1001, "has more than 1,000 bytes, too many for such a file"),
    ],
)
def test_json_that_is_refused(tmp_path, content, message):
    assert message in refused(tmp_path / "x.json", content)


def test_an_array_too_deep_for_python_is_refused(tmp_path):
    assert "is not readable as JSON (it nests too deep)" in refused(
        tmp_path / "x.json", b"[" * 100_000 + b"]" * 100_000, largest=1 << 20
    )


def test_toml_has_the_same_limits(tmp_path):
    for content, message in (
        (b"a = nan", "holds nan, which is no finite number"),
        (b"a = 1\na = 2", "is not readable as TOML (Cannot overwrite a value"),
        (b"a = " + b"[" * 40 + b"]" * 40, "nests deeper than 32 levels"),
        (b".".join([b"a"] * 200) + b" = 1", "is not readable as TOML (a key of more than 32 parts)"),
        (b"a = 99999999999999999999", "is out of range"),
    ):
        assert message in refused(tmp_path / "x.toml", content, read=door.read_toml)
    (tmp_path / "x.toml").write_text("[a]\nb = 1.5\n")
    assert door.read_toml(tmp_path / "x.toml", largest=100, remedy=REMEDY) == {"a": {"b": 1.5}}


def test_neither_links_nor_devices_are_read(tmp_path):
    (tmp_path / "real").write_text("1")
    (tmp_path / "link").symlink_to(tmp_path / "real")
    assert "is a link, which is not followed" in refused(tmp_path / "link", None)
    os.mkfifo(tmp_path / "pipe")
    assert "is no regular file" in refused(tmp_path / "pipe", None)
    assert "cannot be read (No such file or directory)" in refused(tmp_path / "none", None)
    assert "cannot be read (Is a directory)" in refused(tmp_path, None) or "is no regular" in refused(
        tmp_path, None
    )


def test_what_is_wrong_in_it_is_named_with_the_value(tmp_path):
    def told(text):
        return refused(tmp_path / "s.json", text.encode(), schema=StoreDescription)

    assert "as it should be: the entry made_from is missing: run again." in told('{"format": 1}')
    assert "the entry evil is unknown" in told('{"format": 1, "made_from": {}, "evil": 2}')
    assert "format is not valid, input should be 1, received '1' (and 1 more)" in told('{"format": "1"}')
    assert "received 'aaaaaaa" in told(f'{{"format": "{"a" * 500}", "made_from": {{}}}}')
    assert len(told(f'{{"format": "{"a" * 500}", "made_from": {{}}}}')) < 400
    assert "'\\x1b[2J'" in told('{"format": "\\u001b[2J", "made_from": {}}'), "no terminal is sent commands"


def test_the_error_is_the_callers(tmp_path):
    with pytest.raises(UsageError):
        door.read_json(tmp_path / "none", largest=10, remedy=REMEDY, error=UsageError)


@settings(max_examples=200, deadline=None)
@given(
    content=st.binary(max_size=200)
    | st.text('{}[]":,0123456789.eE-nulltrfasNI \\u', max_size=200).map(str.encode)
)
def test_any_bytes_are_a_value_or_a_sentence(tmp_path_factory, content):
    path = tmp_path_factory.getbasetemp() / "any.json"
    for read in (door.read_json, door.read_toml):
        path.write_bytes(content)
        said = ""
        try:
            read(path, largest=1000, remedy=REMEDY)
        except EdgeseaError as error:
            said = str(error)
        assert said == "" or said.endswith(": run again.")
        assert "\n" not in said


def archive(path, header: bytes, content: bytes = b"") -> None:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("a.npy", header + content)


def header_of(shape, descr="<f4") -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array_header_1_0(file, {"descr": descr, "fortran_order": False, "shape": shape})
    return file.getvalue()


def test_arrays_are_no_larger_than_they_say(tmp_path):
    path = tmp_path / "a.npz"
    np.savez(path, x=np.arange(6).reshape(2, 3), y=np.asfortranarray(np.eye(3)))
    found = door.read_arrays(path, remedy=REMEDY)
    np.testing.assert_array_equal(found["x"], np.arange(6).reshape(2, 3))
    np.testing.assert_array_equal(found["y"], np.eye(3))

    def told(**options):
        with pytest.raises(EdgeseaError) as caught:
            door.read_arrays(path, remedy=REMEDY, **options)
        return str(caught.value)

    archive(path, header_of((200_000_000_000,)), bytes(8))
    assert told() == f"The file {path} is not a whole .npz file (a.npy is not as long as it says): run again."
    archive(path, header_of((-1,)), bytes(8))
    assert "is not a whole .npz file" in told()
    archive(path, header_of((1,), "|O"), bytes(8))
    assert "it holds Python objects" in told()
    archive(path, header_of((250_000,)), bytes(1_000_000))
    assert "unpacks to more than 100,000 bytes" in told(largest=100_000)
    path.write_bytes(b"PK\3\4 nothing")
    assert "is not a whole .npz file" in told()


def test_pydantic_is_not_imported_before_a_file_is_read():
    code = "import sys, edgesea.cli, edgesea.formats.door, edgesea.run; print('pydantic' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


@pytest.mark.parametrize(
    "text", ["'" + "x" * (1 << 20) + "'", "'" + "x " * (1 << 19) + "'", "'" + "x.y " * (1 << 18) + "'"]
)
def test_a_long_text_takes_no_longer_than_its_length(tmp_path, text):
    """The look-out for dotted keys took the square of it: hours for a megabyte."""
    (tmp_path / "a.toml").write_text(f"a = {text}")
    began = time.process_time()
    assert door.read_toml(tmp_path / "a.toml", largest=2 << 20, remedy="x") == {"a": text[1:-1]}
    assert time.process_time() - began < 5
