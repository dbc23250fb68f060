"""What objectives are trained on in numbers."""

import contextlib

import numpy as np
import pytest

from edgesea import files, reduction
from edgesea.examples import Examples
from edgesea.store import Store


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    """(training, validation): 64 and 24 frames, the embedding being a linear map of the patch."""
    rng = np.random.default_rng(0)
    patches = rng.normal(0, 1, (88, 8, 8, 1)).astype(np.float16)
    embedding = (patches.reshape(88, 64) @ rng.normal(0, 1, (64, 4))).astype(np.float32)
    store = Store(tmp_path_factory.mktemp("task") / "s", {})
    store.write(0, {"patch": patches, "embedding": embedding})
    reducer = reduction.reducer("pca", 4).fit([embedding])
    return tuple(Examples(store, rows, reducer) for rows in (np.arange(64), np.arange(64, 88)))


@pytest.fixture
def interrupted_soon(monkeypatch):
    """Within its `with`, Ctrl-C comes when the second file is whole."""

    @contextlib.contextmanager
    def interrupted():
        real, written = files.os.replace, []

        def replaced(source, target):
            real(source, target)
            written.append(1)
            if len(written) == 2:
                raise KeyboardInterrupt

        with monkeypatch.context() as patch:
            patch.setattr(files.os, "replace", replaced)
            yield

    return interrupted
