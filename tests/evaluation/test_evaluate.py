"""Evaluation of runs and bundles: float and int8 on the same frames, beside the teacher, by recording."""

import csv
import json
import shutil

import numpy as np
import pytest

from edgesea import datasets
from edgesea.datasets import street as synthesiser
from edgesea.errors import UsageError
from edgesea.evaluation import evaluate as module
from edgesea.evaluation.evaluate import evaluate
from edgesea.evaluation.fidelity import fidelity
from edgesea.evaluation.heads import Task
from edgesea.interpreter import open_interpreter
from edgesea.run import Run
from edgesea.store import Store


@pytest.fixture(scope="module", autouse=True)
def one_seed():
    """Heads of one seed instead of five: what they score is tested elsewhere."""
    with pytest.MonkeyPatch.context() as patch:
        score = Task.score
        patch.setattr(Task, "score", lambda self, embeddings: score(self, embeddings, seeds=(0,)))
        yield


@pytest.fixture(scope="module")
def of_run(finished_run, street):
    return evaluate(finished_run, str(street))


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """Another street: the same classes, 16 recordings that no run has seen."""
    folder = tmp_path_factory.mktemp("elsewhere") / "street"
    synthesiser.synthesise(folder, 32, seed=77, seconds=1.5, takes=2)
    return folder


def test_it_answers_what_it_promises(of_run):
    assert json.loads(json.dumps(of_run, allow_nan=False)) == of_run
    for kind in ("float", "int8"):
        assert of_run["fidelity"][kind].keys() >= {"r2", "cosine", "knn_overlap"}
    assert of_run["fidelity"]["on"] == "held-out recordings"
    assert of_run["task"].keys() >= {"metric", "teacher", "float", "int8"}
    assert of_run["task"]["metric"] == "accuracy"
    assert (of_run["task"]["clips"], of_run["task"]["classes"], of_run["task"]["recordings"]) == (32, 8, 16)
    for name in ("teacher", "float", "int8"):
        assert 0 <= of_run["task"][name] <= 1


def test_the_float_model_has_the_fidelity_that_training_ended_with(of_run, finished_run):
    trained = Run.open(finished_run).results()["fidelity"]["held-out"]
    for key in ("r2", "cosine", "knn_overlap"):
        if trained[key] is None:
            assert of_run["fidelity"]["float"][key] is None
        else:
            assert of_run["fidelity"]["float"][key] == pytest.approx(trained[key], abs=2e-3)
    assert of_run["fidelity"]["float"]["frames"] == trained["frames"]


def test_fidelity_is_of_held_out_clips_alone(of_run, finished_run, small_bundle):
    """Worked out again from the files: the held-out rows, by their clips."""
    split = json.loads((finished_run / "split.json").read_text())
    domain = Store.open(finished_run / "domain")
    rows = np.flatnonzero(np.isin(domain.column("clip"), split["held-out"]))
    reducer = Run.open(finished_run).part("held-out").reducer
    target = reducer.transform(domain.rows("embedding", rows))
    for kind in ("float", "int8"):
        model = open_interpreter(small_bundle / f"model_{kind}.tflite")
        embedding = model.run(domain.rows("patch", rows).astype(np.float32)).reshape(len(rows), -1)
        expected = fidelity(target, embedding)
        for key, value in expected.items():
            assert of_run["fidelity"][kind][key] == pytest.approx(value, abs=1e-6)


def test_a_bundle_scores_as_its_run_does(of_run, small_bundle, street):
    of_bundle = evaluate(small_bundle, str(street))
    assert of_bundle["fidelity"] == of_run["fidelity"]
    assert of_bundle["task"] == of_run["task"]


def test_other_data_is_looked_at_as_a_whole_and_embedded_once(finished_run, elsewhere, monkeypatch):
    result = evaluate(finished_run, str(elsewhere))
    assert result["fidelity"]["on"] == "all frames"
    assert result["fidelity"]["float"]["frames"] == result["data"]["frames"] == 32 * 3
    assert result["task"]["recordings"] == 16

    def never(*_):
        raise AssertionError("embedded again")

    monkeypatch.setattr(module.Pairing, "embeddings", never)
    assert evaluate(finished_run, str(elsewhere)) == result


def test_further_models_are_scored_on_the_same_task(finished_run, elsewhere, street, of_run):
    """Also one that is the run's own teacher."""
    for data in (elsewhere, street):
        result = evaluate(finished_run, str(data), compare=["demo"])
        assert result["task"]["compared"]["demo"] == pytest.approx(result["task"]["teacher"], abs=1e-9)
        assert result["task"]["sd"].keys() == {"teacher", "float", "int8", "demo"}


def lost(bundle, folder):
    """The bundle as it is on another machine: its run is not there."""
    shutil.copytree(bundle, folder)
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["provenance"]["run"] = "/absent/run"
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder


def test_a_bundle_without_its_run_still_has_a_task(tmp_path, small_bundle, street, of_run):
    result = evaluate(lost(small_bundle, tmp_path / "b"), str(street))
    assert result["fidelity"] is None
    assert result["task"]["teacher"] is None
    for kind in ("float", "int8"):
        assert result["task"][kind] == pytest.approx(of_run["task"][kind], abs=0.15)
    assert sorted(each.name for each in (tmp_path / "b").iterdir()) == sorted(
        each.name for each in small_bundle.iterdir()
    )


def test_without_labels_or_with_one_class_there_is_fidelity_and_no_task(tmp_path, finished_run, elsewhere):
    unlabelled, one_class = tmp_path / "unlabelled", tmp_path / "one"
    shutil.copytree(elsewhere / "audio", unlabelled)
    shutil.copytree(elsewhere / "audio", one_class / "sounds")
    for folder in (unlabelled, one_class):
        result = evaluate(finished_run, str(folder))
        assert result["task"] is None
        assert result["fidelity"]["float"]["r2"] is not None


def test_few_clips_of_many_classes_are_scored_all_the_same(tmp_path, finished_run):
    synthesiser.synthesise(tmp_path / "in", 8, seed=78, seconds=1.0, takes=1)
    task = evaluate(finished_run, str(tmp_path / "in"))["task"]
    assert (task["clips"], task["classes"]) == (8, 8)
    assert task["teacher"] == 0  # no class is on both sides


def test_clips_with_several_labels_are_scored_by_precision_and_recall(tmp_path, finished_run, elsewhere):
    shutil.copytree(elsewhere, tmp_path / "in")
    table = tmp_path / "in" / "clips.csv"
    with open(table, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    for row in rows[::2]:
        row["labels"] += ";dog"
    with open(table, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    manifest = datasets.load(tmp_path / "in")
    assert manifest.multilabel
    result = evaluate(finished_run, str(tmp_path / "in"))
    assert result["task"]["metric"] == "micro_auprc"
    assert 0 < result["task"]["float"] <= 1


def test_what_cannot_be_evaluated(tmp_path, street, finished_run, small_bundle):
    with pytest.raises(UsageError, match=r"is not a run: make one with `edgesea distill`"):
        evaluate(tmp_path, str(street))
    with pytest.raises(UsageError, match="There is no data at /absent"):
        evaluate(finished_run, "/absent")
    with pytest.raises(UsageError, match="There is no teacher at other"):
        evaluate(finished_run, str(street), compare=["other.tflite"])
    shutil.copytree(small_bundle, tmp_path / "b")
    manifest = json.loads((tmp_path / "b" / "manifest.json").read_text())
    manifest["frontend"] = None
    (tmp_path / "b" / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UsageError, match="does not say which frontend makes its patches: evaluate the run"):
        evaluate(tmp_path / "b", str(street))
