"""Says under which conditions a measurement was taken: what the machine is, and the state that it was in.

The state is read before and after, because a machine that slowed its clock down in between gives figures
that are true and useless. What this system does not tell is None, never a guess.
"""

import datetime
import os
import platform
from pathlib import Path

import numpy as np


def machine(root: Path = Path("/")) -> dict:
    """What does not change while measuring.

    Returns machine (architecture), board (the name that the firmware gives, or None), cpu (model name), cores
    (that this process may use), memory_bytes, kernel, python, numpy.
    """
    return {
        "machine": platform.machine(),
        "board": _board(root),
        "cpu": _cpu(root),
        "cores": len(os.sched_getaffinity(0)),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "numpy": np.__version__,
    }


def state(root: Path = Path("/")) -> dict:
    """What may change while measuring.

    Returns time (UTC, ISO 8601), load_average (1 minute), governor, frequency_mhz (of core 0),
    temperature_c (the warmest zone).
    """
    frequency = _number(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_cur_freq")  # in kHz
    zones = sorted((root / "sys/class/thermal").glob("thermal_zone*/temp"))  # in thousandths of a degree
    temperatures = [value for value in map(_number, zones) if value is not None]
    return {
        "time": datetime.datetime.now(datetime.timezone.utc).isoformat(timespec="seconds"),
        "load_average": round(os.getloadavg()[0], 2),
        "governor": _text(root / "sys/devices/system/cpu/cpu0/cpufreq/scaling_governor"),
        "frequency_mhz": None if frequency is None else round(frequency / 1000, 1),
        "temperature_c": round(max(temperatures) / 1000, 1) if temperatures else None,
    }


def _board(root: Path) -> str | None:
    # A device tree names the board on ARM machines, the BIOS on PCs.
    return _text(root / "proc/device-tree/model") or _text(root / "sys/class/dmi/id/product_name")


def _cpu(root: Path) -> str | None:
    """The first core's model name; on ARM, which has none, implementer and part as the kernel gives them."""
    fields: dict[str, str] = {}
    for line in (_text(root / "proc/cpuinfo") or "").splitlines():
        key, _, value = line.partition(":")
        fields.setdefault(key.strip(), value.strip())
    if "model name" in fields:
        return fields["model name"]
    if "CPU part" in fields:
        return f"implementer {fields.get('CPU implementer', '?')}, part {fields['CPU part']}"
    return None


def _text(path: Path) -> str | None:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip("\0\n ") or None
    except OSError:
        return None


def _number(path: Path) -> float | None:
    text = _text(path)
    try:
        return None if text is None else float(text)
    except ValueError:
        return None
