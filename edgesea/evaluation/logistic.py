"""Logistic regression on standardised embeddings, as strongly regularised as the fitted clips ask for.

How much is right depends on the embedding: PCA-64 of YAMNet scores 0.37 on ESC-50's fold 4 at C = 0.01 and
0.62 at C = 1, the 1,024 dimensions themselves 0.58 and 0.62. One C for all would compare their sizes. So C
(scikit-learn's: the inverse of the L2 penalty) is chosen for each embedding, on the fitted clips alone, by
cross-validation grouped by recording; the caller's scored clips have no part in it.

Where there are more dimensions than clips, the head is fitted in the space that the clips span: a penalty on
the length of the weights is the same in any orthogonal basis, and outside that space they are zero.
"""

import warnings
from collections.abc import Iterator, Sequence

import numpy as np

from edgesea.measures import metrics

# Half a decade is finer than what some hundred clips can tell apart.
CS = tuple(float(c) for c in 10.0 ** np.arange(-3, 2.01, 0.5))
INNER_FOLDS = 3
# Choosing needs which clip is right, not the last digit of its probability.
_ROUGH = {"tol": 1e-2, "max_iter": 100}
_FINE = {"tol": 1e-4, "max_iter": 1000}


def splits(truth: np.ndarray, groups: Sequence | np.ndarray, folds: int, seed: int) -> Iterator:
    """(fitted, scored) indices of clips, fold by fold; no recording is on both sides.

    truth : (clips, classes) of 0 and 1. Where each clip has one class, every fold gets its share of each, as
        far as whole recordings allow.
    groups : the recording of every clip, at least `folds` of them
    """
    from sklearn.model_selection import GroupKFold, StratifiedGroupKFold

    # Stratifying needs one class at least with a clip for every fold.
    stratified = one_of_many(truth) and truth.sum(axis=0).max() >= folds
    kind = StratifiedGroupKFold if stratified else GroupKFold
    shuffled = kind(folds, shuffle=True, random_state=seed)
    return shuffled.split(np.zeros((len(truth), 1)), truth.argmax(axis=1), groups)


def one_of_many(truth: np.ndarray) -> bool:
    """Whether every clip has exactly one class."""
    return bool((truth.sum(axis=1) == 1).all())


def choose(
    embeddings: np.ndarray, truth: np.ndarray, groups: Sequence | np.ndarray, single: bool, seed: int
) -> float:
    """The C of `CS` with the best score in a cross-validation by recording; of equals the smallest.

    embeddings (clips, d), truth (clips, classes), groups (clips,) : of the clips that a head is fitted to
    single : accuracy is the score; else the micro-averaged area under precision-recall

    With one recording there is nothing to choose by: then it is the smallest too.
    """
    folds = min(INNER_FOLDS, len(set(groups)))
    if folds < 2:
        return CS[0]
    values = np.zeros((len(CS), *truth.shape))
    for fitted, scored in splits(truth, groups, folds, seed):
        values[:, scored] = fitted_values(
            embeddings[fitted], truth[fitted], embeddings[scored], single, CS, **_ROUGH
        )
    metric = metrics.accuracy if single else metrics.micro_auprc
    return CS[int(np.nanargmax([metric(truth, each) for each in values]))]


def values(fitted: np.ndarray, truth: np.ndarray, scored: np.ndarray, single: bool, c: float) -> np.ndarray:
    """Probabilities (scored clips, classes) by a head with that C; arguments as of `fitted_values`."""
    return fitted_values(fitted, truth, scored, single, (c,), **_FINE)[0]


def fitted_values(
    fitted: np.ndarray, truth: np.ndarray, scored: np.ndarray, single: bool, cs: Sequence[float], **fit
) -> np.ndarray:
    """Probabilities (len(cs), scored clips, classes), each head begun with what the one before found.

    fitted (clips, d), truth (clips, classes) : what heads are fitted to; scored (clips, d)
    single : one head over all classes; else one a class
    cs : rising
    fit : scikit-learn's tol and max_iter
    """
    fitted, scored = _spanned(*_standardised(fitted, scored))
    out = np.zeros((len(cs), len(scored), truth.shape[1]))
    if single:
        label = truth.argmax(axis=1)
        # A class that the fitted clips lack gets 0; where they have one alone, it is certain.
        known = np.unique(label)
        out[:, :, known] = 1.0 if len(known) == 1 else _path(fitted, label, scored, cs, fit)
        return out
    for k, column in enumerate(truth.T):
        if column.min() == column.max():
            out[:, :, k] = column[0]  # a class that all fitted clips have, or none
        else:
            out[:, :, k] = _path(fitted, column, scored, cs, fit)[:, :, 1]
    return out


def _path(fitted: np.ndarray, label: np.ndarray, scored: np.ndarray, cs: Sequence[float], fit) -> np.ndarray:
    """Probabilities (len(cs), scored clips, classes that are in `label`)."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression

    head = LogisticRegression(warm_start=True, **fit)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", category=ConvergenceWarning)
        return np.stack([head.set_params(C=c).fit(fitted, label).predict_proba(scored) for c in cs])


def _standardised(fitted: np.ndarray, scored: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    mean, deviation = fitted.mean(axis=0), fitted.std(axis=0)
    # What varies by rounding alone does not vary.
    steady = deviation <= 10 * np.finfo(np.float64).eps * np.abs(mean)
    deviation = np.where(steady, 1.0, deviation)
    return (fitted - mean) / deviation, (scored - mean) / deviation


def _spanned(fitted: np.ndarray, scored: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Both in an orthonormal basis of what the fitted clips span, where that is smaller."""
    clips, dimension = fitted.shape
    if dimension <= clips:
        return fitted, scored
    basis = np.linalg.qr(fitted.T)[0]
    return fitted @ basis, scored @ basis
