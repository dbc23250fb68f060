"""One recording as a dataset."""

import numpy as np
import pytest
import soundfile

from edgesea import datasets, ffmpeg
from edgesea.errors import UsageError


@pytest.mark.parametrize("name", ["night.wav", "night.FLAC"])
def test_a_file_of_audio_is_one_clip(tmp_path, name):
    soundfile.write(tmp_path / name, np.zeros(16_000), 16_000, format=name[-4:].strip(".").upper())
    (tmp_path / "other.wav").touch()
    found = datasets.load(tmp_path / name)
    assert [clip.path for clip in found.clips] == [tmp_path / name]
    assert (found.root, found.name, found.labels) == (tmp_path, "night", ())


def test_what_only_ffmpeg_reads_says_so(tmp_path, monkeypatch):
    (tmp_path / "night.m4a").touch()
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(UsageError) as caught:
        datasets.load(tmp_path / "night.m4a")
    assert str(caught.value) == f"Cannot read {tmp_path}/night.m4a: {ffmpeg.MISSING}."
