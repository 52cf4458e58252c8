"""Read the rows of a CSV or TSV file, so that a bad row affects only itself.

An unclosed quotation mark would swallow the rest of the file. So a row that cannot be parsed is
refused, and reading continues with the line after its first. Such a line may be part of the refused
row, so it must fit the header exactly to be read as a row.
"""

from __future__ import annotations

import csv
from collections import deque
from contextlib import suppress
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

_ROW_LINES = 2000  # an abstract in one cell has fewer lines
_FEWEST_LINES = 50  # most lines of a row in a file with many unclosed rows, at least
_REGAINED_LINES = 10
_CELL_CHARS = 1 << 26


class Shape(NamedTuple):
    """What is known of the rows of a table.

    Attributes:
        width: number of cells in the header.
        core: number of cells up to the last column that matters.
        checks: positions of cells that have a form of their own, such as years, with the function
            that returns whether a text has it.
    """

    width: int
    core: int
    checks: Sequence[tuple[int, Callable[[str], object]]]


def read_rows(
    numbered: Iterator[tuple[int, str]],
    delimiter: str,
    shape: Shape,
    read_header: Callable[[list[str]], Shape | None],
    *,
    quoted: bool,
) -> Iterator[tuple[int, list[str] | str]]:
    """Yield each row's first line with its cells or the reason for refusal.

    Args:
        numbered: lines below the header, with their numbers.
        delimiter: separates cells.
        shape: of the rows. One with more cells is read as far as the shape shows that they are in
            place.
        read_header: returns the shape of the rows below if a row is a further header.
        quoted: whether quotation marks enclose cells.
    """
    # The limit applies to the whole process, so only raise it.
    csv.field_size_limit(max(csv.field_size_limit(), _CELL_CHARS))
    again: deque[tuple[int, str]] = deque()
    allowed = _ROW_LINES
    is_doubtful = False  # the next line may be part of a refused row
    while True:
        used: list[tuple[int, str]] = []
        is_damaged = False
        try:
            found = _take_lines(again, numbered, used, allowed)
            cells, problem = next(make_reader(found, delimiter, quoted=quoted)), ""
        except StopIteration:
            return
        except csv.Error as error:
            cells, problem = _retry_lenient(used, delimiter, str(error))
            is_damaged = bool(problem)
        if cells and (below := read_header(cells)):
            shape = below
            continue
        problem = problem or _find_problem(cells, shape, used, is_doubtful=is_doubtful)
        # Each unclosed mark costs as many lines as are allowed.
        allowed = min(allowed + _REGAINED_LINES, _ROW_LINES)
        if problem and len(used) > 1 and (is_damaged or len(cells) < shape.width):
            is_damaged = True
            again.extendleft(reversed(used[1:]))
            allowed = max(allowed // 2, _FEWEST_LINES)
        is_doubtful = is_damaged or (is_doubtful and bool(problem or again))
        has_surplus = len(cells) > shape.width and any(map(str.strip, cells[shape.width :]))
        yield used[0][0], problem or (cells[: shape.core] if has_surplus else cells)


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
    used: list[tuple[int, str]], delimiter: str, error: str
) -> tuple[list[str], str]:
    """Return the cells of a one-line row with bare quotation marks in a cell, or a problem."""
    if len(used) == 1 and used[0][1].count('"') % 2 == 0:
        with suppress(csv.Error):
            return next(make_reader([used[0][1]], delimiter, strict=False), []), ""
    return [], f"cannot read the row ({error}). Check its quotation marks."


def _find_problem(
    cells: list[str], shape: Shape, used: list[tuple[int, str]], *, is_doubtful: bool
) -> str:
    """Return why the cells do not fit the header, or "" if they do."""
    width = shape.width
    if is_doubtful and not _is_whole(cells, shape):
        return "the line may belong to the row refused above. Check the quotation marks of both."
    has_surplus = any(cell.strip() for cell in cells[width:])
    # Spreadsheets omit empty cells at the end, but not in a row over several lines or a cut one.
    is_short = len(cells) < width and (len(used) > 1 or not used[-1][1].endswith("\n"))
    if cells and (is_short or (has_surplus and not _is_in_place(cells, shape))):
        return f"the row has {len(cells)} cells but the header {width}. Check its quotation marks."
    return ""


def _is_whole(cells: list[str], shape: Shape) -> bool:
    """Return whether cells are a row of their own, not the rest of another."""
    starts = any(cell.startswith(" ") for cell in cells[1:])
    is_split = starts or any('"' in cell for cell in cells)
    return len(cells) == shape.width and not is_split and all(_check_cells(cells, shape))


def _is_in_place(cells: list[str], shape: Shape) -> bool:
    """Return whether the cells that matter are in their columns although there are too many.

    A cell that starts with a blank follows a comma within a text.
    """
    is_split = any(cell.startswith(" ") for cell in cells[1 : shape.core + 1])
    fits = _check_cells(cells, shape)
    return not is_split and bool(fits) and all(fits)


def _check_cells(cells: list[str], shape: Shape) -> list[bool]:
    """Return for each filled cell that has a form of its own whether it is in that form."""
    found = ((cells[place], has_form) for place, has_form in shape.checks if place < len(cells))
    return [bool(has_form(cell)) for cell, has_form in found if cell.strip()]
