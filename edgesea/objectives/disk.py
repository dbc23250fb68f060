"""The objective `disk`: a guide holds the student up where an example is hard, and is taken away again.

    L = - tau_T tau_S mean_i sum_{c in M} p^T_c log(p^S_c + g [c in M])
        + lambda relu(penalty - budget) + weight mean_i log(1 + K g)

M are the teacher's K likeliest classes and the true one, p^T is renormalised on M, and g(x) in (0, 1) is the
guide, a small head on the teacher's embedding. Kag, Acar, Gangrade and Saligrama, "Scaffolding a student to
instill knowledge", ICLR 2023, section 3. Student and guide learn in turn, the budget falls along a cosine
that begins again every `period` epochs, and lambda rises along another. The penalty is told in two ways:

    code   sum over all i of g CE(p^S, argmax p^T), divided by how many the student gets wrong; weight 0.9
    paper  the mean of the same over those that it gets wrong; weight 1

The authors' code is the default, with its settings for CIFAR-100; CE is cut off at `most`. Ours differs from
it in renormalising p^T exactly (theirs lets the smallest logit stand for every other class), in the number of
classes that K is by default (their 10 of 100, as a tenth), and in shorter turns where an epoch has fewer than
250 steps. With g = 0 and all classes in M this is `kd` up to the entropy of p^T.
"""

import dataclasses

import numpy as np

from edgesea.errors import UsageError, received
from edgesea.objectives.classes import ClassObjective, check_above_zero

TURN = 250  # steps of student and of guide in turn
_UNITS = 32  # of the guide's hidden layer
_WEIGHTS = {"code": 0.9, "paper": 1.0}


class DiSK(ClassObjective):
    """Scaffolded knowledge, for students with a head."""

    name = "disk"
    needs = frozenset({"patch", "embedding", "label", "logits"})
    combines = False

    @dataclasses.dataclass(frozen=True)
    class Options:
        """What can be chosen.

        teacher_temperature, student_temperature : tau_T, tau_S > 0
        k : the teacher's likeliest classes in M; None is a tenth of all, at least one
        budget : its first and last value in a period, of at least 0
        period : epochs of one fall of the budget
        penalty : lambda's first and last value, above 0
        rise : epochs in which it rises
        turn : steps of each in turn; None is 250, or an epoch where that is shorter
        alone : epochs in which there is no guide yet, at least 0
        most : what CE is cut off at, above 0
        formula : "code" or "paper"
        """

        teacher_temperature: float = 4.0
        student_temperature: float = 3.5
        k: int | None = None
        budget: tuple = (0.6, 0.4)
        period: int = 20
        penalty: tuple = (1.0, 5.0)
        rise: int = 50
        turn: int | None = None
        alone: int = 5
        most: float = 5.0
        formula: str = "code"

        def __post_init__(self):
            check_above_zero(
                teacher_temperature=self.teacher_temperature,
                student_temperature=self.student_temperature,
                most=self.most,
            )
            for name in ("k", "period", "rise", "turn"):
                value = getattr(self, name)
                if value is not None and value < 1:
                    raise UsageError(f"Received {name} = {value}: give a whole number of at least 1.")
            if self.alone < 0:
                raise UsageError(f"Received alone = {self.alone}: give a whole number of at least 0.")
            for name in ("budget", "penalty"):
                value = getattr(self, name)
                if len(value) != 2 or not all(_number(each) and each >= 0 for each in value):
                    raise UsageError(
                        f"Received {name} = {received(value)}: give its first and its last value, of at "
                        "least 0."
                    )
            if self.formula not in _WEIGHTS:
                raise UsageError(f"Received formula = {received(self.formula)}: choose code or paper.")

    def soft(self, material):
        # The true class is one of the teacher's only where both are those of the data.
        material.require_labels(f"objective {self.name}")
        return "head"

    def check(self, material):
        super().check(material)
        if self.options.k is not None and self.options.k > len(material.classes):
            raise UsageError(
                f"The objective {self.name} with k = {self.options.k} needs as many classes, and the data "
                f"has {len(material.classes)}: choose a smaller k."
            )

    def prepare(self, setting):
        import keras
        import tensorflow as tf

        super().prepare(setting)
        options = self.options
        self._k = options.k or max(1, setting.classes // 10)
        self._epoch, self._alone = setting.epoch, options.alone * setting.epoch
        self._turn = options.turn or min(TURN, setting.epoch)
        n = setting.outputs["embedding"][0]
        self.guide = keras.Sequential(
            [
                keras.Input((n,)),
                keras.layers.UnitNormalization(),
                keras.layers.Rescaling(float(np.sqrt(n))),
                keras.layers.Dense(_UNITS, activation="relu"),
                keras.layers.Dense(1, activation="sigmoid"),
            ],
            name="guide",
        )
        self.steps = tf.Variable(0, dtype=tf.int64, trainable=False, name="steps")
        total = np.arange(setting.epoch * setting.epochs)
        guided = max(1, np.sum((total >= self._alone) & ((total - self._alone) // self._turn % 2 == 1)))
        self._share = float(guided / len(total))
        self.guides = setting.optimizer(self.guide.trainable_variables, self._share)

    def begin(self, setting):
        super().begin(setting)
        self.optimizer = setting.optimizer(self.trained, 1 - self._share)

    @property
    def remembered(self):
        return [self.steps, *self.guide.variables, *self.guides.variables]

    def schedule(self) -> dict:
        """The budget, and lambda as `penalty`, of the epoch that the next step is in: scalar tensors."""
        import tensorflow as tf

        epoch = tf.cast(self.steps // self._epoch, tf.float32)

        def between(ends, period):
            way = (1 - tf.cos(np.pi * (epoch % period) / period)) / 2
            return ends[0] + (ends[1] - ends[0]) * way

        options = self.options
        return {
            "budget": between(options.budget, options.period),
            "penalty": between(options.penalty, options.rise),
        }

    def compare(self, batch, heard):
        import tensorflow as tf

        guide = self.guide(batch["embedding"])[:, 0]
        guide = tf.where(self.steps < self._alone, tf.zeros_like(guide), guide)
        options = self.options
        found = losses(
            batch["logits"],
            self.head(heard["embedding"]),
            tf.argmax(batch["label"], axis=1),
            guide,
            k=self._k,
            temperatures=(options.teacher_temperature, options.student_temperature),
            most=options.most,
            formula=options.formula,
            **self.schedule(),
        )
        return found | {"guide": tf.reduce_mean(guide)}

    def step(self, batch):
        import tensorflow as tf

        turn = (self.steps - self._alone) // self._turn
        guided = tf.logical_and(self.steps >= self._alone, turn % 2 == 1)
        found = tf.cond(guided, lambda: self._teach_guide(batch), lambda: self._teach_student(batch))
        self.steps.assign_add(1)
        return found

    def _teach_student(self, batch):
        return super().step(batch)

    def _teach_guide(self, batch):
        import tensorflow as tf

        # Its statistics are the student's own to learn.
        heard = {"embedding": self.student(tf.cast(batch["patch"], tf.float32), training=False)}
        variables = self.guide.trainable_variables
        with tf.GradientTape() as tape:
            found = self.compare(batch, heard)
        self.guides.apply_gradients(zip(tape.gradient(found["loss"], variables), variables, strict=True))
        return found


def losses(
    teacher,
    student,
    truth,
    guide,
    *,
    k: int,
    temperatures: tuple[float, float],
    budget,
    penalty,
    most: float,
    formula: str,
) -> dict:
    """The loss and its parts, scalars; see this module.

    teacher, student : logits (B, C); truth : (B,) the right class; guide : (B,) in [0, 1]
    """
    import tensorflow as tf

    count = teacher.shape[-1]
    likeliest = tf.reduce_max(
        tf.one_hot(tf.math.top_k(teacher, k).indices, count, dtype=teacher.dtype), axis=1
    )
    held = tf.maximum(likeliest, tf.one_hot(truth, count, dtype=teacher.dtype))
    inside = tf.where(held > 0, teacher / temperatures[0], tf.cast(-1e9, teacher.dtype))
    wanted = tf.nn.softmax(inside)
    said = tf.nn.softmax(student / temperatures[1])
    # Outside M the weight is 0, and the logarithm of a vanishing probability must not make it NaN.
    lifted = tf.where(held > 0, said + guide[:, None], tf.ones_like(said))
    factor = temperatures[0] * temperatures[1]
    scaffold = -factor * tf.reduce_mean(tf.reduce_sum(wanted * tf.math.log(lifted), axis=1))

    told = tf.one_hot(tf.argmax(teacher, axis=1), count, dtype=student.dtype)
    apart = -tf.reduce_sum(told * tf.nn.log_softmax(student), axis=1)
    helped = guide * tf.minimum(apart, tf.cast(most, apart.dtype))
    wrong = tf.cast(tf.argmax(student, axis=1) != truth, apart.dtype)
    over = helped if formula == "code" else helped * wrong
    excess = tf.nn.relu(tf.reduce_sum(over) / tf.maximum(tf.reduce_sum(wrong), 1) - budget)
    use = _WEIGHTS[formula] * tf.reduce_mean(tf.math.log(1 + k * guide))
    return {
        "loss": scaffold + penalty * excess + use,
        "scaffold": scaffold,
        "excess": excess,
        "use": use,
    }


def _number(value) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and np.isfinite(value)
