"""An L3 network with published weights, in the process of a sandbox."""

from edgesea import backend
from edgesea.teachers.loaded_keras import LoadedKeras


def open_l3(
    path: str, shown: str, layer: None, frames: int, mels: int, pool: tuple[int, int] | None
) -> LoadedKeras:
    """The network, from the patch on.

    pool : frames and mels over which the last map is pooled, for OpenL3's larger embedding; None is all of it
    """
    backend.load()
    import keras

    from edgesea.students.l3_weights import load_l3

    model = load_l3(path, shown, frames, mels)
    if pool:
        x = keras.layers.MaxPooling2D(tuple(pool), padding="same")(model.get_layer("conv8").output)
        # There the map is (mels, frames, filters), and its values come in that order.
        x = keras.layers.Flatten()(keras.layers.Permute((2, 1, 3))(x))
        model = keras.Model(model.input, x)
    return LoadedKeras(model)
