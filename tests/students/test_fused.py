"""The fused batch normalisation: Keras' own results to rounding, and a plain Keras model on disk."""

import numpy as np
import pytest

from edgesea.students.fused import fuse
from edgesea.students.saving import save


def network(seed=0, **options):
    import keras
    from keras import layers

    keras.utils.set_random_seed(seed)
    options = {"momentum": 0.9} | options
    return keras.Sequential(
        [
            keras.Input((8, 6, 1), name="patch"),
            layers.Conv2D(5, 3, name="conv"),
            layers.BatchNormalization(name="norm", **options),
            layers.ReLU(name="relu"),
            layers.GlobalAveragePooling2D(name="pool"),
            layers.BatchNormalization(name="flat"),
            layers.Dense(3, name="dense"),
        ],
        name="network",
    )


def trained(model, patches, wanted):
    """Outputs, gradients and variables after one step in training mode."""
    import tensorflow as tf

    with tf.GradientTape() as tape:
        outputs = model(patches, training=True)
        loss = tf.reduce_mean(tf.square(outputs - wanted))
    gradients = tape.gradient(loss, model.trainable_variables)
    return [outputs, *gradients, *model.variables]


@pytest.fixture
def sound(request):
    rng = np.random.default_rng(1)
    return (
        (3 + 10 * rng.standard_normal((7, 8, 6, 1))).astype(np.float32),
        rng.standard_normal((7, 3)).astype(np.float32),
    )


@pytest.mark.parametrize("options", [{}, {"epsilon": 0.1}, {"momentum": 0.5}, {"scale": False}])
def test_a_step_equals_keras_own(sound, options):
    plain, fused = network(**options), network(**options)
    fuse(fused)
    for one, other in zip(trained(plain, *sound), trained(fused, *sound), strict=True):
        np.testing.assert_allclose(one.numpy(), other.numpy(), rtol=2e-4, atol=2e-5)


def test_what_is_learnt_by_the_fused_kernel_is_used_by_keras_own(sound):
    plain, fused = network(), network()
    fuse(fused)
    trained(fused, *sound)
    plain.set_weights(fused.get_weights())
    np.testing.assert_array_equal(plain(sound[0]).numpy(), fused(sound[0]).numpy())
    assert not np.allclose(plain(sound[0]).numpy(), network()(sound[0]).numpy())


def test_the_kernel_is_used_where_it_is_faster_and_only_there(sound):
    import tensorflow as tf

    def kernels(model):
        traced = tf.function(lambda patches: model(patches, training=True)).get_concrete_function(sound[0])
        return [each.type for each in traced.graph.get_operations()].count("FusedBatchNormV3")

    plain, fused = network(), network()
    fuse(fused)
    assert (kernels(plain), kernels(fused)) == (0, 1)


def test_a_frozen_layer_stays_as_it_is(sound):
    model = network()
    model.get_layer("norm").trainable = False
    fuse(model)
    before = model.get_layer("norm").get_weights()
    model(sound[0], training=True)
    for one, other in zip(before, model.get_layer("norm").get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_the_saved_student_is_a_plain_keras_model(tmp_path):
    import keras

    plain, fused = network(), network()
    fuse(fused)
    save(plain, tmp_path / "plain.keras")
    save(fused, tmp_path / "fused.keras")
    assert (tmp_path / "plain.keras").read_bytes() == (tmp_path / "fused.keras").read_bytes()
    loaded = keras.models.load_model(tmp_path / "fused.keras")
    assert type(loaded.get_layer("norm")) is keras.layers.BatchNormalization
