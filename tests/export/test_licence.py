"""Whoever copies one C file alone still reads whose it is and under which licence."""

from pathlib import Path

import pytest

import edgesea
import firmware_export
from edgesea.exporting import c_compiler, export_tflite
from edgesea.exporting.firmware import write_firmware
from edgesea.exporting.project import write_project
from firmware_export import projects

SOURCE = (".c", ".h", ".cpp", ".S", ".ld", ".ino", ".overlay", ".cmake", "CMakeLists.txt")
LICENCE = "SPDX-License-Identifier: Apache-2.0"
HOLDER = "SPDX-FileCopyrightText: edgesea authors"


def unmarked(folder) -> tuple[int, list[str]]:
    """How many source files lie in a folder, templates too, and which do not open with holder and licence."""
    files = [
        file
        for file in sorted(folder.rglob("*"))
        if file.is_file() and file.name.removesuffix(".jinja").endswith(SOURCE)
    ]
    opening = {file: "\n".join(file.read_text(encoding="utf-8").splitlines()[:2]) for file in files}
    without = [file for file, text in opening.items() if HOLDER not in text or LICENCE not in text]
    return len(files), [file.relative_to(folder).as_posix() for file in without]


@pytest.fixture(scope="module")
def bundle(int8_model, frontend, tmp_path_factory):
    folder = tmp_path_factory.mktemp("licence")
    (folder / "model.tflite").write_bytes(int8_model)
    return export_tflite(
        folder / "model.tflite", folder / "bundle", name="street", frontend=frontend, c_model=c_compiler()
    )


@pytest.mark.parametrize(("package", "least"), [(firmware_export, 100), (edgesea, 2)])
def test_sources_and_templates_of_the_package(package, least):
    count, without = unmarked(Path(package.__file__).parent)
    assert count >= least
    assert without == []


def test_a_bundle(bundle):
    count, without = unmarked(bundle.path)
    assert count > 10
    assert without == []


def test_firmware_of_ones_own(bundle, tmp_path):
    write_firmware(bundle.path, tmp_path)
    count, without = unmarked(tmp_path)
    assert count > 10
    assert without == []


def test_the_model_keeps_a_licence_of_its_own(bundle, tmp_path):
    write_firmware(bundle.path, tmp_path)
    for file in (tmp_path / "street.c", tmp_path / "street_golden.c", bundle.path / "c" / "street_model.c"):
        assert "The model's numbers below are under the licence of the model." in file.read_text()


@pytest.mark.parametrize("runtime", ["c", "tflm"])
@pytest.mark.parametrize("kind", projects.names())
def test_a_project(kind, runtime, bundle, tmp_path):
    folder = tmp_path / "street"
    write_project(bundle, kind, folder, runtime=runtime)
    count, without = unmarked(folder)
    assert count > 10
    assert without == []
