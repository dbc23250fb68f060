"""Says what lies between two measurements: figures, conditions, and whether the latency really differs.

A latency is a median of n inferences, and a median taken again is another number. How far it moves by itself
is estimated from the measurement: each configuration on the rpi ran in several processes, and the *noise* is
the half width of the 95 % confidence interval of the mean of their medians (Student's t). Inferences within a
process share its place in memory and the machine's heat, so counting them singly would promise too much.
Where a measurement has one process only (the host's), the distance from median to p95 stands in, which is
coarser and mostly larger.

Two latencies differ where their distance is larger than both noises together (root of the sum of squares).
This says nothing about another day or another board of the same kind: for that, measure several times.
"""

import math
from pathlib import Path

from edgesea import results
from edgesea.devices.answers import clean
from edgesea.errors import UsageError
from edgesea.measures.figures import MEASURED, at

# Two-sided 95 % points of Student's t, for 2, 3, ... values.
T_95 = (12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262)

# What differs between any two measurements and explains nothing.
PASSING = ("conditions.before.time", "conditions.after.time")


def load(path: Path | str) -> dict:
    """Reads a measurement that `edgesea bench` wrote, in a bundle or with --out; else UsageError."""
    return _printable(
        results.read(path, "bench", error=UsageError, remedy="name what `edgesea bench --out` wrote")
    )


def _printable(value):
    """The same value with texts that may be shown on a terminal."""
    if isinstance(value, dict):
        return {clean(key): _printable(each) for key, each in value.items()}
    if isinstance(value, list):
        return [_printable(each) for each in value]
    return clean(value) if isinstance(value, str) else value


def compare(a: dict, b: dict) -> dict:
    """What lies between two measurements, ready for JSON.

    Returns
    -------
    dict
        same_model : bool, or None where one does not say
        differences : of device, engine, model, threads, kernels (each configuration's runtime, version and
            resolver, and the beginning of its output's SHA-256) and conditions, as {what, a, b}
        figures : those that both have, as {figure, unit, a, b, ratio (b / a, or None)}
        latency : list of {threads, xnnpack (allowed), a, b (median in ms), ratio, noise_ms, differs (bool)}
            of the configurations that both have; empty where there are none
        warnings : sentences, of what makes the comparison doubtful
    """
    flat_a, flat_b = _flat(_identity(a)), _flat(_identity(b))
    differences = [
        {"what": what, "a": flat_a.get(what), "b": flat_b.get(what)}
        for what in dict.fromkeys([*flat_a, *flat_b])
        if flat_a.get(what) != flat_b.get(what) and what not in PASSING
    ]
    figures = []
    for place, figure in MEASURED.items():
        ours, theirs = _figure(a, place), _figure(b, place)
        if ours is not None and theirs is not None:
            ratio = _ratio(ours, theirs)
            figures.append({"figure": place, "unit": figure.unit, "a": ours, "b": theirs, "ratio": ratio})
    hashes = [at(each, "model.sha256") for each in (a, b)]
    return {
        "same_model": None if None in hashes else hashes[0] == hashes[1],
        "differences": differences,
        "figures": figures,
        "latency": _latencies(a, b),
        "warnings": [*_warnings("A", a), *_warnings("B", b)],
    }


def noise_ms(latency: dict) -> float:
    """How far the median of a `latency_ms` moves by itself, in ms; see the module."""
    medians = latency.get("process_medians")
    medians = [value for value in medians if _number(value)] if isinstance(medians, list) else []
    count = len(medians)
    if count < 2:
        return abs(latency["p95"] - latency["median"])
    mean = sum(medians) / count
    variance = sum((value - mean) ** 2 for value in medians) / (count - 1)
    return T_95[min(count - 2, len(T_95) - 1)] * math.sqrt(variance / count)


def _latencies(a: dict, b: dict) -> list[dict]:
    found = []
    ours, theirs = _configurations(a), _configurations(b)
    for key in ours:
        if key in theirs:
            first, second = ours[key], theirs[key]
            noise = math.hypot(noise_ms(first), noise_ms(second))
            found.append(
                {
                    "threads": key[0],
                    "xnnpack": key[1],
                    "a": first["median"],
                    "b": second["median"],
                    "ratio": _ratio(first["median"], second["median"]),
                    "noise_ms": round(noise, 4),
                    "differs": abs(first["median"] - second["median"]) > noise,
                }
            )
    return found


def _configurations(measurement: dict) -> dict[tuple, dict]:
    """(threads, whether XNNPACK was allowed) -> latency_ms."""
    listed = measurement.get("configurations")
    if not isinstance(listed, list):
        # A host measures one, as the runtime chooses, which is XNNPACK where it has it.
        listed = [{**measurement, "threads": at(measurement, "latency_ms.threads"), "xnnpack": True}]
    found = {}
    for each in listed:
        median, p95 = _figure(each, "latency_ms.median"), _figure(each, "latency_ms.p95")
        if median is not None and p95 is not None:
            found[each.get("threads"), each.get("xnnpack")] = each["latency_ms"]
    return found


def _warnings(name: str, measurement: dict) -> list[str]:
    found = []
    if slowed := at(measurement, "conditions.slowed"):
        found.append(f"{name} was slowed down while it was measured: {slowed}")
    if emulator := at(measurement, "conditions.emulator"):
        found.append(f"{name} ran in an emulator ({emulator}): its latency is no device's")
    load = at(measurement, "conditions.before.load_average")
    if _number(load) and load >= 1:
        found.append(f"{name} was busy with other work when it was measured: load average {load}")
    return found


def _identity(measurement: dict) -> dict:
    return {
        "device": measurement["device"],
        "engine": measurement["engine"],
        "model": measurement.get("model"),
        "threads": at(measurement, "latency_ms.threads"),
        "kernels": _kernels(measurement),
        "conditions": measurement["conditions"],
    }


def _kernels(measurement: dict) -> dict:
    """What computed, and what came out for the one random input: kernels that differ may round apart."""
    found = {"reference": {"engine": at(measurement, "agreement.there"), "output": _output(measurement)}}
    listed = measurement.get("configurations")
    for each in listed if isinstance(listed, list) else []:
        allowed = "XNNPACK allowed" if at(each, "xnnpack") else "XNNPACK off"
        name = f"threads {at(each, 'threads')}, {allowed}"
        found[name] = {"engine": at(each, "engine"), "output": _output(each)}
    return found


def _output(measured: dict) -> str | None:
    return str(at(measured, "agreement.sha256") or "")[:12] or None


def _flat(values: dict, prefix: str = "") -> dict:
    """{"a": {"b": 1}} -> {"a.b": 1}; lists stay as they are, what is None is left out."""
    found: dict = {}
    for key, value in values.items():
        if isinstance(value, dict):
            found |= _flat(value, f"{prefix}{key}.")
        elif value is not None:
            found[prefix + key] = value
    return found


def _figure(measurement: dict, place: str) -> float | None:
    value = at(measurement, place)
    return value if _number(value) else None


def _number(value) -> bool:
    # What no figure of a measurement reaches: a square of it is still a number.
    return isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) <= 1e18


def _ratio(a: float, b: float) -> float | None:
    return round(b / a, 4) if a else None
