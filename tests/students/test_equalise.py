"""Ranges of channels are evened out: float to the bit, int8 nearer to it, what cannot be is left alone."""

import numpy as np
import pytest

from edgesea import students
from edgesea.exporting.tflite import convert_int8
from edgesea.interpreter import open_interpreter
from edgesea.students.equalise import _factors, _places, equalise

SMALL = {
    "separable": "separable:stem=8,blocks=[[8,1],[16,2,5],[16,1]]",
    "inverted": "inverted:stem=8,blocks=[[8,1],[16,2]],expansion=2",
    "factorised": "factorised:stem=8,blocks=[[8,1],[16,2],[16,1]],kernel=5",
    "temporal": "temporal:stem=16,blocks=[[24,2],[24,1]],kernel=5,shrink=2",
    "student3": "student3",
    "transformer": "transformer:width=16,heads=2,layers=1,hidden=16,patch=16",
}


def uneven(choice: str, size=(48, 64)):
    """A student as training may leave it: one channel of a layer far too loud, and heard the less for it."""
    import keras

    keras.utils.set_random_seed(0)
    model = students.build(choice, *size, 12)
    rng = np.random.default_rng(0)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.gamma.assign(rng.uniform(0.5, 1.5, layer.gamma.shape))
            layer.beta.assign(rng.normal(0, 0.3, layer.beta.shape))
            layer.moving_mean.assign(rng.normal(0, 0.1, layer.beta.shape))
            layer.moving_variance.assign(rng.uniform(0.5, 2, layer.beta.shape))
    for norm, _, heard in _places(model):
        loud = np.ones(len(norm.gamma.numpy()), np.float32)
        loud[rng.integers(len(loud))] = 100
        norm.gamma.assign(norm.gamma.numpy() * loud)
        norm.beta.assign(norm.beta.numpy() * loud)
        heard.kernel.assign(heard.kernel.numpy() / loud[:, None])
    return model, rng.normal(-4, 3, (80, *size, 1)).astype(np.float32)


@pytest.mark.parametrize("family", SMALL)
def test_float_stays_the_same_to_the_bit(family):
    model, patches = uneven(SMALL[family], (199, 256) if family == "student3" else (48, 64))
    before, weights = model(patches[:8]).numpy(), [each.numpy() for each in model.weights]
    equalise(model, patches[:20])
    np.testing.assert_array_equal(model(patches[:8]).numpy(), before)
    changed = [not np.array_equal(one, two.numpy()) for one, two in zip(weights, model.weights, strict=True)]
    # Every family has something to even out but the transformer, which has no ReLU behind a normalisation.
    assert any(changed) == (family != "transformer")
    equalise(model, patches[:20])
    np.testing.assert_array_equal(model(patches[:8]).numpy(), before)


def error(model, patches) -> float:
    """What int8 adds to float, beside what float's embeddings differ by."""
    int8 = open_interpreter(convert_int8(model, patches[:40]))
    one, two = model(patches[40:]).numpy(), int8.run(patches[40:])
    return float(np.sqrt(np.mean((one - two) ** 2)) / (one - one.mean(0)).std())


def test_int8_is_nearer_to_float():
    model, patches = uneven(SMALL["separable"])
    before = error(model, patches)
    equalise(model, patches[:40])
    print(before, error(model, patches))
    assert error(model, patches) < before / 2


def layers():
    import keras

    return keras.layers


def network(relu=None, beside=False):
    """Normalisation, ReLU and a 1 x 1 convolution of three channels, one heard by something else too."""
    import keras

    patch = keras.Input((2, 2, 3))
    norm = layers().BatchNormalization()
    x = (relu or layers().ReLU())(norm(patch))
    y = layers().Conv2D(2, 1, use_bias=False, name="heard")(x)
    if beside:
        y = layers().Concatenate()([y, x])
    return keras.Model(patch, y), norm


def test_factors_by_hand():
    model, norm = network()
    kernel = np.array([[4.0, 0.25], [2.0, 1.0], [1.0, 0.5]], np.float32)  # by channel and output
    model.get_layer("heard").kernel.assign(kernel[None, None])
    norm.gamma.assign([1, 1, 1])
    # Ranges 64, 1 and 1/4; weights beside the largest of their output 1, 1 and 1/2.
    uneven_by = np.sqrt([64 / 1, 1 / 1, 0.25 / 0.5])
    wanted = 2.0 ** np.round(np.log2(uneven_by) - np.log2(uneven_by).mean())
    found = _factors(np.array([64, 1, 0.25]), model.get_layer("heard"))
    np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(found, [4, 0.5, 0.5])


def test_a_channel_that_is_never_heard_is_left():
    model, _ = network()
    model.get_layer("heard").kernel.assign(
        np.array([1, 0, 1], np.float32)[None, None, :, None] * np.ones((1, 1, 3, 2))
    )
    np.testing.assert_array_equal(_factors(np.array([4.0, 4.0, 0.0]), model.get_layer("heard")), [1, 1, 1])
    np.testing.assert_array_equal(_factors(np.zeros(3), model.get_layer("heard")), [1, 1, 1])


def test_depthwise_kernels_take_all_of_it():
    heard = layers().DepthwiseConv2D(3)
    heard.build((None, 5, 5, 3))
    np.testing.assert_array_equal(_factors(np.array([16.0, 1.0, 4.0]), heard), [4, 0.25, 1])


@pytest.mark.parametrize(
    ("relu", "beside"),
    [({"max_value": 6.0}, False), ({"negative_slope": 0.1}, False), ({"threshold": 1.0}, False), ({}, True)],
)
def test_what_would_change_or_is_heard_elsewhere_too_is_left_alone(relu, beside):
    model, norm = network(layers().ReLU(**relu), beside)
    norm.gamma.assign([100, 1, 1])
    before = [each.numpy() for each in model.weights]
    equalise(model, np.random.default_rng(0).normal(0, 1, (20, 2, 2, 3)).astype(np.float32))
    for one, two in zip(before, model.weights, strict=True):
        np.testing.assert_array_equal(one, two.numpy())
