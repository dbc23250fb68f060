"""Int8 against float: figures as scikit-learn gives them, the worst layer by name, a threshold that fails."""

import json
import re

import numpy as np
import pytest
from sklearn.metrics import r2_score
from sklearn.metrics.pairwise import cosine_similarity

from edgesea.errors import EdgeseaError, UsageError
from edgesea.exporting.compare import LAYER_PATCHES, Comparison, Layer, compare, cosine
from edgesea.exporting.tflite import convert_float, convert_int8
from edgesea.interpreter import open_interpreter


@pytest.fixture(scope="module")
def comparison(float_model, int8_model, patches) -> Comparison:
    return compare(float_model, int8_model, patches[100:])


def test_the_figures_are_scikit_learns(comparison, float_model, int8_model, patches):
    true = open_interpreter(float_model).run(patches[100:])
    other = open_interpreter(int8_model, resolver="reference").run(patches[100:])
    similar = np.diag(cosine_similarity(true, other))
    assert comparison.n == 60
    assert comparison.r2 == pytest.approx(r2_score(true, other, multioutput="variance_weighted"), abs=1e-6)
    assert comparison.cosine == pytest.approx(similar.mean(), abs=1e-6)
    assert comparison.cosine_min == pytest.approx(similar.min(), abs=1e-6)
    assert comparison.cosine_median == pytest.approx(np.median(similar), abs=1e-6)


def test_every_layer_is_there_in_order(comparison):
    assert [layer.operator for layer in comparison.layers] == [
        "INPUT",
        "CONV_2D",
        "DEPTHWISE_CONV_2D",
        "CONV_2D",
        "AVERAGE_POOL_2D",
        "RESHAPE",
        "FULLY_CONNECTED",
    ]
    names = [layer.name.removesuffix("_1") for layer in comparison.layers]
    assert names == ["patch", "stem", "depthwise", "pointwise", "pool", "flat", "embedding"]
    for layer in comparison.layers:
        assert 0 < layer.loss < 1 - comparison.r2 + 0.01
        assert 0.9 < layer.cosine < 1
        assert 0 < layer.typical_range <= layer.range_used <= 1
    # Errors of rounding are nearly independent, so the layers' losses add up to that of the whole.
    assert sum(layer.loss for layer in comparison.layers) == pytest.approx(1 - comparison.r2, rel=0.5)


def test_the_loss_of_the_patch_is_that_of_rounding_it(comparison, float_model, int8_model, patches):
    tensor = open_interpreter(int8_model).input
    opened = open_interpreter(float_model)
    used = patches[100 : 100 + LAYER_PATCHES]
    true, other = opened.run(used), opened.run(tensor.dequantise(tensor.quantise(used)))
    expected = 1 - r2_score(true, other, multioutput="variance_weighted")
    assert comparison.layers[0].loss == pytest.approx(expected, rel=0.02)


def test_goes_into_json(comparison):
    assert (
        json.loads(json.dumps(comparison.to_dict(), allow_nan=False))["worst_layer"] == comparison.worst.name
    )


def test_a_layer_of_wild_range_is_the_worst(student, patches):
    """One channel a thousand times louder than the others takes all int8 steps, and nothing reads it."""
    import keras
    from keras import layers

    patch = keras.Input((24, 16, 1))
    x = layers.Conv2D(8, 3, activation="relu", name="tame")(patch)
    x = layers.Conv2D(8, 1, activation="relu", name="wild")(x)
    x = layers.Conv2D(8, 3, 2, activation="relu", name="reader")(x)
    x = layers.Flatten()(x)
    model = keras.Model(patch, layers.Dense(4, name="last")(x))
    generator = np.random.default_rng(2)
    for name in ("tame", "reader", "last"):
        kernel, bias = model.get_layer(name).get_weights()
        model.get_layer(name).set_weights([generator.normal(0, 0.3, kernel.shape), bias])
    kernel = np.eye(8).reshape(1, 1, 8, 8)
    kernel[..., 0, 0] = 1000
    model.get_layer("wild").set_weights([kernel, np.zeros(8)])
    kernel, bias = model.get_layer("reader").get_weights()
    kernel[:, :, 0] = 0
    model.get_layer("reader").set_weights([kernel, bias])

    calm = (patches + 40) / 40
    found = compare(convert_float(model), convert_int8(model, calm[:100]), calm[100:])
    assert "wild" in found.worst.name
    assert found.worst.loss > 10 * sorted(layer.loss for layer in found.layers)[-2]
    assert found.worst.typical_range > 0.3, "the loud channel itself uses the range"
    with pytest.raises(EdgeseaError) as caught:
        found.check(min_cosine=-1, min_r2=0.9)
    message = str(caught.value)
    assert message.startswith(
        f"Int8 against float: the R^2 is {found.r2:.4f} over 60 held-out patches where at least 0.9 is asked"
    )
    assert re.search(r"the worst layer is 'wild\w*', a CONV_2D that alone loses [\d.]+ of R\^2 and ", message)
    assert message.endswith(
        " of its range: calibrate on more of the domain, change that layer, or lower the threshold."
    )
    with pytest.raises(EdgeseaError, match="the cosine is"):
        found.check(min_cosine=0.999, min_r2=-1e9)
    found.check(min_cosine=-1, min_r2=-1e9)


def test_outliers_show_in_the_typical_range(student, patches, float_model):
    loud = patches[:100].copy()
    loud[0, 0, 0, 0] = 4000  # one pixel of one patch widens every range behind it
    found = compare(float_model, convert_int8(student, loud), patches[100:])
    assert found.layers[0].range_used < 0.05
    assert found.worst.name == "patch"


def test_an_embedding_that_never_varies_fails():
    layer = Layer("embedding", "FULLY_CONNECTED", 0.0, 1.0, 1.0, 1.0)
    constant = Comparison(10, 1.0, 1.0, 1.0, None, 0.0, 0.1, (layer,))
    with pytest.raises(EdgeseaError, match=r"the R\^2 is not defined"):
        constant.check(min_cosine=0.9, min_r2=0.9)


def test_too_few_patches(float_model, int8_model, patches):
    with pytest.raises(
        UsageError, match="Comparing an integer model with float takes 2 held-out patches or more, received 1"
    ):
        compare(float_model, int8_model, patches[:1])


def test_cosine_of_zeros():
    true = np.array([[0.0, 0.0], [0.0, 0.0], [3.0, 4.0], [1.0, 0.0]])
    other = np.array([[0.0, 0.0], [1.0, 0.0], [6.0, 8.0], [-2.0, 0.0]])
    np.testing.assert_allclose(cosine(true, other), [1, 0, 1, -1])


def test_a_student_that_learnt_nothing_is_said_and_int8_is_not_blamed(tmp_path):
    layer = Layer("embedding", "FULLY_CONNECTED", 1.0, 1.0, 1.0, 1.0)
    flat = Comparison(10, 0.99, 0.99, 0.99, -160.0, 1e-5, 1e-4, (layer,))
    with pytest.raises(EdgeseaError) as caught:
        flat.check(min_cosine=0.95, min_r2=0.9, learnt=-0.157)
    assert str(caught.value) == (
        "The float student learnt nothing that int8 could keep: its R^2 to the reduced teacher is -0.157 on "
        "held-out sound where 0.05 is the least, and its embeddings differ by 1e-05 between patches: train "
        "longer, or on more frames."
    )
    with pytest.raises(EdgeseaError, match=r"an error of 0\.0001 beside the .* own spread of 1e-05"):
        flat.check(min_cosine=0.95, min_r2=0.9, learnt=0.8)
    flat.check(min_cosine=0.95, min_r2=-200, learnt=-0.157)
