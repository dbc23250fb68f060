"""A measurement, as `edgesea bench` writes it and `edgesea bench compare` reads it.

Devices say different things, and later versions more: what is not named here is kept, within bounds. What is
compared or computed with is checked to be a number that can be one.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from edgesea.formats.fields import Bytes, Count, NotNegative, Open, Plain, Text, Word, bounded

FORMAT = "edgesea measurement"
VERSION = 1
LARGEST = 64 << 20

Ms = Annotated[NotNegative, Field(le=1e9)]


class MeasuredModel(Open):
    name: Text | None = Field(None, description="name of the file")
    sha256: Text | None = Field(None, description="of the .tflite")


class Latency(Open):
    """In milliseconds, of single inferences."""

    median: Ms | None = Field(None, description="of all timed inferences")
    p95: Ms | None = Field(None, description="95th percentile")
    p99: Ms | None = Field(None, description="99th percentile")
    min: Ms | None = Field(None, description="the shortest")
    max: Ms | None = Field(None, description="the longest")
    cold_load: Ms | None = Field(None, description="from the file to an allocated interpreter")
    first_inference: Ms | None = Field(None, description="before anything is warm")
    n: Count | None = Field(None, description="timed inferences")
    threads: Count | None = Field(None, description="of the runtime")
    process_medians: Annotated[list[Ms], Field(max_length=10_000)] | None = Field(
        None, description="one a process, in the order of time"
    )


class Emulated(Open):
    instructions: Count | None = Field(None, description="of one inference")
    flash_bytes: Bytes | None = Field(None, description="without the model's constants")
    ram_bytes: Bytes | None = Field(None, description=".data and .bss, with the arena")
    arena_bytes: Bytes | None = Field(None, description="working memory")
    stack_bytes: Bytes | None = Field(None, description="high-water mark")
    bit_exact: bool | None = Field(None, description="whether the output is that of the reference kernels")


class Configuration(Open):
    """One way in which the rpi ran the model."""

    threads: Count = Field(description="of the runtime")
    xnnpack: bool = Field(description="whether XNNPACK was allowed")
    engine: Text | None = Field(None, description="what ran the model")
    latency_ms: Latency = Field(description="of this configuration")


class Measurement(Open):
    format: Literal["edgesea measurement"] | None = Field(None, description="missing in older files")
    format_version: Literal[1] | None = Field(None, description="of this format")
    device: Word = Field(description="host, rpi, qemu:CORE or serial:PORT")
    engine: Text = Field(description="what ran the model")
    model: MeasuredModel | None = Field(None, description="what was measured")
    storage: dict[Word, Bytes | None] | None = Field(None, description="model_bytes, weight_bytes")
    activation: dict[Word, Plain] | None = Field(None, description="see manifest.json")
    memory: dict[Word, Plain] | None = Field(None, description="of the process, in bytes")
    latency_ms: Latency | None = Field(None, description="on real machines")
    emulated: Emulated | None = Field(None, description="on emulated ones")
    configurations: Annotated[list[Configuration], Field(max_length=1000)] | None = Field(
        None, description="of the rpi"
    )
    conditions: Annotated[dict[Word, Plain], Field(max_length=200)] = Field(
        description="under which it was taken"
    )
    how: Annotated[dict[Word, Text], Field(max_length=200)] | None = Field(
        None, description="figure -> measured, computed or emulated"
    )

    @model_validator(mode="before")
    @classmethod
    def _bounded(cls, value: Any) -> Any:
        return bounded(value) if isinstance(value, dict) else value
