"""What `edgesea fit` answers, as it is kept in the bundle."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from edgesea.formats.fields import Bytes, NotNegative, Open, Positive, Real, Text, Word

FORMAT = "edgesea fit"
VERSION = 1
LARGEST = 1 << 20

Range = Annotated[list[NotNegative], Field(min_length=2, max_length=2)]


class Held(Open):
    needed: Bytes = Field(description="computed, with allowances")
    has: Bytes = Field(description="what the board has")
    margin: Annotated[int, Field(ge=-(2**53), le=2**53)] = Field(description="what is left, in bytes")
    margin_percent: Real = Field(description="of what the board has")


class Estimate(Open):
    """Ranges, [lowest, highest]; estimated, never measured."""

    inference_ms: Range = Field(description="of one inference")
    duty_cycle_percent: Range | None = Field(description="null where the frontend is not known")


class FittedBoard(Open):
    board: Word = Field(description="its name")
    title: Text = Field(description="its name for people")
    core: Word = Field(description="its core")
    clock_hz: Positive = Field(description="its clock")
    standing: Word = Field(description="how far the board was tried")
    fits: Literal["yes", "tight", "no"] = Field(description="tight: less than a tenth would be left")
    optimize: Literal["speed", "size"] | None = Field(
        None, description="what the kernels are best compiled for; null without the C model"
    )
    flash: Held = Field(description="in bytes")
    ram: Held = Field(description="in bytes")
    estimate: Estimate | None = Field(description="null without the C model")


class Fit(Open):
    format: Literal["edgesea fit"] = Field(description="always this")
    format_version: Literal[1] = Field(description="of this format")
    bundle: Text = Field(description="the bundle, as it was named")
    name: Text = Field(description="of the bundle")
    engine: Word = Field(description="C model or TensorFlow Lite Micro")
    boards: Annotated[list[FittedBoard], Field(max_length=1000)] = Field(
        description="those that hold the model first"
    )
    left_out: Annotated[list[Text], Field(max_length=1000)] = Field(
        description="a sentence for each board that cannot be judged"
    )
    basis: Annotated[list[Text], Field(max_length=100)] = Field(description="what the figures rest on")
    how: Annotated[dict[Word, Text], Field(max_length=20)] = Field(description="of each figure")
