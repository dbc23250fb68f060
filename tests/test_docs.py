"""Every file that the documents link to or name is there."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = sorted(
    path.relative_to(ROOT).as_posix()
    for pattern in ("*.md", "docs/*.md", "benchmarks/results/*.md")
    for path in ROOT.glob(pattern)
)
PACKAGES = ("edgesea", "firmware_export")
FOLDERS = (*PACKAGES, "benchmarks", "constraints", "docs", "tests")

LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`\n]+)`")
PATH = re.compile(r"[\w.+-]+(?:/[\w.+-]+)*/?")
SOURCE = (".py", ".md", ".c", ".h", ".ld", ".cfg")

# Named in documents but made by edgesea, or lying in a folder that only developers have.
MADE = frozenset(
    [
        "MODEL_CARD.md",
        "main.c",
        "microphone.h",
        "firmware_model.h",
        "street.h",
        "street_frontend.h",
        "street_sounds.c",
        "street_sounds.h",
    ]
)


def text_of(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def anchors(text: str) -> set[str]:
    """The places that a link may point to, as GitHub and its like name them."""
    headings = re.findall(r"^#+ (.+)$", text, re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def missing_links(text: str, folder: Path) -> list[str]:
    missing = []
    for target in LINK.findall(text):
        if re.match(r"[a-z]+:", target):
            continue
        name, _, anchor = target.partition("#")
        path = folder / name if name else None
        if path is not None and not path.exists():
            missing.append(target)
            continue
        there = text if path is None else path.read_text(encoding="utf-8") if anchor else ""
        if anchor and anchor not in anchors(there):
            missing.append(target)
    return missing


def missing_names(text: str) -> list[str]:
    """Paths from the root, and sources by their bare name, in code spans, that the project does not have."""
    known = {
        path.name
        for folder in FOLDERS
        for path in (ROOT / folder).rglob("*")
        if path.suffix in SOURCE and "__pycache__" not in path.parts
    } | {path.name for path in ROOT.iterdir()}
    missing = []
    for span in CODE.findall(re.sub(r"```.*?```", "", text, flags=re.DOTALL)):
        for word in span.split():
            if not PATH.fullmatch(word) or word.startswith(".") or "NAME" in word:
                continue
            if word.split("/")[0] in FOLDERS and "/" in word:
                there = (ROOT / word).exists() or (ROOT / f"{word}.jinja").exists()
            elif word.endswith(SOURCE):
                there = Path(word).name in known | MADE
            else:
                continue
            if not there:
                missing.append(word)
    return missing


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_link_leads_somewhere(document):
    assert missing_links(text_of(document), (ROOT / document).parent) == []


@pytest.mark.parametrize("document", DOCUMENTS)
def test_every_file_that_is_named_exists(document):
    assert missing_names(text_of(document)) == []


def test_what_is_missing_is_found():
    assert missing_links("[a](docs/none.md) [b](README.md#none) [c](README.md#results)", ROOT) == [
        "docs/none.md",
        "README.md#none",
    ]
    assert missing_names(
        "`peers.md`, `edgesea/none/`, `plan/`, `README.md`, `edgesea/cli`, `config.toml`"
    ) == [
        "peers.md",
        "edgesea/none/",
    ]


def test_every_page_is_linked():
    linked = {
        (ROOT / document).parent.joinpath(target.partition("#")[0]).resolve()
        for document in DOCUMENTS
        for target in LINK.findall(text_of(document))
        if not re.match(r"[a-z]+:", target)
    }
    assert [page.name for page in sorted((ROOT / "docs").glob("*.md")) if page.resolve() not in linked] == []
