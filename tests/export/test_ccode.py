"""The C in a bundle, used as a user would: every .c file of the folder, and a main."""

import shutil
import subprocess

import numpy as np
import pytest

from edgesea.exporting import load_bundle

MAIN = """
#include <stdio.h>
#include "{name}.h"

int main(void)
{{
    static int8_t input[{NAME}_INPUT_LENGTH], output[{NAME}_OUTPUT_LENGTH];
    while (fread(input, 1, sizeof input, stdin) == sizeof input) {{
        if ({name}_invoke(input, output) || fwrite(output, 1, sizeof output, stdout) != sizeof output) {{
            return 1;
        }}
    }}
    return 0;
}}
"""


def test_every_file_of_the_folder_links_and_gives_the_golden_outputs(small_bundle, tmp_path):
    if shutil.which("gcc") is None:
        pytest.skip("gcc is not installed")
    bundle = load_bundle(small_bundle)
    name, folder = bundle.manifest["c_model"]["name"], bundle.path / "c"
    (tmp_path / "main.c").write_text(MAIN.format(name=name, NAME=name.upper()))
    command = ["gcc", "-std=c99", "-Wall", "-Wextra", "-Werror", "-O2", f"-I{folder}"]
    sources = [tmp_path / "main.c", *sorted(folder.glob("*.c"))]
    built = subprocess.run(
        [*command, *sources, "-lm", "-o", tmp_path / "program"], capture_output=True, text=True
    )
    assert built.returncode == 0, built.stderr
    golden = bundle.golden()
    ran = subprocess.run(
        [tmp_path / "program"], input=golden["inputs"].tobytes(), capture_output=True, check=True
    )
    outputs = np.frombuffer(ran.stdout, np.int8).reshape(golden["outputs"].shape)
    np.testing.assert_array_equal(outputs, golden["outputs"])


def test_the_sensor_program_lies_beside_the_library(small_bundle):
    entry = load_bundle(small_bundle).manifest["c_model"]
    program = {file for file in entry["sensor_files"] if file.startswith("sensor/")}
    parts = ("sensor.c", "sensor.h", "sensor_embedding.c", "sensor_model.h", "sensor_parts.h", "sensor_say.c")
    assert program == {f"sensor/{name}" for name in parts}
    assert all((small_bundle / "c" / file).is_file() for file in entry["sensor_files"])
