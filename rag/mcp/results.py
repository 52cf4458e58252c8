"""What the tools return: JSON objects whose shape is published with each tool.

A field that a paper's source does not know is left out. Paths of files on this machine stay here.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, NotRequired, cast

from pydantic import Field

# pydantic reads nested ones of `typing` from Python 3.12 on only; the package `mcp` brings this.
from typing_extensions import TypedDict

from rag.verification import Verdict  # noqa: TC001 - pydantic reads it at run time

if TYPE_CHECKING:
    from rag.answer import Answer
    from rag.papers import Paper
    from rag.retrieval import Hit, Retrieval

SENTENCES = 3  # of each paper that was found; the abstract holds the others
_ABOUT = ("id", "title", "authors", "year", "venue", "url", "doi", "arxiv_id")
_ANSWERED = (
    "status",
    "reason",
    "scope",
    "text",
    "verification",
    "mode",
    "model",
    "confidence",
    "warnings",
)


class FoundPaper(TypedDict):
    """A paper that fits the question."""

    rank: Annotated[int, Field(description="1 fits best.")]
    score: Annotated[float, Field(description="Higher fits better; unbounded, 0 is average.")]
    id: Annotated[str, Field(description="Stable; give it back in ids to ask this paper.")]
    title: str
    abstract: str
    sentences: Annotated[
        list[str], Field(description="Sentences of the abstract that fit best, best first.")
    ]
    authors: NotRequired[list[str]]
    year: NotRequired[int]
    venue: NotRequired[str]
    url: NotRequired[str]
    doi: NotRequired[str]
    arxiv_id: NotRequired[str]


class FoundPapers(TypedDict):
    """The papers that fit a question."""

    papers: Annotated[list[FoundPaper], Field(description="Best first; empty if none fits.")]
    notes: Annotated[list[str], Field(description="What a reader should know of the search.")]


class QuotedSentence(TypedDict):
    """A sentence of an abstract, word for word."""

    start: Annotated[int, Field(description="Offset of its first character in the abstract.")]
    end: Annotated[int, Field(description="Offset behind its last character.")]
    text: str


class CitedPaper(TypedDict):
    """One statement's pointer to one paper."""

    number: Annotated[int, Field(description="As in the markers of the text, such as [1].")]
    paper: Annotated[str, Field(description="Id of the paper.")]
    title: str
    quotes: Annotated[
        list[QuotedSentence], Field(description="The sentences that the citation rests on.")
    ]
    verdict: Annotated[
        Verdict | None,
        Field(description="How well the quotes support the statement; null: no verdict is due."),
    ]
    reason: Annotated[str, Field(description="Why, in one clause.")]
    by: Annotated[str, Field(description="The check that gave the verdict.")]


class CheckedStatement(TypedDict):
    """One sentence of the answer."""

    text: Annotated[str, Field(description="Without markers.")]
    verdict: Annotated[
        Verdict | None,
        Field(description="null: no verdict is due."),
    ]
    claim: Annotated[bool, Field(description="Whether it says anything that needs support.")]
    citations: list[CitedPaper]


class SourcePaper(TypedDict):
    """A paper that the answer cites."""

    number: Annotated[int, Field(description="As in the markers of the text, such as [1].")]
    id: str
    title: str
    authors: NotRequired[list[str]]
    year: NotRequired[int]
    venue: NotRequired[str]
    url: NotRequired[str]
    doi: NotRequired[str]
    arxiv_id: NotRequired[str]


class NearPaper(TypedDict):
    """A paper near a question that the library does not answer."""

    id: str
    title: str


class CheckedAnswer(TypedDict):
    """An answer whose every sentence can be checked, or an abstention."""

    status: Annotated[
        Literal["answered", "abstained", "incomplete"],
        Field(description="abstained: the library holds no answer; incomplete: cut off."),
    ]
    reason: Annotated[str, Field(description="Why it abstained or is incomplete, else empty.")]
    scope: Annotated[
        str, Field(description="The papers that it was asked of, in words; empty for all.")
    ]
    text: Annotated[str, Field(description="The answer with markers such as [1].")]
    statements: Annotated[
        list[CheckedStatement], Field(description="In order; empty for an abstention.")
    ]
    sources: Annotated[list[SourcePaper], Field(description="The cited papers, by number.")]
    closest: Annotated[
        list[NearPaper], Field(description="For an abstention, the papers nearest to it.")
    ]
    verification: Annotated[str, Field(description="How many statements held, in one line.")]
    mode: Annotated[
        Literal["model", "quotes"],
        Field(description="quotes: verbatim sentences, no language model."),
    ]
    model: Annotated[str | None, Field(description="Name of the language model that wrote it.")]
    confidence: Annotated[
        float | None, Field(description="In 0 to 1, how sure that the library holds an answer.")
    ]
    warnings: Annotated[list[str], Field(description="What a reader should know.")]


def found_papers(retrieval: Retrieval) -> FoundPapers:
    """The result of a search."""
    return {
        "papers": [_found(hit) for hit in retrieval.hits],
        "notes": list(retrieval.notes),
    }


def checked_answer(answer: Answer) -> CheckedAnswer:
    """The result of a question."""
    values = answer.to_dict()
    kept: dict[str, Any] = {name: values[name] for name in _ANSWERED}
    statements = [
        {
            **_only(CheckedStatement, statement),
            "citations": [_only(CitedPaper, each) for each in statement["citations"]],
        }
        for statement in values["statements"]
    ]
    sources = [{"number": n, **_about(paper)} for n, paper in answer.sources.items()]
    closest = [{"id": hit.paper.id, "title": hit.paper.title} for hit in answer.closest]
    kept |= {"statements": statements, "sources": sources, "closest": closest}
    return cast("CheckedAnswer", {name: kept[name] for name in CheckedAnswer.__annotations__})


def _only(shape: Any, values: dict[str, Any]) -> dict[str, Any]:
    """Those of the values that a published shape has."""
    return {name: values[name] for name in shape.__annotations__}


def _found(hit: Hit) -> FoundPaper:
    values = {
        "rank": hit.rank,
        "score": round(hit.score, 4),
        **_about(hit.paper),
        "abstract": hit.paper.abstract,
        "sentences": [sentence.text for sentence in hit.sentences[:SENTENCES]],
    }
    return cast("FoundPaper", values)


def _about(paper: Paper) -> dict[str, Any]:
    """The fields that tell a paper apart, where its source has them."""
    values = paper.to_dict()
    return {name: values[name] for name in _ABOUT if values.get(name)}
