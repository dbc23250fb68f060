"""Evaluation of runs and bundles: float and int8 on the same frames, beside the teacher, by recording."""

import csv
import json
import shutil

import numpy as np
import pytest
import soundfile

from edgesea import datasets
from edgesea.datasets import street as synthesiser
from edgesea.errors import UsageError
from edgesea.evaluation import evaluate as module
from edgesea.evaluation.evaluate import evaluate
from edgesea.evaluation.heads import SplitTask, Task
from edgesea.interpreter import open_interpreter
from edgesea.measures.fidelity import fidelity
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
    # Nothing but the answer is left there.
    assert {each.name for each in (tmp_path / "b").iterdir()} == {
        "results",
        *(each.name for each in small_bundle.iterdir()),
    }


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
    del manifest["files"]["frontend.json"]
    (tmp_path / "b" / "frontend.json").unlink()
    (tmp_path / "b" / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(UsageError, match="does not say which frontend makes its patches: evaluate the run"):
        evaluate(tmp_path / "b", str(street))


def test_fidelity_in_domain_and_outside_with_the_distillation_set_beside_it(finished_run, elsewhere, of_run):
    """Every part worked out again from the run's own files, and from the other sound."""
    run = Run.open(finished_run)
    inside = of_run["fidelity"]["parts"]
    assert [(part["part"], part["in_domain"]) for part in inside] == [
        ("distillation set", True),
        ("held-out recordings", True),
    ]
    assert {key: inside[1][key] for key in ("float", "int8")} == {
        key: of_run["fidelity"][key] for key in ("float", "int8")
    }
    examples = Store.open(run.examples)
    reducer = run.part("held-out").reducer
    student = run.load_student()
    target = reducer.transform(examples.column("embedding"))
    embedding = student.predict(examples.column("patch").astype(np.float32), verbose=0)
    for key, value in fidelity(target, embedding).items():
        assert inside[0]["float"][key] == pytest.approx(value, abs=1e-4)

    both = evaluate(finished_run, str(elsewhere))["fidelity"]["parts"]
    assert [(part["part"], part["in_domain"]) for part in both] == [
        ("distillation set", True),
        ("held-out recordings", True),
        ("all frames", False),
    ]
    assert both[:2] == inside
    for part in both[1:]:
        for kind in ("float", "int8"):
            for figure, interval in part[kind]["intervals"].items():
                if figure == "cka":
                    continue  # Recordings that are drawn twice are alike: of few it lies above.
                assert interval["low"] - 1e-9 <= part[kind][figure] <= interval["high"] + 1e-9


def test_without_the_augmented_frames_the_distillation_set_is_left_out(tmp_path, finished_run, street):
    shutil.copytree(finished_run, tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "examples")
    parts = evaluate(tmp_path / "run", str(street))["fidelity"]["parts"]
    assert [part["part"] for part in parts] == ["held-out recordings"]


def test_intervals_are_the_recordings_of_the_run_even_where_its_data_is_gone(
    tmp_path, finished_run, elsewhere, of_run
):
    """Then clips stand for recordings: never a sentence in the way."""
    shutil.copytree(finished_run, tmp_path / "run")
    config = tmp_path / "run" / "config.toml"
    text = config.read_text()
    data = Run.open(finished_run).config.data
    assert data in text
    config.write_text(text.replace(data, str(tmp_path / "gone")))
    part = evaluate(tmp_path / "run", str(elsewhere))["fidelity"]["parts"][1]
    assert part["float"]["r2"] == of_run["fidelity"]["float"]["r2"]
    assert part["float"]["intervals"]["r2"]["low"] <= part["float"]["r2"] + 1e-9


# Keras and TFLite round differently, and neighbours that are about as far change places.
ROUNDING = {"r2": 1e-4, "cosine": 1e-4, "cka": 1e-4, "knn_overlap": 5e-3, "frames": 0}


@pytest.fixture
def half_silent(tmp_path, elsewhere):
    """All clips are silent before the first second ends, so the third of their three frames is."""
    shutil.copytree(elsewhere, tmp_path / "in")
    for file in (tmp_path / "in" / "audio").iterdir():
        sound, rate = soundfile.read(file)
        sound[rate * 9 // 10 :] = 0  # resampling rings a little further
        soundfile.write(file, sound, rate)
    return tmp_path / "in"


def of_sounding_frames(data, finished_run):
    """Fidelity of the float student worked out again, on the frames that begin before the silence."""
    fingerprint = datasets.load(data).fingerprint
    (folder,) = (finished_run / "evaluation").glob(f"{fingerprint[:16]}/*")
    frames, run = Store.open(folder), Run.open(finished_run)
    rows = np.flatnonzero(frames.column("start") < 0.9)
    target = run.part("held-out").reducer.transform(frames.rows("embedding", rows))
    heard = run.load_student().predict(frames.rows("patch", rows).astype(np.float32), verbose=0)
    return fidelity(target, heard)


def test_silence_is_left_out_and_counted(half_silent, finished_run):
    (part,) = evaluate(finished_run, str(half_silent))["fidelity"]["parts"][2:]
    assert (part["part"], part["float"]["frames"], part["silent"]) == ("all frames", 64, 32)
    for figure, value in of_sounding_frames(half_silent, finished_run).items():
        assert part["float"][figure] == pytest.approx(value, abs=ROUNDING[figure])


def test_silence_is_left_out_beside_the_whole_where_the_run_kept_it(tmp_path, half_silent, finished_run):
    shutil.copytree(finished_run, tmp_path / "run")
    config = tmp_path / "run" / "config.toml"
    config.write_text(config.read_text().replace("keep_silence = false", "keep_silence = true"))
    whole, sounding = evaluate(tmp_path / "run", str(half_silent))["fidelity"]["parts"][-2:]
    assert (whole["part"], sounding["part"]) == ("all frames", "all frames without silence")
    assert (whole["float"]["frames"], sounding["float"]["frames"]) == (96, 64)
    for figure, value in of_sounding_frames(half_silent, tmp_path / "run").items():
        assert sounding["float"][figure] == pytest.approx(value, abs=ROUNDING[figure])


def test_silent_frames_are_not_in_the_mean_of_a_clip():
    values = np.array([[1.0], [3.0], [100.0], [5.0], [7.0]])
    clip, counted = np.array([0, 0, 0, 1, 2]), np.array([True, True, False, True, True])
    parts = [(values[:2], clip[:2]), (values[2:], clip[2:])]
    np.testing.assert_array_equal(module._means(parts, counted, [0, 2]), [[2.0], [7.0]])


def with_folds(source, target, folds, second_label=False):
    """The street with a fold for every clip, dealt out by recording, and overlapping labels if wanted."""
    shutil.copytree(source, target)
    table = target / "clips.csv"
    with open(table, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    recordings = list(dict.fromkeys(row["group"] for row in rows))
    for row in rows:
        row["fold"] = str(folds[recordings.index(row["group"]) % len(folds)])
        if second_label and recordings.index(row["group"]) % 3 == 0:
            row["labels"] = ";".join(sorted({row["labels"], "dog"}))
    with open(table, "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, rows[0].keys())
        writer.writeheader()
        writer.writerows(rows)
    return target


@pytest.fixture
def small_heads(monkeypatch):
    """One shape of head, 50 resamples: what heads and intervals are is tested elsewhere."""
    score = SplitTask.score
    monkeypatch.setattr(
        SplitTask,
        "score",
        lambda self, bags, pooling: score(self, bags, pooling, shapes=((0, 128),), resamples=50),
    )


def test_data_with_splits_of_its_own_gets_trained_heads_on_them(
    tmp_path, finished_run, elsewhere, small_heads
):
    data = with_folds(elsewhere, tmp_path / "in", [0, 1, 2, 0])
    task = evaluate(finished_run, str(data))["task"]
    clips = datasets.load(data).clips
    assert task["metric"] == "accuracy"
    assert task["clips"] == sum(clip.fold == 2 for clip in clips)  # tested, and no other
    assert task.keys() >= {"teacher", "float", "int8", "intervals", "per_class", "figures"}
    for name in ("teacher", "float", "int8"):
        interval = task["intervals"][name]
        assert interval["low"] - 1e-9 <= task[name] <= interval["high"] + 1e-9
        assert task["per_class"][name].keys() == set(datasets.load(data).labels)
    # Asked for, the other head is cross-validated over all clips.
    assert evaluate(finished_run, str(data), head="logistic")["task"]["clips"] == len(clips)


def test_overlapping_labels_with_folds_get_auto_pool(tmp_path, finished_run, elsewhere, small_heads):
    data = with_folds(elsewhere, tmp_path / "in", [1, 2, 3], second_label=True)
    task = evaluate(finished_run, str(data))["task"]
    assert task["metric"] == "micro_auprc"
    assert task["figures"]["int8"].keys() == {"micro_auprc", "macro_auprc"}
    assert "auto-pool" in task["head"]
    assert task["clips"] == 32  # three folds, each tested once


def test_heads_that_the_data_is_not_made_for(tmp_path, finished_run, street, elsewhere):
    with pytest.raises(UsageError, match="There is no head 'svm': choose one of auto, logistic, mlp, mil"):
        evaluate(finished_run, str(street), head="svm")
    with pytest.raises(UsageError, match="needs a fold for every clip and three folds at least"):
        evaluate(finished_run, str(street), head="mlp")
    with pytest.raises(UsageError, match="three folds at least, and the data has 2 and 0 clips without"):
        evaluate(finished_run, str(with_folds(elsewhere, tmp_path / "in", [1, 2])), head="mil")
    shutil.copytree(elsewhere / "audio", tmp_path / "unlabelled")
    with pytest.raises(
        UsageError, match=r"--head logistic needs labels, and no clip of .*unlabelled has one"
    ):
        evaluate(finished_run, str(tmp_path / "unlabelled"), head="logistic")
