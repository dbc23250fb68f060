"""Folders of audio: classes, no classes, and what is passed over."""

import os

import numpy as np
import pytest
import soundfile

from edgesea import datasets
from edgesea.errors import UsageError


def sound(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, np.full(100, 0.1), 8000)
    return path


def found(root):
    return [(clip.path.relative_to(root).as_posix(), clip.labels) for clip in datasets.load(root).clips]


def test_class_folders(tmp_path):
    for name in ("dog/2.wav", "dog/10.flac", "dog/deep/er/1.ogg", "car/a.MP3.wav", "top.wav"):
        sound(tmp_path / name)
    expected = [
        ("car/a.MP3.wav", ("car",)),
        ("dog/10.flac", ("dog",)),
        ("dog/2.wav", ("dog",)),
        ("dog/deep/er/1.ogg", ("dog",)),
        ("top.wav", ()),
    ]
    assert found(tmp_path) == expected
    manifest = datasets.load(tmp_path)
    assert manifest.labels == ("car", "dog")
    assert manifest.name == tmp_path.name
    assert manifest.root == tmp_path
    assert len({clip.group for clip in manifest.clips}) == 5


def test_a_flat_folder_has_no_labels(tmp_path):
    for name in ("b.wav", "a.WAV"):
        sound(tmp_path / name)
    assert found(tmp_path) == [("a.WAV", ()), ("b.wav", ())]
    assert datasets.load(tmp_path).labels == ()


def test_passes_over_what_is_no_audio(tmp_path):
    sound(tmp_path / "a.wav")
    sound(tmp_path / ".hidden.wav")
    sound(tmp_path / ".git" / "b.wav")
    (tmp_path / "notes.txt").write_text("hello")
    (tmp_path / "folder.wav").mkdir()
    (tmp_path / "dangling.wav").symlink_to(tmp_path / "nowhere.wav")
    os.mkfifo(tmp_path / "pipe.wav")
    assert found(tmp_path) == [("a.wav", ())]


def test_follows_links_once(tmp_path):
    root = tmp_path / "data"
    sound(root / "dog" / "a.wav")
    sound(tmp_path / "elsewhere" / "b.wav")
    (root / "cat").symlink_to(tmp_path / "elsewhere")
    (root / "dog" / "loop").symlink_to(root)
    (root / "dog" / "self").symlink_to(root / "dog")
    assert found(root) == [("cat/b.wav", ("cat",)), ("dog/a.wav", ("dog",))]


def test_a_folder_without_audio(tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(UsageError) as caught:
        datasets.load(tmp_path)
    assert str(caught.value) == (
        f"Found no audio in the folder {tmp_path}: it needs files named "
        "*.wav, *.flac, *.ogg, *.oga, *.opus, *.mp3, *.aif, *.aiff."
    )


def test_is_called_by_its_real_name(tmp_path, monkeypatch):
    sound(tmp_path / "street" / "a.wav")
    monkeypatch.chdir(tmp_path / "street")
    assert datasets.load(".").name == "street"
