"""Bundles from strangers: whatever is in one, no command runs its code, believes it, or writes outside."""

import copy
import hashlib
import json
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from unittest import mock

import fuzzing
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgesea.errors import EdgeseaError
from edgesea.exporting import c_compiler, export_tflite, load_bundle
from edgesea.exporting.firmware import remake
from edgesea.exporting.project import write_project

CMAKE = "x)\nexecute_process(COMMAND id OUTPUT_FILE PWNED_BY_CMAKE)\nset(y"
LIBRARY = 'x","build":{"extraScript":"evil.py"},"y":"'
OUTSIDE = "../../../escaped/x"

# The host's own service, asked for by code that a model's C would run first.
SEMIHOSTING = """
static void hostile(void)
{
    static const char command[] = "id > PWNED_BY_QEMU";
    struct { const char *p; int n; } block = { command, sizeof command - 1 };
    register int r0 __asm__("r0") = 0x12;
    register void *r1 __asm__("r1") = &block;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
}

"""


@pytest.fixture(scope="module")
def good(int8_model, frontend, tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("good")
    (folder / "street.tflite").write_bytes(int8_model)
    export_tflite(folder / "street.tflite", folder / "bundle", frontend=frontend, c_model=c_compiler())
    return folder / "bundle"


@pytest.fixture
def stranger(good, tmp_path):
    """A copy of the good bundle to be spoilt, and beside it a secret of mode 600."""
    shutil.copytree(good, tmp_path / "bundle")
    (tmp_path / "secret").write_text("mine")
    (tmp_path / "secret").chmod(0o600)
    return tmp_path / "bundle"


def manifest_of(bundle: Path) -> dict:
    return json.loads((bundle / "manifest.json").read_text())


def save(bundle: Path, manifest: dict) -> None:
    """Writes the manifest with the right size and hash of every file that is there."""
    manifest["files"] = {
        path.relative_to(bundle).as_posix(): {
            "bytes": path.stat().st_size,
            "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        }
        for path in sorted(bundle.rglob("*"))
        if path.is_file() and path.name != "manifest.json"
    }
    (bundle / "manifest.json").write_text(json.dumps(manifest))


def state(folder: Path) -> dict:
    """Every file of a folder with its content and mode."""
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), stat.S_IMODE(path.stat().st_mode))
        for path in folder.rglob("*")
        if path.is_file()
    }


def renamed(bundle: Path, evil: str) -> None:
    manifest = manifest_of(bundle)
    manifest["identifier"] = manifest["c_model"]["name"] = evil
    save(bundle, manifest)


def cmake_identifier(bundle: Path) -> None:
    renamed(bundle, CMAKE)


def library_identifier(bundle: Path) -> None:
    renamed(bundle, LIBRARY)


def outside_identifier(bundle: Path) -> None:
    renamed(bundle, OUTSIDE)


def header_identifier(bundle: Path) -> None:
    renamed(bundle, "stdint")


def another_name(bundle: Path) -> None:
    manifest = manifest_of(bundle)
    manifest["identifier"] = "avenue"
    save(bundle, manifest)


def absolute_c_file(bundle: Path) -> None:
    manifest = manifest_of(bundle)
    manifest["c_model"]["files"].append(str(bundle.parent / "secret"))
    save(bundle, manifest)


def absolute_file(bundle: Path) -> None:
    manifest = manifest_of(bundle)
    content = (bundle.parent / "secret").read_bytes()
    save(bundle, manifest)
    manifest["files"][str(bundle.parent / "secret")] = {
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    (bundle / "manifest.json").write_text(json.dumps(manifest))


def sensor_file_outside(bundle: Path) -> None:
    manifest = manifest_of(bundle)
    manifest["c_model"]["sensor_files"].append("../../secret")
    save(bundle, manifest)


def replaced_model(bundle: Path) -> None:
    (bundle / "model_int8.tflite").write_bytes(b"\x1c\0\0\0TFL3" + bytes(100))


def replaced_model_with_its_hash(bundle: Path) -> None:
    (bundle / "model_int8.tflite").write_bytes(b"\x1c\0\0\0TFL3" + bytes(100))
    save(bundle, manifest_of(bundle))


def symlink_model(bundle: Path) -> None:
    (bundle / "model_int8.tflite").rename(bundle.parent / "other.tflite")
    (bundle / "model_int8.tflite").symlink_to(bundle.parent / "other.tflite")


def symlink_manifest(bundle: Path) -> None:
    (bundle / "manifest.json").rename(bundle.parent / "manifest.json")
    (bundle / "manifest.json").symlink_to(bundle.parent / "manifest.json")


def false_scale(bundle: Path) -> None:
    manifest = manifest_of(bundle)
    manifest["int8"]["input"]["scale"] = 1.0
    save(bundle, manifest)


def infinite_arena(bundle: Path) -> None:
    text = (bundle / "manifest.json").read_text()
    arena = manifest_of(bundle)["c_model"]["arena_bytes"]
    (bundle / "manifest.json").write_text(text.replace(f'"arena_bytes": {arena}', '"arena_bytes": 1e999'))


def twice_the_same(bundle: Path) -> None:
    text = (bundle / "manifest.json").read_text()
    (bundle / "manifest.json").write_text(text.replace('"name":', '"identifier": "evil",\n  "name":', 1))


def other_frontend(bundle: Path) -> None:
    fields = json.loads((bundle / "frontend.json").read_text())
    (bundle / "frontend.json").write_text(json.dumps({**fields, "fmin": 60.0}))
    save(bundle, manifest_of(bundle))


def escape_sequences(bundle: Path) -> None:
    manifest = manifest_of(bundle)
    manifest["name"] = "street\x1b]0;owned\x07"
    save(bundle, manifest)


REFUSED = {
    cmake_identifier: "identifier is not valid, a C identifier of lower case",
    library_identifier: "identifier is not valid, a C identifier of lower case",
    outside_identifier: "identifier is not valid, a C identifier of lower case",
    header_identifier: "that is no keyword and no header's name, received 'stdint'",
    another_name: "c_model.name 'street' and identifier 'avenue' have to be the same",
    absolute_c_file: "is not valid, a path inside the folder is wanted, received",
    absolute_file: "which is not a path inside the bundle (a path inside the folder is wanted): leave it be.",
    sensor_file_outside: "a path inside the folder is wanted, received '../../secret'",
    replaced_model: "is not the file that manifest.json describes: export the bundle again.",
    replaced_model_with_its_hash: "The model model_int8.tflite: The .tflite file is damaged",
    symlink_model: "model_int8.tflite is a link, which no bundle holds: export the bundle again.",
    symlink_manifest: "manifest.json is a link, which is not followed: export the bundle again.",
    false_scale: "says int8.input.scale = 1.0, and model_int8.tflite has ",
    infinite_arena: "is not readable as JSON (1e999 is no finite number): export the bundle again.",
    twice_the_same: "is not readable as JSON (the name 'identifier' is there twice): export",
    other_frontend: "frontend.json is another frontend than manifest.json describes: export",
    escape_sequences: "name is not valid, text without control characters is wanted, it has '\\x1b'",
}


@pytest.mark.parametrize("spoil", REFUSED, ids=lambda each: each.__name__)
def test_no_command_takes_it(stranger, spoil):
    """bench (the door of all its devices), evaluate, fit, flash and export read bundles by one function."""
    from click.testing import CliRunner

    from edgesea.cli import edgesea
    from edgesea.devices import find_model
    from edgesea.evaluation.evaluate import _subject
    from edgesea.flash import plan

    spoil(stranger)
    before = state(stranger.parent)
    sentences = []
    for take in (find_model, _subject, load_bundle, lambda path: plan(path, "qemu-cortex-m4")):
        with pytest.raises(EdgeseaError) as caught:
            take(stranger)
        sentences.append(str(caught.value))
    out = str(stranger.parent / "out" / "street")
    for command, *options in (
        ["fit"],
        ["export", "--project", "cmake", "--out", out],
        ["export", "--project", "platformio", "--runtime", "tflm", "--out", out],
    ):
        result = CliRunner().invoke(edgesea, [command, str(stranger), *options], standalone_mode=False)
        assert isinstance(result.exception, EdgeseaError), result.output
        sentences.append(str(result.exception))
    assert len(set(sentences)) == 1
    assert REFUSED[spoil] in sentences[0]
    assert sentences[0][0].isupper()
    assert sentences[0].endswith(".")
    assert "\n" not in sentences[0]
    assert state(stranger.parent) == before, "nothing is written, and no mode changes"


def test_a_process_ends_with_one_sentence(stranger):
    cmake_identifier(stranger)
    done = subprocess.run(
        [sys.executable, "-m", "edgesea", "bench", str(stranger)], capture_output=True, text=True
    )
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith("edgesea: The file ")
    assert done.stderr.count("\n") == 2, "what is measured, and the sentence"
    assert "Traceback" not in done.stderr
    assert not list(stranger.parent.rglob("PWNED*"))


def test_the_bundles_own_c_is_never_taken(stranger, good):
    """Hostile C with the right hash is not refused: it is data, and firmware is made of the .tflite."""
    for file in (stranger / "c").rglob("*.[ch]"):
        file.write_text(SEMIHOSTING + file.read_text())
    save(stranger, manifest_of(stranger))
    bundle = load_bundle(stranger)
    assert remake(bundle).contents == remake(load_bundle(good)).contents
    for kind, runtime in (("cmake", "c"), ("arduino", "tflm"), ("platformio", "c")):
        folder = stranger.parent / kind / "street"
        for file in write_project(bundle, kind, folder, runtime=runtime):
            assert b"hostile" not in file.read_bytes(), file


def test_figures_of_fit_are_the_models_own(stranger):
    from click.testing import CliRunner

    from edgesea.cli.fit import fit

    true = CliRunner().invoke(fit, [str(stranger), "--json"]).output
    manifest = manifest_of(stranger)
    manifest["c_model"]["arena_bytes"] = 1
    manifest["c_model"]["constant_bytes"] = {"plain": 0, "dsp": 0, "mve": 0}
    manifest["int8"]["multiply_accumulates"] = 0
    manifest["int8"]["activation"]["peak_bytes"] = 0
    save(stranger, manifest)
    assert CliRunner().invoke(fit, [str(stranger), "--json"]).output == true


def test_a_bundle_names_no_other_run(stranger, finished_run):
    """`evaluate` writes what it computes beside the run: never into a folder that a stranger chose."""
    from edgesea.evaluation.evaluate import _subject

    manifest = manifest_of(stranger)
    manifest["provenance"] = {"run": str(finished_run), "teacher": {"name": "mine"}}
    save(stranger, manifest)
    assert _subject(stranger).run is None


def test_a_project_follows_no_link(stranger):
    bundle = load_bundle(stranger)
    elsewhere = stranger.parent / "elsewhere"
    elsewhere.mkdir()
    out = stranger.parent / "project"
    write_project(bundle, "zephyr", out)
    shutil.rmtree(out / "src")
    (out / "src").symlink_to(elsewhere)
    with pytest.raises(EdgeseaError, match=r"src is a link, which is not followed: choose another"):
        write_project(bundle, "zephyr", out)
    assert not list(elsewhere.iterdir())


def test_an_arduino_sketch_gets_its_folder(stranger):
    written = write_project(load_bundle(stranger), "arduino", stranger.parent / "p")
    assert stranger.parent / "p" / "street" / "street.ino" in written
    again = write_project(load_bundle(stranger), "arduino", stranger.parent / "p" / "street")
    assert again == written


def test_a_name_of_a_header_is_said_to_be_changed(good, tmp_path):
    from click.testing import CliRunner

    from edgesea.cli.export import export

    shutil.copy(good / "model_int8.tflite", tmp_path / "stdint.tflite")
    out = tmp_path / "bundle"
    done = CliRunner().invoke(export, [str(tmp_path / "stdint.tflite"), "--out", str(out), "--no-c"])
    assert "The name 'stdint' is a header of C: in C the model is called model_stdint." in done.output
    assert load_bundle(out).identifier == "model_stdint"
    assert not list(out.rglob("stdint*"))


# What a mutation puts in the place of a value: of other types, out of range, or a stranger's text.
VALUES = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**30), 10**30),
    st.floats(),
    st.text(max_size=30),
    st.sampled_from([CMAKE, LIBRARY, OUTSIDE, "/etc/passwd", "\x1b[2J", "stdint", "a" * 5000, "NaN"]),
    st.lists(st.integers(), max_size=3),
    st.dictionaries(st.text(max_size=5), st.integers(), max_size=3),
    st.just([[[[[[[[[[]]]]]]]]]]),
)


def places(value, path=()):
    """The way to every value in a manifest."""
    yield path
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield from places(value[key], (*path, key))


def mutate(manifest, data):
    for _ in range(data.draw(st.integers(1, 3))):
        found = [place for place in places(manifest) if place]
        *way, last = data.draw(st.sampled_from(found))
        inner = manifest
        for key in way:
            inner = inner[key]
        what = data.draw(st.sampled_from(["replace", "remove", "add"]))
        if what == "remove":
            del inner[last]
        elif what == "add" and isinstance(inner, dict):
            inner[data.draw(st.text(max_size=10))] = copy.deepcopy(data.draw(VALUES))
        else:
            # A drawn list is Hypothesis' own: what is mutated next must not be.
            inner[last] = copy.deepcopy(data.draw(VALUES))
        if not manifest:
            break
    return manifest


def try_mutant(folder: Path, manifest) -> None:
    (folder / "bundle" / "manifest.json").write_text(json.dumps(manifest))
    before = {path for path in folder.rglob("*") if "out" not in path.relative_to(folder).parts}
    try:
        (folder / "out" / "temporary").mkdir(parents=True)
        with mock.patch("tempfile.tempdir", str(folder / "out" / "temporary")), fuzzing.held(folder):
            bundle = load_bundle(folder / "bundle")
            write_project(bundle, "platformio", folder / "out" / bundle.identifier)
    except EdgeseaError as error:
        fuzzing.is_a_sentence(error)
    finally:
        shutil.rmtree(folder / "out", ignore_errors=True)
    assert {path for path in folder.rglob("*") if "out" not in path.relative_to(folder).parts} == before


QUIET = {"deadline": None, "suppress_health_check": list(HealthCheck)}


@settings(max_examples=200, **QUIET)
@given(data=st.data())
def test_any_manifest_is_taken_or_refused_in_a_sentence(stranger, good, data):
    try_mutant(stranger.parent, mutate(manifest_of(good), data))


@pytest.mark.slow
@settings(max_examples=10_000, **QUIET)
@given(data=st.data())
def test_ten_thousand_manifests(stranger, good, data):
    try_mutant(stranger.parent, mutate(manifest_of(good), data))
