"""manifest.json of a bundle: what is in the folder, and what is known of it.

Nothing here is believed where it can be made again: `edgesea.exporting.bundle.load_bundle` holds the models'
own description against their files, and firmware is made from the .tflite.
"""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StringConstraints, model_validator

from edgesea.formats.decisions import Decisions
from edgesea.formats.fields import (
    Bytes,
    Cosine,
    Count,
    Inside,
    NotNegative,
    Plain,
    Positive,
    Real,
    Sha256,
    Strict,
    Text,
    Versions,
    Word,
)
from edgesea.formats.frontend import FrontendFields
from firmware_export.ctext import is_identifier

FILE = "manifest.json"
FORMAT = "edgesea bundle"
VERSION = 1
LARGEST = 16 << 20


def _identifier(text: str) -> str:
    if not is_identifier(text):
        raise ValueError(
            "a C identifier of lower case, digits and single underscores is wanted that is no keyword and no "
            "header's name"
        )
    return text


def _plain(text: str) -> str:
    if "/" in text:
        raise ValueError("the plain name of a file is wanted")
    return text


Identifier = Annotated[str, StringConstraints(max_length=100), AfterValidator(_identifier)]
FileName = Annotated[Inside, AfterValidator(_plain)]
Operator = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9_:./ -]{1,200}$")]


class File(Strict):
    bytes: Bytes = Field(description="size of the file")
    sha256: Sha256 = Field(description="of its content")


class End(Strict):
    """The input or the output of a model."""

    shape: Annotated[list[Annotated[int, Field(ge=0, le=2**31 - 1)]], Field(max_length=8)] = Field(
        description="with the batch, 1"
    )
    type: Word = Field(description="of its elements: int8, float32, ...")
    bytes: Bytes = Field(description="of all elements")
    scale: Annotated[float, Field(gt=0, le=1e30)] | None = Field(
        None, description="real = scale * (integer - zero_point); only where it is quantised"
    )
    zero_point: Annotated[int, Field(ge=-(2**31), le=2**31)] | None = Field(None, description="see scale")


class Storage(Strict):
    model_bytes: Bytes = Field(description="of the file")
    weight_bytes: Bytes = Field(description="of the constants that its operators read")


class Activation(Strict):
    """See `edgesea.measures.memory`."""

    largest_tensor: Text = Field(description="name of the largest tensor")
    largest_tensor_bytes: Bytes = Field(description="in the model's own types")
    largest_tensor_float32_bytes: Bytes = Field(description="of the largest one as float32")
    peak_bytes: Bytes = Field(description="the largest sum of live buffers")
    peak_float32_bytes: Bytes = Field(description="the same as float32")
    peak_operator: Text | None = Field(description="the operator at which the peak is")


class Model(Strict):
    """A .tflite of the bundle."""

    sha256: Sha256 = Field(description="of the .tflite")
    input: End = Field(description="what goes in")
    output: End = Field(description="what comes out, the first of two where there are scores")
    scores: End | None = Field(
        None, description="what comes out behind the embedding, with a head that keeps it"
    )
    operators: Annotated[dict[Operator, Positive], Field(max_length=300)] = Field(
        description="operator -> how often the model has it"
    )
    multiply_accumulates: Count = Field(description="of one inference")
    storage: Storage = Field(description="computed from the file")
    activation: Activation = Field(description="computed from the file")


class CModel(Strict):
    """The compiled model in c/."""

    name: Identifier = Field(description="prefix of its files and functions: the bundle's identifier")
    files: Annotated[list[FileName], Field(max_length=300)] = Field(description="in c/: model and kernels")
    sensor_files: Annotated[list[Inside], Field(max_length=100)] = Field(
        description="in c/: frontend and sensor program; empty where the frontend is not known"
    )
    arena_bytes: Bytes = Field(description="working memory of an inference, with the kernels that want most")
    arenas: Annotated[dict[Literal["plain", "dsp", "mve"], Bytes], Field(min_length=3)] | None = Field(
        None, description="kind of kernels -> working memory of an inference"
    )
    state_bytes: Positive | None = Field(
        None, description="bytes kept from one inference to the next, where there are any"
    )
    constant_bytes: Annotated[dict[Literal["plain", "dsp", "mve"], Bytes], Field(min_length=3)] = Field(
        description="kind of kernels -> weights, biases, multipliers and tables in flash"
    )
    peak: Text = Field(description="what the arena is largest for")
    ram_budget: Positive | None = Field(None, description="bytes of the arena that were asked for")
    optimize: Literal["speed", "size"] | None = Field(
        None, description="what the kernels are compiled for; speed where nothing is said"
    )


class Layer(Strict):
    name: Text = Field(description="of its tensor")
    operator: Operator = Field(description="INPUT for the patch")
    loss: Real = Field(description="1 - R^2 of the embedding when this layer alone is rounded")
    cosine: Cosine = Field(description="of its result, integer against float, mean over patches")
    range_used: NotNegative = Field(description="share of the integer steps that all its values span")
    typical_range: NotNegative = Field(description="the same of the middle 99 % of the values")


class Compared(Strict):
    """int8 or int16x8 against float."""

    n: Positive = Field(description="held-out patches")
    cosine: Cosine = Field(description="mean over patches")
    cosine_min: Cosine = Field(description="of the worst patch")
    cosine_median: Cosine = Field(description="median over patches")
    r2: Real | None = Field(description="of the float embedding's variance; null where it has none")
    spread: NotNegative | None = Field(
        None, description="RMS distance of float embeddings from their mean, a dimension"
    )
    error: NotNegative | None = Field(None, description="RMS distance of integer from float, a dimension")
    layers: Annotated[list[Layer], Field(max_length=2000)] = Field(description="in running order")
    worst_layer: Text = Field(description="the one that loses most")


class Arena(Strict):
    """See `edgesea.exporting.tflm`."""

    bytes: Bytes = Field(description="used without scratch memory; measured or computed, see `how`")
    scratch_bytes: Bytes = Field(description="what the kernels' scratch memory adds")
    margin_bytes: Bytes = Field(description="for everything else")
    recommended_bytes: Bytes = Field(description="the sum, a multiple of 16")
    how: Literal["measured", "computed"] = Field(description="how `bytes` was come by")
    kernels: Text = Field(description="what it was measured with or computed from")
    resolver: Annotated[
        list[Annotated[str, StringConstraints(pattern=r"^Add[A-Za-z0-9]{1,60}$")]], Field(max_length=300)
    ] = Field(description="methods of TFLM's resolver that the model needs")


class Project(Strict):
    """The framework's project in the bundle."""

    kind: Word = Field(description="arduino, arduino-library, cmake, esp-idf, pico-sdk, platformio or zephyr")
    board: Word = Field(description="name of the board")
    runtime: Literal["c", "tflm"] = Field(description="what runs the model")
    folder: Inside = Field(description="where it is in the bundle")
    sensor: bool = Field(description="whether it listens")
    tflm: Arena | None = Field(description="of a project on TensorFlow Lite Micro")


class Manifest(Strict):
    format: Literal["edgesea bundle"] = Field(description="always this")
    format_version: Literal[1] = Field(description="of this format")
    name: Annotated[Text, Field(min_length=1)] = Field(description="any text")
    identifier: Identifier = Field(description="the name in C")
    command: Annotated[Text, Field(max_length=1 << 16)] = Field("", description="that made the bundle")
    versions: Versions = Field(default_factory=dict, description="of what made it")
    int8: Model | None = Field(description="of model_int8.tflite")
    int16x8: Model | None = Field(
        None, description="of model_int16x8.tflite, int16 activations and int8 weights, in the place of int8"
    )
    float: Model | None = Field(description="of model_float.tflite")
    c_model: CModel | None = Field(None, description="null where there is none")
    comparison: Compared | None = Field(None, description="null for a bundle of one model")
    failed: Text | None = Field(
        None,
        description="why int8 or int16x8 is no stand-in for float, where --allow-failed kept it",
    )
    decisions: Decisions | None = Field(None, description="null where nothing makes events")
    frontend: FrontendFields | None = Field(description="null where it is not known")
    project: Project | None = Field(None, description="null where none was asked for")
    provenance: Annotated[dict[Word, Plain], Field(max_length=100)] = Field(
        default_factory=dict, description="what the model was made from, as far as that is known"
    )
    files: Annotated[dict[str, File], Field(max_length=2000)] = Field(
        description="path in the bundle -> size and hash, of every file but the manifest"
    )

    @model_validator(mode="after")
    def _consistent(self):
        integer = self.int8 or self.int16x8
        if integer is None and self.float is None:
            raise ValueError("a bundle holds an int8 or a float model, or both, and this names neither")
        if self.int8 is not None and self.int16x8 is not None:
            raise ValueError("a bundle holds an int8 or an int16x8 model, and this names both")
        if self.c_model is not None and self.c_model.name != self.identifier:
            raise ValueError(
                f"c_model.name {self.c_model.name!r} and identifier {self.identifier!r} have to be the same"
            )
        if self.decisions is not None and (self.decisions.memory is None) != ("memory.npz" not in self.files):
            raise ValueError("a memory.npz where decisions.memory tells of one, and only there, is wanted")
        if self.c_model is not None and integer is None:
            raise ValueError("a C model is made of an int8 or int16x8 model, and this names none")
        return self
