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
    assert found(tmp_path) == [("a.wav", ())]
    assert datasets.load(tmp_path).aside == ()


def test_names_what_only_looks_like_audio(tmp_path, monkeypatch):
    """By its suffix it was meant as sound: nothing of that kind is passed over without a word."""
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    sound(tmp_path / "a.wav")
    (tmp_path / "folder.wav").mkdir()
    sound(tmp_path / "class.wav" / "b.wav")
    (tmp_path / "dangling.wav").symlink_to(tmp_path / "nowhere.wav")
    os.mkfifo(tmp_path / "pipe.wav")
    names = ("phone.m4a", "b.AAC", "c.wma", "d.amr", "e.webm", "f.mp4", "g.mkv")
    for name in names:
        (tmp_path / name).write_bytes(b"sound of a phone")
    assert found(tmp_path) == [("a.wav", ()), ("class.wav/b.wav", ("class.wav",))]
    missing = "ffmpeg, which decodes it, is not installed: run `sudo apt install ffmpeg`"
    expected = {
        "dangling.wav": "a link that leads nowhere",
        "folder.wav": "a folder without audio",
        "pipe.wav": "not a file",
        **dict.fromkeys(names, missing),
    }
    assert datasets.load(tmp_path).aside == tuple(sorted(expected.items()))


def test_only_what_looks_like_audio(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path / "nothing"))
    (tmp_path / "phone.m4a").write_bytes(b"sound of a phone")
    with pytest.raises(UsageError) as caught:
        datasets.load(tmp_path)
    assert str(caught.value).endswith(
        "(phone.m4a: ffmpeg, which decodes it, is not installed: run `sudo apt install ffmpeg`)."
    )


def test_with_ffmpeg_its_formats_are_clips(tmp_path, monkeypatch):
    tools = tmp_path / "tools"
    tools.mkdir()
    for name in ("ffmpeg", "ffprobe"):
        (tools / name).write_text("#!/bin/sh\n")
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", str(tools))
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "phone.m4a").write_bytes(b"sound of a phone")
    assert found(tmp_path / "data") == [("phone.m4a", ())]


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
