"""What a machine answers that a bundle was put on."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from edgesea.formats.fields import Count, NotNegative, Open, Strict, Text, Word

Version = Annotated[Word, Field(max_length=64)]


class Golden(Open):
    golden: Word = Field(description="passed")
    vectors: Count = Field(description="that were run")


class Status(Open):
    samples: Count = Field(description="that were heard")
    rate: Count = Field(description="of them a second")
    waiting_s: NotNegative = Field(description="seconds of sound that wait")
    cpu_share: NotNegative = Field(description="processor seconds a second of sound")
    memory_bytes: Count = Field(description="resident")


class Deployment(Strict):
    version: Version = Field(description="that is live now")
    previous: Version | None = Field(description="that was live before")
    golden: Golden | None = Field(description="of the golden test")
    python: Text | None = Field(description="that listens")
    service: Status | None = Field(description="its status after ten seconds of sound")
