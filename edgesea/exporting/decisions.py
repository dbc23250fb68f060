"""What a head adds to a bundle: the folded network, its integer model against its float one, and the
manifest's entry."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from edgesea.decisions import heard
from edgesea.decisions.fold import SCORES, fold
from edgesea.decisions.head import Head, as_integers, fingerprint, integer_alpha
from edgesea.errors import EdgeseaError, UsageError
from edgesea.exporting.concrete import OUTPUT

# Below this share of decisions that are the same, an int8 model is not a stand-in for its float twin.
MIN_AGREEMENT = 0.95


@dataclass(frozen=True)
class Deciding:
    """A head that goes into a bundle.

    head : Head
    embedding : whether the embedding stays an output beside the scores
    min_agreement : share of held-out frames and classes, in [0, 1], in which int8 has to decide as float does
    """

    head: Head
    embedding: bool = False
    min_agreement: float = MIN_AGREEMENT

    @property
    def outputs(self) -> tuple[str, ...]:
        """Of the folded network, by name."""
        return (OUTPUT, SCORES) if self.embedding else (SCORES,)

    def folded(self, student, float_model: bytes):
        """The student with the head behind it.

        float_model : .tflite of the student alone

        Raises
        ------
        UsageError : the head was made for another student
        """
        if self.head.values["student"] != fingerprint(float_model):
            raise UsageError(
                "The head was made for another student, whose float .tflite has the SHA-256 "
                f"{self.head.values['student'][:16]}... where this one has "
                f"{fingerprint(float_model)[:16]}...: "
                "train one for this student with `edgesea head`."
            )
        return fold(student, self.head, embedding=self.embedding)

    def made(
        self, folded, calibration: np.ndarray | None, held_out: np.ndarray
    ) -> tuple[bytes, dict[str, bytes], dict]:
        """The folded network's models and the manifest's entry.

        calibration, held_out : patches as for `export_student`; no int8 model without the first

        Returns the float .tflite, {'int8': .tflite} or {}, and the entry, see `formats.decisions`.
        """
        from edgesea.exporting.tflite import convert_float, convert_int8

        float_model = convert_float(folded, self.outputs)
        decisions = {**self.head.decisions(), "agreement": None}
        if calibration is None:
            return float_model, {}, decisions
        int8_model = convert_int8(folded, calibration, self.outputs)
        decisions["agreement"] = self.agreement(float_model, int8_model, held_out)
        return float_model, {"int8": int8_model}, decisions

    def agreement(self, float_model: bytes, int8_model: bytes, patches: np.ndarray) -> dict:
        """int8 against float, both folded, on held-out patches; see `formats.decisions.Agreement`."""
        scores = [
            as_integers(heard.asks(model, self.outputs)(patches)[SCORES])
            for model in (float_model, int8_model)
        ]
        thresholds = np.array([each["threshold"] * 65536 for each in self.head.values["thresholds"]])
        decided = [each * 256 >= thresholds for each in scores]
        return {
            "frames": len(patches),
            "same": float((decided[0] == decided[1]).mean()),
            "largest": float(np.abs(scores[0] - scores[1]).max() / 256),
        }

    def check(self, agreement: dict) -> None:
        """Raises `EdgeseaError` where int8 decides too seldom as float does."""
        if not agreement["same"] >= self.min_agreement:
            raise EdgeseaError(
                f"int8 with the head decides as float does in {agreement['same']:.1%} of "
                f"{agreement['frames']} "
                f"held-out frames, class by class, where at least {self.min_agreement:.1%} is asked for: "
                "calibrate on more of the domain, train the head anew, or lower --min-agreement."
            )


def without_head(
    labels: Sequence[str], thresholds: Sequence[float], every: int, window: int, rest: int
) -> dict:
    """The manifest's entry of a bundle that decides by its memory alone.

    thresholds : (classes,) in (0, 1)
    """
    return {
        "labels": list(labels),
        "head": 0,
        "student": None,
        "every": every,
        "window": window,
        "alpha": integer_alpha([0.0] * len(labels)),
        "thresholds": [max(1, min(65535, round(each * 65536))) for each in thresholds],
        "rest": rest,
    }
