"""Values of a cited text: a statement and its citations."""

from __future__ import annotations

from dataclasses import dataclass, fields, is_dataclass
from typing import TYPE_CHECKING, Any, Literal

from rag.verification.verdict import NO_REASON

if TYPE_CHECKING:
    from rag.papers import Paper
    from rag.verification import Quote, Verdict

Standing = Literal["current", "changed", "gone"]


@dataclass(frozen=True, slots=True, repr=False)
class Citation:
    """Paper that one statement cites.

    Attributes:
        number: shown to readers: 1, 2, ... in order of first use.
        paper: cited.
        quotes: sentences of its abstract, or its title, that the citation rests on.
        verdict: on this paper alone. None if none is due, as in a list.
        reason: for the verdict, in one clause.
        by: who gave the verdict: "text", "record" or the name of a model.
        standing: of a saved citation: "gone" if the library has lost the paper since, "changed" if
            its abstract has lost a quoted sentence. The verdict is then out of date.
        warnings: such as "figure not found: 14.2", if the statement cites this paper alone.
        score: relevance of a list entry, in [0, 1], else None.
    """

    number: int
    paper: Paper
    quotes: tuple[Quote, ...]
    verdict: Verdict | None
    reason: str
    by: str
    standing: Standing = "current"
    warnings: tuple[str, ...] = ()
    score: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values. The paper appears with id, title and retraction."""
        return to_json_values(self)  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        return f"<Citation [{self.number}] {self.paper.title!r}: {self.verdict}>"


@dataclass(frozen=True, slots=True, repr=False)
class Statement:
    """One sentence of an answer.

    Attributes:
        text: without citation markers.
        start: offset of its first character in the answer's text.
        end: offset behind its last character there, markers included.
        citations: in order of use.
        verdict: on all cited papers together. None if none is due, as for a heading.
        claim: whether it claims anything. Headings, questions and "Yes." do not, nor does what a
            reader called no claim.
        warnings: such as "figure not found: 14.2".
        listed: of a list entry, whether its paper "fits" or is only "possible", else None.
        context: names of the row and the column of a table cell, each shortened to 100 characters.
            "" outside of tables.
    """

    text: str
    start: int
    end: int
    citations: tuple[Citation, ...]
    verdict: Verdict | None
    claim: bool = True
    warnings: tuple[str, ...] = ()
    listed: Literal["fits", "possible"] | None = None
    context: str = ""

    @property
    def reasoned_citations(self) -> list[Citation]:
        """Citations with a reason for their verdict."""
        return [each for each in self.citations if each.reason not in ("", NO_REASON)]

    @property
    def names_paper(self) -> bool:
        """Whether it is the title of the paper it cites, as in a list."""
        return [citation.paper.title for citation in self.citations] == [self.text]

    @property
    def named_text(self) -> str:
        """Text, after the names of its row and column in a table."""
        return f"{self.context}: {self.text}" if self.context else self.text

    def choose_verdict(self, citation: Citation) -> Verdict | None:
        """Return the verdict that one of its citations is shown with.

        A paper that backs its part of what all cited papers support together raises no doubt.
        """
        backs_part = self.verdict == "supported" and citation.verdict == "partly"
        return self.verdict if backs_part else citation.verdict

    def describe_verdict(self, citation: Citation) -> str:
        """Return its verdict in words, and that on one of several papers if it is another."""
        alone = citation.verdict or "unchecked"
        if len(self.citations) < 2 or self.verdict in (None, alone):
            return alone
        return f"{self.verdict} (this paper alone: {alone})"

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return to_json_values(self)  # type: ignore[no-any-return]

    def __repr__(self) -> str:
        return f"<Statement {self.text!r}: {self.verdict}, {len(self.citations)} citations>"


def to_json_values(value: Any) -> Any:
    """Return a value as plain JSON: dataclasses as dicts, a paper as `name_paper` gives it."""
    if isinstance(value, tuple):
        return [to_json_values(each) for each in value]
    if not is_dataclass(value):
        return value
    values: dict[str, Any] = {}
    for each in fields(value):
        inner = getattr(value, each.name)
        if each.name == "paper":
            values |= name_paper(inner)
        else:
            values[each.name] = to_json_values(inner)
    return values


def name_paper(paper: Paper) -> dict[str, str]:
    """Return the id and the title of a paper, and its retraction if there is one."""
    marked = {"retraction": paper.retraction} if paper.retraction else {}
    return {"paper": paper.id, "title": paper.title, **marked}
