"""Names with options: written in one way, checked in one place, open to other packages."""

import dataclasses
import functools
from importlib import metadata

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from edgesea import named
from edgesea.errors import UsageError
from edgesea.named import Choice, Registry
from edgesea.run import Config

NAMES = st.from_regex(r"[a-z][a-z0-9_-]{0,9}", fullmatch=True)
VALUES = st.recursive(
    st.booleans() | st.integers(-(2**40), 2**40) | st.floats(allow_nan=False, allow_infinity=False, width=32),
    lambda each: st.lists(each, max_size=3).map(tuple),
    max_leaves=6,
)


@dataclasses.dataclass(frozen=True)
class Kettle:
    litres: float = 1.5
    cups: int = 4
    colour: str = "red"
    whistles: bool = True
    marks: tuple = (1, 2)
    owner: str | None = None

    def __post_init__(self):
        if self.cups < 1:
            raise UsageError(f"Received cups = {self.cups}: give at least 1.")


BLUE = Kettle(colour="blue")
KETTLES = Registry("kettle", {"kettle": f"{__name__}:Kettle", "blue": f"{__name__}:BLUE"}, "edgesea.kettles")


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(NAMES, st.dictionaries(NAMES.map(lambda n: n.replace("-", "_")), VALUES, max_size=4))
def test_a_choice_survives_the_command_line_and_the_file(name, options):
    choice = Choice.of({**options, "name": name}, "kettle")
    assert Choice.of(str(choice), "kettle") == choice
    assert Choice.of(choice.to_toml(), "kettle") == choice


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("kettle", Kettle()),
        ("kettle:litres=2", Kettle(litres=2.0)),
        ("kettle:colour=green,whistles=false", Kettle(colour="green", whistles=False)),
        ('kettle:colour="a,b",cups=2', Kettle(colour="a,b", cups=2)),
        ("kettle:marks=[[1,2],[3]]", Kettle(marks=((1, 2), (3,)))),
        ("kettle:owner=me", Kettle(owner="me")),
        ("blue:cups=1", Kettle(colour="blue", cups=1)),
    ],
)
def test_options_reach_the_value(text, value):
    assert KETTLES.options(Choice.of(text, "kettle")) == value


def test_resolved_says_every_option_but_of_a_preset_only_what_was_changed():
    assert dict(KETTLES.resolved(Choice("kettle")).options) == {
        "litres": 1.5,
        "cups": 4,
        "colour": "red",
        "whistles": True,
        "marks": (1, 2),
    }
    assert str(KETTLES.resolved(Choice.of("blue:litres=1.5,cups=3", "kettle"))) == "blue:cups=3"


@pytest.mark.parametrize(
    ("given_value", "sentence"),
    [
        ("ketle", "Unknown kettle 'ketle': did you mean kettle? Choose one of kettle, blue."),
        ("pan", "Unknown kettle 'pan': choose one of kettle, blue."),
        (
            "kettle:litre=2",
            "The kettle kettle has no option 'litre': did you mean litres? it has litres, cups, colour, "
            "whistles, marks, owner.",
        ),
        ("kettle:cups=2.5", "Received cups = 2.5 for the kettle kettle: give a whole number."),
        ("kettle:cups=true", "Received cups = True for the kettle kettle: give a whole number."),
        ("kettle:litres=much", "Received litres = 'much' for the kettle kettle: give a number."),
        ("kettle:whistles=1", "Received whistles = 1 for the kettle kettle: give true or false."),
        ("kettle:marks=1", "Received marks = 1 for the kettle kettle: give a list."),
        ("kettle:cups=0", "Received cups = 0: give at least 1."),
        (
            "kettle:cups",
            "Received kettle 'kettle:cups': write options as kettle:option=value,option=value, each once.",
        ),
        (
            "kettle:cups=1,cups=2",
            "Received kettle 'kettle:cups=1,cups=2': write options as kettle:option=value,option=value, "
            "each once.",
        ),
        (7, 'Received kettle = 7: give a name, or a table with a key "name".'),
        ({"cups": 1}, "Received kettle = {'cups': 1}: give a name, or a table with a key \"name\"."),
    ],
)
def test_what_cannot_be_is_said(given_value, sentence):
    with pytest.raises(UsageError) as caught:
        KETTLES.options(Choice.of(given_value, "kettle"))
    assert str(caught.value) == sentence


@pytest.mark.parametrize("text", ["kettle:a=" + "[" * 50_000, "kettle:" + "a=1," * 9_999, "kettle:}\nb=1\n#"])
def test_hostile_text_is_a_sentence(text):
    with pytest.raises(UsageError, match="kettle"):
        KETTLES.options(Choice.of(text, "kettle"))


def test_another_package_adds_a_name(monkeypatch):
    point = metadata.EntryPoint("copper", f"{__name__}:BLUE", "edgesea.kettles")
    broken = metadata.EntryPoint("rusty", "there_is_no_such_module:X", "edgesea.kettles")
    monkeypatch.setattr(
        metadata, "entry_points", lambda group: [point, broken] if group == "edgesea.kettles" else []
    )
    monkeypatch.setattr(named, "_installed", functools.cache(named._installed.__wrapped__))
    assert list(KETTLES) == ["kettle", "blue", "copper", "rusty"]
    assert KETTLES.options(Choice("copper")) == BLUE
    with pytest.raises(UsageError, match=r"The kettle rusty of the package .* cannot be loaded \(ModuleNot"):
        KETTLES.get("rusty")


def test_a_configuration_of_format_1_still_reads():
    old = {"teacher": "demo", "data": "/s", "reducer": "pca", "umap_neighbours": 50, "umap_min_dist": 0.9}
    assert Config.from_dict(old) == Config(teacher="demo", data="/s")
    old |= {"reducer": "umap", "umap_neighbours": 7, "student": "student3", "objective": "sea"}
    assert str(Config.from_dict(old).reducer) == "umap:min_dist=0.9,neighbours=7"


def test_help_lists_what_there_is():
    from edgesea.cli.distill import NAMES as SHOWN
    from edgesea.run import _NAMED

    for kind, registry in _NAMED.items():
        assert SHOWN[kind].split(", ") == list(registry.entries)
