"""metrics.json and split.json of a run."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import ConfigDict, Field

from edgesea.formats.fields import (
    Cosine,
    Count,
    NotNegative,
    Open,
    Plain,
    Positive,
    Real,
    Share,
    Strict,
    Text,
    Versions,
    Word,
)
from edgesea.formats.frontend import FrontendFields

METRICS = "metrics.json"
SPLIT = "split.json"
VERSION = None
Stretch = Annotated[list[NotNegative], Field(min_length=3, max_length=3)]
LARGEST_METRICS = 64 << 20
# A clip is some ten bytes: this holds millions.
LARGEST_SPLIT = 256 << 20


class Teacher(Strict):
    name: Word = Field(description="of the teacher")
    dimension: Positive = Field(description="of its embeddings")
    fingerprint: Word = Field(description="of its file and options")


class Frames(Strict):
    """Frames of each part of the domain."""

    model_config = ConfigDict(populate_by_name=True)

    train: Count = Field(description="for training")
    validation: Count = Field(description="for early stopping")
    held_out: Count = Field(alias="held-out", description="looked at once")


class Data(Strict):
    name: Word = Field(description="of the domain")
    fingerprint: Word = Field(description="of its clips")
    clips: Count = Field(description="clips in it")
    skipped: Count = Field(description="clips that were set aside")
    frames: Frames = Field(description="of each part")
    silent: Frames | None = Field(None, description="silent frames that were left out of each part")


class Figures(Open):
    """Fidelity of the student to phi(teacher)."""

    r2: Real | None = Field(description="null where the part is one frame")
    cosine: Cosine | None = Field(description="mean")
    cka: Real | None = Field(None, description="centred kernel alignment, linear")
    knn_overlap: Share | None = Field(description="share of neighbours in common")
    frames: Count = Field(description="that were looked at")


class Metrics(Open):
    """What came out of a run; a later version may say more."""

    student: Text = Field(description="the student's name, with its options")
    parameters: Count = Field(description="of the student")
    dimension: Positive = Field(description="of its embedding")
    frontend: FrontendFields = Field(description="of the student")
    teacher: Teacher = Field(description="who taught it")
    data: Data = Field(description="what it was distilled on")
    reducer: Annotated[dict[Word, Plain], Field(max_length=100)] = Field(description="phi's report on itself")
    fidelity: Annotated[dict[Word, Figures], Field(max_length=20)] = Field(description="part -> figures")
    objective: Annotated[dict[Word, dict[Word, Real | None]], Field(max_length=20)] | None = Field(
        None, description="part -> the objective's own figures, where R² is not what it aims at"
    )
    course: Annotated[list[dict[Word, Real | None]], Field(max_length=100_000)] = Field(
        description="one entry an epoch: loss, r2, cosine, learning_rate, seconds"
    )
    seconds: NotNegative = Field(description="that the run took, in the process that ended it")
    versions: Versions = Field(description="of what the result may depend on")


class SplitByTime(Strict):
    """Stretches of each part, [clip, first second, last second] each, where recordings are few."""

    by: Literal["time"] = Field(description="tells it from the other form")
    frame_seconds: NotNegative = Field(description="a frame is of the part that it lies in whole")
    train: list[Stretch] = Field(description="stretches for training")
    validation: list[Stretch] = Field(description="stretches for early stopping")
    held_out: list[Stretch] = Field(alias="held-out", description="stretches that are looked at once")


class Split(Strict):
    """Numbers of the clips of each part."""

    train: list[Count] = Field(description="clips for training")
    validation: list[Count] = Field(description="clips for early stopping")
    held_out: list[Count] = Field(alias="held-out", description="clips that are looked at once, at the end")
