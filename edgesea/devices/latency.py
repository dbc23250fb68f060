"""Times single inferences, inside the process that runs the model.

What goes between the two processes is no part of the latency, so the clock is beside the interpreter.
"""

import time

import numpy as np

from edgesea.loaded_model import LoadedModel
from edgesea.measures.inputs import random_inputs

WARM_UP_S = 0.3
WARM_UP_RUNS = 5


def time_inferences(model: LoadedModel, runs: int, limit_s: float) -> dict:
    """The first inference, the warm-up untimed, then `runs` of them or `limit_s` seconds; figures in ms.

    A model with state goes on from one inference to the next, as on a device.
    """
    sample = random_inputs(model.inputs)
    raw, indices = model.raw, [tensor.index for tensor in model.inputs]

    def once() -> float:
        start = time.perf_counter()
        for index, values in zip(indices, sample, strict=True):
            raw.set_tensor(index, values)
        model.invoke()
        raw.get_tensor(model.output.index)
        return time.perf_counter() - start

    first = once()
    warm, spent = 0, 0.0
    while warm < WARM_UP_RUNS or spent < WARM_UP_S:
        spent += once()
        warm += 1
    times: list[float] = []
    while len(times) < runs and sum(times) < limit_s:
        times.append(once())
    return {
        "first_inference": ms(first),
        "warm_up_runs": warm,
        "n": len(times),
        "median": ms(np.median(times)),
        "p95": ms(np.percentile(times, 95)),
        "min": ms(min(times)),
        "max": ms(max(times)),
    }


def ms(seconds: float) -> float:
    """Milliseconds, to a ten-thousandth."""
    return round(float(seconds) * 1000, 4)
