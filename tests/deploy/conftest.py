"""A Pi to deploy to, and bundles for it."""

import os
import shutil
from pathlib import Path

import banded
import numpy as np
import pytest
from deployed import Pi
from sshd import SSHD


@pytest.fixture
def pi(tmp_path, monkeypatch):
    if SSHD is None or shutil.which("ssh") is None:
        pytest.skip("sshd or ssh is not installed")
    machine = Pi(tmp_path)
    monkeypatch.setenv("PATH", f"{machine.bin}:{os.environ['PATH']}")
    machine.start()
    yield machine
    machine.close()


@pytest.fixture(scope="session")
def first(tmp_path_factory) -> Path:
    return banded.write(tmp_path_factory.mktemp("first") / "bundle")


@pytest.fixture(scope="session")
def second(tmp_path_factory) -> Path:
    """The same with other golden vectors: another version."""
    return banded.write(tmp_path_factory.mktemp("second") / "bundle", golden=banded.patches()[6:12])


@pytest.fixture(scope="session")
def broken(tmp_path_factory, second) -> Path:
    """A bundle whose golden vectors are not those of its model, and whose manifest does not know."""
    import hashlib
    import json

    folder = tmp_path_factory.mktemp("broken") / "bundle"
    shutil.copytree(second, folder)
    with np.load(folder / "golden.npz") as arrays:
        held = dict(arrays)
    held["outputs"] = -held["outputs"]
    np.savez(folder / "golden.npz", **held)
    content = (folder / "golden.npz").read_bytes()
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["files"]["golden.npz"] = {
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    return folder
