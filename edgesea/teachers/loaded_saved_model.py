"""A SavedModel in the process of a sandbox: one signature of it, asked for some of its outputs."""

from collections.abc import Mapping

import numpy as np

from edgesea import backend
from edgesea.errors import EdgeseaError, UsageError

_BATCH = 32  # frames


class LoadedSavedModel:
    """A signature with one input.

    outputs : what is asked for -> the signature's own name for it
    """

    def __init__(self, model, signature, outputs: Mapping[str, str]):
        # The model owns the variables that its signature uses.
        self._model, self._signature, self._outputs = model, signature, outputs
        (self._argument, spec), *_ = signature.structured_input_signature[1].items()
        self._shape = [None if size is None else int(size) for size in spec.shape]

    def input_shape(self) -> list[int | None]:
        """The shape of one example, None for an axis of any size; a first axis that is open is the batch."""
        return self._shape[1:] if self._batched else list(self._shape)

    def run(self, frames: np.ndarray, names: list[str]) -> list[np.ndarray]:
        """frames (B, ...) float32 -> for each name (B, ...) float32."""
        size = _BATCH if self._batched else 1
        parts = [self._one(frames[k : k + size], names) for k in range(0, len(frames), size)]
        return [np.concatenate(each, dtype=np.float32) for each in zip(*parts, strict=True)]

    @property
    def _batched(self) -> bool:
        return len(self._shape) > 1 and self._shape[0] is None

    def _one(self, part: np.ndarray, names: list[str]) -> list[np.ndarray]:
        import tensorflow as tf

        shape = [size or -1 for size in self._shape]
        if self._batched:
            shape[0] = len(part)
        answer = self._signature(**{self._argument: tf.constant(part.reshape(shape), tf.float32)})
        heard = [np.asarray(answer[self._outputs[name]]) for name in names]
        # Without a batch of its own, everything that came out belongs to the one frame.
        return [each if self._batched or each.shape[:1] == (1,) else each[None] for each in heard]


def open_saved_model(
    path: str, shown: str, wanted: str | None, named: Mapping[str, str], accelerator: str = "auto"
) -> LoadedSavedModel:
    """The model in a folder.

    wanted : a signature, an output, or SIGNATURE:OUTPUT, where the model does not say it by having only one
    named : what will be asked for -> output, of a model that is known; else "embedding" is what `wanted` says
    """
    backend.use(accelerator, shown)
    backend.load()
    import tensorflow as tf

    try:
        model = tf.saved_model.load(path)
        signatures = dict(model.signatures)
    except MemoryError:
        raise
    except Exception as error:  # TensorFlow raises every kind of exception for a damaged file.
        reason = next(iter(str(error).replace(path, shown).splitlines()), type(error).__name__)[:300]
        raise EdgeseaError(f"Cannot load the SavedModel {shown} ({reason}): fetch it again.") from error
    name, output = _chosen(shown, signatures, wanted or named.get("embedding"))
    signature = signatures[name]
    arguments = signature.structured_input_signature[1]
    kinds = [spec.dtype.name for spec in arguments.values()]
    if kinds != ["float32"] or next(iter(arguments.values())).shape.rank is None:
        raise UsageError(
            f"The signature {name} of {shown} takes {len(kinds)} inputs ({', '.join(kinds)}): it has to take "
            "one of float32 and of a known rank."
        )
    if named:
        missing = sorted(set(named.values()) - set(signature.structured_outputs))
        if missing:
            raise EdgeseaError(f"The SavedModel {shown} has no output {missing[0]}: it is another version.")
    return LoadedSavedModel(model, signature, dict(named) or {"embedding": output})


def _chosen(shown: str, signatures: dict, wanted: str | None) -> tuple[str, str]:
    """Signature and output; asks for them where there are several."""
    if not signatures:
        raise UsageError(
            f"The SavedModel {shown} has no signature: save it again with "
            "`tf.saved_model.save(model, folder, signatures=...)`."
        )
    name, colon, output = (wanted or "").partition(":")
    if not colon and name not in signatures:
        name, output = "", name
    if not name:
        if len(signatures) > 1:
            raise UsageError(
                f"The SavedModel {shown} has the signatures {', '.join(sorted(signatures))}: say which with "
                "--teacher-tensor SIGNATURE."
            )
        name = next(iter(signatures))
    if name not in signatures:
        raise UsageError(
            f"The SavedModel {shown} has no signature {name}: it has {', '.join(sorted(signatures))}."
        )
    outputs = sorted(signatures[name].structured_outputs)
    if not output and len(outputs) > 1:
        raise UsageError(
            f"The signature {name} of {shown} gives {', '.join(outputs)}: say which is the embedding with "
            f"--teacher-tensor {name}:OUTPUT."
        )
    output = output or outputs[0]
    if output not in outputs:
        raise UsageError(
            f"The signature {name} of {shown} has no output {output}: it has {', '.join(outputs)}."
        )
    return name, output
