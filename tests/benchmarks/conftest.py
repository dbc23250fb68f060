"""The scripts in benchmarks/ import each other as they do when one of them is called."""

import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))


@pytest.fixture(scope="session")
def benchmarks() -> Path:
    return BENCHMARKS
