"""The bundle: whole or not at all, checked when read, and never at the cost of anything that was there."""

import dataclasses
import hashlib
import json
import os
import re

import numpy as np
import pytest

from edgesea.errors import EdgeseaError, UsageError
from edgesea.exporting import c_compiler, export_student, export_tflite, load_bundle, write_bundle
from edgesea.exporting.card import cell
from edgesea.interpreter import open_interpreter

FILES = {
    "MODEL_CARD.md",
    "c/LICENSE",
    "c/street_2_model.c",
    "c/street_2_model.h",
    "frontend.json",
    "golden.npz",
    "manifest.json",
    "model.onnx",
    "model_float.tflite",
    "model_int8.tflite",
}
PROVENANCE = {"teacher": {"name": "yam|net", "sha256": "ab" * 32}, "data": ["street", "park"], "frames": 100}


def export(student, patches, frontend, out, **options):
    given = {
        "name": "Street #2",
        "out": out,
        "calibration": patches[:100],
        "held_out": patches[100:],
        "frontend": frontend,
        "provenance": PROVENANCE,
        "command": "edgesea export run --out bundle --int8",
    }
    return export_student(student, **{**given, **options})


@pytest.fixture(scope="module")
def bundle(student, patches, frontend, tmp_path_factory):
    return export(student, patches, frontend, tmp_path_factory.mktemp("exported") / "bundle")


@pytest.fixture
def copy(bundle, tmp_path):
    """The bundle's files, to be spoilt."""
    import shutil

    return shutil.copytree(bundle.path, tmp_path / "copy")


def contents(folder) -> dict[str, bytes]:
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in folder.rglob("*") if p.is_file()}


def test_holds_what_its_manifest_says(bundle):
    found = contents(bundle.path)
    assert found.keys() == FILES
    manifest = json.loads(found["manifest.json"])
    assert "decisions" not in manifest, "left out where nothing makes events, and read as null"
    assert bundle.manifest == {**manifest, "decisions": None}
    assert manifest["files"] == {
        name: {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
        for name, content in found.items()
        if name != "manifest.json"
    }
    assert list(bundle.path.parent.iterdir()) == [bundle.path], "nothing is left beside it"


def test_the_manifest_describes_the_int8_model(bundle, int8_model):
    described = bundle.manifest["int8"]
    opened = open_interpreter(int8_model)
    assert bundle.int8.read_bytes() == int8_model
    assert described["sha256"] == hashlib.sha256(int8_model).hexdigest()
    assert described["operators"] == {
        "AVERAGE_POOL_2D": 1,
        "CONV_2D": 2,
        "DEPTHWISE_CONV_2D": 1,
        "FULLY_CONNECTED": 1,
        "RESHAPE": 1,
    }
    assert described["input"] == {
        "shape": [1, 24, 16, 1],
        "type": "int8",
        "bytes": 384,
        "scale": opened.input.scale,
        "zero_point": opened.input.zero_point,
    }
    # By hand: the stem on 11 x 7 places with 8 channels, depthwise, 1 x 1 to 16, then 5 x 3 x 16 -> 8.
    assert described["multiply_accumulates"] == 77 * (9 * 8 + 9 * 8 + 8 * 16) + 5 * 3 * 16 * 8
    assert described["activation"]["largest_tensor_bytes"] == 11 * 7 * 16
    assert described["activation"]["peak_bytes"] == 11 * 7 * (8 + 16)
    weights = 9 * 8 + 9 * 8 + 8 * 16 + 240 * 8
    assert described["storage"]["model_bytes"] == len(int8_model)
    assert weights + 4 * (8 + 8 + 16 + 8) <= described["storage"]["weight_bytes"] < weights + 200


def test_versions_and_figures_are_recorded(bundle):
    manifest = bundle.manifest
    assert {"edgesea", "python", "tensorflow", "keras", "ai-edge-litert"} <= manifest["versions"].keys()
    assert manifest["comparison"]["n"] == 60
    assert manifest["comparison"]["r2"] > 0.9
    assert manifest["comparison"]["worst_layer"] in {
        layer["name"] for layer in manifest["comparison"]["layers"]
    }
    assert manifest["provenance"] == PROVENANCE
    assert manifest["c_model"] is None


def test_reads_back(bundle, frontend):
    again = load_bundle(bundle.path)
    assert again == bundle
    assert (again.name, again.identifier) == ("Street #2", "street_2")
    assert again.frontend == frontend
    assert json.loads((bundle.path / "frontend.json").read_text()) == frontend.to_dict()
    assert again.onnx.name == "model.onnx"


def test_golden_outputs_are_the_reference_kernels(bundle, patches):
    from ai_edge_litert.interpreter import Interpreter, OpResolverType

    golden = load_bundle(bundle.path).golden()
    np.testing.assert_array_equal(golden["patches"], patches[100:108])
    assert golden["inputs"].shape == (8, 24, 16, 1)
    reference = Interpreter(
        str(bundle.int8), experimental_op_resolver_type=OpResolverType.BUILTIN_REF, num_threads=1
    )
    reference.allocate_tensors()
    for given, expected in zip(golden["inputs"], golden["outputs"], strict=True):
        reference.set_tensor(reference.get_input_details()[0]["index"], given[None])
        reference.invoke()
        np.testing.assert_array_equal(
            reference.get_tensor(reference.get_output_details()[0]["index"])[0], expected
        )
    np.testing.assert_allclose(
        golden["embeddings"], open_interpreter(bundle.float).run(patches[100:108]), atol=1e-6
    )


def test_the_python_of_the_card_runs(bundle, monkeypatch):
    card = (bundle.path / "MODEL_CARD.md").read_text()
    (program,) = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    golden = bundle.golden()
    program = program.replace("np.zeros([1, 24, 16, 1], np.float32)", "golden['patches'][:1]")
    assert "golden" in program
    monkeypatch.chdir(bundle.path)
    names = {"golden": golden}
    exec(program, names)
    tensor = open_interpreter(bundle.int8).output
    assert np.abs(names["embedding"][0] - tensor.dequantise(golden["outputs"][0])).max() <= 3 * tensor.scale


def test_the_card_says_what_is_known(bundle):
    card = (bundle.path / "MODEL_CARD.md").read_text()
    assert card.startswith("# Street \\#2\n")
    assert "| teacher.name | yam\\|net |" in card
    assert "| data | street, park |" in card
    assert f"| R^2 | {bundle.manifest['comparison']['r2']:.4f} |" in card
    assert "| sample\\_rate | 8000 |" in card
    assert "    edgesea export run --out bundle --int8\n" in card
    assert "licences of the teacher and of the recordings" in card
    for row in (line for line in card.splitlines() if line.startswith(("| int8", "| file"))):
        assert row.count("|") == 4


def test_names_cannot_break_the_card():
    assert (
        cell("a|b\n# c <script> `x` [y](z) &amp;") == "a\\|b \\# c &lt;script> \\`x\\` \\[y\\](z) &amp;amp;"
    )


def test_the_same_export_gives_the_same_bytes(bundle, student, patches, frontend, tmp_path):
    again = export(student, patches, frontend, tmp_path / "again")
    assert contents(again.path) == contents(bundle.path)


def test_without_int8_there_are_only_float_models(student, patches, frontend, tmp_path):
    made = export(student, patches, frontend, tmp_path / "b", int8=False, onnx=False, calibration=None)
    assert contents(made.path).keys() == {
        "MODEL_CARD.md",
        "frontend.json",
        "golden.npz",
        "manifest.json",
        "model_float.tflite",
    }
    assert made.int8 is None
    assert made.golden().keys() == {"patches", "embeddings"}
    assert load_bundle(made.path) == made


def test_below_a_threshold_nothing_is_written(student, patches, frontend, tmp_path):
    with pytest.raises(
        EdgeseaError, match=r"the R\^2 is 0\.9\d+ over 60 held-out patches where at least 0\.99999"
    ):
        export(student, patches, frontend, tmp_path / "bundle", min_r2=0.99999)
    assert list(tmp_path.iterdir()) == []


def test_wrong_calls(student, patches, frontend, tmp_path):
    def refused(message, **options):
        with pytest.raises(UsageError) as caught:
            export(student, patches, options.pop("frontend", frontend), tmp_path / "bundle", **options)
        assert str(caught.value).startswith(message)
        assert list(tmp_path.iterdir()) == []

    other = dataclasses.replace(frontend, mels=12)
    refused("The student takes patches of (24, 16, 1), the frontend tiny makes (24, 12, 1)", frontend=other)
    refused("Int8 needs patches of the domain to calibrate on, received none", calibration=None)
    refused("The held-out patches must have the shape (n, 24, 16, 1)", held_out=patches[:, :10])
    refused("Comparing an integer model with float takes 2 held-out patches or more", held_out=patches[:1])
    refused("A bundle needs a name, received '  '", name="  ")
    with pytest.raises(UsageError, match="A bundle needs a model: give an int8 or a float"):
        write_bundle(tmp_path / "b", name="x")


@pytest.mark.parametrize(
    "name", ["../../up", "a/b\\c", "int", "街", "-rf *; $(x) `y`", "\x00\x1b[31m", "x" * 500]
)
def test_any_name_makes_files_inside_the_bundle(name, int8_model, tmp_path):
    made = write_bundle(tmp_path / "bundle", name=name, int8=int8_model)
    assert list(tmp_path.iterdir()) == [tmp_path / "bundle"]
    assert load_bundle(made.path).name == name.replace("\0\x1b", "  "), "no terminal is sent commands"
    assert re.fullmatch(r"[a-z][a-z0-9_]*", made.identifier)
    assert (made.path / "c" / f"{made.identifier}_model.h").is_file()


def test_an_older_bundle_is_replaced_whole(bundle, copy, float_model):
    write_bundle(copy, name="other", float_=float_model)
    assert contents(copy).keys() == {"MODEL_CARD.md", "manifest.json", "model_float.tflite"}
    assert [path.name for path in copy.parent.iterdir()] == ["copy"]


def test_an_empty_folder_becomes_the_bundle(tmp_path, float_model):
    (tmp_path / "out").mkdir()
    assert load_bundle(write_bundle(tmp_path / "out", name="x", float_=float_model).path).name == "x"


def test_a_link_to_a_bundle_stays_a_link(copy, float_model):
    link = copy.parent / "link"
    link.symlink_to("copy")
    write_bundle(link, name="other", float_=float_model)
    assert link.is_symlink()
    assert load_bundle(copy).name == "other"


def test_what_is_not_a_bundle_is_never_replaced(copy, tmp_path, float_model):
    def refused(out, message):
        before = contents(tmp_path)
        with pytest.raises(UsageError) as caught:
            write_bundle(out, name="x", float_=float_model)
        assert message in str(caught.value)
        assert contents(tmp_path) == before

    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "cat.jpg").write_bytes(b"cat")
    refused(
        photos, "photos is not empty and not a bundle: give --out a folder that is new or an older bundle"
    )
    (photos / "manifest.json").write_text("{}")
    refused(photos, "is not empty and not a bundle")
    refused(photos / "cat.jpg", "cat.jpg is a file: give --out a folder")
    (copy / "c" / "notes.txt").write_text("mine")
    refused(copy, "notes.txt is not part of the bundle there and would be lost: move it first")


@pytest.mark.parametrize("error", [EdgeseaError("no"), KeyboardInterrupt()])
def test_an_export_that_is_cut_short_leaves_the_older_bundle(copy, int8_model, error):
    def hook(content, folder, identifier, frontend, decisions):
        (folder / "half.c").write_text("int")
        raise error

    before = contents(copy.parent)
    with pytest.raises(type(error)):
        write_bundle(copy, name="x", int8=int8_model, c_model=hook)
    assert contents(copy.parent) == before
    assert [path.name for path in copy.parent.iterdir()] == ["copy"]


def test_a_folder_that_cannot_be_written(tmp_path, float_model):
    (tmp_path / "file").write_text("")
    with pytest.raises(EdgeseaError, match=r"file cannot be written \(.*\): choose another --out"):
        write_bundle(tmp_path / "file" / "bundle", name="x", float_=float_model)


def test_the_c_model_goes_into_the_bundle(int8_model, tmp_path):
    entry = {
        "name": "a_b",
        "files": ["a_b.c"],
        "sensor_files": [],
        "arena_bytes": 1234,
        "constant_bytes": {"plain": 1, "dsp": 2, "mve": 3},
        "peak": "step 0",
    }

    def hook(content, folder, identifier, frontend, decisions):
        assert (content, decisions) == (int8_model, None)
        (folder / f"{identifier}.c").write_text("int x;")
        return entry

    made = write_bundle(tmp_path / "b", name="A b", int8=int8_model, c_model=hook)
    assert made.manifest["c_model"] == entry
    assert "c/a_b.c" in load_bundle(made.path).manifest["files"]
    assert "`c/a_b.h` is the model compiled to plain C" in (made.path / "MODEL_CARD.md").read_text()


def test_the_c_compiler_fills_the_manifest(int8_model, tmp_path):
    made = write_bundle(tmp_path / "b", name="A b", int8=int8_model, c_model=c_compiler())
    entry = made.manifest["c_model"]
    assert entry["arena_bytes"] > 0
    assert {"a_b.c", "a_b.h"} <= set(entry["files"])
    assert {f"c/{file}" for file in entry["files"]} <= made.manifest["files"].keys()


def test_the_c_compilers_refusal_is_passed_on(int8_model, tmp_path):
    with pytest.raises(EdgeseaError, match=r"^The C model: Received ram_budget = -1: give a number"):
        write_bundle(tmp_path / "b", name="A b", int8=int8_model, c_model=c_compiler(ram_budget=-1))
    assert list(tmp_path.iterdir()) == []


def test_every_spoilt_file_is_noticed(copy):
    load_bundle(copy)
    for name in sorted(FILES - {"manifest.json"}):
        whole = (copy / name).read_bytes()
        (copy / name).write_bytes(whole[:-1] + bytes([whole[-1] ^ 1]))
        with pytest.raises(
            EdgeseaError, match=f"{re.escape(name)} is not the file that manifest.json describes"
        ):
            load_bundle(copy)
        (copy / name).unlink()
        with pytest.raises(EdgeseaError, match=f"{re.escape(name)} is missing: export the bundle again"):
            load_bundle(copy)
        (copy / name).write_bytes(whole)
    load_bundle(copy)


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "c/../../outside", "..", "", "c\\x", "a\0b"])
def test_a_manifest_cannot_point_outside(copy, name):
    (copy.parent / "outside").write_text("x")
    manifest = json.loads((copy / "manifest.json").read_text())
    manifest["files"][name] = {"bytes": 1, "sha256": hashlib.sha256(b"x").hexdigest()}
    (copy / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(EdgeseaError, match="is not a path inside the bundle"):
        load_bundle(copy)


def test_links_are_refused(copy):
    (copy / "model.onnx").rename(copy.parent / "model.onnx")
    (copy / "model.onnx").symlink_to(copy.parent / "model.onnx")
    with pytest.raises(EdgeseaError, match=r"model\.onnx is a link, which no bundle holds"):
        load_bundle(copy)
    os.rename(copy.parent / "model.onnx", copy / "model.onnx")
    (copy / "c").rename(copy.parent / "c")
    (copy / "c").symlink_to(copy.parent / "c")
    with pytest.raises(EdgeseaError, match="is a link, which no bundle holds"):
        load_bundle(copy)


@pytest.mark.parametrize(
    ("text", "kind", "message"),
    [
        (
            "not json",
            EdgeseaError,
            "is not readable as JSON (Expecting value: line 1 column 1 (char 0)): export the",
        ),
        ("[" * 100_000, EdgeseaError, "is not readable as JSON"),
        ("[]", UsageError, "is not the manifest of a bundle"),
        ('{"format": "zip"}', UsageError, "is not the manifest of a bundle"),
        (
            '{"format": "edgesea bundle", "format_version": 99}',
            EdgeseaError,
            "has format version 99 where this",
        ),
        (
            '{"format": "edgesea bundle", "format_version": 1}',
            EdgeseaError,
            "is not as it should be: the entry name is missing (and 5 more): export the bundle again.",
        ),
    ],
)
def test_manifests_that_cannot_be_read(copy, text, kind, message):
    (copy / "manifest.json").write_text(text)
    with pytest.raises(kind) as caught:
        load_bundle(copy)
    assert message in str(caught.value)


def test_a_folder_without_a_manifest(tmp_path):
    with pytest.raises(
        UsageError, match=r"is not a bundle, it has no manifest\.json: name a folder that `edgesea"
    ):
        load_bundle(tmp_path)


def test_a_foreign_int8_model_is_as_welcome(int8_model, tmp_path):
    (tmp_path / "kws v2.tflite").write_bytes(int8_model)
    made = export_tflite(
        tmp_path / "kws v2.tflite", tmp_path / "out", command="edgesea export 'kws v2.tflite'"
    )
    assert made.int8.read_bytes() == int8_model
    assert (made.name, made.identifier, made.float, made.onnx, made.frontend) == (
        "kws v2",
        "kws_v2",
        None,
        None,
        None,
    )
    assert made.manifest["comparison"] is None
    golden = made.golden()
    assert golden["outputs"].std() > 0
    np.testing.assert_array_equal(
        open_interpreter(int8_model).input.quantise(golden["patches"]), golden["inputs"]
    )
    card = (made.path / "MODEL_CARD.md").read_text()
    assert "Not known: this bundle was made from one model alone." in card
    assert "Not known: the model came as a .tflite." in card


def test_a_foreign_float_model_needs_a_run(float_model, tmp_path):
    (tmp_path / "float.tflite").write_bytes(float_model)
    with pytest.raises(
        UsageError, match=r"has a float32 input, and int8 needs sound to calibrate on: export the run"
    ):
        export_tflite(tmp_path / "float.tflite", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_card_and_header_of_a_foreign_model_claim_nothing(int8_model, tmp_path):
    (tmp_path / "kws.tflite").write_bytes(int8_model)
    made = export_tflite(tmp_path / "kws.tflite", tmp_path / "out")
    card, header = (made.path / "MODEL_CARD.md").read_text(), (made.path / "c" / "kws_model.h").read_text()
    for claim in ("teacher", "not a classifier", "distilled", "student"):
        assert claim not in card
        assert claim not in header
    assert "put it into this bundle and did not make it" in card
    assert "embedding" not in header
    assert "One input goes in, one output comes out, both int8" in header


def test_a_failed_bundle_is_kept_where_asked_and_marked(student, patches, frontend, tmp_path):
    made = export(student, patches, frontend, tmp_path / "b", min_r2=0.99999, allow_failed=True)
    failed = load_bundle(made.path).manifest["failed"]
    assert failed.startswith("Int8 against float: the R^2 is 0.9")
    assert failed.endswith(".")
    assert "**Failed: do not deploy.** Int8 against float" in (made.path / "MODEL_CARD.md").read_text()
    whole = export(student, patches, frontend, tmp_path / "whole", allow_failed=True)
    assert "failed" not in whole.manifest
    assert "Failed" not in (whole.path / "MODEL_CARD.md").read_text()


@pytest.fixture(scope="module")
def beyond_c() -> bytes:
    """An int8 model with an operator that the C model cannot compile and TensorFlow Lite Micro can."""
    import keras
    import tensorflow as tf

    patch = keras.Input((24, 16, 1), batch_size=1, name="patch")
    turned = keras.ops.flip(keras.layers.Conv2D(2, 3, name="stem")(patch), axis=1)
    converter = tf.lite.TFLiteConverter.from_keras_model(
        keras.Model(patch, keras.layers.GlobalAveragePooling2D()(turned))
    )
    generator = np.random.default_rng(0)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.representative_dataset = lambda: (
        [generator.normal(0, 1, (1, 24, 16, 1)).astype(np.float32)] for _ in range(16)
    )
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    return converter.convert()


def test_a_model_beyond_the_c_model_gets_a_bundle_without_it(beyond_c, frontend, tmp_path):
    from click.testing import CliRunner

    from edgesea.cli.export import export as command

    (tmp_path / "turned.tflite").write_bytes(beyond_c)

    def call(out, *options):
        return CliRunner().invoke(
            command, [str(tmp_path / "turned.tflite"), "--out", str(tmp_path / out), *options]
        )

    refused = call("refused")
    assert isinstance(refused.exception, EdgeseaError)
    assert "REVERSE_V2" in str(refused.exception)
    assert not (tmp_path / "refused").exists()
    assert call("plain", "--no-c").exit_code == 0
    plain = load_bundle(tmp_path / "plain")
    assert plain.manifest["c_model"] is None
    assert plain.golden()["outputs"].shape == (8, 2)
    assert (plain.path / "c" / "turned_model.c").is_file()
    for options in ([], ["--no-c"]):
        out = "tflm" + "".join(options)
        assert call(out, "--project", "zephyr", "--runtime", "tflm", *options).exit_code == 0
        made = load_bundle(tmp_path / out)
        assert "AddReverseV2" in made.manifest["project"]["tflm"]["resolver"]
        assert len(list((made.path / "project-zephyr").rglob("turned_tflm.cpp"))) == 1
    with pytest.raises(UsageError, match="The option --project takes the C model: leave --no-c out"):
        CliRunner().invoke(
            command,
            [str(tmp_path / "turned.tflite"), "--out", str(tmp_path / "x"), "--no-c", "--project", "cmake"],
            catch_exceptions=False,
        )


@pytest.mark.parametrize("model", ["kws_ref_model", "sea_student3_int8"])
def test_real_models_that_others_made(shared, model, tmp_path):
    made = export_tflite(shared / "models" / f"{model}.tflite", tmp_path / "out")
    assert load_bundle(made.path).manifest["int8"]["storage"]["weight_bytes"] > 20_000


def test_a_model_with_several_outputs_is_refused(shared, tmp_path):
    with pytest.raises(UsageError, match=r"yamnet\.tflite has a float32 input|yamnet\.tflite has 2 outputs"):
        export_tflite(shared / "models" / "yamnet.tflite", tmp_path / "out")
