"""The README repeats tables of benchmarks/results word for word."""

import pytest

README = "README.md"


def tables(text):
    """The Markdown tables of a text, each a list of lines."""
    found, last = [], ""
    for line in text.splitlines():
        if line.startswith("|"):
            if not last.startswith("|"):
                found.append([])
            found[-1].append(line)
        last = line
    return found


@pytest.mark.parametrize("name", ["samplers_reducers", "paper_tables"])
def test_the_readme_shows_a_table_as_it_is_recorded(name, benchmarks):
    readme = tables((benchmarks.parent / README).read_text(encoding="utf-8"))
    recorded = tables((benchmarks / "results" / f"{name}.md").read_text(encoding="utf-8"))
    assert any(table in recorded for table in readme)
