"""Answers as programs get them: the fields that a server publishes, with their meaning.

Paths of files stay on this machine.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any, Literal, NotRequired

from pydantic import Field, TypeAdapter

# pydantic reads nested TypedDicts of `typing` only from Python 3.12 on.
from typing_extensions import TypedDict

from rag.answer import AnswerStatus, Kind, Mode
from rag.verification import Verdict

if TYPE_CHECKING:
    from rag.answer import Answer
    from rag.papers import Paper

_Retraction = Annotated[str, Field(description="Only of a retracted paper: what its source says.")]


class PaperFields(TypedDict):
    """Bibliographic fields of a paper. Unknown ones are left out."""

    id: Annotated[str, Field(description="Stable id. Pass it in ids to ask about this paper.")]
    title: str
    authors: NotRequired[list[str]]
    year: NotRequired[int]
    venue: NotRequired[str]
    url: NotRequired[str]
    doi: NotRequired[str]
    arxiv_id: NotRequired[str]
    retraction: NotRequired[_Retraction]


class FoundPaper(PaperFields):
    """One paper found for a question."""

    rank: Annotated[int, Field(description="1 fits best.")]
    score: Annotated[float, Field(description="Higher fits better. Unbounded, 0 is average.")]
    abstract: str
    sentences: Annotated[list[str], Field(description="Sentences that fit best, best first.")]


class FoundPapers(TypedDict):
    """Papers found for a question."""

    papers: Annotated[list[FoundPaper], Field(description="Best first. Empty if none fits.")]
    notes: Annotated[list[str], Field(description="Notes on the search for the reader.")]


class QuotedSentence(TypedDict):
    """Sentence of an abstract, or a title, word for word."""

    field: Annotated[Literal["abstract", "title"], Field(description="Part that is quoted.")]
    start: Annotated[int, Field(description="Offset of its first character in this part.")]
    end: Annotated[int, Field(description="Offset after its last character.")]
    text: str


class CitedPaper(TypedDict):
    """Citation of one paper by one statement."""

    number: Annotated[int, Field(description="As in the markers of the text, such as [1].")]
    paper: Annotated[str, Field(description="Id of the paper.")]
    title: str
    retraction: NotRequired[_Retraction]
    quotes: Annotated[list[QuotedSentence], Field(description="Evidence for the statement.")]
    verdict: Annotated[
        Verdict | None,
        Field(
            description="On this paper alone. Where the statement is supported, partly means that "
            "the paper backs its part."
        ),
    ]
    score: Annotated[float | None, Field(description="Of a list: relevance from 0 to 1.")]
    reason: Annotated[str, Field(description="Reason for the verdict, in one clause.")]
    by: Annotated[str, Field(description="Who gave the verdict: text, record or a model's name.")]


class CheckedStatement(TypedDict):
    """One sentence of the answer."""

    text: Annotated[str, Field(description="Without markers.")]
    verdict: Annotated[Verdict | None, Field(description="null where no check is due.")]
    warnings: Annotated[list[str], Field(description='Such as "figure not found: 14.2".')]
    listed: Literal["fits", "possible"] | None
    claim: Annotated[bool, Field(description="Whether it says anything that needs support.")]
    citations: list[CitedPaper]


class SourcePaper(PaperFields):
    """Paper that the answer cites."""

    number: Annotated[int, Field(description="As in the markers of the text, such as [1].")]


class AnswerChecker(TypedDict):
    """Model that checked the statements."""

    name: str
    tested: Annotated[
        Literal["passed", "failed", "untested"],
        Field(description="Its result in the reader's test. Rely on its verdicts if it passed."),
    ]
    right: Annotated[int, Field(description="Statements of the test that it judged right.")]
    total: Annotated[int, Field(description="Statements of the test, 0 if not tested.")]


class CheckedAnswer(TypedDict):
    """Answer with a verdict on every sentence, or an abstention with the closest sentences."""

    status: Annotated[AnswerStatus, Field(description="abstained: no clear answer in the library.")]
    kind: Annotated[Kind, Field(description="metadata: from the records of the papers.")]
    reason: Annotated[str, Field(description="Reason for abstaining or being incomplete.")]
    scope: Annotated[str, Field(description="The papers that were asked. Empty for all of them.")]
    text: Annotated[str, Field(description="The answer with markers such as [1].")]
    statements: Annotated[
        list[CheckedStatement],
        Field(description="Headings too. Of an abstention the closest sentences, or none."),
    ]
    sources: Annotated[list[SourcePaper], Field(description="The cited papers, by number.")]
    closest: Annotated[list[PaperFields], Field(description="Nearest papers, beside those cited.")]
    verification: Annotated[str, Field(description="The verdicts, counted in one line.")]
    mode: Annotated[Mode, Field(description="quotes: sentences, without a language model.")]
    model: Annotated[str | None, Field(description="Language model that wrote the answer.")]
    checker: Annotated[AnswerChecker | None, Field(description="null: no model checked it.")]
    confidence: Annotated[float | None, Field(description="That there is an answer, in [0, 1].")]
    warnings: Annotated[list[str], Field(description="Warnings for the reader.")]


_ANSWER = TypeAdapter(CheckedAnswer)


def describe_answer(answer: Answer) -> CheckedAnswer:
    """Return the published fields of an answer."""
    sources = [{"number": n, **describe_paper(paper)} for n, paper in answer.sources.items()]
    closest = [describe_paper(hit.paper) for hit in answer.closest]
    values = answer.to_dict() | {"sources": sources, "closest": closest}
    return _ANSWER.validate_python(values)  # without the fields that stay here


def describe_paper(paper: Paper) -> dict[str, Any]:
    """Return the published fields that have a value. Paths of files stay on this machine."""
    values = paper.to_dict()
    return {name: values[name] for name in PaperFields.__annotations__ if values.get(name)}
