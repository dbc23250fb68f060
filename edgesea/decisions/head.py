"""A head: a small classifier of single frames' embeddings, with the pooling and thresholds that make events
of it.

Kinds
    logistic  one linear layer, L2-regularised as much as suits the validation clips
    mlp       0 to 2 hidden layers, see `mil`, trained on frames that have their clip's label
    mil       the same trained on whole clips, joined by auto-pool, for labels that overlap
    own       the one that the student was trained with, by objectives that learn classes, as far as the
              data's labels go; nothing is fitted
    auto      mil where labels overlap, else logistic

Recordings are split three ways: heads are fitted to the first part, everything that is chosen is chosen on
the second, and the third is left for `edgesea evaluate`. Nothing is fitted to silent frames: a clip's label
is not theirs.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

from edgesea import datasets, files
from edgesea.datasets import Manifest, split_groups
from edgesea.decisions import heard, thresholds
from edgesea.decisions.heard import Heard
from edgesea.decisions.thresholds import Wanted
from edgesea.errors import UsageError
from edgesea.frontend import Frontend
from edgesea.listen import listen
from edgesea.progress import SILENT, Progress

KINDS = ("auto", "logistic", "mlp", "mil", "own")
PARTS = {"train": 0.6, "validation": 0.2, "test": 0.2}
STRENGTHS = (0.001, 0.01, 0.1, 1.0, 10.0)  # scikit-learn's C
WINDOW, REST_S = 4, 10.0
FEWEST_RECORDINGS = len(PARTS)
_REMEDY = "make the head again with `edgesea head`"


@dataclass(frozen=True)
class Head:
    """A head as it is kept.

    layers : (weights (inputs, outputs), bias (outputs,)) float64 each; all but the last are rectified
    activation : 'softmax' or 'sigmoid', of the last
    values : everything else, see `formats.head.Head`
    """

    layers: tuple[tuple[np.ndarray, np.ndarray], ...]
    activation: str
    values: dict

    @property
    def labels(self) -> list[str]:
        """Names of its outputs."""
        return self.values["labels"]

    @property
    def wanted(self) -> Wanted:
        """What its thresholds are for."""
        return Wanted(self.values["wanted"])

    @property
    def held_out(self) -> dict:
        """What it was not made from, see `formats.decisions.HeldOut`."""
        data = self.values["data"]
        return {"data": data["fingerprint"], "recordings": data["recordings"]["test"]}

    def scores(self, embeddings: np.ndarray) -> np.ndarray:
        """(N, d) -> (N, classes) float64 in [0, 1]."""
        x = np.asarray(embeddings, np.float64)
        for place, (weights, bias) in enumerate(self.layers):
            x = x @ weights + bias
            if place < len(self.layers) - 1:
                x = np.maximum(x, 0)
        if self.activation == "sigmoid":
            return 1 / (1 + np.exp(-np.clip(x, -60, 60)))
        x = np.exp(x - x.max(axis=1, keepdims=True))
        return x / x.sum(axis=1, keepdims=True)

    def decisions(self) -> dict:
        """What it says in a bundle's manifest, see `formats.decisions`; the memory is not its business."""
        return {
            "labels": self.labels,
            "head": len(self.labels),
            "student": self.values["student"],
            "every": self.values["every"],
            "window": self.values["window"],
            "alpha": integer_alpha(self.values["alpha"]),
            "thresholds": [
                max(1, min(65535, round(each["threshold"] * 65536))) for each in self.values["thresholds"]
            ],
            "rest": self.values["rest"],
            "held_out": self.held_out,
            "trained": f"{self.values['kind']} on {self.values['data']['name']}, thresholds for "
            f"{self.wanted}",
        }

    def write(self, path: Path | str) -> None:
        """Writes the file, whole or not at all."""
        layers = [{"weights": weights.tolist(), "bias": bias.tolist()} for weights, bias in self.layers]
        files.write_json(path, {**self.values, "activation": self.activation, "layers": layers})

    @classmethod
    def read(cls, path: Path | str) -> "Head":
        """Reads a head.

        Raises
        ------
        UsageError : what is there is none
        """
        from edgesea.formats import door
        from edgesea.formats import head as formats

        values = door.read_json(path, largest=formats.LARGEST, remedy=_REMEDY, error=UsageError)
        if not isinstance(values, dict) or values.get("format") != formats.FORMAT:
            raise UsageError(f"The file {path} is not a head: name one that `edgesea head` made.")
        door.checked(values, formats.Head, path, remedy=_REMEDY, error=UsageError)
        layers = tuple((np.array(each["weights"]), np.array(each["bias"])) for each in values.pop("layers"))
        return cls(layers, values.pop("activation"), values)


@dataclass(frozen=True)
class Own:
    """The linear head that a run trained with its student.

    weights, bias : (d, C) and (C,); labels : names of the C classes, () where only the teacher knows them
    data : fingerprint of what the run learnt from; parts : its clips, by the run's name of the part, {} where
        a recording is in several
    """

    weights: np.ndarray
    bias: np.ndarray
    labels: tuple[str, ...]
    data: str
    parts: dict[str, list[int]]

    def cut(self, labels: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """The layer of some of its classes alone.

        Raises
        ------
        UsageError : it does not know one of them
        """
        unknown = [label for label in labels if label not in self.labels]
        if unknown:
            known = f"knows {', '.join(self.labels)}" if self.labels else "has no names for its classes"
            raise UsageError(
                f"The run's own head does not know {', '.join(map(repr, unknown))}; it {known}: train one "
                "with --head logistic, or leave that sound out."
            )
        columns = [self.labels.index(label) for label in labels]
        return self.weights[:, columns].astype(np.float64), self.bias[columns].astype(np.float64)

    def split(self, manifest: Manifest, seed: int) -> dict[str, list[int]]:
        """The clips of each of `PARTS`: the run's, of the run's data; of other data none to train on."""
        if manifest.fingerprint != self.data:
            found = split(manifest, seed)
            return {
                "train": [],
                "validation": sorted(found["train"] + found["validation"]),
                "test": found["test"],
            }
        if not self.parts:
            raise UsageError(
                "The run's own head has heard every recording of this data: give other sound to choose "
                "thresholds on."
            )
        heard = {label for k in self.parts["validation"] for label in manifest.clips[k].labels}
        if lacking := [label for label in manifest.labels if label not in heard]:
            raise UsageError(
                f"No clip of {', '.join(map(repr, lacking))} is in what the run set aside for validation: "
                "give other sound to choose thresholds on."
            )
        return dict(zip(PARTS, self.parts.values(), strict=True))


def as_integers(scores: np.ndarray) -> np.ndarray:
    """Scores in [0, 1] -> 0..255, as the int8 output of a softmax or a sigmoid counts them."""
    return np.clip(np.floor(np.asarray(scores, np.float64) * 256 + 0.5), 0, 255).astype(np.int64)


def integer_alpha(alpha: Sequence[float]) -> list[int]:
    """Auto-pool's alpha -> that of `listen.Detector`."""
    return [min(65535, round(each * 256 / np.log(2))) for each in alpha]


def fingerprint(float_model: bytes) -> str:
    """What a head knows its student by: the hash of the float .tflite."""
    return hashlib.sha256(float_model).hexdigest()


def train(
    float_model: bytes,
    frontend: Frontend,
    data: Path | str,
    *,
    kind: str = "auto",
    wanted: Wanted = Wanted(),  # noqa: B008  a frozen value
    window: int = WINDOW,
    hop: float | None = None,
    rest: float = REST_S,
    seed: int = 0,
    command: str = "",
    own: Own | None = None,
    progress: Progress = SILENT,
) -> Head:
    """Trains a head on labelled sound and chooses its thresholds.

    float_model : .tflite of the student, patch -> embedding
    data : what `edgesea.datasets.load` takes
    kind : one of `KINDS`
    wanted : what the thresholds are for
    window : frames that are pooled, 1..64
    hop : seconds from decision to decision, about; half a patch by default
    rest : seconds for which a class that was said is not said again
    own : what the student was trained with, for the kind of that name

    Raises
    ------
    UsageError : an unknown kind, sound without labels, or with too little of a class; thresholds that cannot
        be
        reached
    """
    from edgesea.run import versions

    _check(kind, window, hop, rest)
    manifest = datasets.load(data)
    if kind == "own" and own is None:
        raise UsageError(
            "This student was trained with no head of its own: take a run whose objective learns classes "
            "(kd, reaug, disk), or another --head."
        )
    parts = split(manifest, seed) if kind != "own" else own.split(manifest, seed)
    every = heard.pace(frontend, hop)
    clips = sorted(k for part in parts.values() for k in part)
    ears = listen.Frontend(frontend.to_dict())
    held = heard.hear(manifest, clips, ears, every, heard.asks(float_model, ["embedding"]), progress)
    parts = {name: [k for k in part if k in held.seconds] for name, part in parts.items()}
    labels = list(manifest.labels)
    single = all(len(manifest.clips[k].labels) == 1 for k in clips)
    if kind == "own" and not single:
        raise UsageError("The run's own head says one class of many: give sound with one label a clip.")
    kind = ("logistic" if single else "mil") if kind == "auto" else kind
    sets = {
        name: (*_bags(held, parts[name], name == "train"), truth_of(manifest, parts[name], labels))
        for name in ("train", "validation")
    }
    if kind == "own":
        layers, alpha = (own.cut(labels),), [0.0] * len(labels)
    else:
        progress.say(f"training a head ({kind}) on {len(parts['train'])} clips")
        layers, alpha = {"logistic": _logistic}.get(kind, _trained)(sets, single, kind, seed)
    head = Head(layers, "softmax" if single else "sigmoid", {"labels": labels, "alpha": alpha})
    embeddings, ends, truth = sets["validation"]
    scores = as_integers(head.scores(embeddings))
    pooled = thresholds.pooled(scores, ends, window, np.array(integer_alpha(alpha), np.int64))
    seconds = np.array([held.seconds[k] for k in parts["validation"]])
    chosen = thresholds.choose(pooled, ends, truth, seconds, labels, wanted)
    step = every * ears.period / ears.rate
    used = {name: sorted({recording(manifest, k) for k in part}) for name, part in parts.items()}
    values = {
        "format": "edgesea head",
        "format_version": 1,
        "student": fingerprint(float_model),
        "kind": kind,
        "labels": labels,
        "alpha": alpha,
        "window": window,
        "every": every,
        "rest": min(65535, round(rest / step)),
        "wanted": wanted.false_alarms,
        "thresholds": [{**each, "threshold": each["threshold"] / 65536} for each in chosen],
        "data": {
            "name": manifest.name,
            "fingerprint": manifest.fingerprint,
            "clips": sum(map(len, parts.values())),
            "validation_hours": float(seconds.sum()) / 3600,
            "recordings": used,
        },
        "versions": versions(),
        "command": command,
    }
    return Head(layers, head.activation, values)


def split(manifest: Manifest, seed: int = 0) -> dict[str, list[int]]:
    """The clips of each of `PARTS`, by recording, with every class in every part.

    Recordings are dealt out class by class, the rarest class first.

    Raises
    ------
    UsageError : no labels, one class, or a class with fewer recordings than parts
    """
    labels = manifest.labels
    used = [k for k, clip in enumerate(manifest.clips) if clip.labels or manifest.multilabel]
    if len(labels) < 2:
        raise UsageError(
            f"A head needs clips of 2 classes at least, and {manifest.root} has {len(labels)}: give labelled "
            "sound, in class folders or with a table."
        )
    recordings: dict[str, set[str]] = {}
    for k in used:
        recordings.setdefault(manifest.clips[k].group, set()).update(manifest.clips[k].labels)
    count = {label: sum(label in held for held in recordings.values()) for label in labels}
    for label in labels:
        if count[label] < FEWEST_RECORDINGS:
            clips = sum(label in manifest.clips[k].labels for k in used)
            raise UsageError(
                f"The class {label!r} has {clips} clips of {count[label]} recordings, and a head needs "
                f"{FEWEST_RECORDINGS} recordings of each: to fit, to choose thresholds, and to test; record "
                f"more "
                "of it, or leave it out."
            )
    part_of: dict[str, str] = {}
    rising = sorted(labels, key=lambda each: (count[each], each))
    for label in (*rising, None):
        left = [
            group
            for group, held in recordings.items()
            if group not in part_of and (label in held if label else True)
        ]
        if len(left) >= len(PARTS):
            for part, places in split_groups(left, PARTS, seed).items():
                part_of |= {left[place]: part for place in places}
        else:
            _deal(left, label, recordings, part_of)
    return {name: [k for k in used if part_of[manifest.clips[k].group] == name] for name in PARTS}


def _deal(left, label, recordings, part_of: dict[str, str]) -> None:
    """Gives the few recordings that are left of a class to the parts that have least of it."""
    for group in left:
        held = [part for other, part in part_of.items() if label in recordings[other] or label is None]
        part_of[group] = min(PARTS, key=lambda part: held.count(part) / PARTS[part])


def truth_of(manifest: Manifest, clips: Sequence[int], labels: Sequence[str]) -> np.ndarray:
    """(clips, classes) of 0 and 1."""
    return np.array([[label in manifest.clips[k].labels for label in labels] for k in clips], np.int8)


def ends_of(held: Heard, clips: Sequence[int], *, sounding: bool = False) -> tuple[np.ndarray, list[int]]:
    """The rows of some clips, ascending, and where each clip begins and ends in them.

    sounding : see `Heard.rows`
    """
    rows = held.rows(clips, sounding=sounding)
    return rows, np.searchsorted(held.clip[rows], [*clips, np.iinfo(np.int64).max]).tolist()


def _bags(held: Heard, clips: Sequence[int], sounding: bool) -> tuple[np.ndarray, list[int]]:
    """Embeddings of the clips' frames, (N, d), and where each clip begins and ends in them."""
    rows, ends = ends_of(held, clips, sounding=sounding)
    return held.outputs["embedding"][rows], ends


def recording(manifest: Manifest, clip: int) -> str:
    """The recording of a clip, as seen from the data's folder."""
    return manifest.relative(Path(manifest.clips[clip].group))


def _check(kind: str, window: int, hop: float | None, rest: float) -> None:
    if kind not in KINDS:
        raise UsageError(f"There is no head {kind!r}: choose one of {', '.join(KINDS)}.")
    if not 1 <= window <= 64:
        raise UsageError(f"Received a window of {window} frames: give 1 to 64.")
    if hop is not None and not 0 < hop < 3600:
        raise UsageError(f"Received a hop of {hop} seconds: give a number above 0.")
    if not 0 <= rest < 86400:
        raise UsageError(f"Received a rest of {rest} seconds: give 0 to 86400.")


def _logistic(sets: dict, single: bool, kind: str, seed: int) -> tuple[tuple, list[float]]:
    """The linear layer that tells the validation clips best, of those of all `STRENGTHS`."""
    from threadpoolctl import threadpool_limits

    from edgesea.measures import metrics

    embeddings, ends, truth = sets["train"]
    mean, spread = embeddings.mean(axis=0, dtype=np.float64), embeddings.std(axis=0, dtype=np.float64)
    spread = np.where(spread > 0, spread, 1)
    x, y = (embeddings - mean) / spread, np.repeat(truth, np.diff(ends), axis=0)
    checked, checked_ends, wanted = sets["validation"]
    best, reached = None, -1.0
    with threadpool_limits(1):
        for strength in STRENGTHS:
            weights, bias = _linear(x, y, single, strength)
            layer = (weights / spread[:, None], bias - (mean / spread) @ weights)
            scores = Head((layer,), "softmax" if single else "sigmoid", {}).scores(checked)
            joined = np.stack([scores[a:b].mean(axis=0) for a, b in pairwise(checked_ends)])
            value = (metrics.accuracy if single else metrics.macro_auprc)(wanted, joined)
            if np.nan_to_num(value) > reached:
                best, reached = layer, float(np.nan_to_num(value))
    return (best,), [0.0] * truth.shape[1]


def _linear(x: np.ndarray, y: np.ndarray, single: bool, strength: float) -> tuple[np.ndarray, np.ndarray]:
    """Logistic regression of frames: weights (d, classes), bias (classes,)."""
    from sklearn.linear_model import LogisticRegression

    def fitted(target):
        return LogisticRegression(C=strength, max_iter=1000, class_weight="balanced").fit(x, target)

    if not single:
        models = [fitted(column) for column in y.T]
        return np.stack([each.coef_[0] for each in models], axis=1), np.array(
            [each.intercept_[0] for each in models]
        )
    model = fitted(y.argmax(axis=1))
    if len(model.classes_) == 2:  # scikit-learn keeps the second of two alone
        return np.stack([0 * model.coef_[0], model.coef_[0]], axis=1), np.array([0.0, model.intercept_[0]])
    return model.coef_.T, model.intercept_


def _trained(sets: dict, single: bool, kind: str, seed: int) -> tuple[tuple, list[float]]:
    from edgesea.decisions import mil

    parts = []
    for embeddings, ends, truth in (sets["train"], sets["validation"]):
        if kind == "mlp":  # every frame is a clip of its own
            truth, ends = np.repeat(truth, np.diff(ends), axis=0), np.arange(len(embeddings) + 1)
        parts.append((mil.Bags(np.asarray(embeddings, np.float32), np.asarray(ends, np.int64)), truth))
    found = mil.select(*parts, pooling="autopool", seed=seed)
    layers, alpha = found.layers()
    # Of one frame alone auto-pool is that frame; what its alpha became in training means nothing then.
    return layers, [0.0] * len(alpha) if kind == "mlp" else [max(0.0, each) for each in alpha]
