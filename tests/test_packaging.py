"""What pip installs: every file of the packages, without a wall of warnings."""

import configparser
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("edgesea", "firmware_export")
METADATA = ("setup.cfg", "pyproject.toml", "README.md", "LICENSE")


@pytest.fixture(scope="module")
def built(tmp_path_factory):
    """The folder that the packages are built into, and all that setuptools said."""
    folder = tmp_path_factory.mktemp("packaging")
    for name in PACKAGES:
        shutil.copytree(ROOT / name, folder / "source" / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in METADATA:
        shutil.copy(ROOT / name, folder / "source")
    done = subprocess.run(
        [
            sys.executable,
            "-c",
            "import setuptools; setuptools.setup()",
            "build_py",
            "--build-lib",
            folder / "lib",
        ],
        cwd=folder / "source",
        capture_output=True,
        text=True,
        timeout=120,
        env=os.environ | {"PYTHONWARNINGS": "default"},
    )
    assert done.returncode == 0, done.stderr
    return folder, done.stdout + done.stderr


def contents(folder: Path) -> set[str]:
    return {
        file.relative_to(folder).as_posix()
        for name in PACKAGES
        for file in (folder / name).rglob("*")
        if file.is_file() and "__pycache__" not in file.parts
    }


def test_every_file_of_the_packages_is_installed(built):
    folder, _ = built
    assert contents(folder / "source") - contents(folder / "lib") == set()
    for name in PACKAGES:
        assert (folder / "lib" / name / "py.typed").is_file()


def test_no_folder_of_data_is_taken_for_a_package(built):
    _, said = built
    assert "absent from the `packages` configuration" not in said
    assert "importable" not in said


@pytest.mark.parametrize("version", ["3.10", "3.11", "3.12", "3.13"])
def test_every_python_has_its_exact_versions(version):
    settings = configparser.ConfigParser()
    settings.read(ROOT / "setup.cfg", encoding="utf-8")
    lines = (ROOT / "constraints" / f"python{version}.txt").read_text(encoding="utf-8").split()
    pinned = {line.partition("==")[0].lower().replace("_", "-") for line in lines}
    assert all("==" in line for line in lines)
    wanted = settings["options"]["install_requires"] + settings["options.extras_require"]["dev"]
    for line in filter(None, map(str.strip, wanted.splitlines())):
        requirement, _, marker = line.partition(";")
        name = re.split(r"[<>=\[]", requirement)[0].strip()
        if "python_version" in marker and version != "3.10":
            continue
        assert name.lower().replace("_", "-") in pinned, f"add {name} to constraints/python{version}.txt"
