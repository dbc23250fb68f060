"""Write a plan as C: one source file, one header.

The text comes from the two templates in ``templates/``, which read like what they make; here their blanks are
computed. Nothing is written to disk here.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from firmware_export import ctext, kernels
from firmware_export.kernels import RUNTIME
from firmware_export.plan import Group, Plan, largest
from firmware_export.program import PATHS, Array, Call, Constant, Rows, Slot, Step

TEMPLATES = Path(__file__).parent / "templates"

__all__ = ["RUNTIME", "TEMPLATES", "Sources", "emit"]

CTYPES = {
    "int8": "int8_t",
    "int16": "int16_t",
    "uint8": "uint8_t",
    "int32": "int32_t",
    "int64": "int64_t",
    "float32": "float",
}


@dataclass(frozen=True)
class Sources:
    """The text of a model in C.

    Parameters
    ----------
    source, header : str
    kernels : tuple of str
        The runtime files that it needs, by name.
    constant_bytes : dict of str to int
        By path (``plain``, ``dsp``, ``mve``), of weights, biases, multipliers and tables: the model's own
        data, without the kernels' parameters.
    """

    source: str
    header: str
    kernels: tuple[str, ...]
    constant_bytes: dict[str, int]


def emit(plans: Mapping[str, Plan], name: str, version: str, command: str = "") -> Sources:
    """Write a program as C.

    Parameters
    ----------
    plans : dict of str to Plan
        By path, of one program.
    name : str
        A C identifier: prefix of every public name.
    version : str
        Of edgesea, for the header.
    command : str
        What made it, for the header.
    """
    return _Emitter(plans, name).sources(version, command)


class _Emitter:
    def __init__(self, plans: Mapping[str, Plan], name: str):
        self.plans, self.name = plans, name
        # Of the path that is being written; what is the same on all of them is taken from the largest.
        self.plan = largest(plans)
        self.program = self.plan.program
        self.graph = self.program.graph
        self.inputs = [self._port(t, "input", i, self.graph.inputs) for i, t in enumerate(self.graph.inputs)]
        self.outputs = [
            self._port(t, "output", i, self.graph.outputs) for i, t in enumerate(self.graph.outputs)
        ]
        # Where streams find rows: the arena, then inputs, then outputs.
        self.place = {t: 1 + i for i, t in enumerate(self.graph.inputs)}
        for i, tensor in enumerate(self.graph.outputs):
            self.place.setdefault(self.program.root(tensor), 1 + len(self.inputs) + i)

    def sources(self, version: str, command: str) -> Sources:
        environment = ctext.environment(TEMPLATES)
        layouts = self._layouts()
        streams = [stream for layout in layouts for stream in layout["streams"]]
        functions = set().union(*(step.functions for step in self.program.steps))
        runner = {"edgesea_stream"} if streams else set()
        pointer_parameters = [f"const {io['ctype']} *{io['argument']}" for io in self.inputs]
        pointer_parameters += [f"{io['ctype']} *{io['argument']}" for io in self.outputs]
        arguments = [io["argument"] for io in self.inputs + self.outputs]
        places = ["arena", *(f"(void *)(uintptr_t){io['argument']}" for io in self.inputs)]
        places += [io["argument"] for io in self.outputs]
        blanks = {
            "name": self.name,
            "NAME": self.name.upper(),
            "version": version,
            "sha256": self.graph.sha256,
            "command": ctext.comment(command),
            "inputs": self.inputs,
            "outputs": self.outputs,
            "parameters": ", ".join(pointer_parameters),
            "arguments": ", ".join(arguments),
            "arenas": self._by_condition({path: each.arena_bytes for path, each in self.plans.items()}),
            "state_bytes": self.plan.state_bytes,
            "states": [
                (b.offset, self.program.steps[b.step].initial, b.bytes)
                for b in self.plan.buffers
                if b.persistent
            ],
            "state": "void *state, " if self.plan.state_bytes else "",
            "peak": self.plan.peak,
            "steps": [self._constants(number, step) for number, step in enumerate(self.program.steps)],
            "kernel_headers": kernels.headers(functions),
            "layouts": layouts,
            "places": ", ".join(places),
            "most_rows": max(
                [2] + [s.rows.height for s in self.program.steps if s.rows and not s.rows.singly]
            ),
            "unused": [io["argument"] for io in self.inputs if not self._is_read(io["tensor"])],
            "uses_memcpy": self.plan.state_bytes > 0
            or any("memcpy" in step.functions for step in self.program.steps),
        }
        source = environment.get_template("model.c.jinja").render(blanks)
        header = environment.get_template("model.h.jinja").render(blanks)
        arrays = [array for step in self.program.steps for array in step.arrays]
        constant_bytes = {path: sum(array.bytes(path) for array in arrays) for path in PATHS}
        return Sources(source, header, kernels.files(functions | runner), constant_bytes)

    # ---- the interface ----

    def _port(self, index: int, role: str, number: int, ports: tuple[int, ...]) -> dict:
        tensor = self.graph.tensors[index]
        suffix = role if len(ports) == 1 else f"{role}{number}"
        quantization = tensor.quantization
        quantised = quantization is not None and tensor.dtype in ("int8", "uint8", "int16")
        return {
            "tensor": index,
            "role": suffix,
            "argument": suffix,
            "macro": f"{self.name}_{suffix}".upper(),
            "ctype": CTYPES[tensor.dtype],
            "shape": tensor.shape or (1,),
            "length": tensor.elements,
            "bytes": tensor.bytes,
            "scale": ctext.float32(quantization.scale) if quantised else None,
            "zero": quantization.zero_point if quantised else None,
            "meaning": "",
        }

    def _is_read(self, tensor: int) -> bool:
        return any(tensor in step.inputs for step in self.program.steps)

    # ---- constants ----

    def _label(self, number: int) -> str:
        return f"{self.program.steps[number].operators[0].opcode.lower()}_{number}"

    def _constants(self, number: int, step: Step) -> dict:
        label = self._label(number)
        labels = {id(constant): name for constant, name in self._constant_names(number, step)}
        names = {id(a): f"{labels[id(c)]}_{a.role}" for c in step.constants for a in c.arrays}
        return {
            "title": f"{number}: {step.name}, {self._shapes(step)}",
            "arrays": [
                {
                    "ctype": array.ctype,
                    "name": names.get(id(array), f"{label}_{array.role}"),
                    "length": array.values.size + array.spare // array.values.itemsize,
                    "text": _numbers(array.values),
                    "variants": [
                        {
                            "path": path.upper(),
                            "ctype": f"{values.dtype.name}_t",
                            "length": values.size + array.spare // values.itemsize,
                            "text": _numbers(values),
                        }
                        for path, values in array.variants.items()
                    ],
                }
                for array in step.arrays
            ],
            "constants": [
                {
                    "ctype": constant.ctype,
                    "name": labels[id(constant)],
                    "text": "\n".join(
                        f"    {self._value(labels[id(constant)], value)}, /* {field} */"
                        for field, value in kernels.in_order(constant.ctype, constant.fields).items()
                    ),
                }
                for constant in step.constants
            ],
        }

    def _constant_names(self, number: int, step: Step) -> list[tuple[Constant, str]]:
        """The C names of a step's constants: only where there are several do they carry letters."""
        label = self._label(number)
        if len(step.constants) == 1:
            return [(step.constants[0], label)]
        return [(constant, f"{label}_{i}") for i, constant in enumerate(step.constants)]

    def _shapes(self, step: Step) -> str:
        def shape(tensor: int) -> str:
            return "x".join(map(str, self.program.tensor(tensor).shape)) or "1"

        return f"{' and '.join(shape(t) for t in step.inputs)} -> {shape(step.output)}"

    @staticmethod
    def _value(label: str, value) -> str:
        if value is None:
            return "NULL"
        if isinstance(value, Array):
            return f"{label}_{value.role}"
        if isinstance(value, tuple):
            return "{" + ", ".join(map(str, value)) + "}"
        if isinstance(value, float):
            return ctext.float32(value)
        return str(value)

    # ---- calls ----

    def _layouts(self) -> list[dict]:
        """The streams and calls of each path; paths that have the same share them."""
        texts = {}
        for path, plan in self.plans.items():
            self.plan = plan
            streams, calls = self._calls()
            texts[path] = {
                "streams": streams,
                "most_stages": max((len(s["stages"]) for s in streams), default=0),
                "calls": calls,
                "uses_memory": any("memory + " in call for call in calls),
            }
        self.plan = largest(self.plans)
        return [{"condition": condition, **text} for condition, text in self._by_condition(texts)]

    @staticmethod
    def _by_condition(values: Mapping[str, Any]) -> list[tuple[str, Any]]:
        """Values by path as (line of the preprocessor, value), a line for all paths with one value.

        The lines are empty where all have the same; the last is ``#else``.
        """
        different: list[tuple[list[str], Any]] = []
        for path, value in values.items():
            paths = next((paths for paths, other in different if other == value), None)
            if paths is None:
                different.append(([path], value))
            else:
                paths.append(path)
        if len(different) == 1:
            return [("", different[0][1])]
        # The plain path, which is first, becomes the last.
        turned = different[1:] + different[:1]
        lines = []
        for number, (paths, value) in enumerate(turned):
            tests = " || ".join(f"EDGESEA_PATH == EDGESEA_PATH_{path.upper()}" for path in paths)
            first = "#if" if number == 0 else "#elif"
            lines.append((f"{first} {tests}" if number < len(turned) - 1 else "#else", value))
        return lines

    def _calls(self) -> tuple[list[dict], list[str]]:
        streams: list[dict] = []
        calls: list[str] = []
        for group in self.plan.groups:
            first = self.program.steps[group.first]
            if first.rows is None:
                calls.append(f"EDGESEA_PROFILE({group.first});")
                calls += [self._call(group.first, call) for call in first.calls]
                continue
            for member in range(first.batch):
                stream = self._stream(group, len(streams), member)
                streams.append(stream)
                calls.append(
                    f"edgesea_stream({stream['name']}, {len(stream['stages'])}, places, progress, rows);"
                )
        return streams, calls

    def _call(self, number: int, call: Call) -> str:
        step = self.program.steps[number]
        labels = {id(constant): name for constant, name in self._constant_names(number, step)}

        def text(argument) -> str:
            if isinstance(argument, Constant):
                return f"&{labels[id(argument)]}"
            if isinstance(argument, Array):
                return f"{self._label(number)}_{argument.role}"
            if not isinstance(argument, Slot):
                return str(argument)
            if argument.what == "scratch":
                return f"memory + {self.plan.scratch_offset(number)}"
            if argument.what == "state":
                return f"kept + {self.plan.state_offset(number)}"
            tensor = step.output if argument.what == "out" else step.inputs[argument.position]
            return self._pointer(tensor, argument.what == "in")

        return f"{call.function}({', '.join(text(a) for a in call.arguments)});"

    def _pointer(self, tensor: int, reading: bool) -> str:
        if tensor in self.place:
            place = self.place[tensor] - 1
            port = (self.inputs + self.outputs)[place]
            if port["ctype"] == "uint8_t":
                # Tables take bytes with a sign.
                return f"({'const ' if reading else ''}int8_t *){port['argument']}"
            return port["argument"]
        ctype = CTYPES[self.program.tensor(tensor).dtype]
        const = "const " if reading else ""
        return f"({const}{ctype} *)(memory + {self.plan.tensor_offset(tensor)})"

    def _stream(self, group: Group, index: int, member: int) -> dict:
        steps = self.program.steps
        stages: list[dict] = []
        stage_of: dict[tuple[int, int], int] = {}
        sources: list[tuple[int, Rows]] = []
        made = {steps[n].output for n in group.steps}
        for n in group.steps:
            rows = steps[n].rows
            for tensor in steps[n].inputs:
                if tensor not in made and (tensor, rows.in_rows) not in stage_of:
                    stage_of[tensor, rows.in_rows] = len(sources)
                    sources.append((tensor, rows))
        for tensor, rows in sources:
            skip = member * rows.in_rows * rows.in_row_bytes
            title = f"tensor {tensor}, whole"
            stages.append(
                self._stage(title, tensor, None, 0, rows.in_rows, rows.in_row_bytes, rows.in_rows, skip)
            )
        for n in group.steps:
            step = steps[n]
            rows = step.rows
            ring = group.rings.get(step.output, rows.out_rows)
            inputs = [stage_of[tensor, rows.in_rows] for tensor in step.inputs]
            stage_of[step.output, rows.out_rows] = len(stages)
            scratch = self.plan.scratch_offset(n)
            title = f"{n}: {step.name}"
            stages.append(
                self._stage(
                    title,
                    step.output,
                    n,
                    scratch,
                    rows.out_rows,
                    rows.out_row_bytes,
                    ring,
                    member * rows.out_rows * rows.out_row_bytes,
                    inputs,
                )
            )
        title = (
            "A stream: rows of several feature maps in turn."
            if group.streamed
            else "One operator, row by row."
        )
        return {"name": f"stream_{index}", "title": title, "stages": stages}

    def _stage(
        self,
        title: str,
        tensor: int,
        number: int | None,
        scratch: int,
        rows: int,
        row_bytes: int,
        ring: int,
        skip: int,
        inputs: Sequence[int] = (),
    ) -> dict:
        step = None if number is None else self.program.steps[number]
        place = self.place.get(tensor, 0)
        offset = skip + (self.plan.tensor_offset(tensor) if place == 0 else 0)
        label = "" if number is None else self._label(number)
        first, second = (*inputs, -1, -1)[:2]
        geometry = step.rows if step else None
        fields = [
            step.function if step else "NULL",
            f"&{label}" if step else "NULL",
            f"{label}_{step.table.role}" if step and step.table else "NULL",
            offset,
            scratch,
            row_bytes,
            rows,
            ring,
            *((geometry.height, geometry.stride, geometry.dilation, geometry.pad) if step else (0, 0, 0, 0)),
            f"{{{first}, {second}}}",
            place,
            int(geometry.singly) if step else 0,
            number if step else -1,
        ]
        return {"title": title, "text": "{" + ", ".join(map(str, fields)) + "}"}


def _numbers(values: np.ndarray) -> str:
    flat = values.reshape(-1)
    if values.dtype.names:
        return "\n".join("    {" + ", ".join(map(str, record)) + "}," for record in flat.tolist())
    words = ctext.items(values)
    per_line = 20 if values.itemsize == 1 else 10
    lines = (", ".join(words[i : i + per_line]) for i in range(0, len(words), per_line))
    return ",\n".join("    " + line for line in lines)
