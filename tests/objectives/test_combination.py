"""Sums of objectives: how they are written, what they add up to, and what does not go together."""

import numpy as np
import pytest
from test_compress import batch, tensors

from edgesea.errors import UsageError
from edgesea.named import Choice
from edgesea.objectives import OBJECTIVES, chosen, objective, terms
from edgesea.objectives.base import Material, Setting
from edgesea.run import Config


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("sea", ()),
        ("compress:temperature=1e+3", ()),
        ("sea+0.5*compress", ("sea", "0.5*compress")),
        ("sea+0.5*compress:temperature=1e+3,queue=7", ("sea", "0.5*compress:temperature=1e+3,queue=7")),
        ("2*kd:hard=0.5+1e-3*sea+compress", ("2*kd:hard=0.5", "1e-3*sea", "compress")),
        ("0.5*sea", ("0.5*sea",)),
    ],
)
def test_where_terms_end(text, parts):
    assert terms.split(text) == parts


def test_a_sum_is_kept_with_every_option_spelt_out_and_read_back():
    config = Config("demo", "sound", objective="sea+0.5*compress:temperature=0.1")
    assert config.objective == Choice(
        "sum", (("terms", ("sea", '0.5*compress:momentum=0.999,temperature=0.1,variant="2q"')),)
    )
    assert Config.from_dict(config.to_dict()) == config
    assert OBJECTIVES.resolved(chosen(str(config.objective))) == config.objective


def begun(choice):
    import keras

    keras.utils.set_random_seed(0)
    student = keras.Sequential([keras.Input((2, 2, 1)), keras.layers.Flatten(), keras.layers.Dense(3)])
    learner = objective(choice)

    def optimizer(variables, share=1.0):
        made = keras.optimizers.SGD(0.1)
        made.build(variables)
        return made

    learner.begin(Setting(student, {"embedding": (6,)}, optimizer, 0, classes=2, frames=100))
    return learner


def columns(seed):
    made = np.random.default_rng([seed, 1])
    wanted = {"target": made.normal(0, 1, (4, 3)), "logits": made.normal(0, 1, (4, 2))}
    return tensors(batch(seed) | {name: values.astype(np.float32) for name, values in wanted.items()})


def test_the_loss_is_the_weighted_sum_and_each_part_keeps_its_own():
    learner = begun("sea+0.5*compress:queue=8+2*kd")
    learner.step(columns(0))
    found = {name: float(value) for name, value in learner.step(columns(1)).items()}
    assert found["compress"] > 0
    assert found["loss"] == pytest.approx(found["sea"] + 0.5 * found["compress"] + 2 * found["kd"], rel=1e-6)
    assert learner.needs == {"patch", "target", "embedding", "logits"}
    assert int(learner.parts[1].seen) == 8
    held = {id(variable) for variable in learner.variables}
    for variable in (learner.parts[1].teacher_queue, learner.parts[2].head.kernel):
        assert id(variable) in held
    weight, bias = learner.classifier()
    assert (weight.shape, bias.shape) == ((3, 2), (2,))


def test_its_gradient_is_that_of_its_parts():
    import tensorflow as tf

    learner, now = begun("sea+0.5*compress:queue=8"), columns(1)
    learner.after(columns(0))

    def slope(what):
        with tf.GradientTape() as tape:
            value = what()
        return tape.gradient(value, learner.student.trainable_variables)

    def of(part):
        return slope(lambda: part.losses(now)["loss"])

    sea, compress = map(of, learner.parts)
    for whole, one, two in zip(slope(lambda: learner.losses(now)["loss"]), sea, compress, strict=True):
        np.testing.assert_allclose(whole.numpy(), one.numpy() + 0.5 * two.numpy(), rtol=1e-4, atol=1e-6)


LABELS = (("a",), ("b",), ("a",))
BOTH = {"embedding": (8,), "scores": (5,)}


@pytest.mark.parametrize(
    ("choice", "sentence"),
    [
        ("0.5*sea", r"^Received '0\.5\*sea' as a sum of objectives: write two or more with a \+ between"),
        (
            "sea+0*compress",
            r"^Received the objective '0\*compress': its weight has to be a number above 0\.$",
        ),
        ("sea+1.2.3*kd", r"^Received the objective '1\.2\.3\*kd': its weight has to be a number above 0\.$"),
        ("sea+see", r"^Unknown objective 'see': did you mean sea\?"),
        ("sea+compress:temperature=0", r"^Received temperature = 0: give a number above 0\.$|= 0\.0: give"),
        ("sum", r"^Received '' as a sum of objectives"),
    ],
)
def test_sums_that_cannot_be(choice, sentence):
    with pytest.raises(UsageError, match=sentence):
        objective(choice)


@pytest.mark.parametrize(
    ("choice", "labels", "sentence"),
    [
        ("sea+disk", LABELS, "The objective disk cannot be one of several, since it has a course of steps"),
        (
            "kd:soft=scores+kd:soft=head",
            LABELS,
            "need different soft labels .kd1 needs scores and kd2 needs head.: give",
        ),
        (
            "kd:soft=scores+reaug",
            LABELS,
            r"need different soft labels \(kd needs scores and reaug needs head",
        ),
        ("sea+kd:hard=0.5", ((), ("a",)), "The objective kd needs labels, and not every clip of the data"),
    ],
)
def test_what_does_not_go_together_is_said(choice, labels, sentence):
    with pytest.raises(UsageError, match=sentence):
        objective(choice).check(Material("T", BOTH, labels, 100))


def test_the_first_criterion_counts_and_the_others_are_told_beside_it():
    class Validation:
        def targets(self):
            return np.random.default_rng(0).normal(0, 1, (30, 3))

        def embeddings(self):
            return np.random.default_rng(1).normal(0, 1, (30, 6))

    learner = begun("sea+compress:queue=8")
    assert learner.criterion == "r2"
    assert set(learner.judge(Validation(), Validation().targets())) == {
        "r2",
        "cosine",
        "compress.kl",
        "compress.cka",
    }
