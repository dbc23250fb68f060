"""The kinds of values that formats are made of, each with its bounds."""

from __future__ import annotations

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints

from edgesea.formats.paths import fault
from edgesea.formats.text import control

MOST_BYTES = 2**40
LONGEST_TEXT = 4096


class Strict(BaseModel):
    """Types as written, no unknown entries, no NaN or Infinity, and nothing changed afterwards."""

    model_config = ConfigDict(strict=True, extra="forbid", frozen=True, allow_inf_nan=False)


class Open(Strict):
    """The same, but entries that this version does not know are kept as they are."""

    model_config = ConfigDict(strict=True, extra="allow", frozen=True, allow_inf_nan=False)


def _printable(text: str) -> str:
    if odd := control(text):
        raise ValueError(f"text without control characters is wanted, it has {odd}")
    return text


def _inside(text: str) -> str:
    if reason := fault(text):
        raise ValueError(reason)
    return text


Text = Annotated[str, StringConstraints(max_length=LONGEST_TEXT), AfterValidator(_printable)]
Word = Annotated[str, StringConstraints(min_length=1, max_length=200), AfterValidator(_printable)]
Sha256 = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{64}$")]
Hexadecimal = Annotated[str, StringConstraints(pattern=r"^[0-9a-f]{1,128}$")]
Inside = Annotated[str, StringConstraints(min_length=1, max_length=500), AfterValidator(_inside)]
"""A path inside the folder that the file describes, with / between its parts."""

Bytes = Annotated[int, Field(ge=0, le=MOST_BYTES)]
Count = Annotated[int, Field(ge=0, le=2**53)]
Positive = Annotated[int, Field(ge=1, le=2**31 - 1)]
Seed = Annotated[int, Field(ge=0, lt=2**32)]
Real = Annotated[float, Field(ge=-1e30, le=1e30)]
Share = Annotated[float, Field(ge=0, le=1)]
# Rounding may leave a cosine of equal vectors a little above 1.
Cosine = Annotated[float, Field(ge=-1.000001, le=1.000001)]
NotNegative = Annotated[float, Field(ge=0, le=1e30)]


def bounded(value: Any) -> Any:
    """`value` where it is plain JSON of bounded size; the door has seen to depth and numbers."""
    waiting, seen = [value], 0
    while waiting:
        each = waiting.pop()
        seen += 1
        if seen > 10_000:
            raise ValueError("no more than 10000 values are allowed")
        if isinstance(each, dict):
            waiting += [*each, *each.values()]
        elif isinstance(each, list):
            waiting += each
        elif isinstance(each, str):
            if len(each) > LONGEST_TEXT:
                raise ValueError(f"texts of {LONGEST_TEXT} characters at most are allowed")
            _printable(each)
        elif not (each is None or isinstance(each, bool | int | float)):
            raise ValueError("plain values are wanted")
    return value


Plain = Annotated[Any, AfterValidator(bounded)]
"""JSON of at most 10,000 values."""
Versions = Annotated[dict[Word, Word], Field(max_length=100)]
