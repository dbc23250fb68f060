"""What TensorFlow is asked for before it is loaded."""

import pytest

from edgesea import backend


@pytest.mark.parametrize(("before", "after"), [(None, "1"), ("0", "0"), ("1", "1")])
def test_onednn_is_asked_for_unless_the_environment_says_otherwise(monkeypatch, before, after):
    if before is None:
        monkeypatch.delenv("TF_ENABLE_ONEDNN_OPTS", raising=False)
    else:
        monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", before)
    backend.ask_for_speed()
    assert backend.os.environ["TF_ENABLE_ONEDNN_OPTS"] == after
