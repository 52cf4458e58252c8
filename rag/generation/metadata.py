"""Writer of answers from the records: every paper that a filter lets through.

"Papers published in 2021" asks for no subject, so nothing is searched for or decided. Each entry
rests on the paper's own record.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rag.answer import Text, Verified
from rag.generation.draft import Draft, shown_numbers
from rag.generation.listing import ListText

if TYPE_CHECKING:
    from collections.abc import Generator, Sequence

    from rag.answer import AnswerEvent, Turn
    from rag.index import Filter
    from rag.papers import Paper


def write_metadata(
    papers: Sequence[Paper], count: int, where: Filter | None, history: Sequence[Turn]
) -> Generator[AnswerEvent, None, Draft]:
    """Yield the list of the papers as text and return the draft.

    Args:
        papers: first ones that the filter lets through, at most `MOST_SHOWN`. None of them gives a
            sentence that says so.
        count: of all that it lets through.
        where: the filter, None for the whole library.
        history: earlier turns, whose papers keep their numbers.
    """
    counted = f"{count or 'no'} paper{'s' * (count != 1)}"
    writer = ListText(shown_numbers(history))
    writer.add_paragraph(f"The library has {counted}" + (f" {where}." if where else "."))
    writer.add_records(papers, count)
    yield Text(writer.text)
    statements = tuple(writer.statements)
    yield Verified(statements)
    return Draft(writer.text, statements)
