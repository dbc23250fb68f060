"""The C arrays: any name, warning-free in C and C++, and the same bytes and constants when read back."""

import dataclasses
import re
import shutil
import subprocess

import numpy as np
import pytest

from edgesea.exporting.carray import FRONTEND_CHOICES, FRONTEND_NUMBERS, render
from edgesea.frontend import PRESETS, Frontend
from edgesea.interpreter import open_interpreter

NASTY = 'Rue "Bérard" */ #2 \\\n??/ /* é\u202e'

STANDARDS = [
    ("gcc", "c99"),
    ("gcc", "c11"),
    ("clang", "c99"),
    ("clang", "c11"),
    ("g++", "c++11"),
    ("g++", "c++20"),
    ("arm-none-eabi-gcc", "c99"),
]


@pytest.fixture(scope="module")
def folder(int8_model, frontend, tmp_path_factory):
    path = tmp_path_factory.mktemp("c")
    for file, text in render(int8_model, name=NASTY, frontend=frontend, command=f"edgesea {NASTY}").items():
        (path / file).write_text(text, "ascii")
    return path


def compiler(name: str) -> str:
    found = shutil.which(name)
    if not found:
        pytest.skip(f"{name} is not installed")
    return found


@pytest.mark.parametrize(("name", "standard"), STANDARDS)
def test_compiles_without_a_warning(folder, name, standard):
    language = "c++" if "++" in standard else "c"
    flags = ["-Wall", "-Wextra", "-Wpedantic", "-Wconversion", "-Wundef", "-Werror", "-fsyntax-only"]
    arguments = [
        compiler(name),
        "-x",
        language,
        f"-std={standard}",
        *flags,
        folder / "rue_berard_2_e_model.c",
    ]
    done = subprocess.run(arguments, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


PROGRAM = """
#include <stdio.h>
#include "rue_berard_2_e_model.h"
#define P(macro) printf(#macro " %.9g\\n", (double)(macro))
int main(void) {
    printf("%d\\n", (int)((size_t)rue_berard_2_e_model % 16));
    P(RUE_BERARD_2_E_MODEL_INPUT_SCALE); P(RUE_BERARD_2_E_MODEL_INPUT_ZERO_POINT);
    P(RUE_BERARD_2_E_MODEL_OUTPUT_SCALE); P(RUE_BERARD_2_E_MODEL_OUTPUT_ZERO_POINT);
    P(RUE_BERARD_2_E_MODEL_INPUT_BYTES); P(RUE_BERARD_2_E_MODEL_OUTPUT_BYTES);
    P(-RUE_BERARD_2_E_FRONTEND_FLOOR); P(RUE_BERARD_2_E_FRONTEND_AMIN); P(RUE_BERARD_2_E_FRONTEND_BINS);
    P(RUE_BERARD_2_E_FRONTEND_REFERENCE_MAX);
#ifdef RUE_BERARD_2_E_FRONTEND_MEL_NORM_SLANEY
    puts("a normalisation that the frontend does not have");
#endif
    fwrite(rue_berard_2_e_model, 1, sizeof rue_berard_2_e_model, stderr);
    return 0;
}
"""


@pytest.mark.parametrize(("name", "standard"), [("gcc", "c99"), ("gcc", "c11"), ("g++", "c++11")])
def test_a_program_reads_the_model_back(folder, tmp_path, int8_model, name, standard):
    (tmp_path / "main.c").write_text(PROGRAM)
    language = "c++" if "++" in standard else "c"
    sources = [tmp_path / "main.c", folder / "rue_berard_2_e_model.c"]
    program = tmp_path / "program"
    subprocess.run(
        [compiler(name), "-x", language, f"-std={standard}", "-I", folder, *sources, "-o", program],
        check=True,
    )
    done = subprocess.run([program], capture_output=True, check=True)
    assert done.stderr == int8_model
    aligned, *constants = done.stdout.decode().splitlines()
    assert aligned == "0"
    opened = open_interpreter(int8_model)
    values = [float(line.rsplit(" ", 1)[1]) for line in constants]
    assert np.float32(values[0]) == np.float32(opened.input.scale)
    assert np.float32(values[2]) == np.float32(opened.output.scale)
    assert [values[1], values[3]] == [opened.input.zero_point, opened.output.zero_point]
    assert values[4:] == [24 * 16, 8, 80, pytest.approx(1e-10), 129, 1]


def test_the_header_names_what_it_came_from(folder, int8_model):
    import hashlib

    from edgesea import __version__

    for file in ("rue_berard_2_e_model.h", "rue_berard_2_e_model.c"):
        text = (folder / file).read_text()
        assert hashlib.sha256(int8_model).hexdigest() in text
        assert f"Made by edgesea {__version__} with: edgesea Rue" in text


def test_every_constant_of_every_frontend_is_there(int8_model):
    fields = {field.name for field in dataclasses.fields(Frontend)} - {"name"}
    derived = {"left_padding", "right_padding", "bins"}
    assert FRONTEND_NUMBERS.keys() | FRONTEND_CHOICES.keys() == fields | derived
    assert FRONTEND_NUMBERS.keys().isdisjoint(FRONTEND_CHOICES)
    for name in PRESETS:
        header = render(int8_model, name="x", frontend=PRESETS[name])["x_model.h"]
        present = {field for field in fields | derived if getattr(PRESETS[name], field) is not None}
        assert len(re.findall(r"^#define X_FRONTEND_", header, re.MULTILINE)) == len(present)


def test_without_a_frontend_there_are_no_constants_of_one(int8_model):
    assert "_FRONTEND_" not in render(int8_model, name="x")["x_model.h"]
