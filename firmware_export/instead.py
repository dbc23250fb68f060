"""What to do about operators that the C model does not have."""

from __future__ import annotations

_UNROLL = "build the recurrent layer with unroll=True"
_STATE = "make the state an input and an output of the model"
_CONVERTER = "convert with TFLITE_BUILTINS_INT8 alone"

INSTEAD = {
    "ASSIGN_VARIABLE": _STATE,
    "BATCH_TO_SPACE_ND": "convert the dilated convolution with a newer TensorFlow",
    "BIDIRECTIONAL_SEQUENCE_LSTM": _UNROLL,
    "BROADCAST_TO": "let ADD or MUL broadcast",
    "CALL_ONCE": _STATE,
    "CAST": "keep one type",
    "CEIL": "round outside the model",
    "EMBEDDING_LOOKUP": "GATHER with constant positions",
    "LOG_SOFTMAX": "end with SOFTMAX or without it",
    "LSTM": _UNROLL,
    "POW": "MUL for squares",
    "READ_VARIABLE": _STATE,
    "REDUCE_PROD": "MUL",
    "REVERSE_V2": "GATHER with constant positions",
    "ROUND": "round outside the model",
    "SPACE_TO_BATCH_ND": "convert the dilated convolution with a newer TensorFlow",
    "SVDF": "DEPTHWISE_CONV_2D and CONV_2D",
    "TOPK_V2": "ARG_MAX, or sort outside the model",
    "UNIDIRECTIONAL_SEQUENCE_RNN": _UNROLL,
    "VAR_HANDLE": _STATE,
    "WHILE": _UNROLL,
}


def instead(opcode: str, custom: bool) -> str:
    """What to use instead of an operator, as a clause; empty where nothing is known."""
    return _CONVERTER if custom else INSTEAD.get(opcode, "")
