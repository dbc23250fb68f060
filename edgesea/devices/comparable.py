"""What two measurements can be compared in: a time on a real machine and a count in an emulator cannot."""

from __future__ import annotations


def why_not(a: dict, b: dict) -> str | None:
    """The sentence that says what cannot be compared, and what can; None where all can.

    a, b : measurements, as `edgesea.devices.compare.load` gives them
    """
    kinds = [_kind(a), _kind(b)]
    if None in kinds or kinds[0] == kinds[1]:
        return None
    real, emulated = (a, b) if kinds == ["time", "instructions"] else (b, a)
    return (
        f"{real['device']} measured time and {emulated['device']} counted instructions, which cannot be "
        "compared: compare the size of the model and its memory, or measure both on one device."
    )


def in_common(result: dict) -> dict:
    """The comparison without what only one of the two says."""
    both = [each for each in result["differences"] if None not in (each["a"], each["b"])]
    return {**result, "differences": both}


def _kind(measurement: dict) -> str | None:
    """What a measurement says of speed."""
    if measurement.get("emulated"):
        return "instructions"
    return "time" if measurement.get("latency_ms") or measurement.get("configurations") else None
