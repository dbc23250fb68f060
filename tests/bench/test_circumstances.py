"""How conditions are told, and which measurements cannot be compared."""

import pytest

from edgesea.devices import circumstances, comparable

QEMU = {
    "board": "MPS2",
    "qemu": "QEMU emulator version 8",
    "qemu_arguments": ["-machine", "mps2"],
    "compiler": "arm-none-eabi-gcc 12",
    "flags": ["-O2", "-g0"],
    "reference": "LiteRT 2 BUILTIN_REF",
    "flash_is": "text",
}


def test_an_emulated_core_in_a_sentence():
    assert circumstances.told(QEMU) == (
        "conditions: MPS2, emulated by QEMU emulator version 8; compiled by arm-none-eabi-gcc 12; outputs "
        "held against LiteRT 2 BUILTIN_REF. Flags and what is counted: --verbose."
    )


def test_every_condition_where_it_is_asked_for():
    lines = circumstances.told(QEMU, verbose=True).splitlines()
    assert lines[0] == "conditions:"
    assert "  flags: -O2 -g0" in lines
    assert len(lines) == 1 + len(QEMU)


def test_before_and_after():
    state = {"governor": "ondemand", "frequency_mhz": 600.0, "temperature_c": None}
    told = circumstances.told(
        {"cpu": "A72", "emulator": None, "before": state, "after": {**state, "frequency_mhz": 1500.0}}
    )
    assert told == "conditions: cpu A72, governor ondemand, frequency_mhz 600.0 -> 1500.0"


def test_what_both_measured_can_be_compared():
    time = {"device": "host", "latency_ms": {"median": 1.0}}
    count = {"device": "qemu:cortex-m4", "emulated": {"instructions": 1}}
    assert comparable.why_not(time, {**time, "device": "rpi"}) is None
    assert comparable.why_not(count, count) is None
    assert comparable.why_not(time, {"device": "x"}) is None
    for pair in ((time, count), (count, time)):
        assert comparable.why_not(*pair) == (
            "host measured time and qemu:cortex-m4 counted instructions, which cannot be compared: compare "
            "the size of the model and its memory, or measure both on one device."
        )


@pytest.mark.parametrize(("a", "b", "kept"), [(1, 2, True), (None, 2, False), (1, None, False)])
def test_only_what_both_say_is_left(a, b, kept):
    result = {"differences": [{"what": "x", "a": a, "b": b}], "figures": []}
    assert comparable.in_common(result) == {"differences": result["differences"] * kept, "figures": []}
