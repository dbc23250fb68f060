"""Turn the operators of a checked graph into steps: which kernel runs, with which constants, on which tensors.

``lower`` is where TensorFlow Lite's meaning of an operator becomes integers: input zero points go into biases,
scale ratios become multipliers, functions of one int8 value become tables. What costs nothing at run time
(RESHAPE, SQUEEZE, EXPAND_DIMS) becomes no step at all but a view of the tensor that it renames.

To add an operator, write one function here and decorate it with ``@lowers("NAME")``.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from firmware_export import layout
from firmware_export.graph import Graph, Operator, Tensor
from firmware_export.operators import refuse, slice_ranges
from firmware_export.quantize import (
    LIMITS,
    activation_range,
    clamp,
    interpolation_table,
    quantize_multiplier,
    round_away,
    scale_twice,
    shift_right,
    sigmoid_table,
    softmax_exponentials,
)

# Sizes of a feature map's axis and of a kernel are 16-bit numbers in the kernels' constants.
LARGEST_AXIS = 65535


@dataclass(frozen=True, eq=False)
class Array:
    """A constant in flash.

    Parameters
    ----------
    role : str
        What it is, the end of its C name: ``weights``.
    ctype : str
        Of one element: ``int8_t``.
    values : np.ndarray
        A structured array stands for C structs.
    dsp : np.ndarray or None
        What the DSP path has in its place, int16.
    spare : int [bytes]
        That follow it in memory and may be read.
    """

    role: str
    ctype: str
    values: np.ndarray
    dsp: np.ndarray | None = None
    spare: int = 0

    def bytes(self, path: str = "plain") -> int:
        """What it takes in flash on ``path``: ``plain``, ``dsp`` or ``mve``."""
        values = self.dsp if path == "dsp" and self.dsp is not None else self.values
        return values.nbytes + self.spare


@dataclass(frozen=True, eq=False)
class Constant:
    """A kernel's constant: a C struct, its fields in the order of its declaration.

    Parameters
    ----------
    ctype : str
        ``edgesea_conv``.
    fields : dict of str to int or Array
        None stands for NULL.
    """

    ctype: str
    fields: dict[str, int | Array | None]

    @property
    def arrays(self) -> list[Array]:
        return [value for value in self.fields.values() if isinstance(value, Array)]


@dataclass(frozen=True)
class Rows:
    """How a step makes its output row by row.

    Output row r reads the input rows r * stride - pad + dilation * (0..height - 1).

    Parameters
    ----------
    in_rows, out_rows : int > 0
    in_row_bytes, out_row_bytes : int > 0
    height, stride, dilation : int > 0
    pad : int >= 0
    singly : bool
        Whether the kernel can take the rows of a window one at a time; the window must not overlap the next.
    """

    in_rows: int
    out_rows: int
    in_row_bytes: int
    out_row_bytes: int
    height: int = 1
    stride: int = 1
    dilation: int = 1
    pad: int = 0
    singly: bool = False

    @property
    def extent(self) -> int:
        """The rows from the first to the last that an output row reads."""
        return (self.height - 1) * self.dilation + 1


@dataclass(frozen=True)
class Slot:
    """An argument that the plan fills: where a tensor or the scratch memory lies."""

    what: str
    position: int = 0


OUT, SCRATCH = Slot("out"), Slot("scratch")


def IN(position: int) -> Slot:  # noqa: N802
    """The input at ``position``."""
    return Slot("in", position)


@dataclass(frozen=True, eq=False)
class Call:
    """One call of a kernel on whole tensors.

    Parameters
    ----------
    function : str
    arguments : tuple
        ``IN``, ``OUT``, ``SCRATCH``, a Constant, an Array or a number.
    """

    function: str
    arguments: tuple


@dataclass(frozen=True, eq=False)
class Step:
    """One kernel at work.

    Parameters
    ----------
    operators : tuple of Operator
        Those whose work this is: more than one where tables were joined to what comes before them.
    function : str
        The row function, or the first kernel called; also the name of its file.
    inputs : tuple of int
        Tensors read, never constants.
    output : int
        Tensor written.
    constant : Constant or None
        Handed to a row function.
    rows : Rows or None
        None for a kernel on whole tensors.
    calls : tuple of Call
        Where there are no rows: the calls that do the work.
    batch : int > 0
        How many feature maps the rows function makes, one after the other.
    scratch : int [bytes]
        Memory that is free again after each call.
    sums : int [bytes]
        Memory that a row function which takes rows singly keeps until its row is done.
    table : Array or None
        Applied to each row when it is done.
    in_place : tuple of int
        Positions of the inputs whose memory the output may take.
    """

    operators: tuple[Operator, ...]
    function: str
    inputs: tuple[int, ...]
    output: int
    constant: Constant | None = None
    rows: Rows | None = None
    calls: tuple[Call, ...] = ()
    batch: int = 1
    scratch: int = 0
    sums: int = 0
    table: Array | None = None
    in_place: tuple[int, ...] = ()

    @property
    def arrays(self) -> list[Array]:
        """Every constant array that the step needs in flash."""
        found = [array for constant in self.constants for array in constant.arrays]
        found += [argument for call in self.calls for argument in call.arguments if isinstance(argument, Array)]
        return found + ([] if self.table is None else [self.table])

    @property
    def constants(self) -> list[Constant]:
        """Every kernel constant of the step."""
        found = [] if self.constant is None else [self.constant]
        return found + [a for call in self.calls for a in call.arguments if isinstance(a, Constant)]

    @property
    def functions(self) -> set[str]:
        """Every kernel that the step calls."""
        return {self.function, *(call.function for call in self.calls)}

    @property
    def name(self) -> str:
        return " + ".join(op.opcode for op in self.operators)


@dataclass(frozen=True, eq=False)
class Program:
    """A graph as steps.

    Parameters
    ----------
    graph : Graph
    steps : tuple of Step
    views : dict of int to int
        Tensors that share the memory of another: the tensor and its root.
    temporaries : dict of int to Tensor
        Tensors that the graph does not have, by number.
    """

    graph: Graph
    steps: tuple[Step, ...]
    views: dict[int, int]
    temporaries: dict[int, Tensor]

    def root(self, tensor: int) -> int:
        """The tensor whose memory holds ``tensor``."""
        return self.views.get(tensor, tensor)

    def tensor(self, number: int) -> Tensor:
        return self.temporaries[number] if number in self.temporaries else self.graph.tensors[number]


@dataclass(eq=False)
class _Lowering:
    graph: Graph
    steps: list[Step] = field(default_factory=list)
    views: dict[int, int] = field(default_factory=dict)
    temporaries: dict[int, Tensor] = field(default_factory=dict)

    def root(self, tensor: int) -> int:
        return self.views.get(tensor, tensor)

    def add_rows(
        self, op: Operator, function: str, inputs: Iterable[int], constant: Constant, rows: Rows, **rest
    ) -> None:
        """A step that makes its output row by row."""
        inputs = tuple(self.root(i) for i in inputs)
        self.steps.append(
            Step((op,), function, inputs, self.root(op.outputs[0]), constant=constant, rows=rows, **rest)
        )

    def add(self, op: Operator, inputs: Iterable[int], *calls: Call, output: int | None = None, **rest) -> None:
        """A step on whole tensors."""
        inputs = tuple(self.root(i) for i in inputs)
        output = self.root(op.outputs[0] if output is None else output)
        self.steps.append(Step((op,), calls[0].function, inputs, output, calls=calls, **rest))

    def view(self, op: Operator) -> None:
        """Make the output of ``op`` another name for its first input."""
        self.views[op.outputs[0]] = self.root(op.inputs[0])

    def temporary(self, shape: tuple[int, ...], dtype: str) -> Tensor:
        """A tensor of the compiler's own."""
        number = len(self.graph.tensors) + len(self.temporaries)
        self.temporaries[number] = Tensor(number, "temporary", shape, dtype)
        return self.temporaries[number]

    def add_table(self, op: Operator, source: Tensor, function: Callable[[int], int]) -> None:
        """A function of one int8 value, as 256 results for -128..127."""
        values = np.array([function(value) for value in range(-128, 128)], np.int8)
        table = Array("table", "int8_t", values)
        rows = _image_rows(source)
        if rows is not None:
            constant = Constant("edgesea_lookup_constant", {"table": table, "count": rows.out_row_bytes})
            self.add_rows(op, "edgesea_lookup_row", (source.index,), constant, rows, in_place=(0,))
        else:
            call = Call("edgesea_lookup", (table, IN(0), OUT, source.elements))
            self.add(op, (source.index,), call, in_place=(0,))


_LOWERINGS: dict[str, Callable[[_Lowering, Operator], None]] = {}


def lowers(*opcodes: str):
    """Register the function that lowers ``opcodes``."""

    def register(function):
        for opcode in opcodes:
            _LOWERINGS[opcode] = function
        return function

    return register


def lower(graph: Graph) -> Program:
    """Turn a folded, checked graph into steps.

    Raises
    ------
    ModelError
        If an operator is of a kind that has no kernel, or its numbers leave the range that the kernels work in.
    """
    lowering = _Lowering(graph)
    for op in graph.operators:
        if op.opcode not in _LOWERINGS:
            raise refuse(op, "the C model has no kernel for it")
        if not _joins_reader(graph, op):
            _LOWERINGS[op.opcode](lowering, op)
    _separate_outputs(lowering)
    steps = _join_tables(lowering, tuple(lowering.steps))
    return Program(graph, steps, lowering.views, lowering.temporaries)


def _separate_outputs(lowering: _Lowering) -> None:
    """Give each output memory of its own, where it is only another name of an input or of another output."""
    graph = lowering.graph
    taken = set(graph.inputs)
    for tensor in graph.outputs:
        root = lowering.root(tensor)
        if root in taken:
            del lowering.views[tensor]
            call = Call("memcpy", (OUT, IN(0), graph.tensors[tensor].bytes))
            lowering.add(graph.producer(tensor), (root,), call, output=tensor)
        taken.add(lowering.root(tensor))


# ---- feature maps ------------------------------------------------------------------------------------------------


def _image_rows(tensor: Tensor) -> Rows | None:
    """The rows of a feature map [1, height, width, channels]; None for any other shape."""
    if len(tensor.shape) != 4 or tensor.shape[0] != 1 or tensor.elements == 0 or tensor.shape[1] > LARGEST_AXIS:
        return None
    height = tensor.shape[1]
    row_bytes = tensor.bytes // height
    return Rows(height, height, row_bytes, row_bytes)


def _padding(op: Operator, size: int, out_size: int, extent: int, stride: int) -> int:
    """How many rows (or columns) of zeros stand before the first."""
    if op.options["padding"] == "VALID":
        return 0
    return max((out_size - 1) * stride + extent - size, 0) // 2


@dataclass(frozen=True)
class _Frame:
    """The geometry that convolutions and poolings share."""

    rows: Rows
    in_width: int
    out_width: int
    kernel_width: int
    stride: int
    dilation: int
    pad_left: int


def _frame(
    op: Operator,
    source: Tensor,
    result: Tensor,
    kernel: tuple[int, int],
    singly: bool = False,
    around: tuple[tuple[int, int], tuple[int, int]] = ((0, 0), (0, 0)),
) -> _Frame:
    """The geometry of a window over ``source``; ``around``: rows and columns of zeros that a PAD puts there first."""
    batch, in_height, in_width, _ = source.shape
    _, out_height, out_width, _ = result.shape
    stride, dilation = op.options["stride"], op.options.get("dilation", (1, 1))
    if max(*source.shape, *result.shape, *kernel, *stride, *dilation) > LARGEST_AXIS:
        raise refuse(op, f"a dimension of it exceeds {LARGEST_AXIS}")
    extents = [(k - 1) * d + 1 for k, d in zip(kernel, dilation, strict=True)]
    padded_height, padded_width = in_height + sum(around[0]), in_width + sum(around[1])
    pad_top = around[0][0] + _padding(op, padded_height, out_height, extents[0], stride[0])
    pad_left = around[1][0] + _padding(op, padded_width, out_width, extents[1], stride[1])
    rows = Rows(
        in_height,
        out_height,
        source.bytes // (batch * in_height),
        result.bytes // (batch * out_height),
        kernel[0],
        stride[0],
        dilation[0],
        pad_top,
        singly=singly and (out_height == 1 or kernel[0] <= stride[0]),
    )
    return _Frame(rows, in_width, out_width, kernel[1], stride[1], dilation[1], pad_left)


# ---- convolutions and dense layers -------------------------------------------------------------------------------


# Behind weights, so that a vector that begins inside may be loaded whole.
SPARE = 12

CHANNEL = np.dtype([("bias", np.int32), ("multiplier", np.int32), ("round", np.int32), ("shift", np.int32)])
AXIS = np.dtype([("size", np.int32), ("in_stride", np.int32), ("out_stride", np.int32)])
FULL_RANGE, RELU = 2, 4


def _check_range(op: Operator, bias: np.ndarray, weights: np.ndarray, shifts: Iterable[int]) -> None:
    """Refuse accumulators that could overflow: their result is undefined in TensorFlow Lite too."""
    for channel, (value, shift) in enumerate(zip(_largest_sums(bias, weights).tolist(), shifts, strict=True)):
        if value << max(shift, 0) >= 2**31:
            raise refuse(op, f"the sums of output channel {channel} can exceed 32 bits")


def _largest_sums(bias: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """The greatest magnitude of each channel's sum, wherever it stands: int64 [shape=(out_channels,)]."""
    return np.abs(bias) + 128 * np.abs(weights).sum(axis=1)


def _channels(
    bias: np.ndarray, multipliers: np.ndarray, shifts: np.ndarray, out_zero: int, largest: int
) -> tuple[np.ndarray, bool]:
    """Records as edgesea_channel [shape=(out_channels,), CHANNEL], and whether they need the general rounding.

    largest: the greatest sum of any channel.
    """
    records = np.zeros(bias.size, CHANNEL)
    records["bias"], records["multiplier"] = bias, multipliers
    # With a multiplier of 0 the result is the zero point whatever the shift.
    right = np.where(multipliers == 0, 1, -shifts.astype(np.int64))
    general = bool(np.any(right < 1) or np.any(right > 23) or np.any(multipliers == 2**30) or largest >= 2**30)
    if general:
        records["shift"] = shifts
    else:
        records["shift"] = right
        records["round"] = (1 << (right - 1)) + (out_zero << right)
    return records, general


def _folded_bias(lowering: _Lowering, op: Operator, weights: np.ndarray, in_zero: int) -> np.ndarray:
    """The bias with the input's zero point folded in, int64 [shape=(out_channels,)]; weights [channels, depth]."""
    bias = lowering.graph.input(op, 2)
    start = np.zeros(weights.shape[0], np.int64) if bias is None else bias.data.reshape(-1).astype(np.int64)
    return start - in_zero * weights.sum(axis=1)


def _multipliers(ratios: Iterable[float]) -> tuple[np.ndarray, np.ndarray]:
    pairs = [quantize_multiplier(ratio) for ratio in ratios]
    return np.array([m for m, _ in pairs], np.int32), np.array([s for _, s in pairs], np.int8)


def _channel_scales(tensor: Tensor, channels: int) -> list[float]:
    scales = tensor.quantization.scales.astype(np.float64)
    return (np.broadcast_to(scales, (channels,))).tolist()


def _convolution(lowering: _Lowering, op: Operator, weights: np.ndarray, packed: np.ndarray, function: str) -> None:
    """Both kinds of convolution.

    weights [out_channels, taps * in_channels of one output], int64; packed: as the kernel reads them.
    """
    graph = lowering.graph
    given, filter_, result = graph.input(op, 0), graph.input(op, 1), graph.output(op)
    source, around = _before_padding(graph, op)
    channels = weights.shape[0]
    kernel = filter_.shape[1:3]
    frame = _frame(op, source, result, kernel, around=around)
    q_in, q_out = given.quantization, result.quantization
    # Float64 throughout: PopulateConvolutionQuantizationParams.
    ratios = [q_in.scale * scale / q_out.scale for scale in _channel_scales(filter_, channels)]
    multipliers, shifts = _multipliers(ratios)
    bias = _folded_bias(lowering, op, weights, q_in.zero_point)
    _check_range(op, bias, weights, shifts.tolist())
    low, high = activation_range(op.options["activation"], q_out.scale, q_out.zero_point, "int8")
    if (
        function == "edgesea_conv_row"
        and kernel == op.options["stride"] == (1, 1)
        and (frame.rows.in_rows, frame.in_width) == result.shape[1:3]
    ):
        function = "edgesea_pointwise_row"
    records, general = _channels(
        bias, multipliers, shifts, q_out.zero_point, int(_largest_sums(bias, weights).max())
    )
    flags = general * layout.GENERAL + ((low, high) == (-128, 127)) * FULL_RANGE + (low == q_out.zero_point) * RELU
    # The DSP path takes four channels at a time and adds pairs of rows; see edgesea_depthwise_paired_row.
    paired = function == "edgesea_depthwise_row" and kernel[0] <= 3 and channels >= 4 and not general
    # Two products share 16 bits on the MVE path: -128 * -128 twice would not fit.
    paired = paired and not np.any(weights == -128)
    if paired:
        function = "edgesea_depthwise_paired_row"
    constant = Constant(
        "edgesea_conv",
        {
            "weights": Array(
                "weights", "int8_t", packed, layout.by_pairs(filter_.data) if paired else None, SPARE
            ),
            "channels": Array("channels", "edgesea_channel", records),
            "in_width": frame.in_width,
            "in_channels": source.shape[3],
            "out_width": frame.out_width,
            "out_channels": channels,
            "kernel_height": kernel[0],
            "kernel_width": kernel[1],
            "stride": frame.stride,
            "dilation": frame.dilation,
            "pad_left": frame.pad_left,
            "in_zero": q_in.zero_point,
            "out_zero": q_out.zero_point,
            "low": low,
            "high": high,
            "flags": flags,
        },
    )
    scratch = layout.scratch_bytes(function, constant.fields)
    batch = source.shape[0]
    lowering.add_rows(op, function, (source.index,), constant, frame.rows, scratch=scratch, batch=batch)


def _before_padding(graph: Graph, op: Operator) -> tuple[Tensor, tuple[tuple[int, int], tuple[int, int]]]:
    """What a convolution reads, and the (rows, columns) of zeros around it, if a PAD before it joins it."""
    source = graph.input(op, 0)
    pad = graph.producer(source.index)
    if pad is None or not _joins_reader(graph, pad):
        return source, ((0, 0), (0, 0))
    (_, rows, columns, _) = (tuple(int(n) for n in pair) for pair in graph.input(pad, 1).data)
    return graph.input(pad, 0), (rows, columns)


def _joins_reader(graph: Graph, op: Operator) -> bool:
    """Whether ``op`` is a PAD of zeros around feature maps that the convolution reading it can do itself."""
    if op.opcode not in ("PAD", "PADV2") or len(graph.output(op).shape) != 4 or graph.output(op).dtype != "int8":
        return False
    readers = graph.consumers(op.outputs[0])
    paddings = graph.input(op, 1).data
    return (
        len(readers) == 1
        and readers[0].opcode in ("CONV_2D", "DEPTHWISE_CONV_2D")
        and op.outputs[0] not in graph.outputs
        and not paddings[[0, 3]].any()
        and _filler(graph, op) == graph.output(op).quantization.zero_point
    )


def _filler(graph: Graph, op: Operator) -> int:
    """The integer that a PAD or PADV2 puts around its input."""
    if op.opcode == "PADV2":
        return int(graph.input(op, 2).data.reshape(-1)[0])
    return graph.output(op).quantization.zero_point


@lowers("CONV_2D")
def _conv_2d(lowering: _Lowering, op: Operator) -> None:
    filter_ = lowering.graph.input(op, 1)
    if lowering.graph.input(op, 0).dtype == "int16":
        _convolution16(lowering, op, filter_.data, filter_.shape[0], "edgesea_conv16_row")
        return
    weights = filter_.data.reshape(filter_.shape[0], -1).astype(np.int64)
    _convolution(lowering, op, weights, layout.by_channel(filter_.data), "edgesea_conv_row")


@lowers("DEPTHWISE_CONV_2D")
def _depthwise_conv_2d(lowering: _Lowering, op: Operator) -> None:
    source, filter_ = lowering.graph.input(op, 0), lowering.graph.input(op, 1)
    if source.dtype == "int16":
        _convolution16(lowering, op, filter_.data, filter_.shape[3], "edgesea_depthwise16_row")
        return
    by_tap = layout.by_tap(filter_.data)
    weights = by_tap.T.astype(np.int64)
    if source.shape[3] == 1:
        # With one input channel every output channel is an ordinary convolution of it.
        packed = layout.by_channel(np.ascontiguousarray(by_tap.T))
        _convolution(lowering, op, weights, packed, "edgesea_conv_row")
    elif filter_.shape[3] == source.shape[3]:
        _convolution(lowering, op, weights, by_tap, "edgesea_depthwise_row")
    else:
        _convolution(lowering, op, weights, by_tap, "edgesea_depthwise_multiple_row")


@lowers("FULLY_CONNECTED")
def _fully_connected(lowering: _Lowering, op: Operator) -> None:
    graph = lowering.graph
    source, filter_, result = graph.input(op, 0), graph.input(op, 1), graph.output(op)
    outputs, inputs = filter_.shape
    if source.dtype == "int16":
        _fully_connected16(lowering, op)
        return
    weights = filter_.data.astype(np.int64)
    q_in, q_filter, q_out = source.quantization, filter_.quantization, result.quantization
    if q_filter.per_channel:
        ratios = [q_in.scale * scale / q_out.scale for scale in _channel_scales(filter_, outputs)]
    else:
        # The product of the scales is float32: GetQuantizedConvolutionMultipler.
        ratios = [float(np.float32(q_in.scale) * np.float32(q_filter.scale)) / q_out.scale]
    multipliers, shifts = _multipliers(ratios)
    bias = _folded_bias(lowering, op, weights, q_in.zero_point)
    _check_range(op, bias, weights, np.broadcast_to(shifts, (outputs,)).tolist())
    low, high = activation_range(op.options["activation"], q_out.scale, q_out.zero_point, "int8")
    if max(outputs, inputs, source.elements // inputs) > LARGEST_AXIS:
        raise refuse(op, f"a dimension of it exceeds {LARGEST_AXIS}")
    packed = layout.by_channel(filter_.data)
    constant = Constant(
        "edgesea_dense",
        {
            "weights": Array("weights", "int8_t", packed, spare=SPARE),
            "bias": Array("bias", "int32_t", bias.astype(np.int32)),
            "multiplier": Array("multiplier", "int32_t", multipliers),
            "shift": Array("shift", "int8_t", shifts),
            "rows": source.elements // inputs,
            "inputs": inputs,
            "outputs": outputs,
            "per_channel": int(q_filter.per_channel),
            "out_zero": q_out.zero_point,
            "low": low,
            "high": high,
        },
    )
    lowering.add(
        op,
        (source.index,),
        Call("edgesea_fully_connected", (constant, IN(0), OUT, SCRATCH)),
        scratch=layout.scratch_bytes("edgesea_fully_connected", constant.fields),
    )


CHANNEL16 = np.dtype([("bias", np.int64), ("multiplier", np.int32), ("shift", np.int32)])


def _channels16(lowering: _Lowering, op: Operator, channels: int, ratios: list[float]) -> Array:
    """Records as edgesea_channel16: MultiplyByQuantizedMultiplier for 64-bit sums, whose multiplier has 16 bits."""
    bias = lowering.graph.input(op, 2)
    records = np.zeros(channels, CHANNEL16)
    if bias is not None:
        records["bias"] = bias.data.reshape(-1)
    for channel, ratio in enumerate(ratios):
        multiplier, shift = quantize_multiplier(ratio)
        records[channel]["multiplier"] = min((multiplier + (1 << 15)) >> 16, 32767)
        records[channel]["shift"] = 15 - shift
    return Array("channels", "edgesea_channel16", records)


def _convolution16(lowering: _Lowering, op: Operator, weights: np.ndarray, channels: int, function: str) -> None:
    """Both kinds of convolution on int16; weights in the order of the file, which is the kernels'."""
    graph = lowering.graph
    source, filter_, result = graph.input(op, 0), graph.input(op, 1), graph.output(op)
    kernel = filter_.shape[1:3]
    frame = _frame(op, source, result, kernel)
    q_in, q_out = source.quantization, result.quantization
    ratios = [q_in.scale * scale / q_out.scale for scale in _channel_scales(filter_, channels)]
    low, high = activation_range(op.options["activation"], q_out.scale, 0, "int16")
    constant = Constant(
        "edgesea_conv16",
        {
            "weights": Array("weights", "int8_t", weights),
            "channels": _channels16(lowering, op, channels, ratios),
            "in_width": frame.in_width,
            "in_channels": source.shape[3],
            "out_width": frame.out_width,
            "out_channels": channels,
            "kernel_height": kernel[0],
            "kernel_width": kernel[1],
            "stride": frame.stride,
            "dilation": frame.dilation,
            "pad_left": frame.pad_left,
            "low": low,
            "high": high,
        },
    )
    lowering.add_rows(op, function, (source.index,), constant, frame.rows, batch=source.shape[0])


def _fully_connected16(lowering: _Lowering, op: Operator) -> None:
    """A dense layer on int16, which, unlike the convolutions, keeps all bits of the multiplier."""
    graph = lowering.graph
    source, filter_, result = graph.input(op, 0), graph.input(op, 1), graph.output(op)
    outputs, inputs = filter_.shape
    q_in, q_out = source.quantization, result.quantization
    ratios = [q_in.scale * scale / q_out.scale for scale in _channel_scales(filter_, outputs)]
    multipliers, shifts = _multipliers(ratios)
    bias = _folded_bias(lowering, op, filter_.data.astype(np.int64), 0)
    largest = np.abs(bias) + 32768 * np.abs(filter_.data.astype(np.int64)).sum(axis=1)
    if largest.max() >= 2**31:
        raise refuse(op, f"its sums can reach {largest.max()}, more than 32 bits")
    rows = source.elements // inputs
    if max(outputs, inputs, rows) > LARGEST_AXIS:
        raise refuse(op, f"a dimension of it exceeds {LARGEST_AXIS}")
    low, high = activation_range(op.options["activation"], q_out.scale, 0, "int16")
    records = np.zeros(outputs, CHANNEL)
    records["bias"], records["multiplier"], records["shift"] = bias, multipliers, shifts
    constant = Constant(
        "edgesea_dense16",
        {
            "weights": Array("weights", "int8_t", filter_.data),
            "channels": Array("channels", "edgesea_channel", records),
            "rows": rows,
            "inputs": inputs,
            "outputs": outputs,
            "low": low,
            "high": high,
        },
    )
    lowering.add(op, (source.index,), Call("edgesea_fully_connected16", (constant, IN(0), OUT)))


# ---- poolings ----------------------------------------------------------------------------------------------------


def _pool(lowering: _Lowering, op: Operator, kind: str, sums: int) -> None:
    graph = lowering.graph
    source, result = graph.input(op, 0), graph.output(op)
    frame = _frame(op, source, result, op.options["filter"], singly=True)
    quantization = result.quantization
    wide = "16" if source.dtype == "int16" else ""
    low, high = activation_range(
        op.options["activation"], quantization.scale, quantization.zero_point, source.dtype
    )
    constant = Constant(
        f"edgesea_pool{wide}",
        {
            "in_width": frame.in_width,
            "out_width": frame.out_width,
            "channels": source.shape[3],
            "kernel_width": frame.kernel_width,
            "stride": frame.stride,
            "pad_left": frame.pad_left,
            "low": low,
            "high": high,
        },
    )
    batch = source.shape[0]
    lowering.add_rows(
        op, f"edgesea_{kind}_pool{wide}_row", (source.index,), constant, frame.rows, sums=sums, batch=batch
    )


@lowers("MAX_POOL_2D")
def _max_pool_2d(lowering: _Lowering, op: Operator) -> None:
    _pool(lowering, op, "max", 0)


@lowers("AVERAGE_POOL_2D")
def _average_pool_2d(lowering: _Lowering, op: Operator) -> None:
    result = lowering.graph.output(op)
    _pool(lowering, op, "average", 4 * result.shape[2] * result.shape[3])


# ---- functions of one value --------------------------------------------------------------------------------------


def _float32_ratio(*scales: float) -> float:
    """scales[0] * ... * scales[-2] / scales[-1] in float32, as several of TensorFlow Lite's Prepare functions do."""
    product = np.float32(scales[0])
    for scale in scales[1:-1]:
        product *= np.float32(scale)
    return float(product / np.float32(scales[-1]))


@lowers("LOGISTIC")
def _logistic(lowering: _Lowering, op: Operator) -> None:
    if lowering.graph.input(op, 0).dtype == "int16":
        _sigmoid16(lowering, op, "edgesea_logistic16")
        return
    _float_table(lowering, op, lambda value: 1 / (1 + math.exp(-value)))


@lowers("TANH")
def _tanh(lowering: _Lowering, op: Operator) -> None:
    if lowering.graph.input(op, 0).dtype == "int16":
        _sigmoid16(lowering, op, "edgesea_tanh16")
        return
    _float_table(lowering, op, math.tanh)


def _float_table(lowering: _Lowering, op: Operator, function: Callable[[float], float]) -> None:
    """A table that TensorFlow Lite, too, computes once, in float32: LUTPopulate."""
    source, result = lowering.graph.input(op, 0), lowering.graph.output(op)
    q, q_out = source.quantization, result.quantization
    inverse = np.float32(1) / np.float32(q_out.scale)

    def entry(value: int) -> int:
        real = np.float32(q.scale) * np.float32(value - q.zero_point)
        rescaled = np.float32(function(max(float(real), -700.0))) * inverse
        return clamp(round_away(float(rescaled)) + q_out.zero_point, -128, 127)

    lowering.add_table(op, source, entry)


def _sigmoid16(lowering: _Lowering, op: Operator, function: str) -> None:
    source = lowering.graph.input(op, 0)
    # From the input's scale to that of the table, 1 / 12288, in 15 bits: TanhPrepare.
    multiplier, shift = source.quantization.scale * 12288, 0
    while multiplier <= 32767 / 2 and shift <= 30:
        multiplier, shift = multiplier * 2, shift + 1
    constant = Constant(
        "edgesea_sigmoid16_constant",
        {
            "table": Array("table", "uint16_t", sigmoid_table()),
            "count": source.elements,
            "multiplier": int(multiplier),
            "shift": shift,
        },
    )
    lowering.add(op, (source.index,), Call(function, (constant, IN(0), OUT)), in_place=(0,))


@lowers("HARD_SWISH")
def _hard_swish(lowering: _Lowering, op: Operator) -> None:
    source, result = lowering.graph.input(op, 0), lowering.graph.output(op)
    q, q_out = source.quantization, result.quantization
    fine = float(np.float32(1 / 128) * np.float32(q.scale))
    out_multiplier, out_shift = _short_multiplier(_float32_ratio(fine, q_out.scale))
    inner_multiplier, inner_shift = _short_multiplier(_float32_ratio(fine, float(np.float32(3) / np.float32(32768))))

    def entry(value: int) -> int:
        # 16-bit fixed point throughout: reference_ops::HardSwish.
        raised = (value - q.zero_point) << 7
        on_output_scale = (raised * out_multiplier + (1 << 14)) >> 15
        gate = raised
        if inner_shift > 0:
            gate = clamp(gate << (inner_shift - 1), *LIMITS["int16"])
        gate = min((gate * inner_multiplier + (1 << 14)) >> 15, 32767)
        if inner_shift > 0:
            gate = clamp(gate << 1, *LIMITS["int16"])
        gate = shift_right(gate, max(-inner_shift, 0))
        gate = (gate + (1 << 15)) >> 1
        product = gate * on_output_scale
        product = abs(product) >> 15 if product >= 0 else -(abs(product) >> 15)
        return clamp(shift_right(product, -out_shift) + q_out.zero_point, -128, 127)

    lowering.add_table(op, source, entry)


def _short_multiplier(real: float) -> tuple[int, int]:
    """quantize_multiplier with the multiplier rounded to 16 bits."""
    multiplier, shift = quantize_multiplier(real)
    return min((multiplier + (1 << 15)) >> 16, 32767), shift


@lowers("LEAKY_RELU")
def _leaky_relu(lowering: _Lowering, op: Operator) -> None:
    source, result = lowering.graph.input(op, 0), lowering.graph.output(op)
    q, q_out = source.quantization, result.quantization
    positive = quantize_multiplier(_float32_ratio(q.scale, q_out.scale))
    negative = quantize_multiplier(_float32_ratio(q.scale, op.options["alpha"], q_out.scale))
    if source.dtype == "int16":
        _rescale(lowering, op, positive, negative, *LIMITS["int16"])
        return

    def entry(value: int) -> int:
        real = value - q.zero_point
        scaled = scale_twice(real, *(positive if real >= 0 else negative))
        return clamp(scaled + q_out.zero_point, -128, 127)

    lowering.add_table(op, source, entry)


@lowers("RELU", "RELU6")
def _relu(lowering: _Lowering, op: Operator) -> None:
    source, result = lowering.graph.input(op, 0), lowering.graph.output(op)
    q, q_out = source.quantization, result.quantization
    multiplier = quantize_multiplier(_float32_ratio(q.scale, q_out.scale))
    low, high = activation_range(op.opcode, q_out.scale, q_out.zero_point, result.dtype)
    if source.dtype == "int16":
        _rescale(lowering, op, multiplier, multiplier, low, high)
        return

    def entry(value: int) -> int:
        return clamp(scale_twice(value - q.zero_point, *multiplier) + q_out.zero_point, low, high)

    lowering.add_table(op, source, entry)


@lowers("QUANTIZE")
def _quantize(lowering: _Lowering, op: Operator) -> None:
    source, result = lowering.graph.input(op, 0), lowering.graph.output(op)
    q, q_out = source.quantization, result.quantization
    if source.dtype == "float32":
        constant = Constant(
            "edgesea_float_constant", {"scale": q_out.scale, "count": source.elements, "zero": q_out.zero_point}
        )
        function = "edgesea_quantize16" if result.dtype == "int16" else "edgesea_quantize"
        lowering.add(op, (source.index,), Call(function, (constant, IN(0), OUT)))
        return
    multiplier = quantize_multiplier(q.scale / q_out.scale)
    if "int16" in (source.dtype, result.dtype):
        _rescale(lowering, op, multiplier, multiplier, *LIMITS[result.dtype])
        return

    def entry(value: int) -> int:
        return clamp(scale_twice(value - q.zero_point, *multiplier) + q_out.zero_point, -128, 127)

    lowering.add_table(op, source, entry)


@lowers("DEQUANTIZE")
def _dequantize(lowering: _Lowering, op: Operator) -> None:
    source = lowering.graph.input(op, 0)
    q = source.quantization
    constant = Constant(
        "edgesea_float_constant", {"scale": q.scale, "count": source.elements, "zero": q.zero_point}
    )
    function = "edgesea_dequantize16" if source.dtype == "int16" else "edgesea_dequantize"
    lowering.add(op, (source.index,), Call(function, (constant, IN(0), OUT)))


def _rescale(
    lowering: _Lowering, op: Operator, positive: tuple[int, int], negative: tuple[int, int], low: int, high: int
) -> None:
    """Where 256 results do not do: int16 on either side."""
    source, result = lowering.graph.input(op, 0), lowering.graph.output(op)
    constant = Constant(
        "edgesea_rescale_constant",
        {
            "count": source.elements,
            "multiplier": (positive[0], negative[0]),
            "shift": (positive[1], negative[1]),
            "in_zero": source.quantization.zero_point,
            "out_zero": result.quantization.zero_point,
            "low": low,
            "high": high,
            "in_wide": int(source.dtype == "int16"),
            "out_wide": int(result.dtype == "int16"),
        },
    )
    in_place = (0,) if source.dtype == result.dtype else ()
    lowering.add(op, (source.index,), Call("edgesea_rescale", (constant, IN(0), OUT)), in_place=in_place)


# ---- sums and products of two tensors ----------------------------------------------------------------------------


@lowers("MUL")
def _mul(lowering: _Lowering, op: Operator) -> None:
    a, b = (lowering.graph.input(op, i).quantization for i in (0, 1))
    q_out = lowering.graph.output(op).quantization
    multiplier, shift = quantize_multiplier(_float32_ratio(a.scale, b.scale, q_out.scale))
    dtype = lowering.graph.output(op).dtype
    low, high = activation_range(op.options["activation"], q_out.scale, q_out.zero_point, dtype)

    def product(first: int, second: int) -> int:
        raw = (first - a.zero_point) * (second - b.zero_point)
        return clamp(scale_twice(raw, multiplier, shift) + q_out.zero_point, low, high)

    sides = [{"zero": q.zero_point, "multiplier": 0, "shift": 0, "sign": 1} for q in (a, b)]
    out = {"out_multiplier": multiplier, "out_shift": shift, "out_zero": q_out.zero_point, "low": low, "high": high}
    _pairwise(lowering, op, "edgesea_mul", product, sides, out)


@lowers("ADD", "SUB")
def _add(lowering: _Lowering, op: Operator) -> None:
    quantizations = [lowering.graph.input(op, i).quantization for i in (0, 1)]
    q_out = lowering.graph.output(op).quantization
    dtype = lowering.graph.output(op).dtype
    spare_bits = 20 if dtype == "int8" else 15
    largest = 2 * max(q.scale for q in quantizations)
    sides = []
    for q, sign in zip(quantizations, (1, -1 if op.opcode == "SUB" else 1), strict=True):
        multiplier, shift = quantize_multiplier(q.scale / largest)
        sides.append({"zero": q.zero_point, "multiplier": multiplier, "shift": shift, "sign": sign})
    multiplier, shift = quantize_multiplier(largest / (2.0**spare_bits * q_out.scale))
    low, high = activation_range(op.options["activation"], q_out.scale, q_out.zero_point, dtype)

    def total(*operands: int) -> int:
        raw = sum(
            side["sign"] * scale_twice((operand - side["zero"]) << spare_bits, side["multiplier"], side["shift"])
            for operand, side in zip(operands, sides, strict=True)
        )
        return clamp(scale_twice(raw, multiplier, shift) + q_out.zero_point, low, high)

    out = {"out_multiplier": multiplier, "out_shift": shift, "out_zero": q_out.zero_point, "low": low, "high": high}
    _pairwise(lowering, op, "edgesea_add", total, sides, out)


def _pairwise(
    lowering: _Lowering,
    op: Operator,
    function: str,
    formula: Callable[[int, int], int],
    sides: list[dict[str, int]],
    out: dict[str, int],
) -> None:
    """An operator on two tensors, element by element, one of them repeated where it is smaller.

    A constant of one element makes it a table. Otherwise the kernel wants the first operand whole and the second
    whole or repeated from its beginning; operands are exchanged for that, or spread out by a copy.
    """
    graph = lowering.graph
    result = graph.output(op)
    wide = result.dtype == "int16"
    operands = [graph.input(op, i) for i in (0, 1)]
    for position in (1, 0):
        other = operands[1 - position]
        if not wide and operands[position].constant and operands[position].elements == 1 and other.shape == result.shape:
            number = int(operands[position].data.reshape(-1)[0])
            if position:
                lowering.add_table(op, other, lambda value: formula(value, number))
            else:
                lowering.add_table(op, other, lambda value: formula(number, value))
            return
    order = (0, 1)
    if operands[0].constant or operands[0].elements < result.elements:
        order = (1, 0)
    first, second = (operands[i] for i in order)
    if first.elements < result.elements:
        first = _spread(lowering, op, first, result.shape)
    period = _period(second, result.shape)
    values = None
    if second.constant:
        if period is None:
            period = result.elements
            values = np.ascontiguousarray(np.broadcast_to(second.data, result.shape))
        else:
            values = second.data.reshape(-1)
    elif period is None:
        second, period = _spread(lowering, op, second, result.shape), result.elements
    rows = None if wide else _image_rows(result)
    inputs = (first.index,) if second.constant else (first.index, second.index)
    by_rows = rows is not None and (
        rows.out_row_bytes % period == 0 if second.constant else period == result.elements
    )
    count = rows.out_row_bytes if by_rows else result.elements
    fields = {
        "constant": None if values is None else Array("operand", _CTYPES[result.dtype], values),
        "count": count,
        "period": min(period, count),
        **{name: tuple(sides[i][name] for i in order) for name in ("multiplier", "shift", "zero", "sign")},
        **out,
    }
    if wide:
        # Their zero is 0.
        del fields["zero"], fields["out_zero"]
    suffix = "16" if wide else ""
    constant = Constant(f"edgesea_pairwise{suffix}", fields)
    whole = tuple(i for i in range(len(inputs)) if i == 0 or period == result.elements)
    if by_rows:
        lowering.add_rows(op, f"{function}_row", inputs, constant, rows, in_place=whole)
    else:
        arguments = (constant, IN(0), 0 if second.constant else IN(1), OUT)
        lowering.add(op, inputs, Call(f"{function}{suffix}", arguments), in_place=whole)


def _period(tensor: Tensor, shape: tuple[int, ...]) -> int | None:
    """After how many elements ``tensor`` repeats when it is spread over ``shape``; None if it does not so simply."""
    own = (1,) * (len(shape) - len(tensor.shape)) + tensor.shape
    lead = 0
    while lead < len(shape) and own[lead] == 1:
        lead += 1
    return tensor.elements if own[lead:] == shape[lead:] else None


def _spread(lowering: _Lowering, op: Operator, tensor: Tensor, shape: tuple[int, ...]) -> Tensor:
    """``tensor`` repeated over ``shape``, as a tensor of its own."""
    whole = lowering.temporary(shape, tensor.dtype)
    own = (1,) * (len(shape) - len(tensor.shape)) + tensor.shape
    strides = [0 if size == 1 else stride for size, stride in zip(own, layout.strides(own), strict=True)]
    call = _copy_call(tensor, shape, strides, layout.strides(shape))
    lowering.add(op, (tensor.index,), call, output=whole.index)
    return whole


def _join_tables(lowering: _Lowering, steps: tuple[Step, ...]) -> tuple[Step, ...]:
    """Apply a table where the rows are made, if nobody else wants them as they were; join tables of tables."""
    readers: dict[int, int] = {}
    for step in steps:
        for tensor in step.inputs:
            readers[tensor] = readers.get(tensor, 0) + 1
    for tensor in lowering.graph.outputs:
        root = lowering.root(tensor)
        readers[root] = readers.get(root, 0) + 1
    done: list[Step] = []
    maker: dict[int, int] = {}
    for step in steps:
        number = maker.get(step.inputs[0]) if step.function == "edgesea_lookup_row" else None
        if number is None or readers[step.inputs[0]] > 1 or done[number].rows is None:
            number = len(done)
            done.append(step)
        else:
            done[number] = _joined(done[number], step)
        maker[step.output] = number
    return tuple(done)


def _joined(earlier: Step, lookup: Step) -> Step:
    """One step that does both; `lookup` is an edgesea_lookup_row."""
    table = lookup.constant.fields["table"]
    operators = earlier.operators + lookup.operators
    if earlier.function == "edgesea_lookup_row":
        fields = dict(earlier.constant.fields)
        fields["table"] = replace(table, values=_composed(fields["table"].values, table.values))
        return replace(
            earlier, operators=operators, output=lookup.output, constant=replace(earlier.constant, fields=fields)
        )
    if earlier.table is not None:
        table = replace(table, values=_composed(earlier.table.values, table.values))
    return replace(earlier, operators=operators, output=lookup.output, table=table)


def _composed(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    return second[first.astype(np.int64) + 128]


# ---- the rest ----------------------------------------------------------------------------------------------------


@lowers("RESHAPE", "SQUEEZE", "EXPAND_DIMS")
def _reshape(lowering: _Lowering, op: Operator) -> None:
    lowering.view(op)


# ---- moving --------------------------------------------------------------------------------------------------------


def _element_bytes(tensor: Tensor) -> int:
    return tensor.bytes // tensor.elements


def _copy_call(
    tensor: Tensor,
    sizes: Iterable[int],
    in_strides: Iterable[int],
    out_strides: Iterable[int],
    in_first: int = 0,
    out_first: int = 0,
    source: Slot | Array | None = None,
) -> Call:
    """Copy elements of the type of ``tensor``: strides and first elements are counted in elements."""
    element = _element_bytes(tensor)
    axes = layout.merge_axes(sizes, in_strides, out_strides)
    run = element
    if axes and axes[-1][1:] == (1, 1):
        run *= axes.pop()[0]
    records = np.array([(n, i * element, o * element) for n, i, o in axes] or [(1, 0, 0)], AXIS)
    constant = Constant(
        "edgesea_copy_constant",
        {
            "axes": Array("axes", "edgesea_axis", records),
            "run": run,
            "in_first": in_first * element,
            "out_first": out_first * element,
            "rank": len(records),
        },
    )
    return Call("edgesea_copy", (constant, IN(0) if source is None else source, OUT))


@lowers("TRANSPOSE")
def _transpose(lowering: _Lowering, op: Operator) -> None:
    source, result = lowering.graph.input(op, 0), lowering.graph.output(op)
    order = lowering.graph.input(op, 1).data.reshape(-1).tolist()
    strides = layout.strides(source.shape)
    call = _copy_call(source, result.shape, [strides[axis] for axis in order], layout.strides(result.shape))
    lowering.add(op, (source.index,), call)


@lowers("STRIDED_SLICE")
def _strided_slice(lowering: _Lowering, op: Operator) -> None:
    graph = lowering.graph
    source = graph.input(op, 0)
    ranges = slice_ranges(source.shape, *(graph.input(op, i).data for i in (1, 2, 3)), op.options)
    sizes = [len(r) for r in ranges]
    strides = layout.strides(source.shape)
    first = sum(r.start * stride for r, stride in zip(ranges, strides, strict=True))
    steps = [r.step * stride for r, stride in zip(ranges, strides, strict=True)]
    lowering.add(op, (source.index,), _copy_call(source, sizes, steps, layout.strides(sizes), in_first=first))


@lowers("SPLIT")
def _split(lowering: _Lowering, op: Operator) -> None:
    graph = lowering.graph
    source = graph.input(op, 1)
    axis = int(graph.input(op, 0).data.reshape(-1)[0]) % len(source.shape)
    strides = layout.strides(source.shape)
    for position, index in enumerate(op.outputs):
        shape = graph.tensors[index].shape
        first = position * shape[axis] * strides[axis]
        call = _copy_call(source, shape, strides, layout.strides(shape), in_first=first)
        lowering.add(op, (source.index,), call, output=index)


@lowers("CONCATENATION")
def _concatenation(lowering: _Lowering, op: Operator) -> None:
    graph = lowering.graph
    result = graph.output(op)
    axis = op.options["axis"] % len(result.shape)
    strides = layout.strides(result.shape)
    inputs: list[int] = []
    calls = []
    first = 0
    for index in op.inputs:
        tensor = graph.tensors[index]
        source: Slot | Array
        if tensor.constant:
            source = Array(f"part{len(calls)}", _CTYPES[tensor.dtype], tensor.data)
        else:
            source = IN(len(inputs))
            inputs.append(index)
        calls.append(
            _copy_call(tensor, tensor.shape, layout.strides(tensor.shape), strides, out_first=first, source=source)
        )
        first += tensor.shape[axis] * strides[axis]
    lowering.add(op, inputs, *calls)


_CTYPES = {"int8": "int8_t", "int16": "int16_t"}


@lowers("PAD", "PADV2")
def _pad(lowering: _Lowering, op: Operator) -> None:
    graph = lowering.graph
    source, result = graph.input(op, 0), graph.output(op)
    filler = np.array([_filler(graph, op)], result.dtype)
    strides = layout.strides(result.shape)
    fill = _copy_call(
        result,
        result.shape,
        [0] * len(strides),
        strides,
        source=Array("filler", _CTYPES[result.dtype], filler),
    )
    before = [int(pair[0]) for pair in graph.input(op, 1).data]
    first = sum(n * stride for n, stride in zip(before, strides, strict=True))
    copy = _copy_call(source, source.shape, layout.strides(source.shape), strides, out_first=first)
    lowering.add(op, (source.index,), fill, copy)


# ---- reductions ----------------------------------------------------------------------------------------------------


@lowers("MEAN")
def _mean(lowering: _Lowering, op: Operator) -> None:
    source, result = lowering.graph.input(op, 0), lowering.graph.output(op)
    q, q_out = source.quantization, result.quantization
    multiplier, shift = quantize_multiplier(q.scale / q_out.scale)
    count = source.elements // result.elements
    # The division joins the multiplier, which keeps as many bits as fit: reference_ops::QuantizedMeanOrSum.
    bits = min(count.bit_length() - 1, 32, 31 + shift)
    scaling = {
        "multiplier": (multiplier << bits) // count,
        "offset": -q.zero_point * count,
        "shift": shift - bits,
        "out_zero": q_out.zero_point,
    }
    axes = _reduced_axes(lowering.graph, op)
    if source.dtype == "int16":
        _reduce(lowering, op, "edgesea_reduce_sum16", axes, {**scaling, "mask": -1, "low": -32768, "high": 32767})
    elif len(source.shape) == 4 and source.shape[0] == 1 and axes == [1, 2]:
        _, height, width, channels = source.shape
        constant = Constant("edgesea_mean", {**scaling, "width": width, "channels": channels})
        rows = Rows(height, 1, width * channels, channels, height, singly=True)
        lowering.add_rows(op, "edgesea_mean_row", (source.index,), constant, rows, sums=4 * channels)
    else:
        _reduce(lowering, op, "edgesea_reduce_sum", axes, {**scaling, "mask": -1, "low": -128, "high": 127})


@lowers("SUM")
def _sum(lowering: _Lowering, op: Operator) -> None:
    source, result = lowering.graph.input(op, 0), lowering.graph.output(op)
    q, q_out = source.quantization, result.quantization
    multiplier, shift = quantize_multiplier(q.scale / q_out.scale)
    if source.dtype == "int16":
        raise refuse(op, "BUILTIN_REF sums int16 as if it were bytes, so there is nothing to be equal to; use MEAN")
    scaling = {
        "multiplier": multiplier,
        "offset": -q.zero_point * (source.elements // result.elements),
        "shift": shift,
        "out_zero": q_out.zero_point,
        # BUILTIN_REF of ai-edge-litert 2.3 sums int8 as if it were uint8, input and output alike, which is a
        # mistake unless every value and every sum is positive; its bytes are what we promise, so we do too.
        "mask": 255,
        "low": 0,
        "high": 255,
    }
    _reduce(lowering, op, "edgesea_reduce_sum", _reduced_axes(lowering.graph, op), scaling)


@lowers("REDUCE_MAX")
def _reduce_max(lowering: _Lowering, op: Operator) -> None:
    unused = {"multiplier": 0, "offset": 0, "shift": 0, "out_zero": 0, "mask": -1, "low": -128, "high": 127}
    wide = "16" if lowering.graph.input(op, 0).dtype == "int16" else ""
    _reduce(lowering, op, f"edgesea_reduce_max{wide}", _reduced_axes(lowering.graph, op), unused)


def _reduced_axes(graph: Graph, op: Operator) -> list[int]:
    rank = len(graph.input(op, 0).shape)
    return sorted({int(axis) % rank for axis in graph.input(op, 1).data.reshape(-1)})


def _reduce(lowering: _Lowering, op: Operator, function: str, axes: list[int], scaling: dict[str, int]) -> None:
    """Any set of axes, by strides: those kept, then those reduced."""
    source = lowering.graph.input(op, 0)
    strides = layout.strides(source.shape)
    kept = [(source.shape[i], strides[i], 0) for i in range(len(strides)) if i not in axes]
    reduced = [(source.shape[i], strides[i], 0) for i in axes]
    constant = Constant(
        "edgesea_reduce",
        {
            "axes": Array("axes", "edgesea_axis", np.array(kept + reduced, AXIS)),
            **scaling,
            "kept": len(kept),
            "reduced": len(reduced),
        },
    )
    lowering.add(op, (source.index,), Call(function, (constant, IN(0), OUT)))


# ---- softmax -------------------------------------------------------------------------------------------------------


@lowers("SOFTMAX")
def _softmax(lowering: _Lowering, op: Operator) -> None:
    graph = lowering.graph
    source = graph.input(op, 0)
    width = source.shape[-1]
    if width > LARGEST_AXIS:
        raise refuse(op, f"its last axis exceeds {LARGEST_AXIS}")
    if source.dtype == "int16":
        _softmax16(lowering, op)
        return
    exponentials = softmax_exponentials(source.quantization.scale, op.options["beta"])
    constant = Constant(
        "edgesea_softmax_constant",
        {
            "exponentials": Array("exponentials", "int32_t", exponentials),
            "rows": source.elements // width,
            "width": width,
            "entries": exponentials.size,
        },
    )
    lowering.add(op, (source.index,), Call("edgesea_softmax", (constant, IN(0), OUT)), in_place=(0,))


def _softmax16(lowering: _Lowering, op: Operator) -> None:
    source = lowering.graph.input(op, 0)
    multiplier, shift = quantize_multiplier(source.quantization.scale * op.options["beta"] / (10.0 / 65535.0))
    exponentials = interpolation_table(math.exp, 10.0 / 65535, 32767)
    reciprocals = interpolation_table(lambda x: 1 / (1 + x), 1.0 / 65535, -32768)
    constant = Constant(
        "edgesea_softmax16_constant",
        {
            "exponentials": Array("exponentials", "int16_t", exponentials),
            "reciprocals": Array("reciprocals", "int16_t", reciprocals),
            "rows": source.elements // source.shape[-1],
            "width": source.shape[-1],
            "multiplier": multiplier,
            "shift": shift,
        },
    )
    lowering.add(op, (source.index,), Call("edgesea_softmax16", (constant, IN(0), OUT)), in_place=(0,))
