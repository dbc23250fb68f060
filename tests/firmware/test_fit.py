"""`edgesea fit`: the sum is right, a board too small says no, an estimate never passes for a measurement."""

import json
import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner
from random_graphs import single_operator_model

from edgesea.cli.fit import fit as command
from edgesea.errors import UserError
from edgesea.exporting import export_tflite
from edgesea.exporting.ccode import c_compiler
from firmware_export import boards
from firmware_export.boards.table import BEGIN, END, renewed
from firmware_export.fit import (
    FRONTEND_FLASH,
    MODEL_CODE,
    PROGRAM_FLASH,
    PROGRAM_RAM,
    STACK,
    TFLM_FLASH,
    TFLM_RAM,
    FitError,
    fit,
)

HEADER = """
#define X_FRONTEND_SCRATCH_BYTES 5000
/* All that a stream keeps: 7000 bytes and the state. */
"""


def manifest(arena=10_000, constants=100_000, macs=1_000_000, frontend=True, c_model=True) -> dict:
    return {
        "int8": {
            "input": {"bytes": 300},
            "output": {"bytes": 40},
            "multiply_accumulates": macs,
            "storage": {"model_bytes": 120_000},
            "activation": {"peak_bytes": 50_000},
        },
        "c_model": {
            "arena_bytes": arena,
            "constant_bytes": {"plain": constants, "dsp": constants + 1000, "mve": constants + 2000},
        }
        if c_model
        else None,
        "frontend": {"samples": 8000, "sample_rate": 8000} if frontend else None,
    }


def board(result: dict, name: str) -> dict:
    return next(each for each in result["boards"] if each["board"] == name)


def test_every_real_board_is_there_and_no_emulated_one():
    names = {each["board"] for each in fit(manifest())["boards"]}
    assert names == {name for name in boards.names() if not name.startswith("qemu-")}


def test_the_sum():
    result = fit(manifest(), HEADER)
    found = board(result, "nrf52840")
    flash = 101_000 + MODEL_CODE["speed"] + FRONTEND_FLASH + PROGRAM_FLASH
    ram = 10_000 + 7000 + 300 + 40 + STACK + PROGRAM_RAM
    assert found["flash"]["needed"] == flash
    assert found["ram"] == {
        "needed": ram,
        "has": 262144,
        "margin": 262144 - ram,
        "margin_percent": round(100 * (262144 - ram) / 262144, 1),
    }
    # The RP2040 has no DSP extension, so other weights.
    assert board(result, "rp2040")["flash"]["needed"] == flash - 1000


def test_arena_and_frontend_share_their_memory():
    small, large = (board(fit(manifest(arena), HEADER), "rp2040")["ram"]["needed"] for arena in (100, 5000))
    assert small == large


def test_without_frontend():
    with_, without = fit(manifest(), HEADER), fit(manifest(frontend=False))
    assert (
        board(with_, "rp2040")["flash"]["needed"] - board(without, "rp2040")["flash"]["needed"]
        == FRONTEND_FLASH
    )
    assert board(without, "rp2040")["estimate"]["duty_cycle_percent"] is None


def test_without_the_c_model():
    result = fit(manifest(c_model=False))
    found = board(result, "nrf52840")
    assert result["engine"] == "TensorFlow Lite Micro"
    assert found["flash"]["needed"] == 120_000 + TFLM_FLASH + FRONTEND_FLASH + PROGRAM_FLASH
    assert found["ram"]["needed"] == 50_000 + TFLM_RAM + 340 + STACK + PROGRAM_RAM
    assert found["estimate"] is None
    assert "no C model" in result["basis"][0]


@pytest.mark.parametrize(
    ("arena", "verdict"),
    [(100_000, "yes"), (235_000, "tight"), (262_144, "no"), (10**9, "no")],
)
def test_verdicts_by_ram(arena, verdict):
    assert board(fit(manifest(arena)), "nrf52840")["fits"] == verdict


@pytest.mark.parametrize(("constants", "verdict"), [(400_000, "yes"), (440_000, "tight"), (600_000, "no")])
def test_verdicts_by_flash(constants, verdict):
    assert board(fit(manifest(constants=constants)), "microbit-v2")["fits"] == verdict


def test_an_arena_has_to_lie_in_one_piece():
    found = board(fit(manifest(600_000)), "stm32h743")
    assert found["ram"]["margin"] > 0
    assert found["fits"] == "no"
    assert board(fit(manifest(600_000)), "stm32u585")["fits"] == "yes"


def test_those_that_hold_it_come_first():
    verdicts = [each["fits"] for each in fit(manifest(230_000))["boards"]]
    assert verdicts == sorted(verdicts, key=["yes", "tight", "no"].index)
    assert set(verdicts) == {"yes", "tight", "no"}


def test_the_estimate_is_a_range_with_its_basis():
    result = fit(manifest(macs=100_000_000), HEADER)
    estimate = board(result, "stm32l4r5")["estimate"]
    # 120 MHz: 0.9 instructions at one cycle, 2.0 at two cycles; a frontend of 2.6 to 2.8 M a second.
    assert estimate["inference_ms"] == [750.0, 3333.33]
    assert estimate["duty_cycle_percent"] == [pytest.approx(77.17, abs=0.01), pytest.approx(338.0, abs=0.01)]
    assert result["how"]["estimate"] == "estimated"
    assert any("no board was measured" in sentence for sentence in result["basis"])


def test_published_times_of_good_engines_lie_in_the_range():
    """MLPerf Tiny, keyword spotting on the STM32L4R5: 43.2 to 75.1 ms by the three fastest engines."""
    low, high = board(fit(manifest(macs=2_656_768)), "stm32l4r5")["estimate"]["inference_ms"]
    assert low < 43.2 < 75.1 < high


def test_no_int8_model():
    with pytest.raises(FitError, match=r"^The bundle holds no int8 model: export it again with --int8\.$"):
        fit({**manifest(), "int8": None})


# ---------------------------------------------------------------- the command


@pytest.fixture(scope="module")
def bundle(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("fit")
    (folder / "model.tflite").write_bytes(single_operator_model("CONV_2D", 3))
    export_tflite(folder / "model.tflite", folder / "bundle", c_model=c_compiler())
    return folder / "bundle"


def test_the_command(bundle):
    result = CliRunner().invoke(command, [str(bundle)])
    assert result.exit_code == 0, result.output
    assert re.search(r"rp2040 +│ +yes", result.output)
    assert "untested: esp32, esp32-s3" in result.output
    assert "no board was measured" in result.output


def test_the_command_as_json(bundle):
    result = json.loads(CliRunner().invoke(command, [str(bundle), "--json"]).output)
    assert result["bundle"] == str(bundle)
    assert len(result["boards"]) == 14
    assert result["boards"] == fit(json.loads((bundle / "manifest.json").read_text()))["boards"]


def test_a_real_student(shared, tmp_path):
    from edgesea.frontend import preset

    model = shared / "models" / "sea_student3_int8.tflite"
    export_tflite(model, tmp_path / "b", frontend=preset("sea-8k"), c_model=c_compiler())
    result = json.loads(CliRunner().invoke(command, [str(tmp_path / "b"), "--json"]).output)
    found = board(result, "microbit-v2")
    # docs/c-model.md and docs/c-frontend.md: arena 29,240, patch 3,200, embedding 64, a stream keeps 8,448.
    assert found["ram"]["needed"] == 29_240 + 3200 + 64 + 8448 + STACK + PROGRAM_RAM
    assert found["fits"] == "yes"
    # 122 million multiply-accumulates a second of sound are no work for 64 MHz.
    assert found["estimate"]["duty_cycle_percent"][0] > 100


def test_a_folder_without_an_int8_model(bundle, tmp_path, monkeypatch):
    class Loaded:
        name, path, int8, integer = "x", tmp_path, None, None
        manifest = {"files": {}, "int8": None}  # noqa: RUF012

    monkeypatch.setattr("edgesea.fitting.load_bundle", lambda _: Loaded())
    result = CliRunner().invoke(command, [str(bundle)])
    assert isinstance(result.exception, UserError)
    assert "holds no int8 model" in str(result.exception)


# ---------------------------------------------------------------- boards that cannot be judged


@pytest.fixture
def own_boards(tmp_path, monkeypatch) -> Path:
    """A copy of the folder of boards, where a file may be put."""
    shutil.copytree(boards.FOLDER, tmp_path / "boards")
    monkeypatch.setattr(boards, "FOLDER", tmp_path / "boards")
    return tmp_path / "boards"


def test_a_new_board_is_one_file(own_boards):
    text = (own_boards / "nrf52840.toml").read_text()
    (own_boards / "mine.toml").write_text(text.replace("ram_bytes = 262144", "ram_bytes = 524288"))
    assert "mine" in boards.names()
    found = board(fit(manifest()), "mine")
    assert found["ram"]["has"] == 524288
    assert found["estimate"] == board(fit(manifest()), "nrf52840")["estimate"]


@pytest.mark.parametrize(
    ("before", "after", "sentence"),
    [
        (
            'core = "cortex-m4"',
            'core = "cortex-m9"',
            r"Board mine has the core 'cortex-m9', of which nothing was measured; its core must be one of "
            r"cortex-m0plus, .*, or get a line in firmware_export/fit\.py\.",
        ),
        (
            "ram_bytes = 262144",
            "ram_bytes = 0",
            r"Board file .*mine\.toml: ram_bytes must .* Received: 0\.",
        ),
        ('core = "cortex-m4"', "core = ", r"The board file .*mine\.toml cannot be read: .*\."),
    ],
)
def test_a_faulty_board_gets_a_sentence_and_spoils_nothing(own_boards, bundle, before, after, sentence):
    text = (own_boards / "nrf52840.toml").read_text()
    assert before in text
    sound = fit(manifest())
    (own_boards / "mine.toml").write_text(text.replace(before, after))
    result = fit(manifest())
    assert result["boards"] == sound["boards"]
    assert len(result["left_out"]) == 1
    assert re.fullmatch(sentence, result["left_out"][0])
    told = CliRunner().invoke(command, [str(bundle)])
    assert told.exit_code == 0, told.output
    assert result["left_out"][0] in told.stderr
    assert "| `nrf52840` |" in renewed(f"{BEGIN}{END}")


def test_head_and_memory_are_counted():
    """A memory's constants to the byte; in RAM the scores, and sixteen prototypes that can be learned."""
    decisions = {"labels": ["a", "b"], "window": 4, "memory": None}
    plain, head, memory = (
        board(fit({**manifest(), **more}), "nrf52840")
        for more in (
            {},
            {"decisions": decisions},
            {"decisions": {**decisions, "memory": {"bytes": 70_000}}},
        )
    )
    assert head["flash"]["needed"] - plain["flash"]["needed"] == 6 * 1024
    assert head["ram"]["needed"] - plain["ram"]["needed"] == 2 * 11
    assert memory["flash"]["needed"] - head["flash"]["needed"] == 70_000
    dimension = manifest()["int8"]["output"]["bytes"]
    more = 17 * 11 + 16 * (dimension + 35) + 4 * dimension
    assert memory["ram"]["needed"] - head["ram"]["needed"] == more


def test_compiles_for_size_where_speed_does_not_fit():
    flash = board(fit(manifest()), "nrf52840")["flash"]
    # Too much by half of what size saves.
    saved = MODEL_CODE["speed"] - MODEL_CODE["size"]
    constants = 100_000 + flash["margin"] + saved // 2
    assert board(fit(manifest(constants=100_000 + flash["margin"])), "nrf52840")["optimize"] == "speed"
    chosen = board(fit(manifest(constants=constants)), "nrf52840")
    assert (chosen["optimize"], chosen["fits"]) == ("size", "tight")
    assert chosen["flash"]["margin"] == saved - saved // 2
    beyond = board(fit(manifest(constants=constants + saved)), "nrf52840")
    assert (beyond["optimize"], beyond["fits"]) == ("speed", "no")
    assert board(fit(manifest(c_model=False)), "nrf52840")["optimize"] is None


def test_counts_the_arena_of_the_cores_own_kernels():
    of_paths = manifest()
    of_paths["c_model"]["arenas"] = {"plain": 7000, "dsp": 8000, "mve": 10_000}
    whole, own = (board(fit(each), "nrf52840")["ram"]["needed"] for each in (manifest(), of_paths))
    assert whole - own == 2000
