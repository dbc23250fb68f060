"""Fixtures that every test may use."""

from pathlib import Path

import pytest

SHARED = Path(__file__).resolve().parents[2] / "shared"


@pytest.fixture(scope="session")
def shared() -> Path:
    """The folder of real recordings and models beside a developer's checkout; users do not have it."""
    if not (SHARED / "models").is_dir():
        pytest.skip("the folder of real recordings and models (../shared) is not here")
    return SHARED
