"""docs/formats.md says what the schemas say."""

from pathlib import Path

from edgesea.formats.reference import FILES, page

PAGE = Path(__file__).resolve().parents[2] / "docs" / "formats.md"


def test_the_page_is_made_from_the_schemas():
    assert PAGE.read_text() == page(), "run: python -m edgesea.formats.reference > docs/formats.md"


def test_every_entry_is_described():
    lines = [line for line in page().splitlines() if line.startswith("| `")]
    assert len(lines) > 100
    for line in lines:
        assert line.count("|") == 4
        assert line.split("|")[3].strip(), line
    assert all(f"## {file}\n" in page() for file, *_ in FILES)
