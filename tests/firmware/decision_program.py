"""The C of decisions and memory as a library that Python calls, and the same on an emulated core.

Both run one driver, `DRIVER`: a stream of operations in, a stream of answers out. `benchmarks/decisions.py`
counts the instructions of it.
"""

import ctypes
import shutil
import struct
import subprocess

import numpy as np
import pytest

from edgesea.listen import listen
from edgesea.running import emulator
from firmware_export.decisions import FILES, MEMORY_FILES, Decisions, decision_sources
from firmware_export.emit import RUNTIME

STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror"]
CAPACITY = 7  # prototypes that can be added; one record more is for reading
STORED = 12  # records that storage holds

# Operations, a byte each and what follows:
#   S scores of the head, embedding   -> scores of the memory, events of the decider, pooled scores
#   T embedding                       taken
#   A label[20]                       added    -> int32
#   R number u16                      removed  -> int32
#   V save, W rewrite                          -> int32
#   P budget u32                      the power fails after so many bytes more are written or erased
#   B                                 begins again, as after a reset -> int32
#   N number u16                      the next number
#   L                                 -> what is in RAM: count u16, then number u16 and label[20] of each
DRIVER = r"""
#include <string.h>
#include "dut_decisions.h"

enum { D = %(dimension)d, CAPACITY = %(capacity)d, STORED = %(stored)d };

static uint32_t records[(CAPACITY + 1) * EDGESEA_ADDED_BYTES(D) / 4];
static int32_t sums[D];
static edgesea_memory memory;
static edgesea_decider decider;
static uint16_t decider_memory[(EDGESEA_DECIDER_BYTES(DUT_SLOTS, DUT_WINDOW) + 1) / 2];
enum { AREA = EDGESEA_AREA_HEAD + STORED * EDGESEA_RECORD_BYTES(D) + 3 };
static uint8_t storage_bytes[2 * AREA];
static uint32_t budget = 0xffffffffu;

static int storage_read(size_t offset, void *bytes, size_t count)
{
    memcpy(bytes, storage_bytes + offset, count);
    return 0;
}

static int storage_write(size_t offset, const void *bytes, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        if (budget == 0 || storage_bytes[offset + i] != 0xff) {
            return -1; /* no power, or a second write to the same byte */
        }
        budget -= budget != 0xffffffffu;
        memcpy(storage_bytes + offset + i, (const uint8_t *)bytes + i, 1);
    }
    return 0;
}

static int storage_erase(int area)
{
    for (size_t i = 0; i < AREA; i++) {
        if (budget == 0) {
            return -1;
        }
        budget -= budget != 0xffffffffu;
        storage_bytes[(size_t)area * AREA + i] = 0xff;
    }
    return 0;
}

static const edgesea_storage storage = {AREA, storage_read, storage_write, storage_erase};

static uint8_t *put(uint8_t *out, const void *bytes, size_t count)
{
    memcpy(out, bytes, count);
    return out + count;
}

static uint8_t *put_int(uint8_t *out, int value)
{
    const int32_t wide = value;
    return put(out, &wide, 4);
}

static uint8_t *scores_of(const uint8_t *in, uint8_t *out)
{
    uint8_t scores[DUT_SLOTS];
    edgesea_memory_scores(&memory, in, (const int8_t *)in + DUT_HEAD, scores);
    edgesea_decide(&dut_decisions, &decider, scores);
    out = put(out, scores, sizeof scores);
    out = put(out, decider.state, sizeof scores);
    return put(out, decider.pooled, 2 * sizeof scores);
}

static uint8_t *list(uint8_t *out)
{
    out = put(out, &memory.added, 2);
    for (uint16_t p = 0; p < memory.added; p++) {
        const uint16_t number = edgesea_memory_number(&memory, p);
        char label[EDGESEA_LABEL_BYTES] = {0};
        memcpy(label, edgesea_memory_label(&memory, p), strlen(edgesea_memory_label(&memory, p)));
        out = put(put(out, &number, 2), label, sizeof label);
    }
    return out;
}

/* Makes storage as it is in the shop. */
void driver_new(void) { memset(storage_bytes, 0xff, sizeof storage_bytes); }

/* Does one operation; moves both pointers on. */
void driver_step(const uint8_t **in, uint8_t **out)
{
    const uint8_t *text = *in + 1;
    uint16_t number;

    switch (**in) {
    case 'S': *out = scores_of(text, *out); text += DUT_HEAD + D; break;
    case 'T': edgesea_memory_take(&memory, (const int8_t *)text); text += D; break;
    case 'A': *out = put_int(*out, edgesea_memory_add(&memory, (const char *)text)); text += 20; break;
    case 'R':
        memcpy(&number, text, 2);
        *out = put_int(*out, edgesea_memory_remove(&memory, number));
        text += 2;
        break;
    case 'V': *out = put_int(*out, edgesea_memory_save(&memory)); break;
    case 'W': *out = put_int(*out, edgesea_memory_rewrite(&memory)); break;
    case 'P': memcpy(&budget, text, 4); text += 4; break;
    case 'N': memcpy(&memory.next, text, 2); text += 2; break;
    case 'L': *out = list(*out); break;
    default:
        budget = 0xffffffffu;
        edgesea_decide_start(&dut_decisions, &decider, decider_memory);
        *out = put_int(*out, edgesea_memory_start(&dut_prototypes, &memory, records, CAPACITY + 1, sums,
        &storage));
    }
    *in = text;
}

void driver_run(const uint8_t *in, const uint8_t *end, uint8_t *out)
{
    while (in < end) {
        driver_step(&in, &out);
    }
}
"""

EMULATED_MAIN = r"""
#include "emulated.h"
#include "semihosting.h"
#include <stdint.h>
#include <string.h>
void driver_new(void);
void driver_step(const uint8_t **in, uint8_t **out);
static uint8_t given[1 << 20], answers[1 << 20];
int main(void)
{
    const int inputs = semihosting_open("inputs.bin", 0), outputs = semihosting_open("outputs.bin", 1);
    const uint8_t *in = given;
    const uint8_t *end = given + semihosting_read(inputs, given, sizeof given);
    uint8_t *out = answers;
    driver_new();
    const uint64_t began = emulated_ticks();
    while (in < end) {
        driver_step(&in, &out);
    }
    const uint64_t ticks = emulated_ticks() - began;
    memcpy(out, &ticks, sizeof ticks);
    out += sizeof ticks;
    return semihosting_write(outputs, answers, (size_t)(out - answers)) != (size_t)(out - answers);
}
"""


def subject(seed=0, *, dimension=10, prototypes=9, head=2, unknown=3000, k=4) -> Decisions:
    """Random decisions over four classes."""
    random = np.random.default_rng(seed)
    values = [listen.scaled(row) for row in random.integers(-90, 90, (prototypes, dimension))]
    return Decisions(
        labels=("dog", "siren", "rain", "Säge"),
        head=head,
        every=1,
        window=3,
        rest=4,
        alpha=(0, 900, 3000, 65535),
        thresholds=(20000, 30000, 40000, 16000),
        memory={"k": k, "beta": 100, "sharpness": 58, "unknown": unknown},
        prototypes=np.array(values, np.int8).reshape(prototypes, dimension),
        soft_labels=random.integers(0, 256, (prototypes, 4)).astype(np.uint8),
    )


class Reference:
    """`listen.Memory` and `listen.Detector` behind the same operations, without storage."""

    def __init__(self, decisions: Decisions, zero_point: int):
        self.memory = listen.Memory(
            decisions.memory,
            decisions.prototypes,
            decisions.soft_labels,
            zero_point,
            decisions.head,
            decisions.labels,
        )
        more = [0] * (listen.SPARE + 1)
        self.detector = listen.Detector(
            [*decisions.alpha, *more],
            [*decisions.thresholds, *[listen.ADDED_THRESHOLD] * len(more)],
            decisions.window,
            decisions.rest,
        )

    def score(self, head, embedding) -> bytes:
        """What the driver answers to S."""
        scores = self.memory.scores(head, embedding)
        events = self.detector.hear(scores)
        state = (self.detector.pooled >= self.detector.thresholds).astype(np.uint8)
        state[events] |= 2
        return (
            scores.astype(np.uint8).tobytes() + state.tobytes() + self.detector.pooled.astype("<u2").tobytes()
        )


def write_driver(folder, decisions: Decisions, dimension: int, zero_point: int, capacity: int = CAPACITY):
    """The sources of the driver, with room for so many added prototypes; returns the .c files."""
    folder.mkdir(exist_ok=True)
    for name, text in decision_sources(decisions, "dut", dimension=dimension, zero_point=zero_point).items():
        (folder / name).write_text(text)
    for name in (*FILES, *MEMORY_FILES):
        (folder / name).write_bytes((RUNTIME / name).read_bytes())
    values = {"dimension": dimension, "capacity": capacity, "stored": STORED}
    (folder / "driver.c").write_text(DRIVER % values)
    return sorted(folder.glob("*.c"))


class OnHost:
    """The driver as a shared library."""

    def __init__(self, folder, decisions, dimension, zero_point, compiler="gcc", flags=("-std=c99", "-O2")):
        if shutil.which(compiler) is None:
            pytest.skip(f"{compiler} is not installed")
        sources = write_driver(folder, decisions, dimension, zero_point)
        library = folder / "driver.so"
        command = [compiler, *flags, *STRICT, "-shared", "-fPIC", f"-I{folder}", *sources, "-o", library]
        built = subprocess.run(list(map(str, command)), capture_output=True, text=True)
        assert built.returncode == 0, built.stderr
        self._library = ctypes.CDLL(str(library))
        self._library.driver_new()
        self._answer = ctypes.create_string_buffer(1 << 16)

    def do(self, operation: bytes) -> bytes:
        """The answer to one operation."""
        given = ctypes.create_string_buffer(operation, len(operation))
        here, there = (
            ctypes.c_void_p(ctypes.addressof(given)),
            ctypes.c_void_p(ctypes.addressof(self._answer)),
        )
        self._library.driver_step(ctypes.byref(here), ctypes.byref(there))
        assert here.value == ctypes.addressof(given) + len(operation)
        return self._answer.raw[: there.value - ctypes.addressof(self._answer)]

    def number(self, operation: bytes) -> int:
        """The answer, where it is a number."""
        return struct.unpack("<i", self.do(operation))[0]


def on_core(
    core: str,
    folder,
    decisions,
    dimension: int,
    zero_point: int,
    operations: bytes,
    answers: int,
    capacity: int = CAPACITY,
) -> tuple[bytes, int]:
    """All answers, so many bytes of them, to some operations on an emulated core, and its instructions."""
    board = emulator.board_of(core)
    for program in (board.toolchain.prefix + "gcc", board.emulator.program):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    sources = write_driver(folder, decisions, dimension, zero_point, capacity)
    (folder / "main.c").write_text(EMULATED_MAIN)
    image = emulator.build(board, [*sources, folder / "main.c"], folder, includes=[folder], libraries=["-lm"])
    finished = emulator.run(
        board,
        image,
        given={"inputs.bin": operations},
        wanted={"outputs.bin": answers + 8},
        measuring=True,
    )
    content = finished.files["outputs.bin"]
    ticks = struct.unpack("<Q", content[-8:])[0]
    return content[:-8], round(ticks * board.emulator.instructions_per_tick)


def label(text: str) -> bytes:
    """A label as an operation holds it."""
    return text.encode().ljust(20, b"\0")
