"""Tables that a model writes in Markdown, as aligned columns of a terminal."""

from __future__ import annotations

import re

from rich import box
from rich.table import Table
from rich.text import Text

TABLE = re.compile(r"(?m)^[ \t]*\|.*(?:\n[ \t]*\|.*)*")
IS_OVER = re.compile(r"\n[ \t]*[^|\s]|\n[ \t]*\n")  # what follows the last row
_RULE = re.compile(r"[\s|:-]*-[\s|:-]*")
_CELL_END = re.compile(r"(?<!\\)\|")


def build_table(markdown: str) -> Table | None:
    """Return a Markdown table for rich, or None if its second row is no rule."""
    first, *rows = markdown.splitlines()
    if not rows or not _RULE.fullmatch(rows[0]):
        return None
    table = Table(box=box.SQUARE, show_lines=True)
    for name in _split_row(first):
        table.add_column(name)
    for row in rows[1:]:
        table.add_row(*_split_row(row))
    return table


def _split_row(row: str) -> list[Text]:
    cells = _CELL_END.split(row.strip().removeprefix("|"))
    cells = cells if cells[-1].strip() else cells[:-1]
    return [Text(cell.strip().replace(r"\|", "|"), overflow="fold") for cell in cells]
