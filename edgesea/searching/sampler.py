"""What to try next: Optuna's tree-structured Parzen estimator, asked anew each time with all that was tried.

Bergstra et al., "Algorithms for Hyper-Parameter Optimization", NeurIPS 2011. Its randomness comes from the
seed and the number of what was tried alone, so a search that was killed draws what it would have drawn.

Students made by hand are not of its space, and it is not told of them.

What is too large counts as a score below all others, the lower the larger it is: the next ones are smaller.
"""

import importlib.util
import math
import warnings
from collections.abc import Sequence

from edgesea.errors import UsageError
from edgesea.formats.search import Candidate
from edgesea.searching import space
from edgesea.searching.budget import Budget, Needs

# Drawn at random before anything is learnt from what was tried.
AT_RANDOM = 10
# Below what a trained student may score: no score is told that is lower.
WORST = -1.0


def require() -> None:
    """Raises `UsageError` where Optuna is not installed."""
    if importlib.util.find_spec("optuna") is None:
        raise UsageError(
            "A search needs the package optuna, which is not installed: pip install 'edgesea[search]'."
        )


def ask(
    tried: Sequence[Candidate], budget: Budget, families: Sequence[str], dimensions: Sequence[int], seed: int
):
    """A trial of Optuna that has chosen nothing yet; see `space.draw`."""
    import optuna

    optuna.logging.set_verbosity(optuna.logging.ERROR)
    with warnings.catch_warnings():
        # That its multivariate and grouped sampling may still change is the tested range's business.
        warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
        sampler = optuna.samplers.TPESampler(
            multivariate=True, group=True, n_startup_trials=AT_RANDOM, seed=(seed * 7919 + len(tried)) % 2**32
        )
        study = optuna.create_study(direction="maximize", sampler=sampler)
        study.add_trials([_told(each, budget, families, dimensions) for each in tried if each.drawn])
        return study.ask()


def _told(candidate: Candidate, budget: Budget, families: Sequence[str], dimensions: Sequence[int]):
    """A candidate as a trial of Optuna's."""
    import optuna

    again = _Again(candidate.drawn)
    space.draw(again, families, dimensions)
    states = optuna.trial.TrialState
    state, value = states.COMPLETE, candidate.score
    if candidate.state == "pruned":
        state, value = states.PRUNED, None
    elif candidate.needs is not None and candidate.state == "too large":
        needs = Needs(**candidate.needs.model_dump())
        value = WORST - math.log2(max(1.0, budget.share(needs)))
    elif candidate.state != "trained":
        state, value = states.FAIL, None
    return optuna.trial.create_trial(
        state=state,
        value=value if value is None or candidate.state == "too large" else max(WORST, value),
        params=candidate.drawn,
        distributions=again.distributions,
        intermediate_values=dict(enumerate(candidate.curve)),
    )


class _Again:
    """Draws what was drawn, and remembers out of what."""

    def __init__(self, drawn):
        self._drawn, self.distributions = drawn, {}

    def suggest_int(self, name, low, high, step=1):
        import optuna

        self.distributions[name] = optuna.distributions.IntDistribution(low, high, step=step)
        return self._drawn[name]

    def suggest_categorical(self, name, choices):
        import optuna

        self.distributions[name] = optuna.distributions.CategoricalDistribution(choices)
        return self._drawn[name]
