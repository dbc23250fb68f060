"""A model with a state in the programs around it: the firmware, the sensor and `fit`.

A copy of the compiler gets an operator with a simple state in the place of another: ABS, which adds how many
inferences there have been before. Where a state is new, it is TensorFlow Lite's ABS.
"""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import random_graphs
from host_firmware import BOARD, STRICT, needs, request

import firmware_export
from edgesea.frontend import preset
from edgesea.interpreter import open_interpreter

ROOT = Path(firmware_export.__file__).resolve().parents[1]
FRONTEND = preset("sea-8k")
SHAPE = (1, FRONTEND.frames, FRONTEND.mels, 1)

COUNTER = '''"""ABS, which adds how many inferences there have been before: a test of state."""

from firmware_export import require
from firmware_export.ir import Kind
from firmware_export.program import IN, OUT, STATE, Call


def _check(graph, op):
    require.unary(graph, op, ("int8",))


def _lower(lowering, op):
    call = Call("edgesea_counted", (IN(0), OUT, STATE, lowering.graph.output(op).elements))
    lowering.add(op, op.inputs, call, state=1, initial=9)


KINDS = (Kind("ABS", union=78, check=_check, lower=_lower),)
'''

COUNTED_H = """#ifndef EDGESEA_COUNTED_H
#define EDGESEA_COUNTED_H
#include <stddef.h>
#include <stdint.h>
void edgesea_counted(const int8_t *in, int8_t *out, void *state, size_t count);
#endif
"""

COUNTED_C = """#include "edgesea_counted.h"
void edgesea_counted(const int8_t *in, int8_t *out, void *state, size_t count)
{
    int8_t *seen = (int8_t *)state;
    for (size_t i = 0; i < count; i++) {
        const int value = (in[i] < 0 ? -in[i] : in[i]) + *seen - 9;
        out[i] = (int8_t)(value > 127 ? 127 : value);
    }
    ++*seen;
}
"""

MAKE = """
import json, sys
from edgesea.fitting import _made_again
from edgesea.exporting import c_compiler, export_tflite
from edgesea.exporting.firmware import write_firmware
from edgesea.frontend import preset
from firmware_export.fit import fit

heard = preset("sea-8k")
bundle = export_tflite("model.tflite", "bundle", name="subject", frontend=heard, c_model=c_compiler())
write_firmware("bundle", "firmware")
manifest, header = _made_again(bundle)
without = {**manifest, "c_model": {**manifest["c_model"], "state_bytes": 0}}
needed = [fit(each, header)["boards"][0]["ram"]["needed"] for each in (manifest, without)]
print(json.dumps({"c_model": bundle.manifest["c_model"], "needed": needed}))
"""

LISTENS = """#include <stdio.h>
#include "sensor.h"
static int left = 24000;
size_t sensor_read(int16_t *pcm, size_t count)
{
    size_t n = 0;
    while (n < count && left > 0) {
        pcm[n++] = 0;
        left--;
    }
    return n;
}
void sensor_write(const char *text) { fputs(text, stdout); }
int main(void) { return sensor_run() || (left = 8000, sensor_run()); }
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """(folder with model.tflite, bundle/ and firmware/, what was said of them)."""
    needs("gcc")
    folder = tmp_path_factory.mktemp("state")
    net = random_graphs.Net(np.random.default_rng(1))
    patch = net.tensor(SHAPE, scale=80 / 255, zero_point=0)
    net.shapes[patch] = SHAPE
    net.inputs.append(patch)
    result = net.tensor(SHAPE, scale=80 / 255, zero_point=0)
    net.add("ABS", [patch], [result])
    (folder / "model.tflite").write_bytes(net.bytes([result]))
    for package in ("edgesea", "firmware_export"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / "firmware_export/ops/functions.py").write_text(COUNTER)
    (folder / "firmware_export/runtime/edgesea_counted.h").write_text(COUNTED_H)
    (folder / "firmware_export/runtime/edgesea_counted.c").write_text(COUNTED_C)
    environment = {"PYTHONPATH": str(folder), "PATH": "/usr/bin:/bin", "HOME": str(folder)}
    done = subprocess.run(
        [sys.executable, "-c", MAKE], cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout)


def compiled(folder, sources, includes) -> Path:
    program = folder / "program"
    command = ["gcc", "-O1", *STRICT, *(f"-I{each}" for each in includes), *sources, "-o", program, "-lm"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[:2000]
    return program


def test_the_bundle_says_what_is_kept(made):
    _, said = made
    assert said["c_model"]["state_bytes"] == 4  # one byte, and what aligns the next


def test_every_inference_of_the_firmware_starts_anew(made, tmp_path):
    folder, said = made
    sources = folder / "firmware"
    (tmp_path / "host_board.c").write_text(BOARD)
    program = compiled(tmp_path, [*sources.glob("*.c"), tmp_path / "host_board.c"], [sources])
    sent = b"".join(request(n, word) for n, word in enumerate(("hello", "infer 3", "output 0")))
    lines = (
        subprocess.run([program], input=sent, capture_output=True, check=True).stdout.decode().splitlines()
    )
    assert lines[0].startswith("edgesea golden PASS 4 of 4 subject ")
    # The arena that the workbench is told of holds the state too.
    assert int(lines[1].split(" ")[6], 16) == said["c_model"]["arena_bytes"] + 4
    # Without a load the input is zeros; three inferences later so is the output.
    zeros = open_interpreter(folder / "model.tflite", resolver="reference").invoke(np.zeros(SHAPE, np.int8))
    assert lines[3].split(" ")[2].split("*")[0] == zeros.tobytes()[:64].hex()


def test_the_sensor_keeps_its_state_until_the_stream_begins_again(made, tmp_path):
    folder, _ = made
    c, sensor = folder / "bundle" / "c", folder / "bundle" / "c" / "sensor"
    (tmp_path / "main.c").write_text(LISTENS)
    sources = [file for file in c.glob("*.c") if not file.name.endswith("_model.c")]
    program = compiled(tmp_path, [*sources, *sensor.glob("*.c"), tmp_path / "main.c"], [c, sensor])
    lines = subprocess.run([program], capture_output=True, check=True, text=True).stdout.splitlines()
    first, second, third, again = (np.array(json.loads(line)["embedding"]) for line in lines)
    assert first.size == np.prod(SHAPE)
    assert np.array_equal(second, np.minimum(first + 1, 127))
    assert np.array_equal(third, np.minimum(first + 2, 127))
    assert np.array_equal(again, first)


def test_fit_counts_the_state(made):
    _, said = made
    assert said["needed"][0] - said["needed"][1] == 4
