"""Text that code puts together: a list of papers, fields of their records, or quoted sentences."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from rag.answer import Citation, Statement
from rag.citations.resolve import Numbering, render_statement

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rag.generation.draft import Draft
    from rag.generation.relevance import Entry
    from rag.papers import Paper
    from rag.verification import Quote

MOST_SHOWN = 100  # papers of one group. The heading counts all
_QUOTED = "a sentence of the abstract"  # the index keeps where each sentence stands


class TextBuilder:
    """Text and its statements, built part by part.

    Attributes:
        text: so far.
        statements: so far; titles of papers, and paragraphs that claim nothing.
    """

    def __init__(self, numbers: Mapping[str, int]) -> None:
        self.text = ""
        self.statements: list[Statement] = []
        self._numbering = Numbering(numbers)

    def add_paragraph(self, text: str) -> None:
        """Add a paragraph that claims nothing about a paper."""
        self.text += "\n\n" if self.text else ""
        self._add_statement(Statement(text, 0, 0, (), None, claim=False))

    def add_reply(self, draft: Draft) -> None:
        """Add the text of a model, with its statements."""
        blanks = len(draft.text) - len(draft.text.lstrip())
        self.text += "\n\n" if self.text else ""
        at = len(self.text) - blanks
        self.text += draft.text.strip()
        self.statements += [
            replace(each, start=at + each.start, end=at + each.end) for each in draft.statements
        ]

    def add_entries(self, entries: Sequence[Entry], least: str) -> None:
        """Add the papers that fit, then those that may; `least` stands before their counts."""
        fitting = [entry for entry in entries if entry.listed == "fits"]
        possible = [entry for entry in entries if entry.listed == "possible"]
        self._add_entries(fitting[:MOST_SHOWN])
        self._add_rest(len(fitting), least)
        if possible:
            self.add_paragraph(f"Possibly also ({least}{len(possible)}):")
            self._add_entries(possible[:MOST_SHOWN])
            self._add_rest(len(possible), least)

    def add_quotes(self, paper: Paper, quotes: Sequence[Quote], *, label: str = "") -> None:
        """Add sentences of an abstract under its paper. A label stands before the first one."""
        self.add_paragraph(paper.reference)
        for place, quote in enumerate(quotes):
            self._open_item(place)
            if label and not place:
                self._add_statement(Statement(label, 0, 0, (), None, claim=False))
                self.text += " "
            number = self._numbering.assign(paper)
            citation = Citation(number, paper, (quote,), "quoted", _QUOTED, "text")
            self._add_statement(Statement(quote.text, 0, 0, (citation,), "quoted"))

    def add_records(
        self, papers: Sequence[Paper], count: int, sentences: Sequence[Mapping[str, str]] = ()
    ) -> None:
        """Add papers by what their own records say.

        Args:
            papers: to add.
            count: of all papers that these are the first of.
            sentences: for each paper, field -> sentence. Without them its title stands there.
        """
        for place, paper in enumerate(papers):
            citation = Citation(
                self._numbering.assign(paper), paper, (), "record", "its record", "record"
            )
            said = sentences[place] if sentences else {"": paper.title}
            if self.text or count > 1 or not sentences:  # a single one is no list
                self._open_item(place)
            for at, (field, text) in enumerate(said.items()):
                reason = f"its record: {field}" if field else "its record"
                self.text += " " if at else ""
                self._add_statement(
                    Statement(text, 0, 0, (replace(citation, reason=reason),), "record")
                )
        self._add_rest(count)

    def _add_entries(self, entries: Sequence[Entry]) -> None:
        for place, entry in enumerate(entries):
            paper = entry.hit.paper
            citation = Citation(
                self._numbering.assign(paper),
                paper,
                entry.quotes,
                entry.verdict,
                entry.reason,
                entry.by,
                score=round(entry.relevance, 4),
            )
            self._open_item(place)
            self._add_statement(
                Statement(paper.title, 0, 0, (citation,), entry.verdict, listed=entry.listed)
            )

    def _open_item(self, place: int) -> None:
        blanks = "\n" if place else "\n\n" if self.text else ""
        self.text += f"{blanks}- "

    def _add_statement(self, statement: Statement) -> None:
        """Add a statement at the end of the text."""
        start = len(self.text)
        self.text += render_statement(statement.text, statement.citations)
        self.statements.append(replace(statement, start=start, end=len(self.text)))

    def _add_rest(self, count: int, least: str = "") -> None:
        """Say of how many papers of a group only the first are shown."""
        if count > MOST_SHOWN:
            self.add_paragraph(f"These are the first {MOST_SHOWN} of {least}{count}.")
