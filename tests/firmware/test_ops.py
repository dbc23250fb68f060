"""A new operator is one file and its kernel: put into a copy of the package, it is found and compiles."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import random_graphs
from host_program import STRICT

from firmware_export import kernels
from firmware_export.graph import ModelError, read
from firmware_export.ir import Kind
from firmware_export.ops import KINDS
from firmware_export.passes import check, simplify
from firmware_export.program import Constant

PACKAGE = Path(kernels.__file__).parent

FAMILY = '''"""REVERSE_V2 of a whole tensor of one dimension."""

from firmware_export import require
from firmware_export.ir import Kind
from firmware_export.program import IN, OUT, Call, Constant


def _check(graph, op):
    x, y = require.moved(graph, op)
    require.shape(op, y, x.shape)
    require.axis(graph, op, 1, 1)


def _lower(lowering, op):
    count = lowering.graph.output(op).elements
    constant = Constant("edgesea_reverse_constant", {"unused": 7, "count": count})
    lowering.add(op, op.inputs[:1], Call("edgesea_reverse", (constant, IN(0), OUT)))


KINDS = (Kind("REVERSE_V2", union=81, inputs=(2, 2), version=4, check=_check, lower=_lower),)
'''

HEADER = """#ifndef EDGESEA_REVERSE_H
#define EDGESEA_REVERSE_H
#include <stdint.h>
typedef struct edgesea_reverse_constant {
    uint32_t count;
    int8_t unused; /* behind count, though the family names it first */
} edgesea_reverse_constant;
void edgesea_reverse(const edgesea_reverse_constant *op, const int8_t *in, int8_t *out);
#endif
"""

KERNEL = """#include "edgesea_reverse.h"
void edgesea_reverse(const edgesea_reverse_constant *op, const int8_t *in, int8_t *out)
{
    for (uint32_t i = 0; i < op->count; i++) {
        out[i] = in[op->count - 1 - i];
    }
}
"""

MAIN = """#include <stdio.h>
#include "subject.h"
static int8_t in[SUBJECT_INPUT_LENGTH], out[SUBJECT_OUTPUT_LENGTH];
int main(void)
{
    if (fread(in, 1, sizeof in, stdin) != sizeof in) {
        return 1;
    }
    subject_invoke(in, out);
    return fwrite(out, 1, sizeof out, stdout) != sizeof out;
}
"""


def reverse() -> bytes:
    net = random_graphs.Net(np.random.default_rng(1))
    x = net.input((60,))
    y = net.like(x, (60,))
    net.add("REVERSE_V2", [x, net.integers([0])], [y], random_graphs.options("ReverseV2"))
    return net.bytes([y])


def test_a_new_operator_is_one_file_and_its_kernel(tmp_path):
    model = reverse()
    with pytest.raises(ModelError, match=r"the C model has no REVERSE_V2 \(operator 0; GATHER with"):
        check(simplify(read(model)))
    copy = shutil.copytree(PACKAGE, tmp_path / "tree" / "firmware_export")
    (copy / "ops" / "reverse.py").write_text(FAMILY)
    (copy / "runtime" / "edgesea_reverse.h").write_text(HEADER)
    (copy / "runtime" / "edgesea_reverse.c").write_text(KERNEL)
    (tmp_path / "model.tflite").write_bytes(model)
    out = tmp_path / "out"
    program = "import sys; from firmware_export.compile import compile_model; compile_model(*sys.argv[1:])"
    subprocess.run(
        [sys.executable, "-c", program, tmp_path / "model.tflite", out, "subject"],
        cwd=copy.parent,
        env={"PYTHONPATH": str(copy.parent)},
        check=True,
    )
    (out / "main.c").write_text(MAIN)
    command = ["gcc", *STRICT, *sorted(out.glob("*.c")), "-o", out / "program"]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr[:2000]
    for seed in range(5):
        inputs = random_graphs.random_inputs(model, seed)
        ran = subprocess.run(
            [out / "program"], input=b"".join(x.tobytes() for x in inputs), capture_output=True, check=True
        )
        (expected,) = random_graphs.reference(model, inputs)
        assert ran.stdout == expected.tobytes()


def test_operators_are_in_alphabetical_order_and_whole():
    assert list(KINDS) == sorted(KINDS)
    assert all((kind.check is None) == (kind.lower is None) for kind in KINDS.values())
    with pytest.raises(ValueError, match="ROUND has one of check and lower; give both or neither"):
        Kind("ROUND", check=lambda graph, op: None)


def test_constants_follow_their_struct_in_any_order():
    fields = {"rows": 2, "width": 3, "exponentials": None, "entries": 4}
    constant = Constant("edgesea_softmax_constant", fields)
    ordered = kernels.in_order(constant.ctype, constant.fields)
    assert list(ordered) == ["exponentials", "rows", "width", "entries"]
    with pytest.raises(ValueError, match="the struct edgesea_softmax_constant differ: beta, width"):
        kernels.in_order(constant.ctype, {"exponentials": None, "rows": 2, "beta": 2, "entries": 4})
    with pytest.raises(ValueError, match="declares the struct edgesea_nothing"):
        kernels.in_order("edgesea_nothing", {})


# ---------------------------------------------------------------- state across inferences

KEEPER = '''"""ROUND, which here answers with the inference before: a test of state."""

from firmware_export import require
from firmware_export.ir import Kind
from firmware_export.program import IN, OUT, STATE, Call


def _check(graph, op):
    require.unary(graph, op, ("int8",))


def _lower(lowering, op):
    count = lowering.graph.output(op).elements
    call = Call("edgesea_previous", (IN(0), OUT, STATE, count))
    lowering.add(op, op.inputs, call, state=count, initial=9)


KINDS = (Kind("ROUND", check=_check, lower=_lower),)
'''

PREVIOUS_H = """#ifndef EDGESEA_PREVIOUS_H
#define EDGESEA_PREVIOUS_H
#include <stddef.h>
#include <stdint.h>
void edgesea_previous(const int8_t *in, int8_t *out, void *state, size_t count);
#endif
"""

PREVIOUS_C = """#include <string.h>
#include "edgesea_previous.h"
void edgesea_previous(const int8_t *in, int8_t *out, void *state, size_t count)
{
    memcpy(out, state, count);
    memcpy(state, in, count);
}
"""

TWICE = """#include <stdio.h>
#include "subject.h"
int main(void)
{
    static uint8_t arena[SUBJECT_ARENA_BYTES + 4] __attribute__((aligned(4)));
    static uint8_t state[SUBJECT_STATE_BYTES] __attribute__((aligned(4)));
    int8_t in[SUBJECT_INPUT_LENGTH] = {1}, out[SUBJECT_OUTPUT_LENGTH];
    subject_reset_in(state);
    for (int8_t i = 1; i < 4; i++) {
        in[0] = i;
        subject_invoke_in(arena, state, in, out);
        printf("%d ", out[0]);
        subject_invoke(in, out);
        printf("%d ", out[0]);
    }
    subject_reset();
    subject_invoke(in, out);
    printf("%d %d", out[0], SUBJECT_STATE_BYTES);
    return 0;
}
"""


def test_a_model_with_a_state_has_a_place_for_it(tmp_path):
    net = random_graphs.Net(np.random.default_rng(1))
    x = net.input((1, 7))
    y = net.like(x, (1, 7))
    net.add("ROUND", [x], [y])
    copy = shutil.copytree(PACKAGE, tmp_path / "tree" / "firmware_export")
    (copy / "ops" / "keeper.py").write_text(KEEPER)
    (copy / "runtime" / "edgesea_previous.h").write_text(PREVIOUS_H)
    (copy / "runtime" / "edgesea_previous.c").write_text(PREVIOUS_C)
    (tmp_path / "model.tflite").write_bytes(net.bytes([y]))
    out = tmp_path / "out"
    program = (
        "import sys; from firmware_export.compile import compile_model; from firmware_export.explain import "
    )
    program += "as_text; print(as_text(compile_model(*sys.argv[1:]).plan))"
    subprocess.run(
        [sys.executable, "-c", program, tmp_path / "model.tflite", out, "subject"],
        cwd=copy.parent,
        env={"PYTHONPATH": str(copy.parent)},
        check=True,
    )
    (out / "main.c").write_text(TWICE)
    command = ["gcc", *STRICT, *sorted(out.glob("*.c")), "-o", out / "program"]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr[:2000]
    said = subprocess.run([out / "program"], capture_output=True, check=True, text=True).stdout
    assert said == "9 9 1 1 2 2 9 8"
