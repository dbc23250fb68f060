"""The table of objectives: made from its cells, the mean over seeds, and what there is alone."""

import objectives


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
    cells = [cell("kd", 0, 0.5, 0.3), cell("sea", 0, 0.7, 0.5)]
    page = objectives.report({"device": {"separable-s": {}}, "cells": cells})
    assert "separable-s, 1,234 parameters, 32-d; 2,048 frames, 8 epochs; 64 clips scored" in page
    board = {"weight_bytes": 1300, "arena_bytes": 2048, "instructions": 1_000_000}
    page = objectives.report({"device": {"separable-s": board}, "cells": cells})
    assert "32-d; on a Cortex-M4 1,300 bytes of weights, an arena of 2,048 bytes, 1,000,000 instr" in page
    assert page.index("| `sea` |") < page.index("| `kd` |")
