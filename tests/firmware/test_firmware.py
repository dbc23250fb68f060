"""The firmware's C: clean, deaf to noise, right in its answers; and what `write_firmware` refuses."""

import hashlib
import json
import random
import re
import shutil
import subprocess
import zlib
from pathlib import Path

import numpy as np
import pytest
from host_firmware import STRICT, build, needs, request, small
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgesea.errors import EdgeseaError, UsageError
from edgesea.exporting.firmware import GOLDEN_BYTES, write_firmware
from edgesea.interpreter import open_interpreter

ANSWER = re.compile(rb"<([0-9a-f]{4}) ([ -~]*)\*([0-9a-f]{8})")
LONGEST_LINE = 192


@pytest.fixture(scope="module")
def bundle(tmp_path_factory):
    return small(tmp_path_factory.mktemp("bundle") / "small")


@pytest.fixture(scope="module")
def sanitised(tmp_path_factory, bundle):
    """The firmware on the host, reading standard input to its end, under both sanitizers."""
    needs("gcc")
    folder = tmp_path_factory.mktemp("sanitised")
    flags = [
        "-fsanitize=address,undefined",
        "-fno-sanitize-recover=all",
        "-DEDGESEA_PROFILE_HOOK",
        "-g",
        "-O1",
    ]
    return build(bundle, folder, flags=flags)


def answers(program, sent: bytes) -> tuple[list[tuple[int, str]], bytes]:
    """The (sequence, text) of every answer to these bytes, each checked, and all that was written."""
    done = subprocess.run([str(program)], input=sent, capture_output=True, timeout=120)
    assert done.returncode == 0, done.stderr.decode()
    found = []
    for line in done.stdout.split(b"\n"):
        if line.startswith(b"<"):
            sequence, text, crc = ANSWER.fullmatch(line).groups()
            assert zlib.crc32(sequence + b" " + text) == int(crc, 16)
            assert len(line) < LONGEST_LINE
            found.append((int(sequence, 16), text.decode()))
    return found, done.stdout


def texts(program, *words: str) -> list[str]:
    """The answers to requests that follow one another, after a hello."""
    sent = b"".join(request(n, word) for n, word in enumerate(("hello", *words)))
    found, _ = answers(program, sent)
    assert [sequence for sequence, _ in found] == list(range(len(words) + 1))
    return [text for _, text in found[1:]]


def test_the_verdict_comes_first(sanitised, bundle):
    _, output = answers(sanitised, b"")
    manifest = json.loads((bundle / "manifest.json").read_text())
    assert output.decode() == f"edgesea golden PASS 4 of 4 small {manifest['int8']['sha256']}\n"


def test_hello_says_what_is_there(sanitised, bundle):
    manifest = json.loads((bundle / "manifest.json").read_text())
    (found,), _ = answers(sanitised, request(0x1234, "hello"))
    words = found[1].split(" ")
    assert found[0] == 0x1234
    assert words[:3] == ["hello", "1", manifest["int8"]["sha256"]]
    sizes = [manifest["int8"]["input"]["bytes"], manifest["int8"]["output"]["bytes"]]
    sizes.append(manifest["c_model"]["arenas"]["plain"])
    assert [int(word, 16) for word in words[3:8]] == [*sizes, 64, 16]
    assert int(words[8], 16) > 0  # steps
    assert int(words[9], 16) == 10**9  # the clock of the host's counter


def test_inference_gives_the_reference_kernels_bytes(sanitised, bundle):
    reference = open_interpreter(bundle / "model_int8.tflite", resolver="reference")
    example = np.random.default_rng(3).integers(-128, 128, reference.input.shape, np.int8)
    content, expected = example.tobytes(), reference.invoke(example).tobytes()
    loads = [f"load {at:x} {content[at : at + 64].hex()}" for at in range(0, len(content), 64)]
    outputs = [f"output {at:x}" for at in range(0, len(expected), 64)]
    found = texts(sanitised, *loads, "infer 10", *outputs)
    assert found[: len(loads)] == [
        f"load {min(at + 64, len(content)):x}" for at in range(0, len(content), 64)
    ]
    word, input_crc, output_crc, *cycles = found[len(loads)].split(" ")
    assert (word, int(input_crc, 16), int(output_crc, 16)) == (
        "infer",
        zlib.crc32(content),
        zlib.crc32(expected),
    )
    assert len(cycles) == 16
    assert all(int(each, 16) > 0 for each in cycles)
    assert bytes.fromhex("".join(text.split(" ")[1] for text in found[len(loads) + 1 :])) == expected


def test_the_steps_make_up_an_inference(sanitised):
    hello, about, first, rest = texts(sanitised, "hello", "about 5", "profile 0", "profile 10")
    steps = int(hello.split(" ")[8], 16)
    spent = [[int(word, 16) for word in text.split(" ")[1:]] for text in (first, rest)]
    assert about == "about CONV_2D"
    assert [len(each) for each in spent] == [16, steps - 16]
    assert all(each > 0 for each in (*spent[0], *spent[1]))


def test_about_is_text(sanitised):
    name, version, board, compiler, kernels = texts(sanitised, *(f"about {n}" for n in range(5)))
    assert name == "about small"
    assert version.startswith("about edgesea ")
    # What would break a line is not sent as it is.
    assert board == "about the host, _a_ _b"
    assert compiler.startswith("about gcc ")
    assert compiler.endswith(", optimised")
    assert kernels == "about plain"


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        ("jump", "error request"),
        ("hello there", "error request"),
        ("golden 1", "error request"),
        ("infer", "error request"),
        ("infer 0", "error range"),
        ("infer 11", "error range"),
        ("infer ffffffff", "error range"),
        ("infer 1ffffffff", "error request"),
        ("infer -1", "error request"),
        ("infer 1 1", "error request"),
        ("about 1ff", "error range"),
        ("output ffffffff", "error range"),
        ("output", "error request"),
        ("profile ffffffff", "error range"),
        ("profile x", "error request"),
        ("load 0", "error request"),
        ("load 0 ", "error range"),
        ("load 0 a", "error request"),
        ("load 0 zz", "error request"),
        ("load 0 AA", "error request"),
        ("load 0 " + "00" * 65, "error range"),
        ("load ffffffff 00", "error range"),
        ("load ffffffc1 " + "00" * 64, "error range"),
    ],
)
def test_what_cannot_be_is_refused(sanitised, asked, answer):
    assert texts(sanitised, asked, "golden") == [answer, "golden 4 4"]


def test_the_same_request_is_answered_again_and_not_done_again(sanitised):
    once = request(0, "hello") + request(1, "infer 4")
    found, _ = answers(sanitised, once + request(1, "infer 4") * 2)
    # Cycles of the host's clock would differ if the model had run again.
    assert found[1] == found[2] == found[3]
    assert len(found) == 4


def test_out_of_turn_is_asked_to_say_hello(sanitised):
    early, _ = answers(sanitised, request(7, "golden"))
    assert early == [(7, "error hello")]
    gap, _ = answers(sanitised, request(0, "hello") + request(2, "golden") + request(3, "golden"))
    assert [text for _, text in gap[1:]] == ["error hello", "error hello"]
    again, _ = answers(sanitised, request(0, "hello") + request(2, "golden") + request(9, "hello"))
    assert again[2][1] == again[0][1]
    wrapped, _ = answers(sanitised, request(0xFFFF, "hello") + request(0, "golden"))
    assert wrapped[1] == (0, "golden 4 4")


@pytest.mark.parametrize(
    "noise",
    [
        b">" * 10_000,
        b"\n" * 10_000,
        b">" + b"a" * 100_000,
        b">" + b"a" * 191,
        b">" + b"a" * 192 + b"\n",
        bytes(range(256)) * 20,
        b">0000 hello*",
        b">0000 hello*00000000\n",
        b">*00000000\n",
        request(0, ""),
        b">0000 hello\0*" + b"%08x\n" % zlib.crc32(b"0000 hello\0"),
        b"\xff\xfe" * 999,
    ],
)
def test_noise_before_a_request(sanitised, noise):
    found, _ = answers(sanitised, noise + request(0, "hello"))
    assert [text.split(" ")[0] for _, text in found] == ["hello"]


def test_a_request_longer_than_any_is_passed_over(sanitised):
    words = "golden " + "0" * 200
    found, _ = answers(sanitised, request(0, "hello") + request(1, words) + request(1, "golden"))
    assert [text for _, text in found[1:]] == ["golden 4 4"]


# Bytes that look more or less like requests, so that noise reaches every depth of the parser.
WORDS = st.sampled_from(["hello", "about", "load", "infer", "output", "profile", "golden", "error", ""])
ARGUMENTS = st.lists(
    st.one_of(
        st.integers(0, 2**33).map("{:x}".format),
        st.binary(max_size=80).map(bytes.hex),
        st.text("0123456789abcdef -xXAF", max_size=200),
    ),
    max_size=3,
)
REQUESTS = st.builds(
    lambda sequence, word, arguments: request(sequence, " ".join((word, *arguments))),
    st.integers(0, 3),
    WORDS,
    ARGUMENTS,
)
DAMAGED = st.builds(
    lambda line, at, byte: line[: at % len(line)] + bytes([byte]) + line[at % len(line) + 1 :],
    REQUESTS,
    st.integers(0, 999),
    st.integers(0, 255),
)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.one_of(st.binary(max_size=400), REQUESTS, DAMAGED), max_size=30))
def test_any_bytes_leave_it_listening(sanitised, parts):
    # Whatever came before, and whatever the sanitizers say of it, the last hello is answered.
    found, _ = answers(sanitised, b"".join(parts) + b"\n" + request(0xBEEF, "hello"))
    assert found[-1][0] == 0xBEEF
    assert found[-1][1].startswith("hello 1 ")


@pytest.mark.slow
def test_a_million_bytes_of_noise(sanitised):
    generator = random.Random(1)
    valid = [request(n % 5, "output 0") for n in range(2000)]
    noise = b"".join(generator.randbytes(generator.randrange(900)) + line for line in valid)
    found, _ = answers(sanitised, noise + b"\n" + request(0xBEEF, "hello"))
    assert found[-1][1].startswith("hello 1 ")


@pytest.mark.parametrize("hook", [[], ["-DEDGESEA_PROFILE_HOOK"]])
@pytest.mark.parametrize("compiler", ["gcc", "clang"])
def test_compiles_without_a_warning(bundle, tmp_path, compiler, hook):
    needs(compiler)
    build(bundle, tmp_path, compiler=compiler, flags=[*STRICT, *hook])


@pytest.mark.parametrize("compiler", ["g++", "clang++"])
def test_compiles_as_cpp(bundle, tmp_path, compiler):
    needs(compiler)
    language = ["-x", "c++", "-Wall", "-Wextra", "-Werror", "-DEDGESEA_PROFILE_HOOK"]
    program = build(bundle, tmp_path, compiler=compiler, flags=language)
    assert texts(program, "golden") == ["golden 4 4"]


def test_without_the_hook_there_are_no_steps(bundle, tmp_path):
    needs("gcc")
    program = build(bundle, tmp_path)
    hello, profile, about = texts(program, "hello", "profile 0", "about 5")
    assert hello.split(" ")[8] == "0"
    assert (profile, about) == ("error range", "error range")


def test_a_wrong_byte_fails_the_verdict(bundle, tmp_path):
    needs("gcc")

    def damage(folder):
        file = folder / "small_golden.c"
        head, outputs = file.read_text().split("_golden_outputs[", 1)
        values = outputs.split("{", 2)
        first = re.match(r"\s*(-?\d+),", values[2])
        values[2] = values[2].replace(first.group(1), str(int(first.group(1)) ^ 1), 1)
        file.write_text(f"{head}_golden_outputs[{'{'.join(values)}")

    program = build(bundle, tmp_path, change=damage)
    found, output = answers(program, request(0, "hello") + request(1, "golden"))
    assert output.startswith(b"edgesea golden FAIL 3 of 4 small ")
    assert found[1] == (1, "golden 3 4")


def test_vectors_are_as_many_as_asked_and_fit(bundle, tmp_path):
    sizes = json.loads((bundle / "manifest.json").read_text())["int8"]
    each = sizes["input"]["bytes"] + sizes["output"]["bytes"]
    for asked, expected in ((1, 1), (3, 3), (1000, min(8, GOLDEN_BYTES // each))):
        write_firmware(bundle, tmp_path, vectors=asked)
        assert f"SMALL_GOLDEN_COUNT {expected}\n" in (tmp_path / "small_golden.h").read_text()


def test_files_are_all_named_and_say_where_they_come_from(bundle, tmp_path):
    files = write_firmware(bundle, tmp_path, command="edgesea flash */ bundle")
    assert sorted(files) == sorted(path for path in tmp_path.rglob("*") if path.is_file())
    for name in ("main.c", "firmware_model.h", "small_golden.c", "small_golden.h"):
        assert "with: edgesea flash * / bundle" in (tmp_path / name).read_text()


def changed(bundle, folder, **entries):
    """A copy of the bundle with other entries in its manifest."""
    shutil.copytree(bundle, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    (folder / "manifest.json").write_text(json.dumps({**manifest, **entries}))
    return folder


def test_what_is_no_bundle_for_it_is_refused(bundle, tmp_path):
    with pytest.raises(UsageError, match="is not a bundle, it has no manifest"):
        write_firmware(tmp_path, tmp_path / "out")
    manifest = json.loads((bundle / "manifest.json").read_text())
    outside = {**manifest["c_model"], "files": ["../../secret.c"]}
    with pytest.raises(EdgeseaError, match=r"c_model\.files\[0\] is not valid, a path inside the folder is"):
        write_firmware(changed(bundle, tmp_path / "b", c_model=outside), tmp_path / "out")
    files = {name: entry for name, entry in manifest["files"].items() if name != "golden.npz"}
    with pytest.raises(EdgeseaError, match="holds no golden vectors: export the bundle again"):
        write_firmware(changed(bundle, tmp_path / "c", files=files), tmp_path / "out")
    int8 = {**manifest["int8"], "output": {**manifest["int8"]["output"], "bytes": 1}}
    with pytest.raises(EdgeseaError, match=r"says int8\.output\.bytes = 1, and model_int8"):
        write_firmware(changed(bundle, tmp_path / "d", int8=int8), tmp_path / "out")
    with pytest.raises(EdgeseaError, match="number of golden vectors must be at least 1, received 0"):
        write_firmware(bundle, tmp_path / "out", vectors=0)
    (tmp_path / "file").write_text("")
    with pytest.raises(EdgeseaError, match=r"file cannot be written .*: choose another folder"):
        write_firmware(bundle, tmp_path / "file")
    assert not (tmp_path / "out").exists()


def test_a_strangers_golden_vectors_have_to_be_the_models(bundle, tmp_path):
    folder = tmp_path / "bundle"
    shutil.copytree(bundle, folder)
    with np.load(folder / "golden.npz") as held:
        arrays = dict(held)
    arrays["outputs"][1].flat[0] ^= 1
    np.savez(folder / "golden.npz", **arrays)
    content = (folder / "golden.npz").read_bytes()
    manifest = json.loads((folder / "manifest.json").read_text())
    told = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    manifest["files"]["golden.npz"] = manifest["files"]["golden.npz"] | told
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(EdgeseaError, match=r"are not what its model computes: export it again"):
        write_firmware(folder, tmp_path / "out")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("name", ["docs/serial-protocol.md", "firmware_export/runtime/edgesea_protocol.h"])
def test_the_lines_that_are_shown_have_the_right_crc(name):
    text = (Path(__file__).resolve().parents[2] / name).read_text()
    lines = re.findall(r"[<>]([0-9a-f]{4} [a-z0-9 ]+)\*([0-9a-f]{8})$", text, re.MULTILINE)
    assert len(lines) == 2
    for body, crc in lines:
        assert f"{zlib.crc32(body.encode()):08x}" == crc
