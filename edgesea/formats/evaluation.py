"""What `edgesea evaluate` answers, as it is kept in the run or bundle that was evaluated."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from edgesea.formats.fields import Count, Open, Plain, Real, Sha256, Share, Text, Word
from edgesea.formats.run import Figures

FORMAT = "edgesea evaluation"
VERSION = 1
LARGEST = 64 << 20

ByModel = Annotated[dict[Word, Plain], Field(max_length=100)]


class EvaluatedData(Open):
    name: Text = Field(description="of the data")
    fingerprint: Sha256 = Field(description="of its clips")
    clips: Count = Field(description="clips in it")
    frames: Count = Field(description="frames of them that could be heard")


class Interval(Open):
    """A bootstrap interval over recordings, 95 %."""

    low: Real | None = Field(description="2.5th percentile; null where it is not defined")
    high: Real | None = Field(description="97.5th percentile")


class FiguresWithIntervals(Figures):
    intervals: Annotated[dict[Word, Interval], Field(max_length=20)] | None = Field(
        None, description="figure -> its interval, where frames have a recording"
    )


class Bin(Open):
    """One bar of a reliability diagram."""

    low: Share = Field(description="of the likeliest class's probability")
    high: Share = Field(description="likewise, within the bin")
    count: Count = Field(description="items in it")
    confidence: Share | None = Field(description="their mean probability; null where there are none")
    accuracy: Share | None = Field(description="share of them that are right")


class Value(Interval):
    value: Real | None = Field(description="the figure")


class Said(Open):
    """What one model says of classes."""

    agreement: Value | None = Field(None, description="share of items with the teacher's likeliest class")
    predictive_kl: Value | None = Field(None, description="mean KL from the teacher to it, nats")
    accuracy: Value | None = Field(None, description="where the right class is known")
    ece: Value | None = Field(None, description="expected calibration error, likewise")
    brier: Value | None = Field(None, description="Brier score, likewise")
    reliability: Annotated[list[Bin], Field(max_length=100)] | None = Field(
        None, description="what a reliability diagram shows, likewise"
    )


class Helped(Open):
    """A student with a memory beside it."""

    entries: Count = Field(description="of the memory")
    beta: Share = Field(description="the student's own share")
    float: Said | None = Field(None, description="the float student")
    int8: Said | None = Field(None, description="the int8 student")


class Predictions(Open):
    """Of a student that was trained with a head, on frames."""

    classes: Count = Field(description="that the head says")
    frames: Count = Field(description="that were looked at")
    teacher: Said = Field(description="its soft labels")
    float: Said | None = Field(None, description="of the float student")
    int8: Said | None = Field(None, description="of the int8 student")
    memory: Annotated[list[Helped], Field(max_length=100)] = Field(
        description="of the objective reaug, by size"
    )


class Part(Open):
    """Fidelity on some of the frames; of a bundle, only the models that it holds."""

    part: Text = Field(description="which frames")
    in_domain: bool = Field(description="whether they are of what the student was distilled on")
    silent: Count | None = Field(None, description="further frames, left out because they are silent")
    float: FiguresWithIntervals | None = Field(None, description="of the float student")
    int8: FiguresWithIntervals | None = Field(None, description="of the int8 student")
    predictions: Predictions | None = Field(None, description="where the student was trained with a head")


class Fidelity(Open):
    """Of the student to phi(teacher)."""

    on: Text = Field(description="the part that `float` and `int8` are of")
    float: FiguresWithIntervals | None = Field(None, description="of the float student")
    int8: FiguresWithIntervals | None = Field(None, description="of the int8 student")
    parts: Annotated[list[Part], Field(max_length=100)] = Field(description="the distillation set first")


class Task(Open):
    """A head on frozen embeddings."""

    metric: Word = Field(description="accuracy, micro_auprc or macro_auprc")
    teacher: Real | None = Field(description="of the teacher; null where it is not here")
    float: Real | None = Field(description="of the float student")
    int8: Real | None = Field(description="of the int8 student")
    compared: Annotated[dict[Word, Real | None], Field(max_length=100)] = Field(
        description="further model -> value"
    )
    intervals: Annotated[dict[Word, Interval], Field(max_length=100)] = Field(description="by model")
    per_class: Annotated[dict[Word, dict[Text, Plain]], Field(max_length=100)] = Field(
        description="model -> class -> its figures"
    )
    sd: ByModel | None = Field(None, description="standard deviation over seeds, by model")
    c: Annotated[dict[Word, list[list[Real]]], Field(max_length=100)] | None = Field(
        None, description="of every seed the C that each fold chose for a logistic head, by model"
    )
    figures: ByModel | None = Field(None, description="further figures with intervals, by model")
    heads: ByModel | None = Field(None, description="hidden layers and units of each trained head, by model")
    predictions: Annotated[dict[Word, Said], Field(max_length=100)] | None = Field(
        None, description="what logistic heads say, by model, where every clip has one class"
    )
    head: Text = Field(description="what the head is")
    clips: Count = Field(description="that were scored")
    classes: Count = Field(description="that there are")
    recordings: Count = Field(description="that the clips are of")


class DecidedClass(Open):
    clips: Count = Field(description="that have the class")
    precision: Share | None = Field(description="share of the clips in which it is said that have it")
    recall: Share | None = Field(description="share of the clips that have it in which it is said")
    false_alarms_per_hour: Real | None = Field(description="times that it is said in an hour without it")
    delay_s: Real | None = Field(description="median seconds from a clip's beginning to its event")


class DecidedBy(Open):
    """Of one model; the figures are means over the classes that some clip has."""

    classes: Annotated[dict[Text, DecidedClass], Field(max_length=1000)] = Field(description="by label")
    precision: Share | None = Field(description="see a class's")
    recall: Share | None = Field(description="see a class's")
    false_alarms_per_hour: Real | None = Field(description="of a class, the mean")
    delay_s: Real | None = Field(description="see a class's")
    events: Count = Field(description="of all classes")
    unknown: Count = Field(description="events that say that a sound is unknown")
    hours: Real = Field(description="of sound")


class Decided(Open):
    """What the device says, each clip a stream of its own."""

    on: Text = Field(description="which clips")
    labels: Annotated[list[Text], Field(max_length=1000)] = Field(description="of the bundle")
    clips: Count = Field(description="how many")
    float: DecidedBy | None = Field(
        None, description="of the float model; not with a memory, which is of int8"
    )
    int8: DecidedBy | None = Field(None, description="of the int8 model")


class Evaluation(Open):
    format: Literal["edgesea evaluation"] = Field(description="always this")
    format_version: Literal[1] = Field(description="of this format")
    target: Text = Field(description="the run or bundle, as it was named")
    data: EvaluatedData = Field(description="what it was evaluated on")
    fidelity: Fidelity | None = Field(description="null for a bundle whose run is gone")
    task: Task | None = Field(description="null where the clips have no labels, or too few")
    decided: Decided | None = Field(
        None, description="of a bundle with a head or a memory, on labelled clips"
    )
