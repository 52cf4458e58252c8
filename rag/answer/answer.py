"""The value types of an answer."""

from __future__ import annotations

import json
from abc import abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from rag.answer.markdown import answer_markdown
from rag.answer.verdicts import lists_papers, verification_line
from rag.exporters import export_papers
from rag.llm.reply import NO_USAGE, Usage

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rag.answer.markdown import CiteStyle
    from rag.citations.citation import Citation, Statement
    from rag.papers import Paper
    from rag.retrieval import Hit

AnswerStatus = Literal["answered", "abstained", "incomplete"]
Mode = Literal["model", "quotes"]
Kind = Literal["answer", "list", "metadata"]


class CitesPapers:
    """What cites papers gives them as references, each once.

    They have the fields that the library has and no others.
    """

    @property
    @abstractmethod
    def sources(self) -> Mapping[int, Paper]:
        """Shown number -> cited paper, by number."""

    def to_bibtex(self) -> str:
        """BibTeX entries of the cited papers; their keys are those of pandoc's markers."""
        return export_papers(self.sources.values(), "bibtex")

    def to_ris(self) -> str:
        """RIS records of the cited papers."""
        return export_papers(self.sources.values(), "ris")

    def to_csl(self) -> str:
        """The cited papers as a list in CSL-JSON."""
        return export_papers(self.sources.values(), "csl")


@dataclass(frozen=True)
class Answer(CitesPapers):
    """An answer that can be checked, or an honest abstention.

    Attributes:
        question: as the user put it.
        asked: as it was searched for; the same unless a follow-up was rewritten.
        text: the statements with markers such as [1]; for an abstention one sentence that says so.
        statements: in order; empty for an abstention.
        hits: papers that were retrieved, best first.
        status: "answered", "abstained" or "incomplete" (cut off).
        reason: why it abstained or is incomplete, else empty.
        closest: for an abstention, the papers nearest to the question, else empty.
        mode: "quotes" (verbatim sentences) or "model".
        kind: "answer", "list" (papers that fit a subject) or "metadata" (taken from the records).
        model: name of the language model, or None.
        scope: the papers that it was asked of, in words; "" for all of the library.
        confidence: in [0, 1], how sure it is that the library holds an answer.
        usage: calls and tokens.
        cost: of the usage, with its currency, where the user's price file has the model.
        seconds: from question to answer.
        warnings: sentences a reader should know.
    """

    question: str
    asked: str
    text: str
    statements: tuple[Statement, ...]
    hits: tuple[Hit, ...]
    status: AnswerStatus
    mode: Mode
    kind: Kind = "answer"
    reason: str = ""
    closest: tuple[Hit, ...] = ()
    model: str | None = None
    scope: str = ""
    confidence: float | None = None
    usage: Usage = NO_USAGE
    cost: str | None = None
    seconds: float = 0.0
    warnings: tuple[str, ...] = ()

    @cached_property
    def citations(self) -> tuple[Citation, ...]:
        """All citations, in the order of the text."""
        return tuple(c for statement in self.statements for c in statement.citations)

    @cached_property
    def sources(self) -> Mapping[int, Paper]:
        """Shown number -> cited paper, by number."""
        return dict(sorted({c.number: c.paper for c in self.citations}.items()))

    @property
    def is_list(self) -> bool:
        """Whether it lists papers: all that it claims of each is that it belongs there."""
        return lists_papers(self.statements)

    @property
    def verification(self) -> str:
        """One line that says how the statements held."""
        return verification_line(self.statements)

    @property
    def took(self) -> str:
        """The seconds in words: "under 0.1 s", "0.38 s", "12.3 s"."""
        if self.seconds < 0.1:
            return "under 0.1 s"
        return f"{self.seconds:.2f} s" if self.seconds < 1 else f"{self.seconds:.1f} s"

    def to_dict(self) -> dict[str, Any]:
        """The answer as plain JSON values; papers appear with id and title, not whole."""
        return {
            "question": self.question,
            "asked": self.asked,
            "status": self.status,
            "reason": self.reason,
            "text": self.text,
            "statements": [statement.to_dict() for statement in self.statements],
            "sources": [
                {"number": number, **_without_abstract(paper)}
                for number, paper in self.sources.items()
            ],
            "hits": [_hit(hit) for hit in self.hits],
            "closest": [_hit(hit) for hit in self.closest],
            "kind": self.kind,
            "mode": self.mode,
            "model": self.model,
            "scope": self.scope,
            "confidence": self.confidence,
            "verification": self.verification,
            "usage": {
                "calls": self.usage.calls,
                "prompt_tokens": self.usage.prompt_tokens,
                "completion_tokens": self.usage.completion_tokens,
                "estimated": self.usage.estimated,
            },
            "cost": self.cost,
            "seconds": self.seconds,
            "warnings": list(self.warnings),
        }

    def to_json(self, *, indent: int | None = None) -> str:
        """`to_dict` as JSON text."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=indent)

    def to_markdown(self, *, cite_style: CiteStyle = "numeric") -> str:
        """The answer with its sources, what they say, and why a statement is not supported.

        Args:
            cite_style: "numeric" marks a paper by [1]; "pandoc" by [@key], as its entry in
                `to_bibtex` has it.
        """
        return answer_markdown(self, cite_style)


@dataclass(frozen=True, slots=True)
class Turn:
    """One question of a conversation and its answer."""

    question: str
    answer: Answer


@dataclass(frozen=True, slots=True)
class Status:
    """What the assistant is doing now."""

    text: str
    kind: Literal["status"] = "status"


@dataclass(frozen=True, slots=True)
class Text:
    """More of the answer's text; a citation marker is never cut in two."""

    delta: str
    kind: Literal["text"] = "text"


@dataclass(frozen=True, slots=True)
class Verified:
    """The statements with their verdicts."""

    statements: tuple[Statement, ...]
    kind: Literal["verified"] = "verified"


@dataclass(frozen=True, slots=True)
class Done:
    """The whole answer; the last event of a stream."""

    answer: Answer
    kind: Literal["done"] = "done"


AnswerEvent = Status | Text | Verified | Done


def _hit(hit: Hit) -> dict[str, Any]:
    return {
        "rank": hit.rank,
        "score": round(hit.score, 4),
        "paper": hit.paper.id,
        "title": hit.paper.title,
    }


def _without_abstract(paper: Paper) -> dict[str, Any]:
    return {name: value for name, value in paper.to_dict().items() if name != "abstract"}
