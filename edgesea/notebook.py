"""How results show themselves: as text at a prompt, as a table in a notebook."""

from collections.abc import Iterable, Sequence
from html import escape


def described(title: str, rows: Iterable[Sequence[str]]) -> str:
    """The title, and below it a line a row: its first cell, a colon, the others."""
    lines = [f"  {row[0]}: {' '.join(cell for cell in row[1:] if cell)}" for row in rows]
    return "\n".join([title, *lines])


def html(title: str, columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table; every cell is text, whatever it holds.

    Parameters
    ----------
    title : above the table
    columns : their names; empty for a table without
    rows : a cell for each column
    """

    def line(kind: str, cells: Iterable[str]) -> str:
        return "<tr>" + "".join(f"<{kind}>{escape(str(cell))}</{kind}>" for cell in cells) + "</tr>"

    head = f"<thead>{line('th', columns)}</thead>" if columns else ""
    body = "".join(line("td", row) for row in rows)
    return f"<table><caption>{escape(title)}</caption>{head}<tbody>{body}</tbody></table>"
