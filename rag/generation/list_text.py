"""The writer of lists: every paper that fits a question, each with the sentence that says so.

The list is put together by code, with or without a language model: a heading that counts, the
papers that fit, those that may, and how that was decided. Its statements are titles; their
citations quote the sentence, and the verdict says how sure it is that the paper fits.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from rag.answer import Citation, Statement
from rag.citations.resolve import shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rag.citations.resolve import Numbering
    from rag.papers import Paper
    from rag.verification import Quote

MOST_SHOWN = 100  # papers of one group; the heading counts all


@dataclass(frozen=True, slots=True)
class Entry:
    """A paper of a list.

    Attributes:
        paper: listed.
        quotes: the sentences that say that it fits; () where only its title is known.
        verdict: "supported" where it fits, "partly" where it may; None where nothing had to be
            decided, as in a list of the whole library.
        reason: why, in one clause.
        by: what decided.
    """

    paper: Paper
    quotes: tuple[Quote, ...]
    verdict: Literal["supported", "partly"] | None
    reason: str
    by: str


def written_list(
    entries: Sequence[Entry], heading: str, how: str, numbering: Numbering
) -> tuple[str, tuple[Statement, ...]]:
    """The text of a list and its statements.

    Args:
        entries: in order, those that fit and those that may.
        heading: the sentence that counts.
        how: a sentence on how it was decided; may be empty.
        numbering: gives the shown numbers.
    """
    possible = [entry for entry in entries if entry.verdict == "partly"]
    writer = _Writer(numbering)
    writer.say(heading)
    writer.list_papers([entry for entry in entries if entry.verdict != "partly"])
    if possible:
        writer.say(f"Possibly also ({len(possible)}):")
        writer.list_papers(possible)
    if how:
        writer.say(how)
    return writer.text, tuple(writer.statements)


def heading(entries: Sequence[Entry], looked_at: int, among: int, subject: str) -> str:
    """The sentence that counts the papers of a list.

    Args:
        entries: those that fit and those that may.
        looked_at: papers that were looked at, the nearest ones.
        among: papers that there are.
        subject: that they fit.
    """
    possible = sum(entry.verdict == "partly" for entry in entries)
    sure = len(entries) - possible
    papers = f"the {among} papers"
    if looked_at < among:
        papers = f"the {looked_at} nearest of {among} papers"
    fits = "fit" if sure > 1 else "fits" if sure else "surely fits"
    fit = f"{sure or 'None'} of {papers} {fits} “{subject}”"
    if among == 1:
        fits = "fits" if sure else "does not surely fit"
        fit = f"The one paper that there is {fits} “{subject}”"
    more = "more may" if sure else "may"
    return f"{fit}, {possible} {more}." if possible else f"{fit}."


class _Writer:
    def __init__(self, numbering: Numbering) -> None:
        self.text = ""
        self.statements: list[Statement] = []
        self._numbering = numbering
        self._in_list = False

    def say(self, text: str) -> None:
        """A paragraph that claims nothing about a paper."""
        self.text += "\n\n" if self.text else ""
        start = len(self.text)
        self.text += text
        self.statements.append(Statement(text, start, len(self.text), (), None, claim=False))
        self._in_list = False

    def list_papers(self, entries: Sequence[Entry]) -> None:
        """A list of them, cut off where it is too long to read."""
        for entry in entries[:MOST_SHOWN]:
            self._list(entry)
        if len(entries) > MOST_SHOWN:
            self.say(f"... and {len(entries) - MOST_SHOWN} more.")

    def _list(self, entry: Entry) -> None:
        self.text += "\n- " if self._in_list else "\n\n- "
        self._in_list = True
        start = len(self.text)
        citation = Citation(
            self._numbering.of(entry.paper),
            entry.paper,
            entry.quotes,
            entry.verdict,
            entry.reason,
            entry.by,
        )
        self.text += shown(entry.paper.title, (citation,))
        self.statements.append(
            Statement(
                entry.paper.title,
                start,
                len(self.text),
                (citation,),
                entry.verdict,
                claim=entry.verdict is not None,
                listed="possible" if entry.verdict == "partly" else "fits",
            )
        )
