"""The search's parts: what is drawn, what a budget refuses, what ends early, what is on the front."""

import numpy as np
import pytest

from edgesea import students
from edgesea.errors import EdgeseaError, UsageError
from edgesea.formats.search import Candidate, Result, SearchNeeds
from edgesea.frontend import preset
from edgesea.measures.linear import explained
from edgesea.run import Config
from edgesea.searching import candidates, cost, front, sampler, search, space, watch
from edgesea.searching.budget import RECORD_BYTES, Accounts, Budget, Needs

YAMNET = preset("yamnet-16k")
BUDGET = Budget("nrf52840", 256 << 10, 64 << 10, 10_000_000)


def tried(
    number, score=None, needs=(100_000, 40_000, 5_000_000), state="trained", curve=None, family="temporal"
):
    """A candidate; its draw is that of its number."""
    student, dimension, drawn = drawn_by(number, family)
    return Candidate(
        number=number,
        drawn=drawn,
        student=str(student),
        dimension=dimension,
        needs=SearchNeeds(flash=needs[0], ram=needs[1], instructions=needs[2]),
        state=state,
        curve=[score] if curve is None and score is not None else curve or [],
        seconds=1.0,
    )


class Noting(space.Random):
    """Notes what it draws."""

    def __init__(self, seed):
        super().__init__(seed)
        self.drawn = {}

    def suggest_int(self, name, low, high, step=1):
        self.drawn[name] = super().suggest_int(name, low, high, step)
        return self.drawn[name]

    def suggest_categorical(self, name, choices):
        self.drawn[name] = super().suggest_categorical(name, choices)
        return self.drawn[name]


def drawn_by(seed, family):
    noting = Noting(seed)
    return *space.draw(noting, (family,), (32, 64)), noting.drawn


@pytest.mark.parametrize("family", space.FAMILIES)
def test_every_draw_is_a_student_that_can_be_built(family):
    for seed in range(3):
        student, dimension, _ = drawn_by(seed, family)
        model = students.build(student, 96, 64, dimension)
        assert model.output_shape == (None, dimension)
        assert student.name == family
        assert all(filters % 8 == 0 for filters, _ in dict(student.options)["blocks"])


def test_the_smallest_student_of_a_family_needs_the_least_of_many():
    accounts = Accounts("nrf52840", YAMNET)
    ((least, dimension),) = search.smallest(("separable",), (64, 32))
    smallest = accounts.needs(cost.cost(least, YAMNET, dimension))
    assert dimension == 32
    for seed in range(3):
        student, other, _ = drawn_by(seed, "separable")
        needs = accounts.needs(cost.cost(student, YAMNET, other))
        assert smallest.flash <= needs.flash
        assert smallest.ram <= needs.ram
        assert smallest.instructions <= needs.instructions


def test_needs_are_those_that_fit_says_of_a_bundle(small_bundle):
    """The same account for a student before and after it was trained and exported."""
    from edgesea.exporting.bundle import load_bundle
    from edgesea.fitting import fit
    from edgesea.frontend import Frontend

    bundle = load_bundle(small_bundle)
    frontend = Frontend.from_dict(bundle.manifest["frontend"])
    costs = cost.cost("separable-s", frontend, 16)
    needs = Accounts("nrf52840", frontend).needs(costs)
    held = next(each for each in fit(small_bundle)["boards"] if each["board"] == "nrf52840")
    assert needs.ram == held["ram"]["needed"]
    assert needs.flash == held["flash"]["needed"] + RECORD_BYTES * costs.steps


def test_a_budget_is_the_boards_where_nothing_is_said():
    assert Budget.of("nrf52840") == Budget("nrf52840", 1 << 20, 1 << 18, None)
    assert BUDGET.share(Needs(128 << 10, 16 << 10, 9_000_000)) == pytest.approx(0.9)
    assert BUDGET.beyond(Needs(1 << 20, 1, 10_000_001)) == ["flash", "instructions"]


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        (("nrf5284",), r"^There is no board called 'nrf5284': did you mean nrf52840\? Choose one of "),
        (("qemu-cortex-m4",), r"^The board qemu-cortex-m4 is emulated and holds anything: choose one of "),
        (
            ("nrf52840", 2 << 20),
            r"^Received --flash 2097152 for the board nrf52840, which has 1048576 bytes: give at most that, ",
        ),
        (("nrf52840", None, 0), r"^Received --ram 0: give a number above 0\.$"),
    ],
)
def test_budgets_that_cannot_be(given, sentence):
    with pytest.raises(UsageError, match=sentence):
        Budget.of(*given)


def test_a_linear_map_that_there_is_is_found_and_one_that_is_not_is_not():
    rng = np.random.default_rng(0)
    student, noise = rng.normal(3, 1, (400, 5)), rng.normal(0, 1, (400, 9))
    teacher = student @ rng.normal(0, 1, (5, 9)) - 7
    assert explained((student[:200], teacher[:200]), (student[200:], teacher[200:])) > 0.999
    assert explained((student[:200], noise[:200]), (student[200:], noise[200:])) < 0.05
    # Half of the variance is there.
    centred = teacher - teacher.mean(axis=0)
    mixed = centred / centred.std() + noise
    assert explained((student[:200], mixed[:200]), (student[200:], mixed[200:])) == pytest.approx(
        0.5, abs=0.1
    )
    assert explained((student, np.ones((400, 2))), (student, np.ones((400, 2)))) == 0
    assert explained((np.zeros((9, 2)), noise[:9]), (np.zeros((3, 2)), noise[:3])) < 0.2


def test_what_is_behind_the_median_of_the_trained_ends():
    others = [[0.1, 0.2, 0.3], [0.2, 0.3, 0.4], [0.3, 0.4, 0.5], [0.4, 0.5, 0.6]]
    assert not watch.behind([], others)
    assert watch.behind([0.24], others)
    assert not watch.behind([0.26], others)
    # The best so far counts, of both: after two epochs the median is 0.35.
    assert watch.behind([0.34, 0.1], others)
    assert not watch.behind([0.36, 0.1], others)
    assert not watch.behind([0.0], others[:3])
    # Those that have not come so far are no measure.
    assert not watch.behind([0.0, 0.0], [[1.0], *others[:3]])


def test_only_what_takes_no_more_instructions_is_a_rival():
    held = [tried(n, n / 10, (1, 1, 1_000_000 * n)) for n in range(4)]
    assert watch.rivals(held, 2_000_000) == [[0.0], [0.1], [0.2]]


def test_the_front_is_what_nothing_beats():
    best = tried(0, 0.6, (200, 50, 900))
    cheap = tried(1, 0.4, (100, 50, 300))
    little_ram = tried(2, 0.3, (150, 20, 500))
    beaten = tried(3, 0.39, (100, 50, 300))
    equal = tried(4, 0.6, (200, 50, 900))
    found = front.front([beaten, best, cheap, little_ram, equal])
    assert [(each.number, each.score) for each in found] == [(0, 0.6), (1, 0.4), (2, 0.3)]


def test_the_front_is_drawn_as_a_picture(tmp_path):
    held = [tried(0, 0.6, (200, 50, 900)), tried(1, 0.4, (100, 50, 300)), tried(2, 0.2, state="pruned")]
    found = front.front(held[:2])
    result = Result(
        format="edgesea search",
        format_version=1,
        budget=BUDGET.described(),
        tried={"trained": 2, "pruned": 1},
        seconds=3.0,
        front=found,
        winner=found[0],
        recipe="edgesea distill",
    )
    front.draw(result, held, tmp_path / "a.png")
    from matplotlib import image

    drawn = image.imread(tmp_path / "a.png")
    assert drawn.shape[:2] == (540, 840)
    # The winner's star.
    red = (drawn[..., 0] > 0.7) & (drawn[..., 1] < 0.3) & (drawn[..., 2] < 0.3)
    assert red.sum() > 50


def test_what_was_tried_is_read_back_and_checked(tmp_path):
    for number in range(2):
        candidates.keep(tmp_path, tried(number, 0.5))
    assert [each.score for each in candidates.read(tmp_path)] == [0.5, 0.5]
    second = tmp_path / "candidates" / "0001.json"
    (tmp_path / "candidates" / "0000.json").rename(tmp_path / "aside")
    with pytest.raises(
        EdgeseaError, match=r"^The search in .* lacks 0000\.json: delete that file and all with "
    ):
        candidates.read(tmp_path)
    (tmp_path / "aside").rename(tmp_path / "candidates" / "0000.json")
    second.write_text(second.read_text().replace('"trained"', '"perfect"'))
    with pytest.raises(
        EdgeseaError, match=r"^The file .*0001\.json is not as it should be: .*state.* and search"
    ):
        candidates.read(tmp_path)


def asked(held, seed=0):
    trial = sampler.ask(held, BUDGET, tuple(space.FAMILIES), (32, 64), seed)
    return str(space.draw(trial, tuple(space.FAMILIES), (32, 64))[0])


def test_what_is_drawn_depends_on_the_seed_and_on_what_was_tried_alone():
    held = [tried(n, n / 20) for n in range(3)]
    assert asked(held) == asked(held)
    assert asked(held) != asked(held, seed=1)
    assert asked(held) != asked(held[:2])


def test_students_made_by_hand_come_first_and_are_not_told_to_optuna():
    known = space.known(("temporal", "separable"), (32, 48, 128))
    assert [(str(each), dimension) for each, dimension in known] == [
        ("separable-s", 48),
        ("separable-m", 48),
        ("separable-l", 48),
    ]
    assert space.known(("temporal",), (32,)) == []
    by_hand = tried(0, 0.9).model_copy(update={"drawn": {}, "student": "separable-s"})
    assert asked([by_hand]) == asked([by_hand])


def test_what_is_too_large_makes_the_next_ones_smaller():
    """Optuna learns from needs alone: thirty, those of them too large that are wide."""
    held = []
    for number in range(30):
        width = drawn_by(number, "temporal")[2]["temporal width"]
        large = width > 56
        needs = (100_000, 40_000, width * (1_000_000 if large else 10_000))
        held.append(tried(number, None if large else 0.5, needs, "too large" if large else "trained"))
    drawn = []
    for seed in range(12):
        trial = sampler.ask(held, BUDGET, ("temporal",), (32, 64), seed)
        space.draw(trial, ("temporal",), (32, 64))
        drawn.append(trial.params["temporal width"])
    # At random, 7 of 13 widths are above 72: six and a half of twelve.
    assert sum(width > 72 for width in drawn) <= 3


def test_the_recipe_is_the_call_of_the_winner():
    config = Config("demo", "/sound", student="temporal:kernel=5", dim=32, epochs=9, seed=4)
    said = search.recipe(config, "runs/winner")
    assert said.startswith("edgesea distill --out runs/winner --teacher demo --data /sound --student ")
    assert said.endswith("--dim 32 --epochs 9 --seed 4")
    assert "--frames" not in said
    quiet = search.recipe(Config("demo", "/sound", augmentation=None, keep_silence=True), "w")
    assert quiet.endswith("--keep-silence --no-augment")
    assert search.recipe(Config("demo", "/sound", balance=8), "w").endswith(" --balance 8")
    other = Config("demo", "/sound", weight_decay=0.5)
    assert search.recipe(other, "w") == "edgesea distill --config w.toml --out w"


def test_every_option_of_a_recipe_is_one_of_distill():
    from edgesea.cli.distill import distill

    known = {option.name for option in distill.params}
    assert set(search.OPTIONS) <= known
