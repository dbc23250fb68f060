"""What an objective is: it says what it needs, learns from a batch, and scores what it learnt.

The training loop knows nothing of losses. It hands over batches, keeps what the objective calls its own in
the checkpoint, keeps the best epoch by the objective's own score, and takes the network to deploy from it.
So an objective may train networks beside the student (heads, projections, guides, momentum copies) and
remember more than weights (queues): all of it is in `variables`.

The columns of a batch that an objective may ask for (B examples):

    patch      (B, frames, mels, 1) float16   the student's input
    waveform   (B, samples) float32           what the patch was made of, at the pairing's rate
    embedding  (B, n) float32                 the teacher's
    target     (B, d) float32                 phi(embedding), by the run's reducer
    logits     (B, C) float32                 the teacher's class distribution, see `edgesea.soft`
    label      (B, classes) float32           where the domain is labelled; shares of classes in a mixture
    others     (B, ...)                       any further output of the teacher by its name: attention

A step goes through four methods, each of which may be an objective's own: `hear` runs the student on a batch,
`compare` makes losses of what it gives, the gradients of `trained` follow, and `after` is for what is
remembered. Where several objectives train one student (`combination`), it is heard once for all of them.
"""

import dataclasses
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from edgesea.errors import EdgeseaError, UsageError
from edgesea.measures import fidelity
from edgesea.named import Choice

if TYPE_CHECKING:
    from edgesea.examples import Examples

PREDICT = 256  # frames a step when nothing is learnt


@dataclasses.dataclass(frozen=True)
class Material:
    """What there is to learn from, as far as it is known before any work.

    Attributes
    ----------
    teacher : str
        Its name.
    outputs : mapping of str to tuple
        The shape of every output of the teacher, without the batch.
    labels : tuple of tuple of str
        Of every clip, its class names.
    frames : int
        That the student is trained on, at most.
    """

    teacher: str
    outputs: Mapping[str, tuple]
    labels: tuple = ()
    frames: int = 1

    @property
    def labelled(self) -> bool:
        """Whether every clip has a label."""
        return bool(self.labels) and all(self.labels)

    @property
    def classes(self) -> tuple[str, ...]:
        """Names of the classes, sorted, where every clip has one label; else ()."""
        single = self.labelled and all(len(each) == 1 for each in self.labels)
        return tuple(sorted({each[0] for each in self.labels})) if single else ()

    def require_labels(self, who: str) -> None:
        """Raises `UsageError` where not every clip has one label, of two classes at least."""
        if not self.labelled:
            raise UsageError(
                f"The {who} needs labels, and not every clip of the data has one: give a table with a column "
                "`label`, or choose another that needs none."
            )
        if not self.classes:
            raise UsageError(
                f"The {who} needs one label a clip, and some clips have several: give data of one class a "
                "clip, or choose another that needs no labels."
            )
        if len(self.classes) < 2:
            raise UsageError(
                f"The {who} needs two classes at least, and every clip is labelled {self.classes[0]!r}: give "
                "clips of other classes too, or choose another that needs no labels."
            )


@dataclasses.dataclass(frozen=True)
class Setting:
    """What an objective is told before training.

    Attributes
    ----------
    student : keras.Model
        Patch to embedding, untrained.
    outputs : mapping of str to tuple
        The shape of every output of the teacher, without the batch.
    optimizer : callable
        Takes a list of variables, and the share of all steps in which they are trained (1 where it is left
        out), and returns an optimiser for them, with the run's schedule.
    seed : int
        Of whatever is random beside the student's weights.
    classes : int
        C of the column `logits`; 0 where there is none.
    epoch, epochs : int
        Steps an epoch, and how many of those.
    frames : int
        That the student is trained on.
    """

    student: Any
    outputs: Mapping[str, tuple]
    optimizer: Callable
    seed: int
    classes: int = 0
    epoch: int = 1
    epochs: int = 1
    frames: int = 1


class Objective:
    """One training of one student.

    Attributes
    ----------
    name : str
    needs : frozenset of str
        Columns of a batch that `step` and `score` read; see this module.
    criterion : str
        Which figure of `score` says how good an epoch was: the higher, the better; behind a minus, the lower.
    combines : bool
        Whether it can be one of several that train a student together.
    divides : bool
        Whether its loss is a mean over the frames of a batch, and it remembers nothing: several devices can
        each learn from a part of a batch then.
    attends : bool
        Whether it needs the student's attention maps, which its `hear` gives beside the embedding.
    Options : type
        A frozen dataclass of what can be chosen, with defaults.
    """

    name: str
    needs: frozenset
    criterion = "r2"
    combines = True
    divides = False
    attends = False

    @dataclasses.dataclass(frozen=True)
    class Options:
        """An objective without options; others have a class of their own here."""

    def __init__(self, options=None):
        self.options: Any = options or self.Options()

    def check(self, material: Material) -> None:
        """Whether teacher and data have what is needed, asked before any work is done.

        Raises
        ------
        UsageError
            Something is not there.
        """
        if "label" in self.needs:
            material.require_labels(f"objective {self.name}")
        known = {*material.outputs, "patch", "waveform", "target", "logits", "label"}
        if missing := self.needs - known:
            raise UsageError(
                f"The objective {self.name} needs the teacher's {', '.join(sorted(missing))}, and it gives "
                f"only {', '.join(material.outputs)}: choose another teacher or objective."
            )

    def check_student(self, student, material: Material) -> None:
        """Raises `UsageError` where the student, a `keras.Model`, cannot be trained on this."""

    def soft(self, material: Material) -> str | None:
        """Where the column `logits` comes from: "scores", "head", or None where it is not needed."""
        return None

    def projection(self, material: Material) -> Choice | None:
        """The reducer that it brings in place of the run's own, None where it brings none."""
        return None

    def notes(self, material: Material) -> tuple[str, ...]:
        """What to tell the user of a choice that was made for this material."""
        return ()

    def begin(self, setting: Setting) -> None:
        """Makes what is trained and remembered beside the student."""
        self.student = setting.student
        self.prepare(setting)
        self.optimizer = setting.optimizer(self.trained)

    def prepare(self, setting: Setting) -> None:
        """Makes what is trained or remembered beside the student and its optimiser."""

    @property
    def beside(self) -> list:
        """What gradients change beside the student."""
        return []

    @property
    def remembered(self) -> list:
        """What is kept from step to step and changed by no gradient."""
        return []

    @property
    def trained(self) -> list:
        """The variables that gradients change."""
        return [*self.student.trainable_variables, *self.beside]

    @property
    def kept(self) -> list:
        """What is of the best epoch in the end: the network to deploy, and what belongs to it."""
        return [*self.deploy().variables, *self.beside]

    @property
    def variables(self) -> list:
        """Everything that the rest of the training depends on, always in the same order."""
        return [*self.student.variables, *self.beside, *self.remembered, *self.optimizer.variables]

    def hear(self, batch: Mapping) -> dict:
        """What the student gives for a batch in training: its embedding (B, d), and what else is needed."""
        import tensorflow as tf

        return {"embedding": self.student(tf.cast(batch["patch"], tf.float32), training=True)}

    def compare(self, batch: Mapping, heard: Mapping) -> dict:
        """What is made smaller, as ``loss``, and the parts that it is the sum of, as scalar tensors.

        heard : what `hear` gave
        """
        raise NotImplementedError(f"{type(self).__name__} says nothing of its loss")

    def losses(self, batch: Mapping) -> dict:
        """What `compare` says of a batch that is heard now."""
        return self.compare(batch, self.hear(batch))

    def after(self, batch: Mapping) -> None:
        """Changes what is remembered, when the student has learnt from a batch."""
        return None  # TensorFlow cannot read a method that has no statement.

    def step(self, batch: Mapping) -> dict:
        """Learns from one batch of tensors; compiled by the loop. Returns `losses`."""
        import tensorflow as tf

        with tf.GradientTape() as tape:
            losses = self.losses(batch)
            # Of several devices (`edgesea.team`) the optimiser sums what each found on its part of the batch.
            devices = tf.distribute.get_strategy().num_replicas_in_sync
            loss = losses["loss"] / devices if devices > 1 else losses["loss"]
        gradients = tape.gradient(loss, self.trained)
        self.optimizer.apply_gradients(zip(gradients, self.trained, strict=True))
        self.after(batch)
        return losses

    @property
    def first(self) -> int:
        """The epoch, from 0 on, from which the best one is looked for and the training may end early."""
        return 0

    def turn(self, epoch: int) -> bool:
        """Told before an epoch, from 0 on; whether `step` is another from here on, to be compiled again."""
        return False

    def finish(self) -> None:
        """Told when the training is over, before what it made is looked at."""

    def check_validation(self, validation: "Examples") -> None:
        """Raises `EdgeseaError` where nothing can be scored on the validation recordings."""
        wanted = validation.targets()
        if not np.isfinite(fidelity.r2(wanted, wanted)):
            raise EdgeseaError(
                "The validation recordings hold no two frames that the teacher tells apart: give more sound, "
                "or another --seed."
            )

    def score(self, validation: "Examples") -> dict[str, float]:
        """How good the network to deploy is, figure by figure; among them `criterion`."""
        return self.judge(validation, predict(self.deploy(), validation.patches()))

    def judge(self, validation: "Examples", embedding: np.ndarray) -> dict[str, float]:
        """The figures of `score`, from the student's embeddings (N, d) of the validation frames."""
        wanted = validation.targets()
        return {"r2": fidelity.r2(wanted, embedding), "cosine": fidelity.cosine(wanted, embedding)}

    def deploy(self):
        """The network for the sensor, a `keras.Model`: patch -> embedding."""
        return self.student

    def classifier(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Weights (d, C) and biases (C,) from the deployed embedding to class logits, where one was trained
        with it.
        """
        return None


def predict(student, patches: np.ndarray) -> np.ndarray:
    """patches (N, frames, mels, 1) float32, N >= 1 -> embeddings (N, d) float32."""
    # Batch by batch, not `predict`: its pipeline of threads costs more than the student where memory is dear.
    parts = range(0, len(patches), PREDICT)
    ask = student.predict_on_batch
    if student.distribute_strategy.num_replicas_in_sync > 1:  # each process asks for itself

        def ask(patches):
            return student(patches, training=False).numpy()

    return np.concatenate([ask(patches[k : k + PREDICT]) for k in parts])
