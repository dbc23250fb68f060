"""A head from training to bundle: folded, quantised, held against float, and scored."""

import csv
import hashlib
import json
import shutil

import numpy as np
import pytest
from deciding import exported, tones
from scipy.special import softmax as softmax_of
from small_run import SMALL

from edgesea import datasets
from edgesea.decisions import mil
from edgesea.decisions.head import Head, Own, split, train
from edgesea.decisions.thresholds import Wanted
from edgesea.errors import EdgeseaError, UsageError
from edgesea.evaluation import decided
from edgesea.exporting import load_bundle
from edgesea.exporting.decisions import Deciding
from edgesea.exporting.student import student_of
from edgesea.interpreter import open_interpreter
from edgesea.run import Run


@pytest.fixture(scope="module")
def bundle(student, tmp_path_factory, heard, frontend, head):
    out = tmp_path_factory.mktemp("bundles") / "both"
    return exported(student, out, heard, frontend, Deciding(head, embedding=True), onnx=True)


def test_a_head_is_the_same_when_it_is_read_again(head, tmp_path):
    head.write(tmp_path / "head")
    again = Head.read(tmp_path / "head")
    assert again.values == head.values
    embeddings = np.random.default_rng(0).normal(0, 1, (20, 8))
    assert np.array_equal(again.scores(embeddings), head.scores(embeddings))


def test_no_recording_is_in_two_parts_and_every_class_in_each(sounds):
    manifest = datasets.load(sounds)
    parts = split(manifest)
    groups = {name: {manifest.clips[k].group for k in part} for name, part in parts.items()}
    assert sum(map(len, groups.values())) == len(set.union(*groups.values())) == 24
    for part in parts.values():
        assert {label for k in part for label in manifest.clips[k].labels} == set(manifest.labels)


def test_the_folded_models_give_what_student_and_head_give(bundle, student, head, heard):
    embeddings = student.predict(heard, verbose=0)
    for kind, tolerance in (("float", 2e-5), ("int8", 0.1)):
        interpreter = open_interpreter(getattr(bundle, kind))
        assert [tensor.name for tensor in interpreter.outputs] == ["embedding", "scores"]
        embedding, scores = interpreter.run(heard, interpreter.outputs)
        assert np.abs(embedding - embeddings).max() <= tolerance * 10
        assert np.abs(scores - head.scores(embeddings)).max() <= tolerance * 4
        assert np.abs(scores - head.scores(embeddings)).mean() <= tolerance


def test_the_bundle_says_what_it_decides(bundle, head):
    held = load_bundle(bundle.path)
    assert held.manifest == bundle.manifest
    assert held.decisions["labels"] == ["high", "low", "noise"]
    assert held.manifest["int8"]["scores"]["scale"] == 1 / 256
    assert held.outputs == ("embedding", "scores")
    assert held.decisions["agreement"]["same"] >= 0.95
    golden = held.golden()
    assert golden["outputs"].shape == (8, 8 + 3)
    import onnxruntime

    session = onnxruntime.InferenceSession(bundle.onnx.read_bytes(), providers=["CPUExecutionProvider"])
    assert [each.name for each in session.get_outputs()] == ["embedding", "scores"]


@pytest.mark.parametrize(
    ("name", "change"),
    [
        ("wide_window", lambda values: values // 2),
        ("offsets", lambda values: values + 1e-3),
        ("segments", lambda values: values[:-1]),
        ("zero", lambda values: values.astype(np.float64)),
        ("multiplier", None),
    ],
)
def test_the_frontends_integers_have_to_be_those_of_its_constants(bundle, tmp_path, name, change):
    shutil.copytree(bundle.path, tmp_path / "b")
    file = tmp_path / "b" / "frontend.npz"
    tables = dict(np.load(file))
    held = tables.pop(name)
    np.savez(file, **tables, **({} if change is None else {name: change(held)}))
    manifest = json.loads((tmp_path / "b" / "manifest.json").read_text())
    content = file.read_bytes()
    told = {"bytes": len(content), "sha256": hashlib.sha256(content).hexdigest()}
    manifest["files"]["frontend.npz"] = told
    (tmp_path / "b" / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(EdgeseaError, match=f"does not hold the `{name}` of the bundle's frontend: export"):
        load_bundle(tmp_path / "b")


def test_scores_alone_are_one_output(student, tmp_path, heard, frontend, head):
    bundle = exported(student, tmp_path / "b", heard, frontend, Deciding(head))
    assert load_bundle(tmp_path / "b").outputs == ("scores",)
    assert bundle.manifest["int8"]["output"]["bytes"] == 3
    with pytest.raises(UsageError, match=r"gives scores and no embeddings: export it again with --keep"):
        bundle.embed(np.zeros(8000, np.float32), 8000)


def test_what_the_device_says_is_what_the_scores_say(bundle, sounds):
    """Counted again from the events: each class, float and int8."""
    found = decided.score(bundle, str(sounds))
    manifest = datasets.load(sounds)
    assert found["labels"] == ["high", "low", "noise"]
    for kind in ("float", "int8"):
        events, held = decided.say(bundle, manifest, range(len(manifest)), kind)
        assert found[kind]["events"] == len(events)
        assert found[kind]["recall"] > 0.8
        for label, figures in found[kind]["classes"].items():
            said = {each.clip for each in events if each.label == label}
            has = {k for k, clip in enumerate(manifest.clips) if label in clip.labels}
            assert figures["clips"] == 8
            assert figures["recall"] == len(said & has) / 8
            wrong = [each for each in events if each.label == label and each.clip not in has]
            hours = sum(held.seconds[k] for k in set(held.clips) - has) / 3600
            assert figures["false_alarms_per_hour"] == pytest.approx(len(wrong) / hours)
            assert figures["precision"] == len(said & has) / len(said)
            assert 0 < figures["delay_s"] <= 2


def test_thresholds_are_reached_on_the_validation_clips(bundle, head, sounds, float_model):
    manifest = datasets.load(sounds)
    validation = [
        k
        for k, clip in enumerate(manifest.clips)
        if manifest.relative(sounds / clip.group) in head.values["data"]["recordings"]["validation"]
        or clip.group in head.values["data"]["recordings"]["validation"]
    ]
    found = decided.score(bundle, manifest, clips=validation)["float"]["classes"]
    for label, chosen in zip(head.labels, head.values["thresholds"], strict=True):
        assert found[label]["recall"] == chosen["recall"]
        assert found[label]["precision"] == chosen["precision"]


def test_labels_that_overlap_are_sigmoids_with_auto_pool(tmp_path, float_model, frontend, monkeypatch):
    monkeypatch.setattr(mil, "EPOCHS", 3)  # what kind of head it becomes, not how good a one
    folder = tones(tmp_path / "in", recordings=4, seconds=1.5)
    with open(folder / "clips.csv", newline="", encoding="utf-8") as file:
        rows = list(csv.reader(file))
    with open(folder / "clips.csv", "w", newline="", encoding="utf-8") as file:
        rows = [["path", "labels", "group"], *rows[1:]]
        csv.writer(file).writerows([[a, f"{b};tone" if b in ("high", "low") else b, c] for a, b, c in rows])
    head = train(float_model, frontend, folder, hop=0.3)
    assert (head.values["kind"], head.activation) == ("mil", "sigmoid")
    assert all(each > 0 for each in head.values["alpha"])
    assert head.labels == [
        "high",
        "low",
        "noise",
        "tone",
    ]


def own_of(head, **values):
    """The head that a run would have trained, with a class that the data does not have."""
    ((weights, bias),) = head.layers
    given = {"labels": ("wind", *head.labels), "data": "other", "parts": {}, **values}
    return Own(np.insert(weights, 0, 0.5, axis=1), np.insert(bias, 0, 9.0), **given)


def test_the_head_of_a_run_itself_decides_among_the_labels_of_the_data(head, float_model, frontend, sounds):
    made = train(float_model, frontend, sounds, kind="own", own=own_of(head))
    embeddings = np.random.default_rng(0).normal(0, 1, (20, 8))
    assert np.allclose(made.scores(embeddings), head.scores(embeddings), atol=1e-12)
    recordings = made.values["data"]["recordings"]
    assert (made.values["kind"], made.labels, recordings["train"]) == ("own", head.labels, [])
    assert recordings["test"] == head.values["data"]["recordings"]["test"]
    assert len(recordings["validation"]) + len(recordings["test"]) == 24


def test_of_the_runs_own_data_the_parts_are_the_runs(head, float_model, frontend, sounds):
    manifest = datasets.load(sounds)
    parts = split(manifest, 7)
    theirs = dict(zip(("train", "validation", "held-out"), parts.values(), strict=True))
    own = own_of(head, data=manifest.fingerprint, parts=theirs)
    made = train(float_model, frontend, sounds, kind="own", own=own)
    for name, part in parts.items():
        wanted = {manifest.relative(sounds / manifest.clips[k].group) for k in part}
        assert set(made.values["data"]["recordings"][name]) == wanted
    with pytest.raises(UsageError, match="has heard every recording of this data: give other sound"):
        train(float_model, frontend, sounds, kind="own", own=own_of(head, data=manifest.fingerprint))
    theirs["validation"] = [k for k in theirs["validation"] if "low" not in manifest.clips[k].labels]
    with pytest.raises(
        UsageError, match="No clip of 'low' is in what the run set aside for validation: give"
    ):
        train(float_model, frontend, sounds, kind="own", own=own)


def test_a_head_that_is_not_there_or_knows_other_classes_is_refused(head, float_model, frontend, sounds):
    with pytest.raises(UsageError, match="was trained with no head of its own: take a run whose objective"):
        train(float_model, frontend, sounds, kind="own")
    with pytest.raises(UsageError, match="does not know 'low'; it knows a, high, b, noise: train one with"):
        train(float_model, frontend, sounds, kind="own", own=own_of(head, labels=("a", "high", "b", "noise")))
    with pytest.raises(UsageError, match="it has no names for its classes"):
        train(float_model, frontend, sounds, kind="own", own=own_of(head, labels=()))


@pytest.mark.slow
def test_what_kd_trained_goes_into_the_bundle(sounds, tmp_path, edgesea_process):
    """Through the command line, from training to what the bundle says."""

    def done(*arguments):
        process = edgesea_process(*arguments)
        _, errors = process.communicate(timeout=600)
        assert process.returncode == 0, errors

    run, file, out = (tmp_path / name for name in ("run", "head", "bundle"))
    done("distill", "--data", sounds, "--objective", "kd", *SMALL, "--out", run)
    others = tones(tmp_path / "in", recordings=5)
    done("head", run, "--head", "own", "--data", others, "--hop", "0.3", "--out", file)
    weights, bias, labels = Run.open(run).classifier()
    head = Head.read(file)
    assert np.allclose(head.scores(np.eye(16)), softmax_of(weights + bias, axis=1))
    done("export", run, "--int8", "--head", file, "--allow-failed", "--out", out)
    assert load_bundle(out).decisions["labels"] == head.labels == list(labels)


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"kind": "forest"}, "There is no head 'forest': choose one of auto, logistic, mlp, mil, own."),
        ({"window": 65}, "Received a window of 65 frames: give 1 to 64."),
        ({"hop": 0}, "Received a hop of 0 seconds"),
        ({"rest": -1}, "Received a rest of -1 seconds"),
    ],
)
def test_wrong_options_are_one_sentence(options, sentence, float_model, frontend, sounds):
    with pytest.raises(UsageError, match=sentence):
        train(float_model, frontend, sounds, **options)


def test_too_little_of_a_class_is_one_sentence(tmp_path, float_model, frontend, street):
    few = tones(tmp_path / "few", recordings=2)
    with pytest.raises(
        UsageError, match=r"The class 'high' has 2 clips of 2 recordings, and a head needs 3 recordings of"
    ):
        train(float_model, frontend, few)
    one = tones(tmp_path / "one", classes=["low"])
    with pytest.raises(UsageError, match=r"A head needs clips of 2 classes at least, and .* has 1"):
        train(float_model, frontend, one)


def test_a_head_of_another_student_is_refused(student, tmp_path, heard, frontend, head):
    other = Head(head.layers, head.activation, {**head.values, "student": "0" * 64})
    with pytest.raises(UsageError, match=r"was made for another student, .* with `edgesea head`"):
        exported(student, tmp_path / "b", heard, frontend, Deciding(other))
    assert not (tmp_path / "b").exists()


def test_int8_that_decides_otherwise_is_no_bundle(student, tmp_path, heard, frontend, head):
    strict = Deciding(head, min_agreement=1.01)
    with pytest.raises(EdgeseaError, match=r"held-out frames, class by class, where at least 101.0% is"):
        exported(student, tmp_path / "b", heard, frontend, strict)
    assert not (tmp_path / "b").exists()
    kept = exported(student, tmp_path / "b", heard, frontend, strict, allow_failed=True)
    assert "decides as the float one does" in kept.manifest["failed"]


def test_sound_with_none_of_the_labels_is_refused(bundle, street, tmp_path):
    with pytest.raises(UsageError, match=r"has none of the labels of .* \(high, low, noise\)"):
        decided.score(bundle, str(street))


def test_a_bundle_that_holds_a_head_takes_no_other(bundle):
    with pytest.raises(UsageError, match=r"holds a head already: name the run that it came from"):
        student_of(bundle.path)


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda held: held.update(format="x"), "is not a head: name one that `edgesea head` made"),
        (lambda held: held["labels"].pop(), "outputs, alphas and thresholds for 2 different labels"),
        (lambda held: held["layers"][0]["bias"].pop(), "weights and biases fit each other are wanted"),
        (lambda held: held.update(window=0), "the entry|window is not valid"),
    ],
)
def test_a_damaged_head_is_one_sentence(change, sentence, head, tmp_path):
    head.write(tmp_path / "head")
    held = json.loads((tmp_path / "head").read_text())
    change(held)
    (tmp_path / "head").write_text(json.dumps(held))
    with pytest.raises(UsageError, match=sentence):
        Head.read(tmp_path / "head")


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda held: held.update(head=2), "does not give the scores of one"),
        (lambda held: held["thresholds"].pop(), "an alpha and a threshold for each of the 3 labels"),
        (lambda held: held.update(labels=["a", "a", "b"]), "each label once is wanted"),
    ],
)
def test_a_manifest_that_lies_about_decisions_is_one_sentence(change, sentence, bundle, tmp_path):
    import shutil

    shutil.copytree(bundle.path, tmp_path / "b")
    manifest = json.loads((tmp_path / "b" / "manifest.json").read_text())
    change(manifest["decisions"])
    (tmp_path / "b" / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(EdgeseaError, match=sentence):
        load_bundle(tmp_path / "b")


def test_wanted_false_alarms_are_kept_to(float_model, frontend, sounds):
    head = train(float_model, frontend, sounds, hop=0.3, wanted=Wanted(0))
    assert all(each["false_alarms_per_hour"] == 0 for each in head.values["thresholds"])
    assert str(head.wanted) == "0 false alarms an hour"
