"""Student -> .tflite, in float32, in full-integer int8, and with int16 activations and int8 weights.

The integer models have integers from end to end (the patch arrives as int8 or int16, the embedding leaves as
the same), int8 weights quantised per channel, and ranges of activations taken from patches of the user's own
domain: ranges from anything else have made models that answer the same to every sound.

All are refused unless all their operators are among those that the C model compiles.
"""

import re
from collections.abc import Sequence

import numpy as np

from edgesea.errors import EdgeseaError, UsageError
from edgesea.exporting.concrete import INPUT, OUTPUT, concrete_function, patch_shape, quiet_converter
from edgesea.exporting.flatbuffer import pack, unpack
from firmware_export import graph, ops

# Fewer patches than this leave the ranges of activations to chance.
FEWEST_CALIBRATION_PATCHES = 16


def convert_float(student, outputs: Sequence[str] = (OUTPUT,)) -> bytes:
    """The float32 .tflite of a Keras student, with a batch of 1.

    student : keras.Model, patch (batch, frames, mels, 1) -> embedding (batch, d)
    outputs : names of what it gives

    Raises EdgeseaError naming the operator that has no place in TFLite or in the C model.
    """
    return _convert(student, None, None, outputs)


def convert_int8(student, calibration: np.ndarray, outputs: Sequence[str] = (OUTPUT,)) -> bytes:
    """The int8 .tflite of a Keras student, with a batch of 1; the same inputs give the same bytes.

    calibration : (n, frames, mels, 1) float32, n >= 16, patches of the domain as the frontend makes them

    Raises UsageError for patches that cannot calibrate, EdgeseaError as `convert_float` does.
    """
    return _convert(student, _enough(student, calibration, "int8"), "int8", outputs)


def convert_int16x8(student, calibration: np.ndarray) -> bytes:
    """The same with int16 activations, zero points 0, and int8 weights: what int8 loses, for more memory.

    calibration : as for `convert_int8`
    """
    return _convert(student, _enough(student, calibration, "int16x8"), "int16x8", (OUTPUT,))


def _enough(student, calibration: np.ndarray, kind: str) -> np.ndarray:
    calibration = checked_patches(student, calibration, "calibration")
    if len(calibration) < FEWEST_CALIBRATION_PATCHES:
        raise UsageError(
            f"The {kind} model needs at least {FEWEST_CALIBRATION_PATCHES} calibration patches of "
            f"the domain, received {len(calibration)}: give more sound."
        )
    return calibration


def checked_patches(student, patches: np.ndarray, use: str) -> np.ndarray:
    """`patches` as float32, once they have the student's shape and only finite numbers."""
    patches = np.asarray(patches, np.float32)
    shape = patch_shape(student)
    if patches.ndim != 4 or patches.shape[1:] != shape or not len(patches):
        raise UsageError(
            f"The {use} patches must have the shape (n, {', '.join(map(str, shape))}) with n >= 1, "
            f"received {patches.shape}: make them with the frontend of the student's run."
        )
    if not np.isfinite(patches).all():
        bad = int(np.flatnonzero(~np.isfinite(patches).all(axis=(1, 2, 3)))[0])
        raise UsageError(f"The {use} patch {bad} holds NaN or infinity: leave such frames out.")
    return patches


def check_operators(content: bytes) -> None:
    """EdgeseaError names the first operator of a .tflite that the C model does not compile."""
    devices = ops.compiled()
    for operator in graph.read(content).operators:
        if operator.custom or operator.opcode not in devices:
            kind = "custom or Flex operator" if operator.custom else "operator"
            raise EdgeseaError(
                f"The model has the {kind} {operator.opcode} (number {operator.index}), which no device here "
                f"runs: build the student from layers that become {', '.join(devices)}."
            )


def _convert(student, calibration: np.ndarray | None, kind: str | None, outputs: Sequence[str]) -> bytes:
    with quiet_converter():
        import tensorflow as tf
        from tensorflow.lite.python.convert_phase import ConverterError

        converter = tf.lite.TFLiteConverter.from_concrete_functions([concrete_function(student)])
        sets = tf.lite.OpsSet
        operators, ends = {
            None: (sets.TFLITE_BUILTINS, tf.float32),
            "int8": (sets.TFLITE_BUILTINS_INT8, tf.int8),
            "int16x8": (sets.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8, tf.int16),
        }[kind]
        converter.target_spec.supported_ops = [operators]
        if calibration is not None:
            converter.optimizations = [tf.lite.Optimize.DEFAULT]
            converter.representative_dataset = lambda: ([patch[None]] for patch in calibration)
            converter.inference_input_type = converter.inference_output_type = ends
        try:
            content = converter.convert()
        except ConverterError as error:
            raise EdgeseaError(_refusal(str(error))) from error
    check_operators(content)
    return _renamed(content, outputs)


def _renamed(content: bytes, outputs: Sequence[str]) -> bytes:
    """Every result named by the Keras layer that does its work, constants by nothing.

    The converter names a tensor after all operations that were fused into it, path by path: a fifth of a
    small model's file is such names. The input is `patch`, the output `embedding`; where a layer has several
    results, all but the first have a number.
    """
    model = unpack(content)
    main = model.subgraphs[0]
    names: dict[int, str] = {}
    for place in (index for operator in main.operators for index in operator.outputs):
        layer = layer_name(main.tensors[place].name.decode())
        count = sum(name.split(":")[0] == layer for name in names.values())
        names[place] = f"{layer}:{count + 1}" if count else layer
    names[main.inputs[0]] = INPUT
    names |= dict(zip(main.outputs, outputs, strict=True))
    for place, tensor in enumerate(main.tensors):
        tensor.name = names.get(place, "")
    return pack(model)


def layer_name(tensor: str) -> str:
    """'net/relu/Relu;net/norm/add;net/conv/convolution;net/norm/mul' -> 'conv'.

    The names come from the last operation to the first, with those of the constants behind.
    """
    paths = [path.split("/") for path in tensor.split(";")]
    return list(dict.fromkeys(path[1] if len(path) > 2 else path[0] for path in paths))[-1]


def _refusal(message: str) -> str:
    """One sentence from the converter's page: the TensorFlow operators that it could not place."""
    names = sorted(set(re.findall(r"\btf\.([A-Z]\w*)", message)))
    if names:
        return f"The student uses {', '.join(names)}, which TFLite has no operator for: leave that layer out."
    return (
        f"TFLite's converter refused the student ({' '.join(message.split())[:200]}): "
        "build it from other layers."
    )
