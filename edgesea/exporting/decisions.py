"""What a head and a memory add to a bundle: the models with the head folded in, the memory, and the
manifest's entry."""

import math
from dataclasses import dataclass

import numpy as np

from edgesea import datasets
from edgesea.decisions import head as heads
from edgesea.decisions import heard, prototypes, thresholds
from edgesea.decisions.fold import SCORES, fold
from edgesea.decisions.head import Head, as_integers, fingerprint
from edgesea.errors import EdgeseaError, UsageError
from edgesea.exporting.concrete import OUTPUT
from edgesea.frontend import Frontend
from edgesea.listen import listen
from edgesea.named import Choice
from edgesea.progress import SILENT, Progress

# Below this share of decisions that are the same, an int8 model is not a stand-in for its float twin.
MIN_AGREEMENT = 0.95


@dataclass(frozen=True)
class Made:
    """What goes into the bundle.

    float_, int8 : .tflite; int8 None where there is none
    decisions : the manifest's entry, see `formats.decisions`
    memory : arrays of memory.npz, None without one
    network : keras.Model that both are of
    """

    float_: bytes
    int8: bytes | None
    decisions: dict
    memory: dict[str, np.ndarray] | None
    network: object


@dataclass(frozen=True)
class Deciding:
    """What makes events of a student's embeddings.

    head : Head or None
    embedding : whether the embedding stays an output beside the head's scores; with a memory it always does
    min_agreement : share of held-out frames and classes, in [0, 1], in which int8 has to decide as float does
    memory : what --memory says, see `decisions.prototypes`; None for none
    data : labelled sound that the memory is made of
    most_bytes : of flash that the memory may take up; None for any
    """

    head: Head | None
    embedding: bool = False
    min_agreement: float = MIN_AGREEMENT
    memory: Choice | None = None
    data: str | None = None
    most_bytes: int | None = None

    @property
    def outputs(self) -> tuple[str, ...]:
        """Of the network in the bundle, by name."""
        if self.head is None:
            return (OUTPUT,)
        return (OUTPUT, SCORES) if self.embedding or self.memory else (SCORES,)

    def network(self, student, float_model: bytes):
        """The student with the head behind it, where there is one.

        float_model : .tflite of the student alone

        Raises
        ------
        UsageError : the head was made for another student
        """
        if self.head is None:
            return student
        if self.head.values["student"] != fingerprint(float_model):
            raise UsageError(
                "The head was made for another student, whose float .tflite has the SHA-256 "
                f"{self.head.values['student'][:16]}... where this one has "
                f"{fingerprint(float_model)[:16]}...: "
                "train one for this student with `edgesea head`."
            )
        return fold(student, self.head, embedding=OUTPUT in self.outputs)

    def made(
        self,
        student,
        float_model: bytes,
        int8_model: bytes | None,
        calibration: np.ndarray | None,
        held_out: np.ndarray,
        frontend: Frontend,
        progress: Progress = SILENT,
    ) -> Made:
        """Folds, converts, and chooses prototypes.

        float_model, int8_model : .tflite of the student alone; int8_model None for a bundle without
        calibration, held_out : patches as for `export_student`
        """
        from edgesea.exporting.tflite import convert_float, convert_int8

        network = self.network(student, float_model)
        decisions = {} if self.head is None else {**self.head.decisions(), "agreement": None}
        if self.head is not None:
            float_model = convert_float(network, self.outputs)
            if int8_model is not None:
                int8_model = convert_int8(network, calibration, self.outputs)
                decisions["agreement"] = self.agreement(float_model, int8_model, held_out)
        memory = None
        if self.memory is not None:
            if int8_model is None:
                raise UsageError("A memory is made of int8 embeddings: say --int8 too.")
            memory, decisions = self._remembered(int8_model, decisions, frontend, progress)
        return Made(float_model, int8_model, decisions, memory, network)

    def agreement(self, float_model: bytes, int8_model: bytes, patches: np.ndarray) -> dict:
        """int8 against float, both folded, on held-out patches; see `formats.decisions.Agreement`."""
        scores = [
            as_integers(heard.asks(model, self.outputs)(patches)[SCORES])
            for model in (float_model, int8_model)
        ]
        least = np.array(self.head.decisions()["thresholds"])
        decided = [each * 256 >= least for each in scores]
        return {
            "frames": len(patches),
            "same": float((decided[0] == decided[1]).mean()),
            "largest": float(np.abs(scores[0] - scores[1]).max() / 256),
        }

    def check(self, decisions: dict) -> None:
        """Raises `EdgeseaError` where int8 decides too seldom as float does."""
        agreement = decisions.get("agreement")
        if agreement is not None and not agreement["same"] >= self.min_agreement:
            raise EdgeseaError(
                f"The int8 head decides as the float one does in {agreement['same']:.1%} of "
                f"{agreement['frames']} held-out frames, class by class, where at least "
                f"{self.min_agreement:.1%} is asked for: calibrate on more of the domain, train the head "
                "anew, or lower --min-agreement."
            )

    def _remembered(
        self, int8_model: bytes, decisions: dict, frontend: Frontend, progress: Progress
    ) -> tuple[dict[str, np.ndarray], dict]:
        """The memory, and the manifest's entry with it: thresholds are chosen anew for the mixed scores."""
        options = prototypes.MEMORIES.options(self.memory)
        manifest = datasets.load(self.data)
        known = list(decisions.get("labels", ()))
        labels = [*known, *(label for label in manifest.labels if label not in known)]
        parts = self._parts(manifest)
        every = decisions.get("every") or heard.pace(frontend)
        clips = sorted([*parts["train"], *parts["validation"]])
        ask = heard.integers(int8_model, self.outputs)
        ears = heard.integer_ears(int8_model, frontend)
        held = heard.hear(manifest, clips, ears, every, ask, progress)
        zero_point = heard.zero_point(int8_model)
        rows, ends = heads.ends_of(held, [k for k in parts["train"] if k in held.seconds], sounding=True)
        truth = heads.truth_of(manifest, [k for k in parts["train"] if k in held.seconds], labels)
        arrays = prototypes.make(
            self.memory, held.outputs[OUTPUT][rows], np.repeat(truth, np.diff(ends), axis=0), zero_point
        )
        count, dimension = arrays["prototypes"].shape
        size = prototypes.flash_bytes(count, dimension, len(labels))
        if self.most_bytes is not None and size > self.most_bytes:
            raise UsageError(
                f"A memory of {count:,} prototypes takes {size:,} bytes of flash, and the board has "
                f"{self.most_bytes:,}: say a smaller --memory, or another --board."
            )
        checked = [k for k in parts["validation"] if k in held.seconds]
        rows, ends = heads.ends_of(held, checked)
        embeddings = held.outputs[OUTPUT][rows]
        sounding = held.outputs[OUTPUT][held.rows(checked, sounding=True)]
        similar = prototypes.similarities(arrays, sounding, zero_point)
        least = int(np.quantile(similar, options.unknown)) if options.unknown else -32768
        if not decisions:
            hop = every * ears.period / ears.rate
            decisions = {
                "head": 0,
                "student": None,
                "every": every,
                "window": heads.WINDOW,
                "alpha": [],
                "rest": math.ceil(heads.REST_S / hop),
                "agreement": None,
                "held_out": {
                    "data": manifest.fingerprint,
                    "recordings": sorted({heads.recording(manifest, k) for k in parts["test"]}),
                },
            }
        decisions = {
            **decisions,
            "labels": labels,
            "alpha": [*decisions["alpha"], *[0] * (len(labels) - len(decisions["alpha"]))],
            "memory": {
                "prototypes": count,
                "bytes": size,
                "kind": self.memory.name,
                **options.integers(least),
            },
        }
        device = listen.Memory(
            decisions["memory"], arrays["prototypes"], arrays["labels"], zero_point, decisions["head"], labels
        )
        scores = held.outputs.get(SCORES, np.zeros((len(held.clip), 0), np.int64))[rows]
        mixed = np.array(
            [device.scores(each, embedding) for each, embedding in zip(scores, embeddings, strict=True)]
        )
        pooled = thresholds.pooled(
            mixed[:, : len(labels)], ends, decisions["window"], np.array(decisions["alpha"], np.int64)
        )
        truth = heads.truth_of(manifest, checked, labels)
        there = np.flatnonzero(truth.any(axis=0))
        chosen = thresholds.choose(
            pooled[:, there],
            ends,
            truth[:, there],
            np.array([held.seconds[k] for k in checked]),
            [labels[k] for k in there],
            self.head.wanted if self.head else thresholds.Wanted(),
        )
        # Of a class that this sound lacks the head's own threshold stays.
        values = [
            *decisions.get("thresholds", ()),
            *[0] * (len(labels) - len(decisions.get("thresholds", ()))),
        ]
        for place, each in zip(there.tolist(), chosen, strict=True):
            values[place] = each["threshold"]
        what = f"memory of {count} ({self.memory.name}) from {manifest.name}"
        told = [decisions["trained"]] if decisions.get("trained") else []
        return arrays, {**decisions, "thresholds": values, "trained": "; ".join([*told, what])}

    def _parts(self, manifest: datasets.Manifest) -> dict[str, list[int]]:
        """The head's own split where it was trained on the same sound, else a new one."""
        if self.head is None or self.head.values["data"]["fingerprint"] != manifest.fingerprint:
            return heads.split(manifest)
        recordings = self.head.values["data"]["recordings"]
        return {
            part: [k for k in range(len(manifest)) if heads.recording(manifest, k) in set(names)]
            for part, names in recordings.items()
        }
