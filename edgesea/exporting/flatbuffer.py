"""A .tflite as Python objects to be changed, and back; only for files that our own converter wrote.

`firmware_export.graph` is the reader for files from anywhere; this one believes what it reads.
"""

import flatbuffers

# Where a constant lies in the file, in bytes: kernels read weights in place, and the schema says 16.
ALIGNMENT = 16


def unpack(content: bytes):
    """The `ModelT` of TensorFlow Lite's schema."""
    schema = tflite_schema()
    return schema.ModelT.InitFromObj(schema.Model.GetRootAs(content, 0))


def pack(model) -> bytes:
    """The file of a `ModelT`."""
    builder = _Builder(1 << 16)
    builder.Finish(model.Pack(builder), b"TFL3")
    return bytes(builder.Output())


def tflite_schema():
    """The Python classes of TensorFlow Lite's schema."""
    from tensorflow.lite.python import schema_py_generated

    return schema_py_generated


class _Builder(flatbuffers.Builder):
    def StartVector(self, elemSize, numElems, alignment):
        # The generated Python leaves the alignment that the schema asks for out.
        return super().StartVector(elemSize, numElems, ALIGNMENT if elemSize == 1 else alignment)
