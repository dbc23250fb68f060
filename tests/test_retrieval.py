"""The memory beside a student, against loops, and at its ends."""

import math

import numpy as np
import pytest

from edgesea.retrieval import Memory

rng = np.random.default_rng(6)
TARGETS, VALUES = rng.normal(0, 1, (40, 5)), rng.dirichlet(np.ones(3), 40)
QUERIES, OWN = rng.normal(0, 1, (7, 5)), rng.dirichlet(np.ones(3), 7)


def cosine(a, b):
    dot = sum(x * y for x, y in zip(a, b, strict=True))
    return dot / math.sqrt(sum(x * x for x in a) * sum(y * y for y in b))


@pytest.mark.parametrize("k", [1, 4, 99])
def test_what_is_retrieved_is_the_papers(k):
    found = Memory.of(TARGETS, VALUES, 40).retrieved(QUERIES, k, 0.2)
    for query, row in zip(QUERIES, found, strict=True):
        alike = [cosine(query, target) for target in TARGETS]
        near = sorted(range(40), key=lambda j: -alike[j])[:k]
        powers = [math.exp(alike[j] / 0.2) for j in near]
        wanted = [
            sum(p * VALUES[j][c] for p, j in zip(powers, near, strict=True)) / sum(powers) for c in range(3)
        ]
        np.testing.assert_allclose(row, wanted, rtol=1e-9)


def test_with_beta_one_it_is_the_student_alone_and_with_zero_the_memory():
    memory = Memory.of(TARGETS, VALUES, 40)
    told = {"neighbours": 4, "temperature": 0.2}
    np.testing.assert_array_equal(memory.mixed(OWN, QUERIES, beta=1.0, **told), OWN)
    np.testing.assert_array_equal(
        memory.mixed(OWN, QUERIES, beta=0.0, **told), memory.retrieved(QUERIES, 4, 0.2)
    )
    half = memory.mixed(OWN, QUERIES, beta=0.5, **told)
    np.testing.assert_allclose(half, (OWN + memory.retrieved(QUERIES, 4, 0.2)) / 2)
    np.testing.assert_allclose(half.sum(axis=1), 1)


def test_few_entries_are_real_frames_of_every_cluster():
    centres = np.eye(5)[:4] * 10
    frames = np.concatenate([centre + rng.normal(0, 0.3, (25, 5)) for centre in centres])
    values = np.repeat(np.eye(4), 25, axis=0)
    memory = Memory.of(frames, values, 4)
    assert sorted(memory.values.argmax(axis=1)) == [0, 1, 2, 3]
    unit = frames / np.linalg.norm(frames, axis=1, keepdims=True)
    assert all(np.isclose(unit, key).all(axis=1).any() for key in memory.keys)
    again = Memory.of(frames, values, 4)
    np.testing.assert_array_equal(again.keys, memory.keys)


def test_equal_frames_are_entered_once():
    memory = Memory.of(np.ones((30, 5)), np.full((30, 3), 1 / 3), 8)
    assert 1 <= len(memory.keys) <= 8
