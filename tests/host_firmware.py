"""The firmware on this machine: a small bundle, the program compiled for the host, and lines that lose bytes.

The program reads requests from its standard input and ends where that ends; its counter counts nanoseconds.
The tests of the C and of the workbench side share this file.
"""

import contextlib
import os
import random
import select
import shutil
import subprocess
import sys
import threading
import tty
import zlib
from pathlib import Path

import numpy as np
import pytest

from edgesea.exporting import c_compiler, export_tflite
from edgesea.exporting.firmware import write_firmware

sys.path.append(str(Path(__file__).resolve().parent / "firmware"))
import random_graphs

STRICT = ("-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror")

SCALE = 0.05  # of every feature map of the small model

BOARD = r"""
#ifndef _POSIX_C_SOURCE
#define _POSIX_C_SOURCE 200809L
#endif
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "edgesea_board.h"

#ifndef HOST_CLOCK_HZ
#define HOST_CLOCK_HZ 1000000000u
#endif

void edgesea_board_start(void) {}

int edgesea_board_read(void)
{
    unsigned char byte;
    if (read(0, &byte, 1) != 1) {
        exit(0);
    }
    return byte;
}

void edgesea_board_write(const char *bytes, size_t count)
{
    while (count > 0) {
        const ssize_t sent = write(1, bytes, count);
        if (sent <= 0) {
            exit(0);
        }
        bytes += sent;
        count -= (size_t)sent;
    }
}

uint32_t edgesea_board_cycles(void)
{
#ifdef HOST_COUNTER_STANDS_STILL
    return 7;
#else
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint32_t)((uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec);
#endif
}

uint32_t edgesea_board_clock_hz(void) { return HOST_CLOCK_HZ; }

const char *edgesea_board_name(void) { return "the host, <a> *b"; }
"""


def needs(program: str) -> None:
    if shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")


def small(folder: Path) -> Path:
    """A bundle of a model of 18 steps, 400 bytes in and more than one line of bytes out."""
    net = random_graphs.Net(np.random.default_rng(4))
    x = net.input((1, 20, 10, 2), SCALE)
    while len(net.operators) < 18:
        x = convolution(net, x)
    model = folder.parent / "small.tflite"
    model.write_bytes(net.bytes([x]))
    export_tflite(model, folder, c_model=c_compiler())
    return folder


def convolution(net, x):
    """A convolution, 3 x 3, that keeps the map's size and the values' spread."""
    made = 4
    shape = (made, 3, 3, net.shapes[x][3])
    scale = float(1.2 / np.sqrt(np.prod(shape[1:])) / 74)
    values = net.rng.integers(-127, 128, shape).astype(np.int8)
    weights = net.tensor(shape, "int8", scale=scale, data=values)
    bias = net.tensor((made,), "int32", scale=scale * SCALE, data=np.zeros(made, np.int32))
    y = net.tensor((*net.shapes[x][:3], made), "int8", SCALE)
    parameters = random_graphs.options("Conv2D", padding=0, strideH=1, strideW=1)
    net.add("CONV_2D", [x, weights, bias], [y], parameters)
    return y


def build(bundle: Path, folder: Path, *, compiler: str = "gcc", flags=("-O1",), change=None) -> Path:
    """The firmware of a bundle as a program of this machine; `change(folder)` may edit its sources first."""
    sources = folder / "sources"
    files = write_firmware(bundle, sources)
    (sources / "host_board.c").write_text(BOARD)
    if change is not None:
        change(sources)
    programs = [file for file in files if file.suffix == ".c" and file.parent == sources]
    program = folder / "firmware"
    done = subprocess.run(
        [compiler, "-O1", *flags, f"-I{sources}", *programs, sources / "host_board.c", "-o", program, "-lm"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return program


def request(sequence: int, words: str) -> bytes:
    """One request as a line."""
    body = f"{sequence:04x} {words}".encode()
    return b">%s*%08x\n" % (body, zlib.crc32(body))


class Line:
    """A pseudo-terminal, `port`, whose other end is a board: bytes go to and fro through `damage`.

    to_board, from_board : file descriptors, which the caller closes
    rate : of all bytes, so many are dropped, doubled or changed, a third each
    """

    def __init__(self, to_board: int, from_board: int, *, rate: float = 0.0, seed: int = 0):
        self._board = (to_board, from_board)
        self._rate, self._random = rate, random.Random(seed)
        self._master, self._slave = os.openpty()
        tty.setraw(self._slave)
        os.set_blocking(self._master, False)
        self.port = os.ttyname(self._slave)
        self.damaged = 0
        self.passed = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._pump, daemon=True)

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_):
        self.unplug()

    def unplug(self):
        """Both ends close, as when a USB cable is drawn."""
        if not self._stop.is_set():
            self._stop.set()
            self._thread.join()
            os.close(self._slave)
            os.close(self._master)

    def _pump(self):
        to_board, from_board = self._board
        while not self._stop.is_set():
            with contextlib.suppress(OSError, ValueError):
                for source in select.select([self._master, from_board], [], [], 0.02)[0]:
                    content = os.read(source, 4096)
                    if not content:  # the board has ended
                        self._stop.wait(0.02)
                    self._write(to_board if source == self._master else self._master, self._damage(content))

    def _write(self, target: int, content: bytes):
        while content and not self._stop.is_set():
            try:
                content = content[os.write(target, content) :]
            except BlockingIOError:
                select.select([], [target], [], 0.02)

    def _damage(self, content: bytes) -> bytes:
        self.passed += len(content)
        if not self._rate:
            return content
        damaged = bytearray()
        for byte in content:
            chance = self._random.random() / self._rate
            self.damaged += chance < 1
            if chance < 1 / 3:
                continue
            if chance < 2 / 3:
                damaged.append(byte)
            elif chance < 1:
                byte ^= self._random.randrange(1, 256)
            damaged.append(byte)
        return bytes(damaged)


@contextlib.contextmanager
def on_a_line(program: Path, **damage):
    """The host's firmware at the end of a `Line`."""
    process = subprocess.Popen([str(program)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0)
    try:
        with Line(process.stdin.fileno(), process.stdout.fileno(), **damage) as line:
            line.board = process
            yield line
    finally:
        process.kill()
        process.communicate()
