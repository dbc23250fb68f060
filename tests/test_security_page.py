"""docs/security.md says what is so: its numbers are the code's, and the files that it names are there."""

import re
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PAGE = (ROOT / "docs" / "security.md").read_text(encoding="utf-8")
LIMITS = re.findall(r"^\| (.+?) \| ([\d,]+)(?: \w+)? \| `([\w.]+):(\w+)` \|$", PAGE, re.MULTILINE)


def test_the_table_of_limits_is_found_whole():
    rows = PAGE.partition("## Limits")[2].partition("## ")[0].count("\n| ") - 1
    assert len(LIMITS) == rows > 20


@pytest.mark.parametrize(("what", "number", "module", "name"), LIMITS)
def test_a_number_is_that_of_the_code(what, number, module, name):
    assert int(number.replace(",", "")) == getattr(import_module(module), name), what


def test_the_limits_of_a_models_process():
    from edgesea.sandbox import limits

    assert limits(0).memory_bytes == 768 << 20
    assert limits(1 << 20).memory_bytes == (768 + 8) << 20
    assert (limits(0).cpu_s, limits(1 << 20).cpu_s) == (4, 5)


def test_the_files_that_it_names_are_there():
    named = set(re.findall(r"`((?:edgesea|firmware_export|tests)/[\w/.]*)`", PAGE))
    assert len(named) > 25
    assert [each for each in sorted(named) if not (ROOT / each).exists()] == []


def test_its_lines_are_no_longer_than_elsewhere():
    assert [line for line in PAGE.splitlines() if len(line) > 115 and not line.startswith("|")] == []
