"""Fixtures of the flash tests: a small bundle, and programs on PATH that record how they are called."""

import json
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "firmware"))

# Appends its name and arguments to calls.jsonl, makes files, says something, and ends as it was told to.
PROGRAM = """#!{python}
import json, os, pathlib, sys, time
name = pathlib.Path(sys.argv[0]).name
with open({calls!r}, "a") as file:
    file.write(json.dumps([name, *sys.argv[1:]]) + "\\n")
for path, content in {makes!r}.items():
    pathlib.Path(path).parent.mkdir(parents=True, exist_ok=True)
    pathlib.Path(path).write_bytes(content)
print({says!r}, flush=True)
{then}
"""


@pytest.fixture(scope="session")
def bundle(tmp_path_factory) -> Path:
    """A bundle of one convolution, with its C model."""
    from random_graphs import single_operator_model

    from edgesea.exporting import c_compiler, export_tflite

    folder = tmp_path_factory.mktemp("flash")
    (folder / "street sounds.tflite").write_bytes(single_operator_model("CONV_2D", 3))
    export_tflite(folder / "street sounds.tflite", folder / "bundle", c_model=c_compiler())
    return folder / "bundle"


class Programs:
    """Stand-ins for the tools of boards and frameworks; PATH holds nothing else."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.calls = folder / "calls.jsonl"

    def add(self, name: str, *, makes=None, says: str = "", then: str = "") -> None:
        """A program that writes the files `makes` (path -> bytes), says something, and runs `then`."""
        path = self.folder / name
        makes = {str(file): content for file, content in (makes or {}).items()}
        path.write_text(
            PROGRAM.format(python=sys.executable, calls=str(self.calls), makes=makes, says=says, then=then)
        )
        path.chmod(0o755)

    def called(self) -> list[list[str]]:
        if not self.calls.exists():
            return []
        return [json.loads(line) for line in self.calls.read_text().splitlines()]


@pytest.fixture
def programs(tmp_path, monkeypatch) -> Programs:
    folder = tmp_path / "bin"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))
    return Programs(folder)
