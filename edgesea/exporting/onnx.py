"""Student -> ONNX by tf2onnx, and ONNX -> embeddings by onnxruntime.

Input `patch` (1, frames, mels, 1) float32 and output `embedding` (1, d) float32, as in the float .tflite.
"""

from collections.abc import Sequence

import numpy as np

from edgesea.errors import EdgeseaError
from edgesea.exporting.concrete import INPUT, OUTPUT, patch_shape, quiet_converter

# Old enough for every runtime of the last years; none of the students' operators changed since.
OPSET = 17


def convert_onnx(student, outputs: Sequence[str] = (OUTPUT,)) -> bytes:
    """The ONNX model of a Keras student, with a batch of 1, as the bytes of an .onnx file.

    outputs : names of what it gives
    """
    with quiet_converter():
        import onnx
        import tensorflow as tf
        import tf2onnx

        signature = [tf.TensorSpec((1, *patch_shape(student)), tf.float32, name=INPUT)]
        function = tf.function(lambda patch: student(patch, training=False), input_signature=signature)
        try:
            model, _ = tf2onnx.convert.from_function(
                function, input_signature=signature, opset=OPSET, custom_op_handlers={"Erfc": (_erfc, [])}
            )
            # An operator that tf2onnx does not know stays in the model as it is; the checker names it.
            onnx.checker.check_model(model)
        except Exception as error:  # tf2onnx raises whatever its handler of the operator met
            reason = " ".join(str(error).split())[:200]
            raise EdgeseaError(
                f"The converter tf2onnx refused the student ({reason}): export without ONNX."
            ) from error
    _rename(model.graph, outputs)
    return model.SerializeToString()


def run(model: bytes, patches: np.ndarray) -> np.ndarray:
    """The embeddings that onnxruntime gives: patches (n, frames, mels, 1) float32 -> (n, d) float32."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    return np.concatenate([session.run([OUTPUT], {INPUT: patch[None]})[0] for patch in patches])


def _erfc(graph, node, *_) -> None:
    """erfc(x) as 1 - erf(x): TensorFlow's GELU asks for it, and ONNX and tf2onnx do not have it."""
    one = graph.make_const(f"{node.name}/one", np.array(1, np.float32))
    erf = graph.make_node("Erf", node.input[:1])
    shapes, types = node.output_shapes, node.output_dtypes
    graph.remove_node(node.name)
    graph.make_node("Sub", [one.output[0], erf.output[0]], outputs=node.output, shapes=shapes, dtypes=types)


def _rename(graph, outputs: Sequence[str]) -> None:
    """Names every node and value by its place, so that the same student gives the same file.

    tf2onnx's own names hold counters that depend on what the process did before, and on hash seeds. Here a
    node is `conv_3`, its (first) result too; a constant is `conv_3_1` after the first node that takes it and
    its place among that node's inputs; the model's own input is `patch`.
    """
    names = {"": "", graph.input[0].name: INPUT}
    for number, node in enumerate(graph.node):
        node.name = f"{node.op_type.lower()}_{number}"
        for place, value in enumerate(node.input):
            names.setdefault(value, f"{node.name}_{place}")
        for place, value in enumerate(node.output):
            names[value] = f"{node.name}_result{place}" if place else node.name
    names |= {value.name: name for value, name in zip(graph.output, outputs, strict=True)}

    for node in graph.node:
        node.input[:] = [names[value] for value in node.input]
        node.output[:] = [names[value] for value in node.output]
    for value in (*graph.input, *graph.output, *graph.initializer):
        value.name = names[value.name]
    order = {name: place for place, name in enumerate(names.values())}
    graph.initializer.sort(key=lambda value: order[value.name])
    del graph.value_info[:]
    graph.name, graph.doc_string = OUTPUT, ""
