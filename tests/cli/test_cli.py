"""The command line: what it answers, with which code, on which stream, and how fast."""

import json
import re
import resource
import shutil
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from click.testing import CliRunner
from small_run import SMALL

from edgesea import __version__
from edgesea.cli import COMMANDS, edgesea, main
from edgesea.exporting import load_bundle
from edgesea.run import Run


class Answer:
    def __init__(self, code, out, err):
        self.code, self.out, self.err = code, out, err


@pytest.fixture
def call(capsys):
    """Calls the console script's function in this process."""

    def run(*arguments):
        capsys.readouterr()
        with pytest.raises(SystemExit) as end:
            main([str(each) for each in arguments])
        code = end.value.code or 0
        return Answer(code, *capsys.readouterr())

    return run


def assert_one_sentence(answer, code, *parts):
    assert answer.code == code, answer.err
    assert answer.out == ""
    lines = answer.err.strip().splitlines()
    assert lines[-1].startswith("edgesea: ")
    # Click shows the usage before a wrong option; nothing else comes before the sentence.
    assert all(line.startswith("Usage: ") for line in lines[:-1])
    assert "Traceback" not in answer.err
    for part in parts:
        assert part in lines[-1]


PROBE = """
import sys
from edgesea.cli import main
try:
    main({arguments})
finally:
    print(*sys.modules, file=sys.stderr)
"""


def test_help_comes_at_once_and_without_tensorflow():
    """In seconds of the processor, which other work on the machine hardly moves; best of three."""
    took = []
    for _ in range(3):
        before = resource.getrusage(resource.RUSAGE_CHILDREN)
        done = subprocess.run(
            [sys.executable, "-m", "edgesea", "--help"], capture_output=True, text=True, check=True
        )
        after = resource.getrusage(resource.RUSAGE_CHILDREN)
        took.append(after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime)
    for name in COMMANDS:
        assert re.search(rf"^  {name} ", done.stdout, re.MULTILINE)
    assert min(took) < 0.5


@pytest.mark.parametrize("arguments", [["--help"], ["distill", "--help"], ["evaluate", "--help"]])
def test_help_imports_nothing_heavy(arguments):
    program = PROBE.format(arguments=arguments)
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("Usage: edgesea")
    loaded = set(done.stderr.split())
    assert "edgesea.cli" in loaded
    assert not loaded & {"tensorflow", "keras", "librosa", "sklearn", "pyarrow", "ai_edge_litert", "onnx"}


def test_every_command_explains_itself(call):
    for name, line in COMMANDS.items():
        answer = call(name, "--help")
        assert answer.code == 0
        assert answer.out.startswith(f"Usage: edgesea {name}")
        assert line
    assert "--debug" in call("--help").out
    assert call("--version").out.split() == ["edgesea,", "version", __version__]


def test_a_module_of_each_name_holds_the_command():
    for name in COMMANDS:
        command = edgesea.get_command(None, name)
        assert command.name == name
    assert CliRunner().invoke(edgesea, ["--help"]).exit_code == 0


@pytest.mark.parametrize(
    ("arguments", "parts"),
    [
        (["distil"], ["distil"]),
        (["distill", "--epoch", "3"], ["--epoch"]),
        (["distill", "--epochs", "many"], ["--epochs", "many"]),
        (["bench", "--threads", "0"], ["--threads"]),
        (["embed", "--data", "x"], ["--teacher"]),
        (["--colour"], ["--colour"]),
    ],
)
def test_a_call_that_click_refuses_is_one_sentence(call, arguments, parts):
    assert_one_sentence(call(*arguments), 2, *parts)


def test_nothing_given_shows_the_help(call):
    answer = call()
    assert answer.code in (0, 2)
    assert "distill" in answer.out + answer.err


@pytest.fixture
def nowhere(tmp_path, monkeypatch):
    """An empty folder, without an edgesea.toml."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_what_is_missing_is_named(call, nowhere):
    assert_one_sentence(call("distill"), 2, "No teacher was given: say --teacher", "edgesea init")
    assert_one_sentence(call("distill", "--teacher", "demo"), 2, "No data was given: say --data")
    assert_one_sentence(call("distill", "--teacher", "demo", "--data", "."), 2, "say --out")
    for command in ("evaluate", "export", "bench"):
        assert_one_sentence(call(command), 2, "There is no edgesea.toml here", "edgesea init")
    assert_one_sentence(call("export", "run"), 2, "No folder for the bundle was given: say --out")
    assert list(nowhere.iterdir()) == []


@pytest.mark.parametrize(
    ("option", "value", "parts"),
    [
        ("--teacher", "absent.keras", ["There is no teacher at", "absent.keras"]),
        ("--data", "absent", ["There is no data at", "give a folder of audio"]),
        ("--student", "separable-xl", ["Unknown student 'separable-xl'", "separable-m"]),
        ("--sampler", "dice", ["Unknown sampler 'dice'", "random"]),
        ("--reducer", "tsne", ["Unknown reducer 'tsne'", "pca"]),
        ("--objective", "see", ["Unknown objective 'see'", "sea"]),
        ("--frontend", "yamnet-8k", ["yamnet-8k", "yamnet-16k"]),
        ("--teacher-frontend", "mel", ["mel", "yamnet-16k"]),
        ("--epochs", "0", ["Received epochs = 0: give a whole number of at least 1"]),
        ("--dim", "-1", ["Received dim = -1: give a whole number of at least 1"]),
        ("--seed", "-1", ["Received seed = -1"]),
        ("--hop", "0", ["Received hop = 0.0: give a number above 0"]),
        ("--learning-rate", "nan", ["Received learning_rate = nan"]),
        ("--max-bad-frames", "2", ["Received max_bad_frames = 2.0: give a share from 0 to 1."]),
        ("--config", "absent.toml", ["The file absent.toml cannot be read (No such file or directory)"]),
    ],
)
def test_a_wrong_value_is_one_sentence_and_writes_nothing(call, nowhere, street, option, value, parts):
    options = {"--teacher": "demo", "--data": street, "--out": "run"} | {option: value}
    answer = call("distill", *(each for pair in options.items() for each in pair))
    assert_one_sentence(answer, 2, *parts)
    assert list(nowhere.iterdir()) == []


def test_a_domain_without_usable_sound_is_a_failure_in_one_sentence(call, nowhere):
    (nowhere / "in").mkdir()
    for k in range(6):
        (nowhere / "in" / f"{k}.wav").write_bytes(b"")
    answer = call("distill", "--teacher", "demo", "--data", "in", "--out", "run")
    assert answer.code == 1
    last = answer.err.strip().splitlines()[-1]
    assert last.startswith("edgesea: Nothing in ")
    assert "0.wav: empty" in last
    assert "Traceback" not in answer.err


def test_another_option_on_a_runs_folder_is_refused(call, street, finished_run):
    answer = call("distill", "--data", street, "--out", finished_run, *SMALL, "--epochs", "7")
    assert answer.code == 2
    assert answer.err.strip().splitlines()[-1] == (
        f"edgesea: {finished_run} holds a run with epochs = 4, and this call says epochs = 7: "
        "choose another --out, or delete that folder."
    )


def test_a_file_in_the_way_is_said(call, nowhere, street):
    (nowhere / "file").write_text("x")
    answer = call("distill", "--teacher", "demo", "--data", street, "--out", nowhere / "file" / "run")
    assert answer.code == 1
    assert re.search(r"^edgesea: Cannot use .*file.* \(Not a directory\)", answer.err, re.MULTILINE)
    answer = call("embed", "--teacher", "demo", "--data", street, "--out", nowhere / "file")
    assert_one_sentence(answer, 2, "is not empty and not a store")


@pytest.mark.parametrize("where", ["before", "behind"])
def test_debug_shows_where_an_error_arose(nowhere, where):
    call = ["evaluate", "absent", "--data", "absent"]
    call = ["--debug", *call] if where == "before" else [*call, "--debug"]
    done = subprocess.run(
        [sys.executable, "-m", "edgesea", *call], capture_output=True, text=True, check=False
    )
    assert "Traceback (most recent call last)" in done.stderr
    assert "edgesea.errors.UsageError: There is no data at absent" in done.stderr
    assert done.returncode != 0


def test_an_unexpected_error_is_one_sentence_too(call, monkeypatch, street):
    from edgesea.evaluation import evaluate

    def broken(*_, **__):
        raise ZeroDivisionError("one\ntwo")

    monkeypatch.setattr(evaluate, "evaluate", broken)
    answer = call("evaluate", "run", "--data", street)
    assert answer.code == 1
    assert answer.err == (
        "edgesea: Unexpected ZeroDivisionError (one): call again with --debug to see where it arose.\n"
    )
    with pytest.raises(ZeroDivisionError):
        main(["--debug", "evaluate", "run", "--data", str(street)])


def test_too_little_memory_is_one_sentence(call, monkeypatch, street):
    from edgesea.evaluation import evaluate

    def large(*_, **__):
        raise MemoryError

    monkeypatch.setattr(evaluate, "evaluate", large)
    answer = call("evaluate", "run", "--data", street)
    assert answer.code == 1
    assert answer.err == (
        "edgesea: Ran out of memory: close other programs, or give less at once, and run it again.\n"
    )


def test_stopped_by_hand_it_says_how_to_go_on(call, monkeypatch, street):
    from edgesea.evaluation import evaluate

    def interrupted(*_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(evaluate, "evaluate", interrupted)
    answer = call("evaluate", "run", "--data", street)
    assert answer.code == 1
    assert answer.err.strip() == "edgesea: Stopped: call the same again to go on."


def test_json_is_all_there_is_on_standard_output(call, street, finished_run, small_bundle):
    """--json of each command that has a result; bars and words go to standard error."""
    distilled = json.loads(call("distill", "--data", street, "--out", finished_run, *SMALL, "--json").out)
    assert distilled["run"] == str(finished_run)
    assert distilled["fidelity"] == Run.open(finished_run).results()["fidelity"]
    evaluated = json.loads(call("evaluate", finished_run, "--data", street, "--json").out)
    assert {"r2", "cosine", "knn_overlap"} <= evaluated["fidelity"]["float"].keys()
    assert {"r2", "cosine", "knn_overlap"} <= evaluated["fidelity"]["int8"].keys()
    assert {"metric", "teacher", "float", "int8"} <= evaluated["task"].keys()
    measured = json.loads(call("bench", small_bundle, "--device", "host", "--runs", "5", "--json").out)
    assert {"device", "engine", "storage", "activation", "latency_ms", "conditions"} <= measured.keys()
    assert {"model_bytes", "weight_bytes"} <= measured["storage"].keys()
    assert {"largest_tensor_bytes", "peak_bytes", "peak_operator"} <= measured["activation"].keys()
    assert {"n", "median", "p95"} <= measured["latency_ms"].keys()


def test_the_screen_says_the_same_as_json(call, street, finished_run):
    held = json.loads(call("evaluate", finished_run, "--data", street, "--json").out)
    shown = call("evaluate", finished_run, "--data", street).out
    for kind in ("float", "int8"):
        assert f"{held['fidelity'][kind]['cosine']:.3f}" in shown
        low, high = (held["task"]["intervals"][kind][end] for end in ("low", "high"))
        assert f"{held['task'][kind]:.3f} [{low:.3f}, {high:.3f}]" in shown
    assert all(f"in domain, {part['part']} (" in shown for part in held["fidelity"]["parts"])
    assert held["task"]["head"].split(",")[0] in shown


def test_embed_makes_a_store(call, nowhere, street):
    answer = call("embed", "--teacher", "demo", "--data", street, "--out", "store", "--json")
    assert answer.code == 0
    held = json.loads(answer.out)
    assert (held["clips"], held["skipped"]) == (32, 0)
    again = call("embed", "--teacher", "demo", "--data", street, "--out", "store")
    assert again.out == (
        f"{held['frames']} frames of 32 clips in store, {held['dimension']}-d; 0 clips set aside\n"
    )
    answer = call("embed", "--teacher", "demo", "--data", street, "--out", "store", "--hop", "0.1")
    assert_one_sentence(answer, 2, "was made with another hop")


def test_an_int8_model_below_the_threshold_is_no_bundle(call, tmp_path, finished_run):
    answer = call(
        "export", finished_run, "--out", tmp_path / "b", "--int8", "--no-onnx", "--min-cosine", "1.1"
    )
    # Seconds of training teach nothing: int8 is not blamed for it.
    assert_one_sentence(answer, 1, "The float student learnt nothing that int8 could keep", "train longer")
    assert not (tmp_path / "b").exists()


def test_the_bare_words_of_a_project(call, nowhere, street, deterministic):
    """All that the words need is in edgesea.toml, and what was chosen from it is said."""
    shutil.copytree(street, nowhere / "recordings")
    assert call("init").code == 0
    assert_one_sentence(call("init"), 2, "edgesea.toml is there already")
    text = (nowhere / "edgesea.toml").read_text()
    small = 'student = "separable-s"\ndim = 8\nframes = 96\nepochs = 1\nbatch = 32\n'
    (nowhere / "edgesea.toml").write_text(text.replace('student = "separable-m"\n', small))

    answer = call("distill")
    assert answer.code == 0, answer.err
    assert (
        f"edgesea.toml: teacher demo, data {nowhere / 'recordings'}, run {nowhere / 'runs' / '001'}"
        in answer.err
    )
    run = Run.open(nowhere / "runs" / "001")
    assert (run.config.student.name, run.config.dim, run.config.epochs) == ("separable-s", 8, 1)

    answer = call("evaluate", "--json")
    assert json.loads(answer.out)["target"] == str(nowhere / "runs" / "001")
    assert "edgesea.toml: " in answer.err

    answer = call("export", "--int8", "--no-onnx", "--min-cosine", "-1", "--min-r2", "-1e9")
    assert answer.code == 0, answer.err
    assert f"edgesea.toml: {run.folder} to {nowhere / 'bundles' / '001'}" in answer.err
    bundle = load_bundle(nowhere / "bundles" / "001")
    assert bundle.int8.is_file()
    assert bundle.float.is_file()
    assert bundle.onnx is None
    assert bundle.manifest["provenance"]["run"] == str(run.folder)
    assert bundle.manifest["c_model"]["arena_bytes"] > 0

    answer = call("bench", "--runs", "3", "--json", "--out", "measurement.json")
    assert json.loads(answer.out)["latency_ms"]["n"] == 3
    assert f"measuring {bundle.path} on host" in answer.err
    assert json.loads((nowhere / "measurement.json").read_text()) == json.loads(answer.out)


def test_a_project_that_lacks_something_says_so(call, nowhere):
    (nowhere / "edgesea.toml").write_text('teacher = "demo"\n')
    answer = call("distill")
    assert answer.code == 2
    assert answer.err.strip().splitlines()[-1].startswith("edgesea: No data was given: say --data")
    (nowhere / "edgesea.toml").write_text("[distill]\nepoch = 3\n")
    answer = call("distill", "--teacher", "demo", "--data", ".")
    assert answer.code == 2
    assert "Unknown option 'epoch'" in answer.err
    assert_one_sentence(call("export"), 2, "There is no finished run in")
    assert_one_sentence(call("bench"), 2, "There is no bundle in")
    assert [each.name for each in nowhere.iterdir()] == ["edgesea.toml"]


def test_any_int8_tflite_is_welcome(call, nowhere, small_bundle):
    shutil.copy(small_bundle / "model_int8.tflite", nowhere / "other.tflite")
    answer = call("export", "other.tflite", "--out", "b", "--json")
    assert answer.code == 0, answer.err
    assert json.loads(answer.out)["name"] == "other"
    answer = call("bench", "other.tflite", "--runs", "3", "--json")
    assert json.loads(answer.out)["storage"]["model_bytes"] == (nowhere / "other.tflite").stat().st_size
    (nowhere / "noise.tflite").write_bytes(np.random.default_rng(0).bytes(500))
    for command in (("export", "noise.tflite", "--out", "c"), ("bench", "noise.tflite", "--device", "host")):
        answer = call(*command)
        assert answer.code == 1
        assert "noise.tflite" in answer.err
        assert "Traceback" not in answer.err
    assert not (nowhere / "c").exists()


def test_a_name_never_becomes_a_command(call, nowhere):
    """Folders and files called like shell text are folders and files."""
    name = "$(touch pwned); `touch pwned` & | 'x"
    (nowhere / name).mkdir()
    soundfile.write(
        nowhere / name / "a;touch pwned.wav", np.random.default_rng(0).normal(0, 0.1, 16_000), 16_000
    )
    answer = call("embed", "--teacher", "demo", "--data", name, "--out", f"{name}/store")
    assert answer.code == 0, answer.err
    assert not list(nowhere.rglob("pwned"))


@pytest.mark.parametrize("word", ["keep-silence", "fresh"])
def test_switches_of_a_distillation_reach_its_configuration(tmp_path, monkeypatch, word):
    """On, off, and as it is by default or in the file where neither is said."""
    from edgesea.cli.distill import distill

    asked = []
    monkeypatch.setattr("edgesea.distillation.distill", lambda config, out, **others: asked.append(config))
    file = tmp_path / "config.toml"
    file.write_text(f'teacher = "demo"\ndata = "x"\n{word.replace("-", "_")} = true\n')
    for arguments in ([], [f"--{word}"], ["--config", str(file)], ["--config", str(file), f"--no-{word}"]):
        given = ["--teacher", "demo", "--data", "x", "--out", str(tmp_path / "run"), *arguments]
        CliRunner().invoke(distill, given)
    assert [getattr(config, word.replace("-", "_")) for config in asked] == [False, True, True, False]
