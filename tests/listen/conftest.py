"""A bundle that listens, made without training: three bands of the spectrum, each a class."""

from pathlib import Path

import banded
import pytest


@pytest.fixture(scope="session")
def listening_bundle(tmp_path_factory) -> Path:
    """See `banded.py`."""
    return banded.write(tmp_path_factory.mktemp("listening") / "bundle")
