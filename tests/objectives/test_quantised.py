"""Training that knows of int8: rounded as the exporter rounds, undone in the end, the same after a kill."""

import numpy as np
import pytest
from small_run import SMALL as SMALL_RUN

from edgesea import files, students
from edgesea.errors import UsageError
from edgesea.exporting.tflite import convert_int8
from edgesea.interpreter import open_interpreter
from edgesea.objectives import objective, quantised
from edgesea.objectives.averaged import Averaged
from edgesea.objectives.base import Setting, predict
from edgesea.objectives.quantised import Quantised
from edgesea.students import saving
from edgesea.students.fused import fuse
from edgesea.train import Schedule, train

PLAN = Schedule(epochs=4, batch=16, learning_rate=1e-2, weight_decay=1e-4, patience=1, seed=3)
SMALL = {
    "separable": "separable:stem=8,blocks=[[8,1],[16,2]]",
    "inverted": "inverted:stem=8,blocks=[[8,1],[16,2]],expansion=2",
    "factorised": "factorised:stem=8,blocks=[[8,1],[16,2]],kernel=3",
    "temporal": "temporal:stem=16,blocks=[[24,2],[24,1]],kernel=5",
    "l3": "student3:filters=[4,4,8,8]",
}

# Of what int8 loses, what remains at most between a rounded student and its int8 model. The deeper a student,
# the more often one of the two rounds up where the other rounds down; an L3 student's first normalisation is
# two operators, and TensorFlow Lite adds three maps in another order than Keras.
LEFT = {"separable": 0.6, "inverted": 0.85, "factorised": 1.0, "temporal": 0.5, "l3": 0.9}


def built(name, frames=24, mels=24):
    """A student whose moving statistics are those of `sound`, as after a training."""
    import keras

    keras.utils.set_random_seed(0)
    model = students.build(SMALL[name], frames, mels, 8)
    patches = sound(64, frames, mels)
    for _ in range(150):
        model(patches, training=True)
    return model


def sound(count, frames=24, mels=24, seed=0):
    rng = np.random.default_rng(seed)
    level = rng.normal(0, 1, (count, 1, mels, 1))
    return (level + rng.normal(-1, 0.5, (count, frames, mels, 1))).astype(np.float32)


def integer(model, calibration, patches):
    """What the exported int8 model gives, as real numbers."""
    interpreter = open_interpreter(convert_int8(model, calibration), resolver="reference")
    given, answer = interpreter.inputs[0], interpreter.outputs[0]
    found = []
    for patch in patches:
        held = np.round(patch[None] / given.scale) + given.zero_point
        (out,) = interpreter.outputs_of((np.clip(held, -128, 127).astype(np.int8),))
        found.append((out.astype(np.float32) - answer.zero_point) * answer.scale)
    return np.concatenate(found)


@pytest.mark.parametrize("name", SMALL)
def test_a_rounded_student_answers_as_its_int8_model_does(name):
    model, calibration, patches = built(name), sound(64), sound(24, seed=1)
    as_float = predict(model, patches)
    as_int8 = integer(model, calibration, patches)
    rounding = quantised._Rounding(model)
    rounding.calibrate(calibration)
    rounded = predict(model, patches)
    lost = np.sqrt(np.mean((as_float - as_int8) ** 2))
    left = np.sqrt(np.mean((rounded - as_int8) ** 2))
    assert left < LEFT[name] * lost
    rounding.undo()
    np.testing.assert_array_equal(predict(model, patches), as_float)


def test_ranges_are_the_exporters():
    model, calibration = built("separable"), sound(64)
    interpreter = open_interpreter(convert_int8(model, calibration), resolver="reference")
    rounding = quantised._Rounding(model)
    rounding.calibrate(calibration)
    for place, port in ((0, interpreter.inputs[0]), (-1, interpreter.outputs[0])):
        low, high = (float(each.numpy()) for each in rounding._ranges[place])
        assert (high - low) / 255 == pytest.approx(port.scale, rel=0.01)
        assert -128 - low / port.scale == pytest.approx(port.zero_point, abs=1)


def trained(task, folder, epochs=2, decay=0.0):
    import keras

    keras.utils.set_random_seed(0)
    student = students.build("separable:stem=4,blocks=[[4,1]]", 8, 8, 4)
    fuse(student)
    learner = Quantised(objective("cosine"), epochs, task[0].patches)
    if decay:
        learner = Averaged(learner, decay)
    learner.begin(Setting(student, {"embedding": (4,)}, PLAN.optimizer(16), PLAN.seed, epoch=4, epochs=4))
    course = train(learner, *task, PLAN, folder / "checkpoints", folder / "tensorboard")
    return learner, [{name: value for name, value in each.items() if name != "seconds"} for each in course]


def test_only_the_last_epochs_are_rounded_and_one_of_them_is_kept(task, tmp_path):
    learner, course = trained(task, tmp_path / "a")
    _, never = trained(task, tmp_path / "b", epochs=4)
    # With a patience of one epoch nothing ended early before the last ones.
    assert len(course) >= 3
    assert never[0]["loss"] != course[0]["loss"]
    # Of the rounded epochs, the best as it was scored then: rounded.
    best = max(course[2:], key=lambda each: each["cosine"])
    rounding = quantised._Rounding(learner.deploy())
    as_float = learner.score(task[1])["cosine"]
    rounding.calibrate(task[0].patches())
    assert learner.score(task[1])["cosine"] == pytest.approx(best["cosine"], abs=5e-3)
    rounding.undo()
    assert learner.score(task[1])["cosine"] == as_float


def test_what_is_saved_is_a_plain_model(task, tmp_path):
    import keras

    learner, _ = trained(task, tmp_path)
    saving.save(learner.deploy(), tmp_path / "a.keras")
    again = keras.saving.load_model(tmp_path / "a.keras", compile=False, safe_mode=True)
    patches = task[1].patches()
    np.testing.assert_allclose(predict(again, patches), predict(learner.deploy(), patches), atol=1e-5)


@pytest.mark.parametrize(("moment", "decay"), [(1, 0.0), (3, 0.0), (3, 0.9)])
def test_interrupted_it_ends_the_same_to_the_bit(task, tmp_path, monkeypatch, moment, decay):
    whole, course = trained(task, tmp_path / "whole", decay=decay)
    real, written = files.os.replace, []

    def replaced(source, target):
        real(source, target)
        written.append(1)
        if len(written) == moment:
            raise KeyboardInterrupt

    monkeypatch.setattr(files.os, "replace", replaced)
    with pytest.raises(KeyboardInterrupt):
        trained(task, tmp_path / "killed", decay=decay)
    monkeypatch.setattr(files.os, "replace", real)
    again, resumed = trained(task, tmp_path / "killed", decay=decay)
    assert resumed == course
    for a, b in zip(again.deploy().variables, whole.deploy().variables, strict=True):
        np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_a_student_whose_rounding_is_not_known_is_refused():
    with pytest.raises(
        UsageError,
        match=r"^The student has the layer sequence_norm|^The student has the layer places \(EinsumDense",
    ):
        quantised.check(students.build("transformer:width=16,layers=1,hidden=16", 96, 64, 8))


def test_distill_takes_all_that_goes_beside_an_objective(tmp_path, street, edgesea_process):
    from edgesea.run import Run

    out = tmp_path / "run"
    more = ("--epochs", "2", "--qat-epochs", "1", "--ema", "0.9", "--mixstyle", "0.5")
    process = edgesea_process("distill", "--data", street, "--out", out, *SMALL_RUN, *more)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 0, errors
    run = Run.open(out)
    assert (run.config.qat_epochs, run.config.ema, run.config.mixstyle) == (1, 0.9, 0.5)
    assert len(run.results()["course"]) == 2
    assert run.embed(np.zeros(16_000, np.float32), 16_000).shape[1] == 16
