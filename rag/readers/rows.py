"""The rows of a CSV or TSV file, read so that a bad one spoils only itself.

A quotation mark that is never closed would swallow the rest of the file, so a row that runs on over
lines and then does not fit the header is refused, and reading goes on with the line below its
first. Called by the reader of tables.
"""

from __future__ import annotations

import csv
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_ROW_LINES = 2000  # an abstract in one cell runs over fewer lines
_FEWEST_LINES = 50  # that a row may have in a file in which many rows were never closed
_REGAINED_LINES = 10
_CELL_CHARS = 1 << 26


def rows(
    numbered: Iterator[tuple[int, str]], delimiter: str, width: int, *, quoted: bool
) -> Iterator[tuple[int, list[str] | str]]:
    """Each row's first line and its cells, or the reason why it is none.

    Args:
        numbered: the lines below the header, each with its number.
        delimiter: what sets cells apart.
        width: how many cells the header has.
        quoted: whether quotation marks hold cells together.
    """
    # The limit belongs to the process; it is only ever raised.
    csv.field_size_limit(max(csv.field_size_limit(), _CELL_CHARS))
    again: deque[tuple[int, str]] = deque()
    allowed = _ROW_LINES
    while True:
        used: list[tuple[int, str]] = []
        try:
            found = _noted(again, numbered, used, allowed)
            cells = next(reader(found, delimiter, quoted=quoted))
            problem = _misfit(cells, width, [line for _, line in used])
        except StopIteration:
            return
        except csv.Error as error:
            cells, problem = _mended(used, delimiter, width, str(error))
        # Each mark that is never closed costs as many lines as are allowed.
        allowed = min(allowed + _REGAINED_LINES, _ROW_LINES)
        if problem:
            again.extendleft(reversed(used[1:]))
            allowed = max(allowed // 2, _FEWEST_LINES) if len(used) > 1 else allowed
        yield used[0][0], problem or cells


def _noted(
    again: deque[tuple[int, str]],
    numbered: Iterator[tuple[int, str]],
    used: list[tuple[int, str]],
    allowed: int,
) -> Iterator[str]:
    """Lines for one row, those to be read again first, each noted in `used`."""
    while len(used) < allowed:
        each = again.popleft() if again else next(numbered, None)
        if each is None:
            return
        if not used and each[1].isspace():  # between rows
            continue
        used.append(each)
        yield each[1]


def reader(
    lines: Iterable[str], delimiter: str, *, quoted: bool = True, strict: bool = True
) -> Iterator[list[str]]:
    """The stdlib's reader; unless `strict`, it lets bare quotation marks pass."""
    if quoted:
        return csv.reader(lines, delimiter=delimiter, strict=strict)
    return csv.reader(lines, delimiter=delimiter, quoting=csv.QUOTE_NONE, strict=strict)


def _mended(
    used: list[tuple[int, str]], delimiter: str, width: int, error: str
) -> tuple[list[str], str]:
    """The cells of a row of one line with bare quotation marks inside a cell, or a problem."""
    if len(used) == 1 and "end of data" not in error:
        lines = [used[0][1]]
        with suppress(csv.Error):
            cells = next(reader(lines, delimiter, strict=False), [])
            return cells, _misfit(cells, width, lines)
    return [], f"the row cannot be read ({error}); check its quotation marks."


def _misfit(cells: list[str], width: int, lines: list[str]) -> str:
    """Why the cells cannot be a row under the header; "" if they can."""
    surplus = any(cell.strip() for cell in cells[width:])
    # Spreadsheets leave out empty cells at the end; a row over several lines, or cut off, is wrong.
    is_short = len(cells) < width and (len(lines) > 1 or not lines[-1].endswith("\n"))
    if cells and (surplus or is_short):
        return f"the row has {len(cells)} cells and the header {width}; check its quotation marks."
    return ""
