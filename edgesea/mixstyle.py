"""Freq-MixStyle: patches of a batch exchange how loud each frequency is in them, and how much it varies.

What a recorder's frequency response and a place's steady noise add to a log-mel is, to a good part, the mean
and the deviation of each mel over time. For a patch x and another one x' of the batch,

    m = l mean(x) + (1 - l) mean(x'),  s = l std(x) + (1 - l) std(x'),  x <- m + s (x - mean(x)) / std(x)

with mean and std over time, mel by mel, and l from Beta(0.3, 0.3). Zhou et al., "Domain Generalization with
MixStyle", ICLR 2021, equations 4 to 6, over frequency as in Schmid et al., DCASE 2022, task 1.

The teacher does not hear it: the target stays that of the patch as it was. The student is asked to answer the
same whatever the recorder. That is an assumption about the domain, and what it changes in the sound that a
teacher listens to is lost; it is off unless asked for.
"""

import numpy as np

ALPHA = 0.3
# Added to variances, in the square of the patch's unit: a silent mel has none.
_LEAST = 1e-6


def mixed(rng: np.random.Generator, patches: np.ndarray, probability: float) -> np.ndarray:
    """The patches, or, with that probability, all of them in others' styles.

    patches (B, frames, mels, 1) floating point; returns the same shape and type.
    """
    chosen, partners = rng.random() < probability, rng.permutation(len(patches))
    share = rng.beta(ALPHA, ALPHA, (len(patches), 1, 1, 1)).astype(np.float32)
    if not chosen:
        return patches
    x = patches.astype(np.float32)
    mean = x.mean(axis=1, keepdims=True)
    deviation = np.sqrt(x.var(axis=1, keepdims=True) + _LEAST)
    m, s = (share * own + (1 - share) * own[partners] for own in (mean, deviation))
    return (m + s * (x - mean) / deviation).astype(patches.dtype)
