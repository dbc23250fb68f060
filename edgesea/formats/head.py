"""A head: a classifier of embeddings with its thresholds, as `edgesea head` writes it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field, model_validator

from edgesea.formats.decisions import MOST_CLASSES, Label
from edgesea.formats.fields import (
    Count,
    NotNegative,
    Positive,
    Real,
    Sha256,
    Share,
    Strict,
    Text,
    Versions,
)

FORMAT = "edgesea head"
VERSION = 1
LARGEST = 256 << 20

Row = Annotated[list[Real], Field(max_length=8192)]


class Layer(Strict):
    weights: Annotated[list[Row], Field(min_length=1, max_length=8192)] = Field(
        description="a row for each input, a column for each output"
    )
    bias: Row = Field(description="of each output")


class Threshold(Strict):
    """How a class's threshold was chosen, on the validation clips."""

    threshold: Share = Field(description="pooled score from which on the class is heard")
    clips: Count = Field(description="validation clips with the class")
    recall: Share = Field(description="share of them that are heard")
    precision: Share | None = Field(
        description="share of the clips that are heard which have it; null where none is"
    )
    false_alarms_per_hour: NotNegative = Field(description="events in an hour of clips without the class")


class Parts(Strict):
    """Recordings of each part; none is in two."""

    train: list[Text] = Field(description="that it was fitted to; none of these, where it came with its run")
    validation: Annotated[list[Text], Field(min_length=1)] = Field(
        description="that thresholds were chosen on"
    )
    test: Annotated[list[Text], Field(min_length=1)] = Field(description="that were used for nothing")


class HeadData(Strict):
    name: Text = Field(description="of the data")
    fingerprint: Sha256 = Field(description="of its clips")
    clips: Count = Field(description="that were used")
    validation_hours: NotNegative = Field(description="hours of validation sound")
    recordings: Parts = Field(description="by part, as the data names them")


class Head(Strict):
    format: Literal["edgesea head"] = Field(description="always this")
    format_version: Literal[1] = Field(description="of this format")
    student: Sha256 = Field(description="of the float .tflite of the student that it belongs to")
    kind: Literal["logistic", "mlp", "mil", "own"] = Field(description="what it is")
    labels: Annotated[list[Label], Field(min_length=2, max_length=MOST_CLASSES)] = Field(
        description="of its outputs"
    )
    activation: Literal["softmax", "sigmoid"] = Field(description="of its outputs: one of many, or many")
    layers: Annotated[list[Layer], Field(min_length=1, max_length=3)] = Field(
        description="the first takes the embedding as it is; all but the last are rectified"
    )
    alpha: Annotated[list[NotNegative], Field(max_length=MOST_CLASSES)] = Field(
        description="of auto-pool over frames, a class each; 0 is the mean"
    )
    window: Annotated[int, Field(ge=1, le=64)] = Field(description="frames that are pooled")
    every: Positive = Field(description="possible patches from decision to decision")
    rest: Annotated[int, Field(ge=0, le=65535)] = Field(
        description="frames for which a class is not said again"
    )
    wanted: NotNegative | None = Field(
        description="false alarms an hour that thresholds were chosen for; null for the best F1"
    )
    thresholds: Annotated[list[Threshold], Field(max_length=MOST_CLASSES)] = Field(description="a class each")
    data: HeadData = Field(description="what it was made from")
    versions: Versions = Field(default_factory=dict, description="of what made it")
    command: Annotated[Text, Field(max_length=1 << 16)] = Field("", description="that made it")

    @model_validator(mode="after")
    def _consistent(self):
        width = len(self.layers[0].weights)
        for layer in self.layers:
            if len(layer.weights) != width or {len(row) for row in layer.weights} != {len(layer.bias)}:
                raise ValueError("layers whose weights and biases fit each other are wanted")
            width = len(layer.bias)
        if {width, len(self.alpha), len(self.thresholds)} != {len(self.labels)} or len(
            set(self.labels)
        ) != width:
            raise ValueError(
                f"outputs, alphas and thresholds for {len(self.labels)} different labels are wanted"
            )
        return self
