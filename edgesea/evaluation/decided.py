"""What the device says, clip by clip, against what is to be heard there: float and int8.

Each clip is a stream of its own, heard from its beginning on. For each class
    recall                  share of the clips that have it in which it is said
    precision               share of the clips in which it is said that have it
    false alarms per hour   times that it is said in clips that lack it, by the hours of those
    delay                   seconds from a clip's beginning to the first time that it is said, the median; a
    clip says
                            not where in it the sound begins, so this is the most that the device can have
                            waited
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgesea import datasets
from edgesea.datasets import Manifest
from edgesea.decisions import heard
from edgesea.decisions.head import as_integers
from edgesea.errors import UsageError
from edgesea.exporting.bundle import Bundle
from edgesea.listen import listen
from edgesea.progress import SILENT, Progress

KINDS = ("float", "int8")


@dataclass(frozen=True)
class Event:
    """clip : index into the manifest; frame : which of the clip's; samples : from the clip's beginning on
    label : what is said; pooled : its score, in 1/65536
    """

    clip: int
    frame: int
    samples: int
    label: str
    pooled: int


def score(
    bundle: Bundle, data: Manifest | str, *, clips: Sequence[int] | None = None, progress: Progress = SILENT
) -> dict:
    """Scores the decisions of a bundle, see `formats.evaluation.Decided`.

    data : labelled sound
    clips : which of its clips; all by default

    Raises
    ------
    UsageError : the bundle decides nothing, or the sound has none of its labels
    """
    manifest = data if isinstance(data, Manifest) else datasets.load(data)
    if bundle.decisions is None:
        raise UsageError(
            f"The bundle {bundle.path} has neither head nor memory to score: export it with --head or "
            f"--memory."
        )
    labels = bundle.decisions["labels"]
    known = [label for label in labels if label in manifest.labels]
    if not known:
        raise UsageError(
            f"{manifest.root} has none of the labels of {bundle.path} ({', '.join(labels[:8])}): give sound "
            f"with "
            "those labels."
        )
    if strange := [label for label in manifest.labels if label not in labels]:
        progress.say(
            f"{len(strange)} labels that the head never saw count as other sound: {', '.join(strange[:8])}"
        )
    used = [
        k
        for k in (range(len(manifest)) if clips is None else clips)
        if manifest.clips[k].labels or manifest.multilabel
    ]
    found = {}
    for kind in KINDS:
        model = getattr(bundle, kind)
        if model is not None and not (kind == "float" and bundle.decisions["memory"]):
            events, held = say(bundle, manifest, used, kind, progress)
            found[kind] = _figures(events, held, manifest, labels, bundle.frontend.sample_rate)
    return {"labels": list(labels), "clips": len(used), **found}


def say(
    bundle: Bundle,
    manifest: Manifest,
    clips: Sequence[int],
    kind: str = "int8",
    progress: Progress = SILENT,
) -> tuple[list[Event], heard.Heard]:
    """The events of some clips, each a stream of its own, and the frames that they were made of.

    kind : 'int8', as the device does it, to the bit; or 'float', its scores rounded as int8's are
    """
    fields = bundle.frontend.to_dict()
    ears = listen.Ears(fields, bundle.frontend_tables()) if kind == "int8" else listen.Frontend(fields)
    held = heard.hear(manifest, clips, ears, bundle.decisions["every"], _ask(bundle, kind), progress)
    decider = decider_of(bundle)
    events: list[Event] = []
    for clip in held.clips:
        decider.start()
        for frame, row in enumerate(held.rows([clip]).tolist()):
            outputs = {name: values[row] for name, values in held.outputs.items()}
            for label, pooled in decider.hear(outputs.get("scores", ()), outputs.get("embedding")):
                events.append(Event(clip, frame, int(held.samples[row]), label, pooled))
    return events, held


def decider_of(bundle: Bundle) -> listen.Decider:
    """What the bundle makes of scores and embeddings."""
    described = bundle.manifest["int8"] or bundle.manifest["float"]
    return listen.Decider(bundle.decisions, bundle.memory(), described["output"].get("zero_point", 0))


def _ask(bundle: Bundle, kind: str):
    """The outputs of a frame as `listen.Decider` takes them: scores 0..255, the embedding in int8."""
    if kind == "int8":
        return heard.integers(bundle.int8.read_bytes(), bundle.outputs)
    ask = heard.asks(bundle.float.read_bytes(), bundle.outputs)
    return lambda patches: {"scores": as_integers(ask(patches)["scores"])}


def _figures(events: list[Event], held: heard.Heard, manifest: Manifest, labels, rate: int) -> dict:
    """By class, and over all of them."""
    clips = held.clips
    classes = {}
    for label in labels:
        has = {k for k in clips if label in manifest.clips[k].labels}
        first: dict[int, int] = {}
        for event in events:
            if event.label == label:
                first.setdefault(event.clip, event.samples)
        alarms = sum(event.label == label and event.clip not in has for event in events)
        hours = sum(held.seconds[k] for k in clips if k not in has) / 3600
        hits = [k for k in first if k in has]
        classes[label] = {
            "clips": len(has),
            "precision": len(hits) / len(first) if first else None,
            "recall": len(hits) / len(has) if has else None,
            "false_alarms_per_hour": alarms / hours if hours else None,
            "delay_s": float(np.median([first[k] for k in hits]) / rate) if hits else None,
        }
    return {
        "classes": classes,
        "precision": _mean(classes, "precision"),
        "recall": _mean(classes, "recall"),
        "false_alarms_per_hour": _mean(classes, "false_alarms_per_hour"),
        "delay_s": _mean(classes, "delay_s"),
        "events": len(events),
        "unknown": sum(event.label == listen.UNKNOWN for event in events),
        "hours": sum(held.seconds[k] for k in clips) / 3600,
    }


def _mean(classes: dict[str, dict], figure: str) -> float | None:
    values = [each[figure] for each in classes.values() if each["clips"] and each[figure] is not None]
    return float(np.mean(values)) if values else None
