"""A model of one operator is shipped with every function that it calls, on every core."""

from __future__ import annotations

import shutil
import subprocess

import pytest
import random_graphs

from edgesea.running import emulator
from firmware_export.emit import RUNTIME, emit
from firmware_export.errors import ModelError
from firmware_export.graph import read
from firmware_export.passes import check, lower, simplify
from firmware_export.plan import plans

SEEDS = range(6)


def shipped(model: bytes) -> tuple[str, ...]:
    """The runtime files of a model; none where it is refused."""
    try:
        graph = simplify(read(model))
        check(graph)
        return emit(plans(lower(graph)), "model", "0").kernels
    except ModelError:
        return ()


@pytest.fixture(scope="module")
def shipments() -> dict[tuple[str, ...], str]:
    """Every set of runtime files that models of one operator are shipped with, and one such model."""
    found: dict[tuple[str, ...], str] = {}
    for opcode in random_graphs.MAKERS:
        for dtype in ("int8", "int16"):
            if random_graphs.supports(opcode, dtype):
                for seed in SEEDS:
                    files = shipped(random_graphs.single_operator_model(opcode, seed, dtype))
                    found.setdefault(files, f"{opcode} of {dtype}, seed {seed}")
    return found


def symbols(prefix: str, path) -> tuple[set[str], set[str]]:
    """The kernels that an object file (defines, calls)."""
    said = subprocess.run([f"{prefix}nm", path], check=True, capture_output=True, text=True).stdout
    pairs = [line.split()[-2:] for line in said.splitlines() if " edgesea_" in line]
    return {name for kind, name in pairs if kind in "TW"}, {name for kind, name in pairs if kind == "U"}


@pytest.mark.parametrize(
    "core",
    [
        core if core in ("cortex-m4", "cortex-m55") else pytest.param(core, marks=pytest.mark.slow)
        for core in emulator.cores()
    ],
)
def test_a_model_of_one_operator_is_shipped_with_all_that_it_calls(core, shipments, tmp_path):
    toolchain = emulator.board_of(core).toolchain
    if shutil.which(f"{toolchain.prefix}gcc") is None:
        pytest.skip(f"{toolchain.prefix}gcc is not installed")
    wanted = sorted({name for files in shipments for name in files if name.endswith(".c")})
    command = [
        f"{toolchain.prefix}gcc",
        *toolchain.flags,
        *toolchain.link_flags,  # They name the C library, whose headers are needed here.
        "-O1",
        "-w",
        "-c",
        *(RUNTIME / name for name in wanted),
    ]
    subprocess.run(command, check=True, cwd=tmp_path)
    table = {name: symbols(toolchain.prefix, tmp_path / f"{name[:-2]}.o") for name in wanted}
    assert len(shipments) > 50
    for files, model in shipments.items():
        sources = [name for name in files if name.endswith(".c")]
        defined = set().union(*(table[name][0] for name in sources))
        called = set().union(*(table[name][1] for name in sources))
        assert called <= defined, f"{model} on {core} lacks {sorted(called - defined)}"
