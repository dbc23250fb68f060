"""Devices and processes that train one student together: the one place that knows `tf.distribute`.

Every step's batch is divided between them, evenly and in an order that all know; gradients are summed, and
all hold the same weights. So it is the training of one device, but for rounding, and for batch normalisation,
which sees a part of the batch on each. Without a team nothing of this is there.

Several processes are those of TF_CONFIG, which all are told the same words and see the same folders. The
chief, the first worker, makes what comes before the training and writes; the others wait for it and read. A
process that dies takes the step with it: the others say so (`Lost`) and are to be started again with it.
Training then goes on after the last whole epoch.
"""

import contextlib
import functools
import json
import os
from collections.abc import Callable, Iterator

from edgesea.errors import EdgeseaError, UsageError


class Lost(EdgeseaError):
    """A process of the team has ended."""


def gather(devices: int | None, batch: int) -> "Team | None":
    """The team that was asked for; None where one device trains alone. Before TensorFlow has run anything.

    devices : GPUs of this machine that share a batch, or parts of the processor where it has no GPU; None is
        one, or the processes of TF_CONFIG where that names several
    batch : frames a step, which they divide

    Raises `UsageError` for a number of devices that there is not, or that does not divide the batch, and for
    a TF_CONFIG that is none.
    """
    workers = _workers()
    if workers and devices is not None:
        raise UsageError(
            f"Received --devices {devices} and a TF_CONFIG of several processes: give one of them."
        )
    if not workers and (devices is None or devices == 1):
        return None
    import tensorflow as tf

    if workers:
        strategy = tf.distribute.MultiWorkerMirroredStrategy()
    else:
        strategy = tf.distribute.MirroredStrategy(_devices(devices or 1))
    count = strategy.num_replicas_in_sync
    if batch % count:
        raise UsageError(f"Received --batch {batch} for {count} devices: give a multiple of {count}.")
    return Team(strategy)


def _workers() -> int:
    """How many processes TF_CONFIG names, 0 where it names this one alone, or is not there."""
    text = os.environ.get("TF_CONFIG")
    if not text:
        return 0
    try:
        told = json.loads(text)
        cluster, task = told["cluster"], told["task"]
        count, index = len(cluster["worker"]), int(task["index"])
        if set(cluster) != {"worker"} or task["type"] != "worker" or not 0 <= index < count:
            raise ValueError("it has to name workers alone, and this process as one of them")
    except (ValueError, TypeError, KeyError) as error:
        raise UsageError(
            f"The environment's TF_CONFIG cannot be used ({' '.join(str(error).split())}): write it as "
            '{"cluster": {"worker": ["host:port", "host:port"]}, "task": {"type": "worker", "index": 0}}.'
        ) from error
    return count if count > 1 else 0


def _devices(count: int) -> list[str]:
    import tensorflow as tf

    if count < 1:
        raise UsageError(f"Received --devices {count}: give a number of at least 1.")
    there = tf.config.list_physical_devices("GPU")
    if there and count > len(there):
        raise UsageError(
            f"Received --devices {count}, and TensorFlow sees {len(there)}: give at most so many."
        )
    if there:
        return [f"GPU:{k}" for k in range(count)]
    processor = tf.config.list_physical_devices("CPU")[0]
    with contextlib.suppress(RuntimeError):  # TensorFlow has begun, with so many already or with others
        tf.config.set_logical_device_configuration(
            processor, [tf.config.LogicalDeviceConfiguration()] * count
        )
    if len(tf.config.list_logical_devices("CPU")) < count:
        raise UsageError(f"TensorFlow has begun with fewer than {count} devices: say so before it is used.")
    return [f"CPU:{k}" for k in range(count)]


class Team:
    """What trains together; made by `gather`.

    chief : whether this process is the one that writes
    """

    def __init__(self, strategy):
        self._strategy = strategy
        resolver = strategy.cluster_resolver
        self.chief = resolver is None or resolver.task_id in (0, None)
        self._count = strategy.num_replicas_in_sync

    @contextlib.contextmanager
    def together(self) -> Iterator[None]:
        """What is made in it (weights, optimisers) is the same on all devices, and stays so."""
        import tensorflow as tf

        def shared(following, **options):
            # What a device sets by itself (statistics of its part of the batch) is set to the mean of all.
            if not options.get("trainable", True) and options.get("aggregation") in (
                None,
                tf.VariableAggregation.NONE,
            ):
                options["aggregation"] = tf.VariableAggregation.MEAN
            return following(**options)

        with self._strategy.scope(), tf.variable_creator_scope(shared):
            yield

    @contextlib.contextmanager
    def in_turn(self) -> Iterator[None]:
        """The chief first, the others when it is done."""
        if not self.chief:
            self.meet()
        yield
        if self.chief:
            self.meet()

    def meet(self) -> None:
        """Waits until every process is here."""
        import tensorflow as tf

        self._heard(self._all_here, tf.constant(1.0))

    @functools.cached_property
    def _all_here(self) -> Callable:
        import tensorflow as tf

        def all_here(one):
            ones = self._strategy.run(lambda: tf.identity(one))
            return self._strategy.reduce(tf.distribute.ReduceOp.SUM, ones, axis=None)

        return tf.function(all_here)

    def compiled(self, step: Callable) -> Callable:
        """A step of one device, of a batch of tensors -> the same step of all, each on its share."""
        import tensorflow as tf

        @tf.function
        def of_all(batch):
            losses = self._strategy.run(step, (batch,))
            mean = tf.distribute.ReduceOp.MEAN
            return {name: self._strategy.reduce(mean, value, axis=None) for name, value in losses.items()}

        return lambda batch: self._heard(of_all, self._divided(batch))

    def _divided(self, batch: dict) -> dict:
        def share(context):
            here = context.replica_id_in_sync_group
            return {name: values[here :: self._count] for name, values in batch.items()}

        return self._strategy.experimental_distribute_values_from_function(share)

    def _heard(self, ask: Callable, *arguments):
        import tensorflow as tf

        try:
            return ask(*arguments)
        except (
            tf.errors.UnavailableError,
            tf.errors.AbortedError,
            tf.errors.CancelledError,
            tf.errors.DeadlineExceededError,
            tf.errors.InternalError,
        ) as error:
            reason = " ".join(str(error).split())[:200].rstrip(".")
            raise Lost(
                f"A process of TF_CONFIG has ended ({reason}): start them all again with the same words; "
                "training goes on after the last whole epoch."
            ) from error
