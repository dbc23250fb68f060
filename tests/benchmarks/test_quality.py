"""The table of recipes: what each cell keeps of the commands' answers, and how rows are made of cells."""

import argparse
from pathlib import Path

import pytest
import quality

from edgesea.run import Config

OPTIONS = argparse.Namespace(
    teacher="demo",
    second="second",
    domain="domain",
    labelled="labelled",
    work=Path("work"),
    frames=1000,
    epochs=3,
)


def answers(accuracy=0.5):
    figures = {"r2": 0.4, "cosine": 0.7, "frames": 10}
    return (
        {"int8": {"storage": {"weight_bytes": 58_000}}},
        {"arena_bytes": 16_000, "instructions": 9_000_000},
        {
            "task": {
                "teacher": 0.6,
                "float": accuracy + 0.01,
                "int8": accuracy,
                "intervals": {name: {"low": 0.4, "high": 0.7} for name in ("teacher", "float", "int8")},
            },
            "fidelity": {
                "parts": [
                    {"part": "distillation set", "int8": {**figures, "r2": 0.8}},
                    {"part": "held-out recordings", "int8": {**figures, "r2": 0.1, "intervals": {}}},
                    {"part": "all frames", "int8": {**figures, "intervals": {}}},
                ]
            },
        },
        [{"seconds": 60.0}, {"seconds": 90.0}],
    )


def test_a_cell_is_of_what_was_heard_and_of_what_was_not():
    found = quality.summary(*answers())
    assert (found["heard"]["r2"], found["unheard"]["r2"], found["unheard_part"]) == (0.8, 0.4, "all frames")
    assert (found["epochs"], found["minutes"]) == (2, 2.5)
    assert (found["weight_bytes"], found["arena_bytes"]) == (58_000, 16_000)


def test_a_row_is_the_mean_over_seeds():
    row = [quality.summary(*answers(accuracy)) for accuracy in (0.48, 0.54)]
    assert quality.teachers_share(row) == pytest.approx(0.85)
    (line,) = quality.lines({"recipes": {"cosine": row}})
    cells = [each.strip() for each in line.strip("|").split("|")]
    assert cells[:5] == ["cosine", "2", "0.510 [0.400, 0.700]", "85.0%", "0.800"]
    assert cells[5:] == ["0.400", "0.700", "0.700", "58,000", "16,000", "9,000,000", "2.5"]


@pytest.mark.parametrize("recipe", quality.RECIPES)
def test_every_recipe_is_a_configuration_and_one_change_to_the_first(recipe):
    config = Config.from_dict(quality.configuration(OPTIONS, recipe, 2))
    first = Config.from_dict(quality.configuration(OPTIONS, "cosine", 2))
    assert config.seed == 2
    changed = {key for key, value in config.to_dict().items() if first.to_dict().get(key) != value}
    if recipe == "cosine":
        assert not changed
    elif recipe.startswith("alone"):
        assert changed == {"data", "split", *quality.RECIPES[recipe]}
        assert config.data.endswith("labelled")
    else:
        assert changed == quality.RECIPES[recipe].keys()


def test_a_recipe_of_two_steps_has_the_first_steps_student_as_its_teacher(tmp_path):
    options = argparse.Namespace(**{**vars(OPTIONS), "work": tmp_path})
    found = quality.configuration(options, "two epochs, through separable-l", 1)
    assert found["teacher"] == str(tmp_path / "run-two-epochs-separable-l-1")
    found = quality.configuration(options, "two epochs, two teachers", 1)
    assert found["teacher"].split(",") == [str(Path(name).resolve()) for name in ("demo", "second")]


def test_what_another_cell_made_is_borrowed_where_it_would_be_the_same(tmp_path):
    """Folders that stand for stores: which of them are linked."""
    donor = quality.Run.start(
        tmp_path / "run-cosine-0", Config.from_dict(quality.configuration(OPTIONS, "cosine", 0))
    )
    for folder in (donor.domain, donor.examples):
        folder.mkdir()
        (folder / "store.json").write_text(str(folder.name))
    donor.metrics.write_text("{}")
    made = {}
    recipes = ("sea", "separable-s", "student3", "alone", "no augmentation")
    for recipe, seed in (("cosine", 1), *((recipe, 0) for recipe in recipes)):
        config = Config.from_dict(quality.configuration(OPTIONS, recipe, seed))
        run = quality.Run.start(tmp_path / f"of {recipe} {seed}", config)
        quality.borrow(run, tmp_path)
        made[recipe, seed] = (run.domain.is_dir(), run.examples.is_dir())
    assert made == {
        ("sea", 0): (True, True),
        ("separable-s", 0): (True, True),
        ("cosine", 1): (True, False),
        ("student3", 0): (False, False),
        ("alone", 0): (False, False),
        ("no augmentation", 0): (True, False),
    }


def test_a_call_for_other_recipes_keeps_the_rows_of_the_same_budget(tmp_path, monkeypatch):
    monkeypatch.setattr(quality, "RESULTS", tmp_path)
    assert quality.before({"frames": 10}) == {}
    (tmp_path / "quality.json").write_text('{"frames": 10, "epochs": 2, "recipes": {"sea": []}}')
    assert quality.before({"frames": 10, "epochs": 2}) == {"sea": []}
    assert quality.before({"frames": 10, "epochs": 3}) == {}
