"""Labels and units of figures: in one place, and every figure that is shown has one."""

import re
from pathlib import Path

import pytest

from edgesea.measures.figures import FIDELITY, MEASURED, at

PACKAGE = Path(__file__).resolve().parents[2] / "edgesea"


def test_what_is_not_there_is_none():
    assert at({"a": {"b": 3}}, "a.b") == 3
    assert at({"a": 3}, "a.b") is None
    assert at({}, "a") is None


def test_a_unit_agrees_with_the_name_of_its_figure():
    for place, figure in MEASURED.items():
        assert (figure.unit == "bytes") == place.endswith("_bytes"), place
        assert (figure.unit == "ms") == place.startswith("latency_ms."), place


@pytest.mark.parametrize("label", sorted({f.label for f in (*MEASURED.values(), *FIDELITY.values())}))
def test_no_label_is_written_a_second_time(label):
    """A label of several words stands in quotes in figures.py alone."""
    if " " not in label:
        pytest.skip("one word may be anything")
    found = [
        path.relative_to(PACKAGE).as_posix()
        for path in PACKAGE.rglob("*.py")
        if re.search(rf"[\"']{re.escape(label)}[\"',]", path.read_text(encoding="utf-8"))
    ]
    assert found == ["measures/figures.py"]
