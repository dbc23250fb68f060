"""What a Pi may answer, and what a measurement may say: checked here once, trusted behind.

A far end may be broken or hostile. Its lines have limits of bytes (`most_bytes`), JSON may be no deeper than
the parser goes, and every figure must be one that a measurement can have: a finite number above 0 where it is
a time, and all times together no longer than what passed here meanwhile.
"""

import base64
import json
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

WORDS = ("hello", "alive", "result", "error", "end")
LONGEST_TEXT = 500
# What a login shell may print before, and signs of life in between.
TALK_BYTES = 1 << 20
LARGEST_ANSWER = 64 << 20
# Clocks of two machines differ, and a process starts before we hear of it.
_CLOCKS, _CLOCKS_S = 1.05, 1.0
_LONGEST_MS = 1e8  # more than a day
_MOST_BYTES = 1 << 48


class NoMeasurement(ValueError):
    """An answer that cannot be one; the text is a phrase."""


def clean(value) -> str:
    """Text from the far side as one short line without control characters."""
    text = " ".join(str(value)[: 4 * LONGEST_TEXT].split())[:LONGEST_TEXT]
    return "".join(character if character.isprintable() else "?" for character in text)


def message(line: bytes) -> dict:
    """The words of a line `edgesea {JSON}` that have a meaning; {} for whatever else a shell may print."""
    word, _, text = line.partition(b" ")
    if word != b"edgesea":
        return {}
    try:
        held = json.loads(text)  # NaN too, which the schema refuses
    except (ValueError, RecursionError):
        return {}
    return {word: held[word] for word in WORDS if word in held} if isinstance(held, dict) else {}


def most_bytes(processes: int, runs: int, sizes: list[int]) -> int:
    """How much a good answer may take: so many processes, with so many times each, outputs of these sizes."""
    each = 8192 + 32 * runs + sum(4 * size // 3 + 8 for size in sizes)
    return TALK_BYTES + min((processes + 1) * each, LARGEST_ANSWER)


Text = Annotated[str, AfterValidator(clean)]
Milliseconds = Annotated[float, Field(gt=0, le=_LONGEST_MS)]
Bytes = Annotated[int, Field(ge=0, le=_MOST_BYTES)]


class _Strict(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False, frozen=True)


class _State(_Strict):
    time: Text | None
    load_average: Annotated[float, Field(ge=0, le=1e6)] | None
    governor: Text | None
    frequency_mhz: Annotated[float, Field(ge=0, le=1e6)] | None
    temperature_c: Annotated[float, Field(ge=-273.15, le=1000)] | None
    throttling: Annotated[str, Field(pattern=r"\A0x[0-9a-f]{1,8}\z")] | None


class _Machine(_Strict):
    machine: Text | None = None
    bits: Annotated[int, Field(ge=8, le=128)] | None = None
    board: Text | None = None
    cpu: Text | None = None
    cores: Annotated[int, Field(ge=1, le=65536)] | None = None
    memory_bytes: Bytes | None = None
    kernel: Text | None = None
    system: Text | None = None
    python: Text | None = None
    runtime: Text | None = None
    numpy: Text | None = None
    emulator: Text | None


class _Reference(_Strict):
    engine: Text
    outputs: Annotated[list[str], Field(max_length=64)]


class _Process(_Reference):
    configuration: Annotated[int, Field(ge=0)]
    import_ms: Milliseconds
    cold_load_ms: Milliseconds
    first_inference_ms: Milliseconds
    times_ms: Annotated[list[Milliseconds], Field(min_length=1)]
    warm_up_runs: Annotated[int, Field(ge=0, le=10**9)]
    empty_interpreter_bytes: Bytes | None
    peak_above_empty_bytes: Bytes | None
    before: _State
    after: _State


class _Result(_Strict):
    before: _State
    after: _State
    machine: _Machine
    processes: Annotated[list[_Process], Field(min_length=1, max_length=4096)]
    reference: _Reference


def checked(
    result, *, configurations: int, processes: int, runs: int, sizes: list[int], elapsed_s: float
) -> dict:
    """The result with everything in it of the type and range that it should have.

    configurations : how many there must be
    processes, runs : how many of each configuration, and times of each process, there may be
    sizes : of the model's outputs in bytes
    elapsed_s : what passed here since the question

    Raises `NoMeasurement`.
    """
    try:
        found = _Result.model_validate(result).model_dump()
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        place = ".".join(str(each) for each in first["loc"]) or "result"
        raise NoMeasurement(clean(f"{place}: {first['msg']}")) from error
    held = [each["configuration"] for each in found["processes"]]
    if set(held) != set(range(configurations)):
        raise NoMeasurement("not all configurations, or others")
    if max(held.count(number) for number in range(configurations)) > processes:
        raise NoMeasurement("more processes than were asked for")
    spent_ms = 0.0
    for each in (*found["processes"], found["reference"]):
        each["outputs"] = _content(each["outputs"], sizes)
        if len(each.get("times_ms", ())) > runs:
            raise NoMeasurement("more times than were asked for")
        spent_ms += sum(each.get("times_ms", ()))
        spent_ms += sum(each.get(key, 0.0) for key in ("import_ms", "cold_load_ms", "first_inference_ms"))
    if spent_ms > 1000 * (elapsed_s * _CLOCKS + _CLOCKS_S):
        raise NoMeasurement(f"{spent_ms / 1000:.6g} s of work in {elapsed_s:.6g} s")
    return found


def _content(texts: list[str], sizes: list[int]) -> list[bytes]:
    try:
        outputs = [base64.b64decode(text, validate=True) for text in texts]
    except ValueError as error:
        raise NoMeasurement("outputs that are not base64") from error
    if [len(output) for output in outputs] != sizes:
        raise NoMeasurement("outputs of another size")
    return outputs
