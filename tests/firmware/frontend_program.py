"""Frontends as C programs, built for the host or an emulated core, that turn PCM into patches.

A host program holds any number of frontends and answers requests on its standard input for as long as it
lives, so that a test can ask thousands of times. Buffers have their exact size, for AddressSanitizer.
"""

import struct
import subprocess
from pathlib import Path

import numpy as np

from firmware_export.emit import RUNTIME
from firmware_export.frontend import SOURCES, frontend_sources

# The arithmetics of the C frontend, as flags: with an FPU, without, and without a long multiplication too.
ARITHMETICS = {
    "float": ["-DEDGESEA_FRONTEND_FLOAT=1"],
    "fixed": ["-DEDGESEA_FRONTEND_FLOAT=0"],
    "fixed-thumb": ["-DEDGESEA_FRONTEND_FLOAT=0", "-D__ARM_ARCH_6M__=1"],
}
STRICT = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror"]
SANITIZERS = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]

_MAIN = r"""
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
{includes}

struct entry {{
    const edgesea_frontend *frontend;
    size_t rows_bytes, scratch_bytes;
}};
static const struct entry entries[] = {{
{entries}
}};

/* kind 0: all patches of `count` samples given `chunk` at a time; answers their number and bytes.
 * kind 1: one row: whether it is clear, the energy or exponent, the fast spectrum, the levels of both. */
struct request {{
    uint32_t kind, number, count, chunk;
}};

static void patches(const struct entry *entry, const int16_t *pcm, size_t count, size_t chunk)
{{
    const edgesea_frontend *f = entry->frontend;
    const size_t patch_bytes = (size_t)f->frames * f->mels;
    int16_t *samples = malloc(f->fft_size * sizeof *samples);
    void *rows = malloc(entry->rows_bytes), *scratch = malloc(entry->scratch_bytes);
    int8_t *found = malloc(patch_bytes * (count + 1));
    uint32_t n = 0;
    edgesea_frontend_state state;
    edgesea_frontend_start(f, &state, samples, rows);
    for (size_t at = 0; at < count;) {{
        const size_t part = chunk < count - at ? chunk : count - at;
        /* A copy of its own, so that a read past its end shows. */
        int16_t *copy = malloc(part * sizeof *copy);
        memcpy(copy, pcm + at, part * sizeof *copy);
        memset(scratch, 0xa5, entry->scratch_bytes);
        at += edgesea_frontend_push(f, &state, copy, part, scratch);
        if (state.ready) {{
            edgesea_frontend_patch(f, &state, found + n++ * patch_bytes);
        }}
        free(copy);
    }}
    fwrite(&n, sizeof n, 1, stdout);
    fwrite(found, 1, n * patch_bytes, stdout);
    free(found);
    free(scratch);
    free(rows);
    free(samples);
}}

static void row(const struct entry *entry, const int16_t *pcm)
{{
    const edgesea_frontend *f = entry->frontend;
    char *spectrum = malloc(entry->scratch_bytes);
    int16_t *levels = malloc(f->mels * sizeof *levels);
#if EDGESEA_FRONTEND_FLOAT
    const float energy = edgesea_fft_float(f, pcm, spectrum);
    const double scale = energy;
    const int32_t clear = edgesea_mel_float(f, spectrum, energy, levels);
#else
    const int exponent = edgesea_fft_fixed(f, pcm, spectrum);
    const double scale = exponent;
    const int32_t clear = edgesea_mel_fixed(f, spectrum, exponent, levels);
#endif
    fwrite(&clear, sizeof clear, 1, stdout);
    fwrite(&scale, sizeof scale, 1, stdout);
    fwrite(spectrum, 8, f->fft_size / 2u + 1, stdout);
    fwrite(levels, sizeof *levels, f->mels, stdout);
    if (f->wide) {{
        edgesea_fft_wide(f, pcm, spectrum);
        edgesea_mel_wide(f, spectrum, levels);
    }}
    fwrite(levels, sizeof *levels, f->mels, stdout);
    free(levels);
    free(spectrum);
}}

int main(void)
{{
    struct request request;
    while (fread(&request, sizeof request, 1, stdin) == 1) {{
        int16_t *pcm = malloc(request.count * sizeof *pcm + 1);
        if (fread(pcm, sizeof *pcm, request.count, stdin) != request.count) {{
            return 2;
        }}
        if (request.kind == 0) {{
            patches(entries + request.number, pcm, request.count, request.chunk);
        }} else {{
            row(entries + request.number, pcm);
        }}
        fflush(stdout);
        free(pcm);
    }}
    return 0;
}}
"""


class FrontendProgram:
    """A running host program with one or more frontends.

    inputs : {name: (frontend, scale, zero_point)}
    integer : frontends that are generated for integers alone
    """

    def __init__(
        self, folder: Path, inputs: dict, flags: list[str], compiler: str = "gcc", integer: bool = False
    ):
        self.inputs = inputs
        self.numbers = {name: number for number, name in enumerate(inputs)}
        folder.mkdir(parents=True, exist_ok=True)
        includes, entries, sources = [], [], [RUNTIME / name for name in SOURCES]
        for number, (frontend, scale, zero_point) in enumerate(inputs.values()):
            name = f"dut{number}"
            written = frontend_sources(frontend, name, scale=scale, zero_point=zero_point, integer=integer)
            for file, text in written.items():
                (folder / file).write_text(text)
            includes.append(f'#include "{name}_frontend.h"')
            entries.append(
                f"    {{&{name}_frontend, (size_t)DUT{number}_PATCH_BYTES * ({name}_frontend_bytes), "
                f"DUT{number}_FRONTEND_SCRATCH_BYTES}},".replace(
                    f"({name}_frontend_bytes)", "2" if frontend.reference == "max" else "1"
                )
            )
            sources.append(folder / f"{name}_frontend.c")
        (folder / "main.c").write_text(
            _MAIN.format(includes="\n".join(includes), entries="\n".join(entries)), encoding="ascii"
        )
        program = folder / "program"
        command = [compiler, "-std=c99", "-O2", *STRICT, *flags, f"-I{RUNTIME}", f"-I{folder}", *sources]
        built = subprocess.run(
            [*command, folder / "main.c", "-o", program, "-lm"], capture_output=True, text=True
        )
        assert built.returncode == 0, built.stderr
        self.process = subprocess.Popen([program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def close(self) -> None:
        self.process.stdin.close()
        self.process.stdout.close()
        assert self.process.wait(10) == 0

    def _ask(self, kind: int, name: str, pcm: np.ndarray, chunk: int) -> None:
        pcm = np.ascontiguousarray(pcm, "<i2")
        request = struct.pack("<4I", kind, self.numbers[name], pcm.size, chunk) + pcm.tobytes()
        self.process.stdin.write(request)
        self.process.stdin.flush()

    def _read(self, dtype: str, count: int) -> np.ndarray:
        data = self.process.stdout.read(np.dtype(dtype).itemsize * count)
        assert len(data) == np.dtype(dtype).itemsize * count, f"the program died: {self.process.wait(10)}"
        return np.frombuffer(data, dtype)

    def patches(self, name: str, pcm: np.ndarray, chunk: int = 160) -> np.ndarray:
        """(n, frames, mels) int8: every patch that became ready."""
        frontend = self.inputs[name][0]
        self._ask(0, name, pcm, chunk)
        n = int(self._read("<u4", 1)[0])
        return self._read("i1", n * frontend.frames * frontend.mels).reshape(
            n, frontend.frames, frontend.mels
        )

    def row(self, name: str, pcm: np.ndarray):
        """One row of fft_size samples: clear, energy or exponent, spectrum as bytes, levels, int64 levels."""
        frontend = self.inputs[name][0]
        self._ask(1, name, pcm, 0)
        clear, scale = bool(self._read("<i4", 1)[0]), float(self._read("<f8", 1)[0])
        spectrum = self._read("u1", 8 * frontend.bins)
        return clear, scale, spectrum, self._read("<i2", frontend.mels), self._read("<i2", frontend.mels)

    def expected(self, name: str, pcm: np.ndarray) -> np.ndarray:
        """(n, frames, mels) int: the NumPy reference, quantised, of n waveforms (n, samples) int16."""
        frontend, scale, zero_point = self.inputs[name]
        return quantised(frontend, scale, zero_point, pcm)

    def steps(self, name: str, pcm: np.ndarray, chunk: int = 160) -> np.ndarray:
        """How many int8 steps each value of the first patch is off."""
        found = self.patches(name, pcm, chunk)[0].astype(int)
        return np.abs(found - self.expected(name, pcm[None, : self.inputs[name][0].samples])[0])


def quantised(frontend, scale: float, zero_point: int, pcm: np.ndarray) -> np.ndarray:
    """The NumPy reference's patches of (n, samples) int16, as int8 values (n, frames, mels) int."""
    patch = frontend.patch(pcm.astype(np.float64) / 32768)[..., 0].astype(np.float64)
    return np.clip(np.round(patch / scale) + zero_point, -128, 127).astype(int)


def signals(frontend) -> dict[str, np.ndarray]:
    """Waveforms that are hard on a frontend, int16, of the length of one patch."""
    n, size = np.arange(frontend.samples), frontend.fft_size
    random = np.random.default_rng(7)
    found = {
        "silence": n * 0,
        "full scale up": n * 0 + 32767,
        "full scale down": n * 0 - 32768,
        "one step": n * 0 + 1,
        "noise": random.integers(-32768, 32768, n.size),
        "one step of noise": random.integers(0, 2, n.size),
        "sweep": 20000 * np.sin(np.pi * n**2 / n.size / 2),
        "half silence": np.where(n < n.size // 2, 0, random.integers(-30000, 30000, n.size)),
        "brown noise": np.cumsum(random.normal(0, 300, n.size)),
        "tone in noise": 32000 * np.sin(2 * np.pi * n / 10) + random.integers(-1, 2, n.size),
    }
    for place in (0, 1, size // 7, size // 2, n.size // 2, n.size - 1):
        found[f"click at {place}"] = np.where(n == place, -32768, 0)
        found[f"small click at {place}"] = np.where(n == place, 1, 0)
    for cycles in (
        1,
        2,
        3,
        size / 16,
        size / 10,
        size / 8,
        size / 3 + 0.3,
        3 * size / 8,
        size / 2 - 12,
        size / 2 - 1,
    ):
        found[f"tone {cycles}"] = np.round(32767 * np.sin(2 * np.pi * cycles * n / size + 0.3))
    for period in (2, 4, 8, 16, 50, 64, 100):
        found[f"square {period}"] = np.where(n // (period // 2) % 2 == 0, 32767, -32768)
    return {name: np.clip(np.round(x), -32768, 32767).astype(np.int16) for name, x in found.items()}
