"""Read the rows of a CSV or TSV file, so that a bad row affects only itself.

An unclosed quotation mark would swallow the rest of the file. So a row over several lines that does
not fit the header is refused, and reading continues with the line after its first.
"""

from __future__ import annotations

import csv
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_ROW_LINES = 2000  # an abstract in one cell has fewer lines
_FEWEST_LINES = 50  # most lines of a row in a file with many unclosed rows, at least
_REGAINED_LINES = 10
_CELL_CHARS = 1 << 26


def read_rows(
    numbered: Iterator[tuple[int, str]], delimiter: str, width: int, *, quoted: bool
) -> Iterator[tuple[int, list[str] | str]]:
    """Yield each row's first line with its cells or the reason for refusal.

    Args:
        numbered: lines below the header, with their numbers.
        delimiter: separates cells.
        width: number of cells in the header.
        quoted: whether quotation marks enclose cells.
    """
    # The limit applies to the whole process, so only raise it.
    csv.field_size_limit(max(csv.field_size_limit(), _CELL_CHARS))
    again: deque[tuple[int, str]] = deque()
    allowed = _ROW_LINES
    while True:
        used: list[tuple[int, str]] = []
        try:
            found = _take_lines(again, numbered, used, allowed)
            cells = next(make_reader(found, delimiter, quoted=quoted))
            problem = _check_width(cells, width, [line for _, line in used])
        except StopIteration:
            return
        except csv.Error as error:
            cells, problem = _retry_lenient(used, delimiter, width, str(error))
        # Each unclosed mark costs as many lines as are allowed.
        allowed = min(allowed + _REGAINED_LINES, _ROW_LINES)
        if problem:
            again.extendleft(reversed(used[1:]))
            allowed = max(allowed // 2, _FEWEST_LINES) if len(used) > 1 else allowed
        yield used[0][0], problem or cells


def _take_lines(
    again: deque[tuple[int, str]],
    numbered: Iterator[tuple[int, str]],
    used: list[tuple[int, str]],
    allowed: int,
) -> Iterator[str]:
    """Yield lines for one row, first those to read again, and append each to `used`."""
    while len(used) < allowed:
        each = again.popleft() if again else next(numbered, None)
        if each is None:
            return
        if not used and each[1].isspace():  # between rows
            continue
        used.append(each)
        yield each[1]


def make_reader(
    lines: Iterable[str], delimiter: str, *, quoted: bool = True, strict: bool = True
) -> Iterator[list[str]]:
    """Make a `csv.reader`. Unless `strict`, it accepts bare quotation marks."""
    if quoted:
        return csv.reader(lines, delimiter=delimiter, strict=strict)
    return csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE, strict=strict)


def _retry_lenient(
    used: list[tuple[int, str]], delimiter: str, width: int, error: str
) -> tuple[list[str], str]:
    """Return the cells of a one-line row with bare quotation marks in a cell, or a problem."""
    if len(used) == 1 and "end of data" not in error:
        lines = [used[0][1]]
        with suppress(csv.Error):
            cells = next(make_reader(lines, delimiter, strict=False), [])
            return cells, _check_width(cells, width, lines)
    return [], f"cannot read the row ({error}). Check its quotation marks."


def _check_width(cells: list[str], width: int, lines: list[str]) -> str:
    """Return why the cells do not fit the header, or "" if they do."""
    surplus = any(cell.strip() for cell in cells[width:])
    # Spreadsheets omit empty cells at the end, but not in a row over several lines or a cut one.
    is_short = len(cells) < width and (len(lines) > 1 or not lines[-1].endswith("\n"))
    if cells and (surplus or is_short):
        return f"the row has {len(cells)} cells but the header {width}. Check its quotation marks."
    return ""
