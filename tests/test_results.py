"""Answers are kept in the run or bundle that they are about, and read back through one door."""

import json
import shutil

import pytest

from edgesea import datasets, results
from edgesea.devices import measure
from edgesea.devices.compare import load
from edgesea.errors import EdgeseaError, UsageError
from edgesea.evaluation.evaluate import evaluate
from edgesea.exporting import write_bundle
from edgesea.fitting import fit
from edgesea.progress import Progress


class Told(Progress):
    """Remembers what was said."""

    def __init__(self):
        self.lines = []

    def say(self, text):
        self.lines.append(text)


@pytest.fixture
def bundle(small_bundle, tmp_path):
    """A copy, with nothing measured yet."""
    folder = shutil.copytree(small_bundle, tmp_path / "bundle")
    shutil.rmtree(folder / "results", ignore_errors=True)
    return folder


def kept(folder) -> list[str]:
    return sorted(each.name for each in (folder / "results").iterdir())


def test_each_answer_has_its_file_in_the_bundle(bundle, street):
    fingerprint = datasets.load(street).fingerprint[:8]
    evaluated = evaluate(bundle, str(street))
    one = measure(bundle, runs=3)
    two = measure(bundle, runs=3, threads=2)
    fitted = fit(bundle)
    names = [f"{results.bench_name(each)}.json" for each in (one, two)]
    assert names[0] != names[1]
    assert kept(bundle) == sorted([f"evaluation-street-{fingerprint}.json", "fit.json", *names])
    assert results.of_bundle(bundle, "evaluation") == [evaluated]
    assert sorted(each["latency_ms"]["threads"] for each in results.of_bundle(bundle, "bench")) == [1, 2]
    assert results.of_bundle(bundle, "fit") == [json.loads(json.dumps(fitted))]
    assert load(bundle / "results" / names[0])["latency_ms"] == one["latency_ms"]
    for kind, answer in (("evaluation", evaluated), ("measurement", one), ("fit", fitted)):
        assert (answer["format"], answer["format_version"]) == (f"edgesea {kind}", 1)
    # The same question again is the same file.
    measure(bundle, runs=4)
    assert len(kept(bundle)) == 4
    assert sorted(each["latency_ms"]["n"] for each in results.of_bundle(bundle, "bench")) == [3, 4]


def test_a_run_keeps_its_evaluations(finished_run, street):
    answer = evaluate(finished_run, str(street))
    name = f"street-{answer['data']['fingerprint'][:8]}.json"
    assert results.read(finished_run / "evaluation" / name, "evaluation") == answer
    assert answer in results.of_run(finished_run)


def test_export_replaces_a_bundle_with_its_answers_but_nothing_else(bundle):
    fit(bundle)
    model = (bundle / "model_float.tflite").read_bytes()
    (bundle / "results" / "notes.txt").write_text("mine")
    with pytest.raises(UsageError, match=r"results/notes.txt is not part of the bundle there"):
        write_bundle(bundle, name="new", float_=model)
    (bundle / "results" / "notes.txt").unlink()
    (bundle / "results" / "bench-mine.json").write_text("{}")
    with pytest.raises(UsageError, match=r"results/bench-mine.json is not part of the bundle there"):
        write_bundle(bundle, name="new", float_=model)
    (bundle / "results" / "bench-mine.json").unlink()
    write_bundle(bundle, name="new", float_=model)
    assert not (bundle / "results").exists()


def test_where_nothing_can_be_written_the_answer_is_given_all_the_same(bundle):
    (bundle / "results").write_text("in the way")
    told = Told()
    assert fit(bundle, progress=told)["boards"]
    assert len(told.lines) == 1
    assert told.lines[0].startswith(f"The answer is not kept in {bundle}/results/fit.json (")
    assert (bundle / "results").read_text() == "in the way"


def test_a_run_that_cannot_be_written_to_is_evaluated_all_the_same(finished_run, street, tmp_path):
    """On other sound, whose frames have to be put somewhere."""
    from edgesea.datasets import street as synthesiser

    run = shutil.copytree(finished_run, tmp_path / "run", ignore=shutil.ignore_patterns("evaluation"))
    (run / "evaluation").write_text("in the way")
    synthesiser.synthesise(tmp_path / "elsewhere", 8, seed=9, seconds=1.5, takes=1)
    told = Told()
    answer = evaluate(run, str(tmp_path / "elsewhere"), progress=told)
    assert answer["fidelity"]["on"] == "all frames"
    assert next(line for line in told.lines if "not kept" in line).startswith("The answer is not kept in ")
    assert (run / "evaluation").read_text() == "in the way"


def test_a_link_in_a_strangers_bundle_leads_nowhere(bundle, tmp_path):
    outside = tmp_path / "outside"
    outside.mkdir()
    (bundle / "results").symlink_to(outside)
    told = Told()
    assert fit(bundle, progress=told)["boards"]
    assert list(outside.iterdir()) == []
    assert told.lines == [f"The answer is not kept: {bundle}/results is a link"]
    assert results.of_bundle(bundle, "fit") == []


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        ({"format_version": 2}, r"results/fit.json is not as it should be: format_version is not valid"),
        ({"boards": "all"}, r"boards is not valid, .*, received 'all': ask again, with `edgesea evaluate`"),
    ],
)
def test_a_damaged_answer_is_a_sentence(bundle, change, sentence):
    file = bundle / "results" / "fit.json"
    fit(bundle)
    file.write_text(json.dumps({**json.loads(file.read_text()), **change}))
    with pytest.raises(EdgeseaError, match=sentence):
        results.of_bundle(bundle, "fit")


def test_what_could_not_be_read_back_is_not_written(tmp_path):
    told = Told()
    assert results.keep(tmp_path, "results/fit.json", "fit", {"format": "edgesea fit"}, told) is None
    assert told.lines[0].startswith("The answer is not kept: The file ")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["../../x", "a/b", "\u202e", "..", "x" * 500, "Straße 5"])
def test_any_name_of_data_is_a_name_of_a_file(name):
    found = results.evaluation_name({"name": name, "fingerprint": "0123456789abcdef"})
    assert "/" not in found
    assert not found.startswith(".")
    assert results.kind_of(f"evaluation-{found}.json") == "evaluation"


def test_a_measurement_of_before_versions_still_reads(tmp_path):
    file = tmp_path / "old.json"
    file.write_text(json.dumps({"device": "host", "engine": "TFLite", "conditions": {}}))
    assert load(file)["device"] == "host"
