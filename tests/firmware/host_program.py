"""Compile models to C, build them for the host and run them: what the bit-exactness tests share.

All models of a test go into one program, which reads requests from its standard input (a model's number and
its inputs) and answers with the outputs. Every buffer is allocated at its exact size, so that
AddressSanitizer sees the first byte out of place.
"""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import numpy as np

from firmware_export.compile import CompiledModel, compile_model
from firmware_export.emit import CTYPES

STRICT = ("-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror")
SANITIZERS = ("-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all")

_MAIN = """
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
{includes}

{functions}

static const struct model {{
    int (*run)(void *arena, void **ports);
    uint32_t arena;
    int inputs, ports;
    uint32_t bytes[16];
}} models[] = {{
{rows}
}};

int main(void)
{{
    uint32_t number;

    while (fread(&number, sizeof number, 1, stdin) == 1) {{
        const struct model *model = &models[number];
        void *ports[16];
        void *arena = malloc(model->arena);
        for (int i = 0; i < model->ports; i++) {{
            ports[i] = malloc(model->bytes[i]);
            memset(ports[i], 0x5a, model->bytes[i]);
            if (i < model->inputs && fread(ports[i], 1, model->bytes[i], stdin) != model->bytes[i]) {{
                return 2;
            }}
        }}
        if (model->run(arena, ports) != 0) {{
            return 3;
        }}
        for (int i = 0; i < model->ports; i++) {{
            if (i >= model->inputs) {{
                fwrite(ports[i], 1, model->bytes[i], stdout);
            }}
            free(ports[i]);
        }}
        free(arena);
    }}
    return 0;
}}
"""


class HostProgram:
    """Several compiled models in one host program.

    Parameters
    ----------
    models : dict of str to bytes
        The .tflite of each, by a name that is a C identifier.
    folder : Path
        For sources and program; must not exist.
    compiler : str
    flags : tuple of str
    """

    def __init__(self, models: dict[str, bytes], folder: Path, compiler="gcc", flags=("-O1",)):
        self.compiled: dict[str, CompiledModel] = {}
        for name, model in models.items():
            self.compiled[name] = compile_model(model, folder, name)
        (folder / "main.c").write_text(self._main())
        self.program = folder / "program"
        sources = sorted(str(path) for path in folder.glob("*.c"))
        command = [compiler, *STRICT, *flags, *sources, "-o", str(self.program)]
        built = subprocess.run(command, capture_output=True, text=True)
        assert built.returncode == 0, built.stderr[:4000]

    def _main(self) -> str:
        includes, functions, rows = [], [], []
        for name, model in self.compiled.items():
            ports = [*model.inputs, *model.outputs]
            sizes = [
                int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize for shape, dtype, _ in ports
            ]
            pointers = ", ".join(
                f"({'const ' if i < len(model.inputs) else ''}{CTYPES[dtype]} *)ports[{i}]"
                for i, (_, dtype, _) in enumerate(ports)
            )
            includes.append(f'#include "{name}.h"')
            functions.append(
                f"static int run_{name}(void *arena, void **ports)\n{{\n"
                f"    return {name}_invoke_in(arena, {pointers});\n}}"
            )
            arena = f"{name.upper()}_ARENA_BYTES"
            counts = f"{len(model.inputs)}, {len(ports)}"
            rows.append(f"    {{run_{name}, {arena}, {counts}, {{{', '.join(map(str, sizes))}}}}},")
        return _MAIN.format(
            includes="\n".join(includes), functions="\n\n".join(functions), rows="\n".join(rows)
        )

    def run(self, requests: list[tuple[str, list[np.ndarray]]]) -> list[list[np.ndarray]]:
        """The outputs of each (model, inputs)."""
        numbers = {name: i for i, name in enumerate(self.compiled)}
        question = b"".join(
            struct.pack("<I", numbers[name]) + b"".join(np.ascontiguousarray(x).tobytes() for x in inputs)
            for name, inputs in requests
        )
        ran = subprocess.run([str(self.program)], input=question, capture_output=True)
        assert ran.returncode == 0, (ran.returncode, ran.stderr.decode()[:4000])
        answer, position, results = ran.stdout, 0, []
        for name, _ in requests:
            outputs = []
            for shape, dtype, _ in self.compiled[name].outputs:
                count = int(np.prod(shape, dtype=np.int64))
                outputs.append(np.frombuffer(answer, dtype, count, position).reshape(shape))
                position += count * np.dtype(dtype).itemsize
            results.append(outputs)
        assert position == len(answer)
        return results


def compiler_or_skip(name: str) -> str:
    """The path of a compiler; skips the test where it is not installed."""
    import pytest

    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed")
    return path
