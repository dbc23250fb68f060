"""Any objective, whose deployed network is the mean of the student's weights over the last steps.

    mean <- d mean + (1 - d) weights,  d = min(decay, (1 + n) / (10 + n)) at step n

(Polyak and Juditsky, 1992; the smaller first decays are those of TensorFlow's ExponentialMovingAverage). The
weights of single steps jump about a minimum, their mean lies in it. Moving statistics of batch normalisations
are averaged like weights. What is trained beside the student (heads) is not: it belongs to the last step.
"""

from edgesea.objectives.base import Objective, predict


class Averaged(Objective):
    """Wraps an objective; what is trained, and how, is the objective's.

    Parameters
    ----------
    inner : Objective
        Before its `begin`.
    decay : float in (0, 1)
    """

    def __init__(self, inner: Objective, decay: float):
        super().__init__()
        self._inner, self._decay = inner, decay
        self.name, self.needs, self.criterion = inner.name, inner.needs, inner.criterion

    def begin(self, setting):
        import keras
        import tensorflow as tf

        self._inner.begin(setting)
        self.student, self.optimizer = self._inner.student, self._inner.optimizer
        self.network = keras.models.clone_model(self.student)
        self.network.set_weights(self.student.get_weights())
        self._steps = tf.Variable(0, dtype=tf.int64, trainable=False)

    def step(self, batch):
        import tensorflow as tf

        found = self._inner.step(batch)
        self._steps.assign_add(1)
        n = tf.cast(self._steps, tf.float32)
        decay = tf.minimum(self._decay, (1 + n) / (10 + n))
        for mean, now in zip(self.network.weights, self.student.weights, strict=True):
            if mean.dtype == "float32":
                mean.assign(decay * mean.value + (1 - decay) * now.value)
        return found

    @property
    def first(self):
        return self._inner.first

    def turn(self, epoch):
        return self._inner.turn(epoch)

    def finish(self):
        self._inner.finish()

    @property
    def kept(self):
        return [*self.network.variables, *self._inner.beside]

    @property
    def variables(self):
        return [*self._inner.variables, *self.network.variables, self._steps]

    def check_validation(self, validation):
        self._inner.check_validation(validation)

    def score(self, validation):
        return self._inner.judge(validation, predict(self.network, validation.patches()))

    def deploy(self):
        return self.network

    def classifier(self):
        return self._inner.classifier()
