"""The arithmetic of decisions: against its definition in floating point, and case by case."""

import numpy as np
import pytest

from edgesea.listen import listen

RANDOM = np.random.default_rng(5)


def test_powers_of_two():
    assert listen.power(0) == 65535
    assert listen.power([256, 512, 31 << 8, 10**9]).tolist() == [32767, 16383, 0, 0]
    x = np.arange(0, 4096, 7)
    assert np.abs(listen.power(x) / 65535 - 2.0 ** (-x / 256)).max() < 2e-5
    # No entry is so near a half that another exp2 could round it otherwise.
    exact = 65535 * np.exp2(-np.arange(256) / 256)
    assert np.abs(exact % 1 - 0.5).min() > 1e-6


def test_pooling_is_the_mean_and_auto_pool():
    scores = RANDOM.integers(0, 256, (6, 40))
    mean = listen.pooled(scores, np.zeros(40, int))
    assert np.array_equal(mean, 256 * scores.sum(axis=0) // 6)
    alpha = 5.0
    weights = np.exp(alpha * scores / 256)
    expected = 256 * (scores * weights).sum(axis=0) / weights.sum(axis=0)
    found = listen.pooled(scores, np.full(40, round(alpha * 256 / np.log(2))))
    assert np.abs(found - expected).max() < 40  # of 65,536
    short = 256 * scores.max(axis=0) - listen.pooled(scores, np.full(40, 65535))
    assert short.min() >= 0
    assert short.max() < 3 * 256  # nearly the maximum


def heard(values, threshold=128 * 256, window=1, rest=0):
    detector = listen.Detector([0], [threshold], window, rest)
    events = [frame for frame, value in enumerate(values) if len(detector.hear([value]))]
    return events, detector.suppressed


def test_an_event_is_where_the_threshold_is_reached_anew():
    assert heard([0, 128, 200, 127, 128, 0, 255]) == ([1, 4, 6], 0)


def test_a_class_rests_after_an_event():
    values = [200, 0, 200, 0, 200, 0, 200]
    assert heard(values, rest=4) == ([0, 4], 2)
    assert heard(values, rest=100) == ([0], 3)


def test_the_window_smooths_and_begins_with_what_there_is():
    assert heard([255, 0, 0, 0], window=4) == ([0], 0)
    assert heard([0, 0, 255, 255, 255, 0, 0], window=4) == ([4], 0)


def memory(prototypes, labels, beta=256, k=3, unknown=-32768, head=0, names=("a", "b")):
    described = {"k": k, "beta": beta, "sharpness": 1000, "unknown": unknown}
    return listen.Memory(described, prototypes, labels, 3, head, names)


def test_similarity_is_the_cosine_of_the_real_values():
    prototypes = np.array([listen.scaled(row) for row in RANDOM.integers(-100, 100, (50, 32))])
    found = memory(prototypes, RANDOM.integers(0, 256, (50, 2)), k=1)
    for _ in range(50):
        embedding = RANDOM.integers(-128, 128, 32)
        query = embedding - 3
        cosine = prototypes @ query / np.linalg.norm(prototypes, axis=1) / np.linalg.norm(query)
        best = int(cosine.argmax())
        found.unknown = int(cosine[best] * 32768) - 8
        assert found.scores([], embedding)[-1] == 0
        assert found.scores([], embedding)[:2].tolist() == found.labels[best].tolist()
        found.unknown = int(cosine[best] * 32768) + 8
        assert found.scores([], embedding)[-1] == 255


def test_the_memory_is_mixed_with_the_head_by_beta():
    prototypes, labels = np.array([[127, 0], [0, 127]]), np.array([[200, 0, 0], [0, 200, 80]])
    half = memory(prototypes, labels, beta=128, k=1, head=2, names="abc")
    assert half.scores([100, 40], [3, 100])[:4].tolist() == [50, 120, 80, 0]
    alone = memory(prototypes, labels, beta=256, k=1, head=2, names="abc")
    assert alone.scores([100, 40], [3, 100])[:3].tolist() == [0, 200, 80]


def test_what_is_added_is_found_and_forgotten():
    found = memory(np.zeros((0, 4), int), np.zeros((0, 2), int), unknown=16384)
    assert not found.scores([], [9, 9, 9, 9]).any()  # without prototypes nothing is known or unknown
    embeddings = RANDOM.integers(60, 100, (5, 4))
    number = found.add("drill", embeddings)
    other = found.add("a", -embeddings)
    assert (number, other, found.names) == (1, 2, ["a", "b", "drill"])
    assert found.scores([], embeddings[0])[2] == 255
    assert found.scores([], [3 - 80, 3 - 80, 3 - 80, 3 - 80])[0] == 255
    assert found.remove(1)
    assert not found.remove(1)
    assert found.names == ["a", "b", ""]
    assert found.scores([], embeddings[0])[-1] == 255  # unknown again
    made = [found.add(f"c{i}", embeddings) for i in range(18)]
    assert made == [*range(3, 19), None, None]
    assert found.add("c3", embeddings, capacity=9) is None


@pytest.mark.parametrize("total", [[5, -3, 0], [1, 1, 1], [0, 0, 0], [-32000, 31999, 16000]])
def test_prototypes_have_a_largest_magnitude_of_127(total):
    values = listen.scaled(total)
    expected = 127 * np.array(total) / max(1, np.abs(total).max())
    assert np.abs(values - expected).max() <= 0.5
