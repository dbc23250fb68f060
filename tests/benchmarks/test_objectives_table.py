"""The table of objectives: made from its cells, the mean over seeds, and what there is alone."""

import json

import objectives
import pytest


def cell(objective, seed, accuracy, cka, said=True):
    figures = {"r2": 0.1, "cosine": 0.2, "cka": cka, "knn_overlap": 0.4, "frames": 9}
    return {
        "sound": "street",
        "objective": objective,
        "seed": seed,
        "student": "separable-s",
        "dim": 32,
        "frames": 2048,
        "epochs": 8,
        "parameters": 1234,
        "seconds": 3.0,
        "processor_s": 10.0 + seed,
        "parts": [{"part": name, "float": figures, "int8": figures} for name in ("d", "h", "u")],
        "task": {
            "metric": "accuracy",
            "teacher": 0.8,
            "float": accuracy,
            "int8": accuracy,
            "clips": 64,
            "intervals": {"int8": {"low": 0.1, "high": 0.9}},
            "predictions": {"int8": {"agreement": {"value": 0.7}, "predictive_kl": {"value": 0.5}}}
            if said
            else {},
        },
    }


def test_a_row_is_the_mean_over_seeds_with_the_first_ones_interval():
    found = objectives.row([cell("kd", 1, 0.5, 0.3), cell("kd", 0, 0.7, 0.5)])
    assert found == (
        "| `kd` | 2 | 0.600 [0.100, 0.900] ± 0.100 | 0.700 | 0.500 | 0.100 | 0.400 | 0.400 | 0.400 | 10 |"
    )
    assert "± " not in objectives.row([cell("kd", 0, 0.7, 0.5)])
    assert "| – | – |" in objectives.row([cell("kd", 0, 0.7, 0.5, said=False)])


def test_the_page_has_the_objectives_in_the_order_of_the_script():
    page = objectives.report([cell("kd", 0, 0.5, 0.3), cell("sea", 0, 0.7, 0.5)])
    assert "separable-s, 1,234 parameters, 32-d; 2,048 frames, 8 epochs; 64 clips scored" in page
    assert page.index("| `sea` |") < page.index("| `kd` |")


def test_the_page_is_made_of_the_results():
    held = objectives.RESULTS / "objectives.json"
    if not held.is_file():
        pytest.skip("objectives.json was not measured yet")
    page = objectives.report(json.loads(held.read_text()))
    assert (objectives.RESULTS / "objectives.md").read_text() == page
