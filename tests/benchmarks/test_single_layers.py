"""The sweep of single layers: nothing sticks out of its neighbourhood, and what that means."""

import json

import layers
import pytest

RESULTS = json.loads((layers.RESULTS / "layers.json").read_text(encoding="utf-8"))


def points(*costs: tuple[int, int]) -> list[dict]:
    return [{"size": str(work), "work": work, "cortex-m4": cost} for work, cost in costs]


def test_a_layer_sticks_out_by_what_its_neighbours_need_less():
    # A quarter of the next one's work for three quarters of its cost a multiply-accumulate is no cliff.
    assert layers.sticking(points((100, 300), (400, 400)), "cortex-m4") == pytest.approx([0.75, 1 / 3])
    # The same work as twice the size: dearer in all, and then dearer a multiply-accumulate.
    assert layers.sticking(points((100, 800), (200, 400)), "cortex-m4") == pytest.approx([2, 0.25])
    assert layers.sticking(points((100, 100), (200, 600)), "cortex-m4") == pytest.approx([1 / 6, 3])


def test_every_layer_was_measured():
    wanted = {(layer.sweep, layer.size, layer.work) for make in layers.FAMILIES.values() for layer in make()}
    found = {
        (sweep, point["size"], point["work"])
        for sweep, line in RESULTS["after"]["sweeps"].items()
        for point in line
        if all(core in point for core in layers.CORES)
    }
    assert wanted == found


@pytest.mark.parametrize("core", layers.CORES)
@pytest.mark.parametrize("sweep", list(RESULTS["after"]["sweeps"]))
def test_nothing_sticks_out_of_its_neighbourhood(sweep, core):
    line = RESULTS["after"]["sweeps"][sweep]
    far = {
        point["size"]: round(out, 2)
        for point, out in zip(line, layers.sticking(line, core), strict=True)
        if out > layers.LARGEST
    }
    assert far == {}


def test_the_page_is_what_the_script_writes():
    assert layers.report(RESULTS) == (layers.RESULTS / "layers.md").read_text(encoding="utf-8")
