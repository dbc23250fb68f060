"""A whole search on synthesised sound: what it leaves behind, killed and gone on with; what it refuses."""

import json
import signal
import time

import pytest
from click.testing import CliRunner

from edgesea.cli import edgesea
from edgesea.formats.search import Result
from edgesea.run import Run

SMALL = (
    *("--board", "nrf52840", "--flash", "128K", "--ram", "64K", "--instructions", "20M"),
    *("--teacher", "demo", "--families", "separable,temporal", "--dim", "16"),
    *("--trial-frames", "128", "--trial-epochs", "2", "--frames", "128", "--epochs", "1"),
    *("--candidates", "3", "--seed", "1"),
)

# Kills the process when its second candidate has learnt for an epoch.
KILL = """
import os, signal
from edgesea import train
real, seen = train._State.save, []
def save(self, course, **how):
    real(self, course, **how)
    seen.append(1)
    if len(seen) == 3:
        os.kill(os.getpid(), signal.SIGKILL)
train._State.save = save
"""


@pytest.fixture(scope="module")
def searched(tmp_path_factory, street, edgesea_process):
    """The folder of a search that was killed and gone on with, and what it said in the end."""
    folder = tmp_path_factory.mktemp("search") / "killed"
    process = edgesea_process("search", *SMALL, "--data", street, "--out", folder, before=KILL)
    process.communicate(timeout=600)
    assert process.returncode == -signal.SIGKILL
    assert not (folder / "result.json").exists()
    assert list((folder / "runs").iterdir())
    # What it looks for lies in its folder.
    process = edgesea_process("search", "--out", folder, "--candidates", "3")
    said, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors
    return folder, said


def tried(folder):
    found = [json.loads(path.read_text()) for path in sorted((folder / "candidates").glob("*.json"))]
    return [{name: value for name, value in each.items() if name != "seconds"} for each in found]


@pytest.mark.slow
def test_killed_and_gone_on_with_it_finds_what_an_undisturbed_one_finds(
    searched, tmp_path, street, edgesea_process
):
    folder, _ = searched
    process = edgesea_process("search", *SMALL, "--data", street, "--out", tmp_path / "whole", "--no-winner")
    _, errors = process.communicate(timeout=600)
    assert process.returncode == 0, errors
    assert tried(folder) == tried(tmp_path / "whole")
    assert not (tmp_path / "whole" / "winner").exists()


def test_it_leaves_a_front_a_picture_and_a_winner_that_is_an_ordinary_run(searched):
    folder, said = searched
    result = Result.model_validate(json.loads((folder / "result.json").read_text()))
    assert sum(count for state, count in result.tried.items() if state in ("trained", "pruned")) == 3
    assert result.winner == result.front[0]
    first = json.loads((folder / "candidates" / "0000.json").read_text())
    assert (first["student"], first["drawn"], first["state"]) == ("separable-s", {}, "trained")
    assert result.winner.score == max(each.score for each in result.front)
    assert (folder / "result.png").read_bytes().startswith(b"\x89PNG")
    assert result.recipe in said.replace("\n", "")
    run = Run.open(folder / "winner")
    assert str(run.config.student).startswith(result.winner.student.split(":")[0])
    assert (run.config.dim, run.config.frames, run.config.epochs) == (result.winner.dimension, 128, 1)
    limits = (128 << 10, 64 << 10, 20_000_000)
    for each in result.front:
        assert all(
            need <= limit
            for need, limit in zip(
                (each.needs.flash, each.needs.ram, each.needs.instructions), limits, strict=True
            )
        )
    # Runs of candidates are not kept; the store that they share is.
    assert not any((folder / "runs").iterdir())
    assert len(list((folder / "store").iterdir())) >= 2


def test_a_finished_search_is_told_again_without_any_work(searched, edgesea_process):
    folder, _ = searched
    before = (folder / "winner" / "student.keras").stat().st_mtime
    process = edgesea_process("search", "--out", folder, "--candidates", "3", "--json")
    said, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    assert json.loads(said) == json.loads((folder / "result.json").read_text())
    assert (folder / "winner" / "student.keras").stat().st_mtime == before
    assert time.time() > before


def refusal(*arguments):
    answer = CliRunner().invoke(edgesea, ["search", *map(str, arguments)])
    assert answer.exception is not None
    return answer.exception


@pytest.mark.parametrize(
    ("changed", "sentence"),
    [
        (("--board", "nrf5284"), "There is no board called 'nrf5284': did you mean nrf52840? Choose one of "),
        (("--hours", "0"), "Received --hours 0: give a number above 0."),
        (("--candidates", "0"), "Received --candidates 0: give at least 1."),
        (
            ("--families", "separable,resnet"),
            "Students of the family 'resnet' are not searched: choose among separable, inverted, ",
        ),
        (("--dim", "16,x"), "Received --dim '16,x': give whole numbers above 0, such as 32,64."),
        (("--trial-epochs", "0"), "Received --trial-epochs 0: give at least 1."),
    ],
)
def test_calls_that_cannot_work(changed, sentence, street, tmp_path):
    error = refusal(*SMALL, "--data", street, "--out", tmp_path / "new", *changed)
    assert str(error).startswith(sentence)
    assert error.exit_code == 2
    assert not (tmp_path / "new").exists()


def test_a_budget_that_nothing_keeps_names_the_smallest_and_what_to_raise(street, tmp_path):
    error = refusal(*SMALL, "--data", street, "--out", tmp_path / "new", "--flash", "56K")
    assert str(error).startswith("Nothing fits: the smallest student, ")
    assert " bytes of flash, " in str(error)
    assert str(error).endswith("; raise --flash.")
    assert error.exit_code == 2


def test_a_folder_of_another_search_or_of_something_else_is_refused(searched, street, tmp_path):
    folder, _ = searched
    for option, name, held, given in (
        ("--seed", "seed", 1, 2),
        ("--epochs", "epochs", 1, 3),
        ("--trial-epochs", "trial_epochs", 2, 3),
    ):
        error = refusal(*SMALL, "--data", street, "--out", folder, option, given)
        said = f"{folder} holds a search with {name} = {held}, and this call says {given}: choose another"
        assert said in str(error)
    (tmp_path / "notes.txt").write_text("mine")
    error = refusal(*SMALL, "--data", street, "--out", tmp_path)
    assert str(error) == f"The folder {tmp_path} is not empty and not a search: choose another --out."


@pytest.mark.parametrize(
    ("text", "value"), [("256K", 262_144), ("1.5M", 1_572_864), ("1000", 1000), ("64kb", 65_536)]
)
def test_sizes_are_written_with_k_and_m(text, value):
    from edgesea.cli.search import Size

    assert Size("bytes").convert(text, None, None) == value
    assert Size("instructions").convert("10M", None, None) == 10_000_000


def test_a_size_that_is_none_is_refused():
    answer = CliRunner().invoke(edgesea, ["search", "--flash", "much"])
    assert answer.exit_code == 2
    assert "Received 'much': give a number of bytes, such as 256K" in answer.output


def test_without_a_board_or_a_folder_it_says_so(tmp_path):
    assert str(refusal("--board", "nrf52840")) == "No folder for the search was given: say --out."
    assert str(refusal("--out", tmp_path)) == "No board was given: say --board; `edgesea fit` lists them."
