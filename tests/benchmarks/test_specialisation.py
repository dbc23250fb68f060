"""Specialised and general students: which clips they hear, and what is concluded of their scores."""

from collections import Counter

import pytest
import specialisation

from edgesea import datasets
from edgesea.datasets.manifest import Clip, Manifest

CLASSES = [*specialisation.PLACE, *(f"other-{number}" for number in range(40))]


@pytest.fixture
def domain(tmp_path):
    """32 clips of each of fifty classes."""
    clips = [Clip(tmp_path / f"{label}-{take}.wav", (label,)) for label in CLASSES for take in range(32)]
    return Manifest(tmp_path, tuple(clips), "fifty")


def labels(manifest, chosen):
    return Counter(manifest.clips[index].labels[0] for index in chosen)


def test_the_domains_are_as_large_and_of_what_they_are_called(domain):
    place, everywhere, elsewhere = (specialisation.drawn(domain, name, 0) for name in specialisation.DOMAINS)
    assert len(place) == len(everywhere) == len(elsewhere) == 320
    assert labels(domain, place) == dict.fromkeys(specialisation.PLACE, 32)
    assert set(labels(domain, everywhere)) == set(CLASSES)
    assert set(labels(domain, everywhere).values()) == {6, 7}
    assert labels(domain, elsewhere) == dict.fromkeys(CLASSES[10:], 8)


def test_another_seed_draws_other_clips_and_the_same_seed_the_same(domain):
    for name in specialisation.DOMAINS[1:]:
        first, again, other = (specialisation.drawn(domain, name, seed) for seed in (0, 0, 1))
        assert first == again != other


def test_a_table_of_a_domain_says_nothing_of_labels(domain, tmp_path):
    for clip in domain.clips[:3]:
        clip.path.write_bytes(b"")
    file = specialisation.chosen(domain, range(3), tmp_path / "clips.csv", labels=False)
    assert [clip.labels for clip in datasets.load(file).clips] == [()] * 3
    file = specialisation.chosen(domain, range(3), tmp_path / "labelled.csv", labels=True)
    assert [clip.labels for clip in datasets.load(file).clips] == [("airplane",)] * 3


def cells(place, everywhere):
    def row(size, accuracy):
        figures = {"accuracy": accuracy, "interval": {"low": 0.1, "high": 0.9}, "cka": accuracy / 2}
        figures |= {"teacher": 0.7, "clips": 47}
        return [{"weight_bytes": size, "the place": figures, "outside": figures}] * 2

    sizes = (8_000, 16_000, 64_000)
    return {
        domain: {
            name: row(size, score)
            for name, size, score in zip(specialisation.SIZES, sizes, scores, strict=True)
        }
        for domain, scores in (("place", place), ("everywhere", everywhere))
    }


@pytest.mark.parametrize(
    ("place", "bytes_"),
    [((0.3, 0.5, 0.6), 32_000), ((0.2, 0.3, 0.4), None), ((0.6, 0.6, 0.6), 8_000), ((0.5, 0.3, 0.6), 32_000)],
)
def test_how_small_a_students_scores_allow(place, bytes_):
    found = specialisation.same_score(cells(place, (0.1, 0.2, 0.55)), "place", "everywhere", "accuracy")
    assert found == (None if bytes_ is None else pytest.approx(bytes_))


def test_the_smallest_may_be_more_than_is_needed():
    said = specialisation.conclusion({"cells": cells((0.6, 0.6, 0.7), (0.1, 0.2, 0.55))})
    assert "by accuracy, with at most 8,000 bytes (12%)" in said
    said = specialisation.conclusion({"cells": cells((0.1, 0.2, 0.3), (0.1, 0.2, 0.55))})
    assert said.endswith("by accuracy, with none of these sizes; by CKA, with none of these sizes.")


def test_the_page_says_how_much_smaller(tmp_path):
    result = {"teacher": "yamnet", "clips": 320, "frames": 100, "epochs": 2}
    result["cells"] = cells((0.3, 0.5, 0.6), (0.1, 0.2, 0.55))
    page = " ".join(specialisation.report(result).split())
    assert "the one of everywhere does with 64,000 bytes: by accuracy, with 32,000 bytes (50%)" in page
    assert "0.700 on 47 clips of the place" in page
    assert "| place | tiny | 8,000 | 2 | 0.300 [0.100, 0.900] | 0.000 | 0.150 |" in page
    specialisation.plot(result, tmp_path / "picture.png")
    assert (tmp_path / "picture.png").read_bytes().startswith(b"\x89PNG")
