"""The families that a search draws from: their blocks, what cannot be, and int8 as C to the bit."""

import shutil

import numpy as np
import pytest

from edgesea import students
from edgesea.devices import qemu
from edgesea.errors import UsageError
from edgesea.exporting.tflite import convert_int8
from edgesea.frontend import preset
from edgesea.students import saving

SMALL = {
    "inverted": "inverted:stem=8,blocks=[[8,1],[16,2]],expansion=2,shrink=[4,2]",
    "factorised": "factorised:stem=8,blocks=[[8,1],[16,2],[16,1]],kernel=5,shrink=[2,4]",
    "temporal": "temporal:stem=16,blocks=[[24,2],[24,1]],kernel=5,shrink=2",
    "separable": "separable:stem=8,blocks=[[8,1],[16,2,5]],shrink=[4,4]",
}


def layers_of(model, kind: str) -> list:
    return [layer for layer in model.layers if type(layer).__name__ == kind]


@pytest.mark.parametrize("family", SMALL)
def test_int8_in_c_gives_every_byte_of_the_reference(family, tmp_path):
    for program in ("qemu-system-arm", "arm-none-eabi-gcc"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    import keras

    keras.utils.set_random_seed(0)
    model = students.build(SMALL[family], 50, 64, 12)
    patches = np.random.default_rng(0).normal(-4, 3, (32, 50, 64, 1)).astype(np.float32)
    file = tmp_path / "student.tflite"
    file.write_bytes(convert_int8(model, patches))
    found = qemu.measure(file, "cortex-m4", profile=False)
    assert (found["differing_bytes"], found["compared_bytes"]) == (0, 3 * 16)


@pytest.mark.parametrize("family", ["inverted", "factorised", "temporal"])
@pytest.mark.parametrize("frontend", ["yamnet-16k", "sea-8k"])
def test_the_usual_ones_take_the_usual_patches_and_are_saved_as_plain_models(family, frontend, tmp_path):
    import keras

    frames, mels, _ = preset(frontend).patch_shape
    model = students.build(family, frames, mels, 10)
    saving.save(model, tmp_path / "a.keras")
    again = keras.saving.load_model(tmp_path / "a.keras", compile=False, safe_mode=True)
    patches = np.random.default_rng(2).normal(-4, 2, (2, frames, mels, 1)).astype(np.float32)
    np.testing.assert_array_equal(again(patches).numpy(), model(patches).numpy())
    assert model.output_shape == (None, 10)


def test_a_separable_block_has_the_kernel_that_it_is_given():
    model = students.build("separable:stem=8,blocks=[[8,1],[8,1,5],[16,2,7]]", 50, 64, 4)
    kernels = [layer.kernel_size for layer in layers_of(model, "DepthwiseConv2D")]
    assert kernels == [(3, 3), (5, 5), (7, 7)]
    assert len(layers_of(model, "Add")) == 2
    wide = students.build("separable-w", 96, 64, 64)
    assert {layer.kernel_size for layer in layers_of(wide, "DepthwiseConv2D")} == {(3, 3), (5, 5)}
    # What its name promises: no more weights than 64 KB hold, however batch normalisation is folded.
    assert wide.count_params() < 65_536


def test_an_inverted_block_widens_and_narrows_and_is_linear_between_blocks():
    model = students.build("inverted:stem=8,blocks=[[8,1],[16,2]],expansion=3", 50, 64, 4)
    assert [layer.filters for layer in layers_of(model, "Conv2D")] == [8, 24, 8, 24, 16]
    # Stem, and two a block; none behind what narrows.
    assert len(layers_of(model, "ReLU")) == 5
    assert len(layers_of(model, "Add")) == 1


def test_a_factorised_student_hears_time_as_frequencies_mean():
    """The convolution over time sees one value a frame and channel, and what it makes is added to all."""
    model = students.build("factorised:stem=8,blocks=[[8,1],[16,2]],kernel=5", 50, 64, 4)
    over = layers_of(model, "DepthwiseConv2D")
    assert [layer.kernel_size for layer in over] == [(1, 3), (5, 1), (1, 3), (5, 1)]
    assert [layer.output.shape[2] for layer in over] == [31, 1, 16, 1]
    added = layers_of(model, "Add")
    # One of the block that keeps its shape goes back to its input.
    assert len(added) == 3
    assert [layer.output.shape[1:] for layer in added] == [(24, 31, 8), (24, 31, 8), (24, 16, 16)]


def test_a_temporal_student_takes_mels_as_channels_and_strides_over_frames():
    model = students.build("temporal:stem=16,blocks=[[24,2],[24,1]],kernel=5,shrink=2", 50, 64, 4)
    first = layers_of(model, "Conv2D")[0]
    assert first.kernel.shape == (1, 3, 64, 16)
    assert [layer.output.shape[1:] for layer in layers_of(model, "DepthwiseConv2D")] == [
        (1, 12, 16),
        (1, 12, 24),
    ]


def test_shrink_is_the_stride_of_the_first_convolution_and_passes_over_nothing():
    model = students.build("separable-s:shrink=[4,2]", 96, 64, 8)
    first = layers_of(model, "Conv2D")[0]
    assert first.strides == (4, 2)
    assert first.kernel_size == (5, 3)
    assert students.student("separable-m").shrink == (2, 2)


@pytest.mark.parametrize(
    ("choice", "sentence"),
    [
        (
            "inverted:expansion=0",
            r"^Received expansion = 0 for an inverted student: give a whole number above 0\.$",
        ),
        (
            "factorised:kernel=-1",
            r"^Received kernel = -1 for a factorised student: give a whole number above 0\.$",
        ),
        ("temporal:shrink=0", r"^Received shrink = 0 for a temporal student: give a whole number above 0\.$"),
        (
            "separable:blocks=[[8,1,3,1]]",
            r"^Received blocks = \(\(8, 1, 3, 1\),\) for a separable student: give for each block its "
            r"filters, its stride and, if not 3, the side of its kernel, \[\[24, 1\], \[48, 2, 5\]\]\.$",
        ),
        ("separable:blocks=[[8,1,0]]", r"^Received blocks = \(\(8, 1, 0\),\) for a separable student"),
        (
            "separable:shrink=[2]",
            r"^Received shrink = \(2,\) for a separable student: give two whole numbers above 0\.$",
        ),
        (
            "inverted:blocks=[[8]]",
            r"^Received blocks = \(\(8,\),\) for an inverted student: give for each block its filters and "
            r"its stride, \[\[24, 1\], \[48, 2\]\]\.$",
        ),
    ],
)
def test_shapes_that_cannot_be(choice, sentence):
    with pytest.raises(UsageError, match=sentence):
        students.student(choice)


@pytest.mark.parametrize(
    ("choice", "size", "why"),
    [
        ("temporal", (2, 64), "the first convolution sees 3 frames"),
        ("inverted:shrink=[4,2]", (4, 64), "the first convolution is 5 x 3"),
    ],
)
def test_a_patch_that_is_too_small_is_refused(choice, size, why):
    with pytest.raises(UsageError, match=rf"cannot take patches of {size[0]} x {size[1]} \({why}\)"):
        students.build(choice, *size, 8)
