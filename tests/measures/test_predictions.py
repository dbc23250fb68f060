"""Fidelity and calibration of class predictions, against loops and known values."""

import math

import numpy as np
import pytest

from edgesea.measures import fidelity, predictions

rng = np.random.default_rng(4)
TEACHER = predictions.softmax(rng.normal(0, 2, (60, 5)))
STUDENT = predictions.softmax(rng.normal(0, 2, (60, 5)))
TRUTH = rng.integers(5, size=60)
GROUPS = np.arange(60) // 4


def test_agreement_and_divergence_in_loops():
    same = [
        max(range(5), key=t.__getitem__) == max(range(5), key=s.__getitem__)
        for t, s in zip(TEACHER, STUDENT, strict=True)
    ]
    assert predictions.agreement(TEACHER, STUDENT) == sum(same) / 60
    apart = [
        sum(a * math.log(a / b) for a, b in zip(t, s, strict=True))
        for t, s in zip(TEACHER, STUDENT, strict=True)
    ]
    np.testing.assert_allclose(predictions.divergence(TEACHER, STUDENT), apart, rtol=1e-9)
    found = predictions.fidelity(TEACHER, STUDENT, GROUPS)
    for key, value in (("agreement", sum(same) / 60), ("predictive_kl", sum(apart) / 60)):
        assert found[key]["value"] == pytest.approx(value)
        assert found[key]["low"] < found[key]["value"] < found[key]["high"]


def test_a_student_that_equals_its_teacher():
    found = predictions.fidelity(TEACHER, TEACHER)
    assert found == {
        "agreement": {"value": 1.0, "low": None, "high": None},
        "predictive_kl": {"value": 0.0, "low": None, "high": None},
    }


def test_calibration_in_loops():
    found = predictions.calibration(TRUTH, STUDENT, GROUPS)
    squares, bins = [], {}
    for y, p in zip(TRUTH, STUDENT, strict=True):
        squares.append(sum((p[c] - (c == y)) ** 2 for c in range(5)))
        k = next(k for k in range(10) if max(p) <= (k + 1) / 10 + 1e-15)
        bins.setdefault(k, []).append((max(p), int(np.argmax(p)) == y))
    error = sum(abs(sum(r for _, r in held) - sum(c for c, _ in held)) for held in bins.values()) / 60
    assert found["brier"]["value"] == pytest.approx(sum(squares) / 60)
    assert found["ece"]["value"] == pytest.approx(error)
    assert [each["count"] for each in found["reliability"]] == [len(bins.get(k, ())) for k in range(10)]
    assert sum(each["count"] for each in found["reliability"]) == 60
    k = max(bins, key=lambda k: len(bins[k]))
    assert found["reliability"][k]["confidence"] == pytest.approx(sum(c for c, _ in bins[k]) / len(bins[k]))


def test_one_that_is_sure_and_right_is_calibrated_and_one_that_is_sure_and_wrong_is_not():
    sure = np.eye(5)[TRUTH]
    right, wrong = predictions.calibration(TRUTH, sure), predictions.calibration((TRUTH + 1) % 5, sure)
    assert (right["ece"]["value"], right["brier"]["value"], right["accuracy"]["value"]) == (0, 0, 1)
    assert (wrong["ece"]["value"], wrong["brier"]["value"], wrong["accuracy"]["value"]) == (1, 2, 0)


def test_cka_knows_rotation_and_scale_and_takes_other_dimensions():
    x = rng.normal(0, 1, (80, 6))
    rotation = np.linalg.qr(rng.normal(0, 1, (6, 6)))[0]
    assert fidelity.cka(x, 3 * x @ rotation + 5) == pytest.approx(1)
    y = rng.normal(0, 1, (80, 3))
    # Of the kernels, centred: tr(KHLH) over the roots of tr(KHKH) and tr(LHLH).
    h = np.eye(80) - 1 / 80
    k, gram = x @ x.T, y @ y.T
    wanted = np.trace(k @ h @ gram @ h) / math.sqrt(np.trace(k @ h @ k @ h) * np.trace(gram @ h @ gram @ h))
    assert fidelity.cka(x, y) == pytest.approx(wanted, rel=1e-9)
    assert np.isnan(fidelity.cka(x, np.full((80, 2), 0.1)))
