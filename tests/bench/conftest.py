"""Fixtures of the tests that measure behind ssh."""

import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from cached import Missing, cached
from runtimes import NASTY, REQUIREMENTS
from sshd import SSHD, Far, reached

from edgesea.devices import agent, rpi


@pytest.fixture
def sshd():
    """Skips where OpenSSH is not installed."""
    if SSHD is None or shutil.which("ssh") is None:
        pytest.skip("sshd or ssh is missing: install openssh-server and openssh-client")


@pytest.fixture
def far(sshd, tmp_path):
    with reached(Far(tmp_path)) as machine:
        yield machine


@pytest.fixture
def once(monkeypatch):
    """One process a configuration: these tests look at the way, not at the figures."""
    monkeypatch.setattr(rpi, "PROCESSES", 1)


@pytest.fixture(scope="session")
def python_with():
    """The Python of an environment that has this runtime alone, made in seconds, once; skips where it cannot
    be had."""

    def find(runtime: str) -> Path:
        if runtime.startswith("tflite-runtime") and sys.version_info[:2] > (3, 11):
            pytest.skip("tflite-runtime ends at Python 3.11")

        def make(folder: Path, lock: int) -> None:
            python = folder / "bin" / "python"
            subprocess.run([sys.executable, "-m", "venv", folder], check=True, pass_fds=(lock,))
            pip = [python, "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
            done = subprocess.run([*pip, *REQUIREMENTS[runtime]], capture_output=True, pass_fds=(lock,))
            if done.returncode:
                raise Missing(f"{runtime} cannot be installed: {agent._last(done.stderr)}")

        try:
            recipe = (REQUIREMENTS[runtime], sys.version, sys.base_prefix)
            return cached(runtime.replace(" ", "-"), recipe, make) / "bin" / "python"
        except Missing as reason:
            pytest.skip(str(reason))

    return find


@pytest.fixture(scope="session")
def student(tmp_path_factory) -> Path:
    """A small int8 student without training; like all of them it ends in a fully connected layer. Its name
    is one that a shell would take apart."""
    import keras

    from edgesea.exporting.tflite import convert_int8
    from edgesea.students.separable import SMALL

    keras.utils.set_random_seed(7)
    patches = np.random.default_rng(7).normal(0, 1, (32, 32, 24, 1)).astype(np.float32)
    file = tmp_path_factory.mktemp("student") / f"{NASTY}.tflite"
    file.write_bytes(convert_int8(SMALL.build(32, 24, 256), patches))
    return file
