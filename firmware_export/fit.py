"""Say which boards hold a bundle's model, and how much of their time it may take.

    fit(bundle.manifest, header)["boards"][0]
    {"board": "nrf52840", "fits": "yes", "flash": {"needed": ..., "margin": ...}, "ram": ..., "estimate": ...}

Needed is what the sensor program needs: the model, its frontend, and an allowance for what a project adds.
Model and frontend are exact where the bundle holds the C model; where it does not, TensorFlow Lite Micro is
assumed, by what it was measured to add. Boards are those with a clock: emulated ones hold anything.

The time is an estimate and no measurement: the range of instructions a multiply-accumulate that was measured
on emulated cores of the same kind, times a range of cycles an instruction. Left out of it: the microphone, a
flash that is slower than the core, sleeping. Without the C model there is none.
"""

from __future__ import annotations

import re

from firmware_export import boards
from firmware_export.decisions import RECORDS, SPARE
from firmware_export.errors import UserError

RECORD_BYTES = 35  # of a prototype that can be learned, without its values, and what rounds it up
KIB = 1024

# Allowances in bytes, each with its basis.
# At most 11,047 were measured for six models on seven cores, with a harness of 2 KB; compiled for size, at
# most 8,675 for two models on two cores.
MODEL_CODE = {"speed": 12 * KIB, "size": 10 * KIB}
FRONTEND_FLASH = 26 * KIB  # code and tables: at most 23.6 KB were measured for two frontends on four cores
DECISIONS_FLASH = 6 * KIB  # code: 1.0 KB to decide, 3.7 to 4.1 KB for a memory, measured on an M4 and an M0+
PROGRAM_FLASH = 16 * KIB  # start-up, drivers, C library
PROGRAM_RAM = 8 * KIB  # drivers, sound on its way from the microphone, C library
STACK = 4 * KIB  # an inference takes at most 800 bytes, measured
TFLM_FLASH = 64 * KIB  # 48 to 58 KB were measured for six models, with CMSIS-NN
TFLM_RAM = 16 * KIB  # above the peak of live buffers; 7 to 9 KB were measured for two models

# The best first.
_ORDER = {"yes": 0, "tight": 1, "no": 2}
# Below this share of a board's memory the margin is called tight.
TIGHT = 0.1

# core -> (kernels, lowest and highest instructions a multiply-accumulate, the same a second of sound in the
# frontend). Measured on QEMU for three models and two frontends, see benchmarks/results/engine.md and
# docs/c-frontend.md; the Xtensa cores have not been emulated and stand between the M3 and RISC-V.
CORES = {
    "cortex-m0plus": ("plain", (5.6, 12.2), (15.1e6, 17.6e6)),
    "cortex-m4": ("dsp", (0.9, 2.0), (2.6e6, 2.8e6)),
    "cortex-m7": ("dsp", (0.9, 2.0), (2.6e6, 2.8e6)),
    "cortex-m33": ("dsp", (0.9, 2.0), (2.6e6, 2.8e6)),
    "cortex-m55": ("mve", (0.16, 0.8), (2.6e6, 2.8e6)),
    "riscv32": ("plain", (5.2, 7.9), (7.2e6, 9.3e6)),
    "xtensa-lx6": ("plain", (2.9, 7.9), (2.6e6, 9.3e6)),
    "xtensa-lx7": ("plain", (2.9, 7.9), (2.6e6, 9.3e6)),
}
CYCLES_AN_INSTRUCTION = (1.0, 2.0)

BASIS = (
    "needed: constants and arena of the C model are exact; code, program, stack and drivers are allowances, "
    "and a framework takes up more",
    "estimate: instructions a multiply-accumulate as measured on emulated cores, lowest and highest of three "
    "models, times 1 to 2 cycles an instruction, assumed; no board was measured",
)
BASIS_INT16X8 = (
    "needed: constants and arena of the C model are exact; code, program, stack and drivers are allowances, "
    "and a framework takes up more; the frontend is not counted, because the C frontend makes int8 patches",
    "estimate: none, because the int16 kernels were not measured on these cores",
)
BASIS_TFLM = (
    "needed: the bundle holds no C model, so the model's file and the peak of its live buffers, and "
    "allowances for what TensorFlow Lite Micro was measured to add; a framework takes up more",
)


class FitError(UserError):
    """The bundle does not say what its model takes up."""


def fit(manifest: dict, frontend_header: str | None = None) -> dict:
    """Hold a bundle's needs against every board.

    Parameters
    ----------
    manifest : of the bundle
    frontend_header : text of the bundle's NAME_frontend.h, None where it has none

    Returns
    -------
    dict
        boards: a dict each, those that hold the model first, the smallest RAM first; `fits` is "yes", "tight"
        (less than a tenth of flash or RAM would be left) or "no"; `optimize` what the C model's kernels are
        best compiled for, "speed" where that fits (None without the C model); `flash` and `ram` hold needed,
        has and margin in bytes and margin_percent of has; `estimate` (None without the C model) holds ranges
        (lowest, highest) of inference_ms and, where the frontend is known, duty_cycle_percent. left_out:
        a sentence for each board that cannot be judged. basis: sentences. how: of each figure.

    Raises
    ------
    FitError : no int8 or int16x8 model in the bundle
    """
    wide = manifest.get("int8") is None
    model = manifest.get("int16x8" if wide else "int8")
    if not isinstance(model, dict):
        raise FitError("The bundle holds no int8 model: export it again with --int8.")
    compiled = manifest.get("c_model")
    frontend = None if wide else manifest.get("frontend")
    state, scratch = _frontend_bytes(frontend_header)
    known, left_out = boards.readable()
    found = []
    for board in known:
        if board.clock_hz is None:
            continue
        if board.core in CORES:
            choices = [
                _held(
                    board,
                    model,
                    compiled,
                    frontend,
                    state,
                    scratch,
                    wide,
                    _decisions(manifest, model),
                    optimize,
                )
                for optimize in (MODEL_CODE if compiled else ("speed",))
            ]
            # The fastest that fits.
            found.append(next((each for each in choices if each["fits"] != "no"), choices[0]))
        else:
            left_out.append(
                f"Board {board.name} has the core {board.core!r}, of which nothing was measured; its core "
                f"must be one of {', '.join(CORES)}, or get a line in firmware_export/fit.py."
            )
    return {
        "engine": "C model" if compiled else "TensorFlow Lite Micro",
        "boards": sorted(found, key=lambda each: (_ORDER[each["fits"]], each["ram"]["has"], each["board"])),
        "left_out": left_out,
        "basis": list((BASIS_INT16X8 if wide else BASIS) if compiled else BASIS_TFLM),
        "how": {
            "flash": "computed, with allowances",
            "ram": "computed, with allowances",
            "estimate": "estimated",
        },
    }


def _held(
    board,
    model: dict,
    compiled: dict | None,
    frontend: dict | None,
    state: int,
    scratch: int,
    wide: bool,
    decisions: tuple[int, int],
    optimize: str,
) -> dict:
    kernels, products, sound = CORES[board.core]
    estimate = None
    if compiled:
        flash = compiled["constant_bytes"][kernels] + MODEL_CODE[optimize]
        work = (compiled.get("arenas") or {}).get(kernels) or compiled["arena_bytes"]
        state += compiled.get("state_bytes") or 0
        macs = model["multiply_accumulates"]
        estimate = None if wide else _estimate(board.clock_hz, macs, products, frontend, sound)
    else:
        flash = model["storage"]["model_bytes"] + TFLM_FLASH
        work = model["activation"]["peak_bytes"] + TFLM_RAM
    # Frontend and model take turns in one working memory, the largest piece that has to be without a gap.
    work = max(work, scratch)
    ram = work + state + model["input"]["bytes"] + model["output"]["bytes"] + STACK + PROGRAM_RAM
    flash += PROGRAM_FLASH + (FRONTEND_FLASH if frontend else 0) + decisions[0]
    ram += decisions[1]
    memory = {"flash": _margin(flash, board.flash_bytes), "ram": _margin(ram, board.ram_bytes)}
    fits = "yes"
    if work > board.largest_ram_bytes or any(each["margin"] < 0 for each in memory.values()):
        fits = "no"
    elif any(each["margin"] < TIGHT * each["has"] for each in memory.values()):
        fits = "tight"
    return {
        "board": board.name,
        "title": board.title,
        "core": board.core,
        "clock_hz": board.clock_hz,
        "standing": board.standing,
        "fits": fits,
        "optimize": optimize if compiled else None,
        **memory,
        "estimate": estimate,
    }


def _decisions(manifest: dict, model: dict) -> tuple[int, int]:
    """Flash and RAM of what makes events of a model's outputs."""
    decisions = manifest.get("decisions")
    if not decisions:
        return 0, 0
    slots, flash, ram = len(decisions["labels"]), DECISIONS_FLASH, (model.get("scores") or {}).get("bytes", 0)
    if memory := decisions.get("memory"):
        dimension = model["output"]["bytes"]
        slots += SPARE + 1
        flash += memory["bytes"]
        ram += RECORDS * (dimension + RECORD_BYTES) + 4 * dimension
    return flash, ram + slots * (decisions["window"] + 7)


def _margin(needed: int, has: int) -> dict:
    margin = has - needed
    return {"needed": needed, "has": has, "margin": margin, "margin_percent": round(100 * margin / has, 1)}


def _estimate(clock_hz: int, macs: int, products, frontend: dict | None, sound) -> dict:
    """Ranges (lowest, highest): of one inference, and of the time in which a patch comes that it takes to
    compute patch and inference, each sample being heard once.
    """
    found: dict[str, list[float] | None] = {
        "inference_ms": [],
        "duty_cycle_percent": [] if frontend else None,
    }
    ends = ((0, CYCLES_AN_INSTRUCTION[0]), (1, CYCLES_AN_INSTRUCTION[1]))
    for end, cycles in ends:
        inference_s = macs * products[end] * cycles / clock_hz
        found["inference_ms"].append(round(1000 * inference_s, 2))
        if frontend:
            period_s = frontend["samples"] / frontend["sample_rate"]
            share = inference_s / period_s + sound[end] * cycles / clock_hz
            found["duty_cycle_percent"].append(round(100 * share, 2))
    return found


def _frontend_bytes(header: str | None) -> tuple[int, int]:
    """What a stream keeps and what a call needs, as the generated header says; 0 without one."""
    kept = re.search(r"All that a stream keeps: (\d+) bytes", header or "")
    scratch = re.search(r"_FRONTEND_SCRATCH_BYTES (\d+)", header or "")
    return (int(kept.group(1)) if kept else 0), (int(scratch.group(1)) if scratch else 0)
