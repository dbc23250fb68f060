"""The sensor program of a bundle as a program of this machine: sound on standard input, lines on standard
output."""

import json
import shutil
import subprocess

import pytest

PORT = r"""
#include <stdio.h>
#include <string.h>
#include "sensor.h"
static const char *const asked[] = {%s NULL};
size_t sensor_read(int16_t *pcm, size_t count)
{
    static int calls, place;
    if (++calls %% 20 == 0 && asked[place] != NULL) { /* now and then, as a workbench would */
        char answer[121];
        const char *reason = sensor_ask(asked[place++], answer, sizeof answer);
        printf("{\"answer\":\"%%s%%s\"}\n", reason ? "error " : "", reason ? reason : answer);
    }
    return fread(pcm, 2, count < 77 ? count : 77, stdin);
}
void sensor_write(const char *text) { fputs(text, stdout); }
int main(void) { return sensor_run(); }
"""
FLAGS = ["-std=c99", "-O1", "-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Werror"]
SANITIZERS = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all"]


def on_host(bundle, folder, pcm, asked=(), defines=()) -> list[dict]:
    """What the program says about samples, and what it answers to requests in between."""
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    folder.mkdir(exist_ok=True)
    (folder / "port.c").write_text(PORT % "".join(f'"{each}", ' for each in asked))
    c = bundle.path / "c"
    sources = [file for file in sorted(c.rglob("*.c")) if not file.name.endswith("_model.c")]
    command = [
        "gcc",
        *FLAGS,
        *SANITIZERS,
        *defines,
        f"-I{c}",
        f"-I{c / 'sensor'}",
        *sources,
        folder / "port.c",
    ]
    built = subprocess.run(
        [*map(str, command), "-o", str(folder / "program"), "-lm"], capture_output=True, text=True
    )
    assert built.returncode == 0, built.stderr
    run = subprocess.run([folder / "program"], input=pcm.astype("<i2").tobytes(), capture_output=True)
    assert run.returncode == 0, run.stderr.decode()
    return [json.loads(line) for line in run.stdout.decode().splitlines()]
