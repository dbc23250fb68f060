"""What turns a bundle's scores and embeddings into events: the entry `decisions` of its manifest.

All numbers are the integers that the device works with, in C and in Python; `edgesea/listen/listen.py` says
how.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, model_validator

from edgesea.formats.fields import Bytes, Count, Positive, Sha256, Share, Strict, Text, Word

MOST_CLASSES = 1000
Label = Annotated[Word, Field(max_length=100)]
UInt16 = Annotated[int, Field(ge=0, le=65535)]


class Memory(Strict):
    """The knowledge base in memory.npz."""

    prototypes: Count = Field(description="how many")
    bytes: Bytes = Field(description="of flash that prototypes, labels and lengths take up")
    kind: Word = Field(description="how they were chosen: kmeans, dpp or all")
    k: Annotated[int, Field(ge=1, le=32)] = Field(description="nearest prototypes that are asked")
    beta: Annotated[int, Field(ge=0, le=256)] = Field(
        description="share of the memory beside the head, in 1/256"
    )
    sharpness: UInt16 = Field(description="of the weights 2^(-d * sharpness / 65536), d in 1/32768 of cosine")
    unknown: Annotated[int, Field(ge=-32768, le=32767)] = Field(
        description="a frame less like every prototype than this is unknown; cosine in 1/32768"
    )


class Agreement(Strict):
    """The integer model against the float one on held-out patches."""

    frames: Positive = Field(description="patches")
    same: Share = Field(description="share of frames and classes on the same side of the threshold in both")
    largest: Share = Field(description="largest difference of a score")


class HeldOut(Strict):
    """What head and memory were not made from."""

    data: Sha256 = Field(description="fingerprint of the sound that they were made from")
    recordings: Annotated[list[Text], Field(max_length=1_000_000)] = Field(
        description="recordings of it that were used for nothing"
    )


class Decisions(Strict):
    labels: Annotated[list[Label], Field(min_length=1, max_length=MOST_CLASSES)] = Field(
        description="names of the classes, those of the head first"
    )
    head: Annotated[int, Field(ge=0, le=MOST_CLASSES)] = Field(
        description="classes that the model has scores of"
    )
    student: Sha256 | None = Field(description="of the student's float .tflite, without the head")
    every: Positive = Field(description="possible patches from decision to decision")
    window: Annotated[int, Field(ge=1, le=64)] = Field(description="frames that are pooled")
    alpha: Annotated[list[UInt16], Field(max_length=MOST_CLASSES)] = Field(
        description="of auto-pool, a class each: weights 2^(-d * alpha / 65536), d in 1/256; 0 is the mean"
    )
    thresholds: Annotated[list[Annotated[int, Field(ge=1, le=65535)]], Field(max_length=MOST_CLASSES)] = (
        Field(description="pooled score, in 1/65536, from which on a class is heard")
    )
    rest: UInt16 = Field(description="frames for which a class that was said is not said again")
    held_out: HeldOut | None = Field(None, description="null where it is not known")
    agreement: Agreement | None = Field(None, description="null without a head, and without an integer model")
    memory: Memory | None = Field(None, description="null where there is none")
    trained: Text | None = Field(None, description="on what, for people")

    @model_validator(mode="after")
    def _consistent(self):
        count = len(self.labels)
        if len(set(self.labels)) != count:
            raise ValueError("each label once is wanted")
        if (len(self.alpha), len(self.thresholds)) != (count, count):
            raise ValueError(f"an alpha and a threshold for each of the {count} labels are wanted")
        if self.head > count or (self.head == 0 and self.memory is None):
            raise ValueError("a head, of no more classes than there are labels, or a memory is wanted")
        return self
