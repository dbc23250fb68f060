"""Tiny transformers: their shapes, what cannot be, and int8 that follows the float model."""

import numpy as np
import pytest

from edgesea import students
from edgesea.errors import UsageError
from edgesea.exporting.onnx import convert_onnx, run
from edgesea.students import saving
from edgesea.students.transformer import Transformer, maps


@pytest.fixture(scope="module")
def student():
    import keras

    keras.utils.set_random_seed(1)
    return students.build("transformer:width=16,heads=4,layers=1,hidden=16", 96, 64, 8)


def test_it_takes_patches_and_gives_an_embedding_and_maps_with_rows_of_sum_one(student):
    import keras

    patches = np.random.default_rng(0).normal(-4, 2, (3, 96, 64, 1)).astype(np.float32)
    embedding, attention = keras.Model(student.input, [student.output, *maps(student)])(patches)
    assert embedding.shape == (3, 8)
    assert attention.shape == (3, 4, 24, 24)
    np.testing.assert_allclose(attention.numpy().sum(axis=-1), 1, rtol=1e-5)


def test_every_patch_has_a_place(student):
    """The same sound in another patch is another embedding, once the places have learnt anything."""
    places = student.get_layer("places")
    places.bias.assign(np.random.default_rng(1).normal(0, 1, places.bias.shape))
    sound = np.zeros((2, 96, 64, 1), np.float32)
    sound[0, :16, :16], sound[1, 16:32, :16] = 1, 1
    one, two = student(sound).numpy()
    assert np.abs(one - two).max() > 1e-4
    assert places.bias.shape == (24, 16)


def test_it_is_saved_as_a_plain_keras_model(student, tmp_path):
    import keras

    saving.save(student, tmp_path / "a.keras")
    again = keras.saving.load_model(tmp_path / "a.keras", compile=False, safe_mode=True)
    patches = np.random.default_rng(2).normal(-4, 2, (2, 96, 64, 1)).astype(np.float32)
    np.testing.assert_array_equal(again(patches).numpy(), student(patches).numpy())
    assert [each.shape for each in maps(again)] == [(None, 4, 24, 24)]


def test_its_onnx_twin_gives_the_same(student):
    """With the function erfc of its GELU, which the converter does not know by itself."""
    patches = np.random.default_rng(3).normal(-4, 2, (4, 96, 64, 1)).astype(np.float32)
    ours = student(patches).numpy()
    np.testing.assert_allclose(run(convert_onnx(student), patches), ours, atol=1e-4 * np.abs(ours).max())


@pytest.mark.parametrize(
    ("choice", "sentence"),
    [
        (
            "transformer:width=16,heads=3",
            r"^Received width = 16 and heads = 3 for a transformer: the heads have ",
        ),
        ("transformer:layers=0", r"^Received layers = 0 for a transformer: give at least 1\.$"),
    ],
)
def test_shapes_that_cannot_be(choice, sentence):
    with pytest.raises(UsageError, match=sentence):
        students.student(choice)


def test_a_patch_that_is_too_small_is_refused():
    with pytest.raises(UsageError, match="it needs two patches of 16 x 16 at least"):
        students.build("transformer", 16, 20, 8)


def test_a_model_without_attention_has_no_maps():
    assert maps(students.build("separable-s", 96, 64, 8)) == []
    assert Transformer().heads == 2
