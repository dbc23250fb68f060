"""Files of the published layouts with made-up weights."""

import itertools

import h5py
import numpy as np

from edgesea.students.l3 import FILTERS


def l3_file(path, filters=FILTERS["l3"], dimension=512, ending=False, whole=False, seed=0):
    """Weights of an L3 network as Keras 2 writes them; `whole` puts them where whole models have them."""
    rng = np.random.default_rng(seed)
    counts = [*(each for block in filters for each in (block, block))][:7]
    counts.append(dimension)
    layers = [("input_1", {}), ("melspectrogram_1", {"Variable": (4, 4)})]
    norm = dict.fromkeys(("gamma", "beta", "moving_mean", "moving_variance"), 1)
    layers.append(("batch_normalization_41", dict.fromkeys(norm, (1,))))
    for number, (before, count) in enumerate(itertools.pairwise([1, *counts]), start=33):
        last = number == 40
        name = "audio_embedding_layer" if last else f"conv2d_{number}"
        layers.append((name, {"kernel": (3, 3, before, count), "bias": (count,)}))
        if not last or ending:
            layers.append((f"batch_normalization_{number + 9}", dict.fromkeys(norm, (count,))))
        layers.append((f"activation_{number}", {}))
    with h5py.File(path, "w") as file:
        root = file.create_group("model_weights") if whole else file
        root.attrs["layer_names"] = [name.encode() for name, _ in layers]
        for name, held in layers:
            group = root.create_group(name)
            group.attrs["weight_names"] = [f"{name}/{weight}:0".encode() for weight in held]
            for weight, shape in held.items():
                scale = 0.05 if weight in ("kernel", "Variable") else 1.0
                low = 0.5 if weight in ("gamma", "moving_variance") else -0.5
                group[f"{name}/{weight}:0"] = (scale * rng.uniform(low, 1, shape)).astype(np.float32)
    return path
