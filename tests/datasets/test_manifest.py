"""Manifests, the split by group, and `datasets.load` on what is no dataset."""

import shutil
from collections import Counter
from dataclasses import replace
from datetime import datetime

import numpy as np
import pytest
import soundfile
from hypothesis import given, settings
from hypothesis import strategies as st

from edgesea import datasets
from edgesea.datasets import Clip, Manifest, split_groups
from edgesea.errors import UsageError


def manifest(root, *labels):
    root.mkdir(exist_ok=True)
    for i in range(len(labels)):
        soundfile.write(root / f"{i}.wav", np.full(100, 0.1), 8000)
    return Manifest(
        root, tuple(Clip(root / f"{i}.wav", tuple(label)) for i, label in enumerate(labels)), "some"
    )


def test_a_file_is_its_own_group(tmp_path):
    assert Clip(tmp_path / "a.wav").group == str(tmp_path / "a.wav")
    assert Clip(tmp_path / "a.wav", group="here").group == "here"


def test_labels(tmp_path):
    some = manifest(tmp_path, ["dog"], ["voice", "dog"], [], ["alarm"])
    assert some.labels == ("alarm", "dog", "voice")
    assert some.multilabel
    assert len(some) == 4
    assert not some.select([0, 2, 3], "few").multilabel
    assert some.select([3, 0], "few").labels == ("alarm", "dog")


def test_fingerprint_follows_the_content_not_the_place(tmp_path):
    some = manifest(tmp_path / "a", ["dog"], ["cat"])
    shutil.copytree(tmp_path / "a", tmp_path / "b")
    elsewhere = Manifest(
        tmp_path / "b",
        tuple(Clip(tmp_path / "b" / clip.path.name, clip.labels) for clip in some.clips),
        "other",
    )
    assert len(some.fingerprint) == 64
    assert elsewhere.fingerprint == some.fingerprint

    first = some.clips[0]
    changes = [
        replace(first, labels=("dog", "cat")),
        replace(first, group="g"),
        replace(first, start=0.5),
        replace(first, end=0.5),
        replace(first, level_db=60.0),
        replace(first, timestamp=datetime(2024, 5, 1)),
        replace(first, sensor="s"),
        replace(first, fold=1),
        replace(first, path=tmp_path / "a" / "1.wav"),
    ]
    prints = {replace(some, clips=(clip, some.clips[1])).fingerprint for clip in changes}
    prints |= {some.fingerprint, replace(some, clips=some.clips[::-1]).fingerprint}
    assert len(prints) == len(changes) + 2
    with open(first.path, "ab") as file:
        file.write(b"more")
    assert replace(some).fingerprint not in prints


groups_of_items = st.lists(st.integers(0, 30).map(str), min_size=1, max_size=200)


@settings(max_examples=200, deadline=None)
@given(groups_of_items, st.integers(0, 5), st.randoms(use_true_random=False))
def test_no_group_is_torn_apart(groups, seed, random):
    fractions = {"train": 0.7, "validation": 0.1, "held-out": 0.2}
    if len(set(groups)) < 3:
        with pytest.raises(UsageError, match=rf"Cannot split {len(set(groups))} recordings into 3 parts"):
            split_groups(groups, fractions, seed)
        return
    parts = split_groups(groups, fractions, seed)
    assert list(parts) == list(fractions)
    assert sorted(index for part in parts.values() for index in part) == list(range(len(groups)))
    owners = {name: {groups[i] for i in part} for name, part in parts.items()}
    assert sum(len(owner) for owner in owners.values()) == len(set(groups))
    assert all(owners.values())
    assert all(part == sorted(part) for part in parts.values())
    # The order of the items does not matter.
    shuffled = list(groups)
    random.shuffle(shuffled)
    again = split_groups(shuffled, fractions, seed)
    assert {name: {shuffled[i] for i in part} for name, part in again.items()} == owners


def test_parts_have_their_sizes():
    rng = np.random.default_rng(0)
    groups = [f"g{i}" for i, size in enumerate(rng.integers(1, 8, 300)) for _ in range(size)]
    parts = split_groups(groups, {"train": 0.7, "validation": 0.1, "held-out": 0.2}, 3)
    for name, share in (("train", 0.7), ("validation", 0.1), ("held-out", 0.2)):
        assert len(parts[name]) / len(groups) == pytest.approx(share, abs=8 / len(groups))


def test_a_seed_is_a_split():
    groups = [str(i) for i in range(100)]
    halves = {"a": 0.5, "b": 0.5}
    assert split_groups(groups, halves, 1) == split_groups(groups, halves, 1)
    assert split_groups(groups, halves, 1) != split_groups(groups, halves, 2)
    # Every item is in either half about as often.
    often = Counter(index for seed in range(200) for index in split_groups(groups, halves, seed)["a"])
    assert min(often.values()) > 60
    assert max(often.values()) < 140


@pytest.mark.parametrize("fractions", [{}, {"a": 0.5, "b": 0.4}, {"a": 1.5, "b": -0.5}, {"a": 1.0, "b": 0.0}])
def test_refuses_impossible_fractions(fractions):
    with pytest.raises(UsageError, match="each must be above 0 and their sum 1"):
        split_groups(["x", "y", "z"], fractions)


def test_loads_only_what_is_data(tmp_path):
    with pytest.raises(UsageError) as caught:
        datasets.load(tmp_path / "nowhere")
    assert str(caught.value) == (
        f"There is no data at {tmp_path / 'nowhere'}: give a folder of audio, a recording or a CSV table."
    )
    (tmp_path / "notes.txt").write_text("hello")
    with pytest.raises(UsageError) as caught:
        datasets.load(str(tmp_path / "notes.txt"))
    assert str(caught.value) == (
        f"Received {tmp_path / 'notes.txt'} as data: give a folder of audio, a recording or a CSV table."
    )
