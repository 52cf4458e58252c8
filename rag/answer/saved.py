"""Conversations as they lie in files: written whole, read with suspicion.

A file holds ids and quotes, not abstracts. It is input like any other: one that contradicts itself
is refused. When it is read, every citation is looked up again: a paper that has left the library
since, or whose abstract no longer has the quoted sentence, is told.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rag.answer import Answer, AnswerStatus, Citation, Kind, Mode, Statement, Turn
from rag.citations.markers import MarkerReader
from rag.citations.statements import render_markers
from rag.errors import CorpusError
from rag.files import explain_os_error, write_atomically
from rag.llm.reply import Usage  # noqa: TC001 - pydantic reads it at run time
from rag.papers import Paper
from rag.verification import Quote, Verdict

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rag.answer import Standing
    from rag.retrieval import Hit

_FORMAT = "papertrail conversation 1"
_BLANK, _MARKER = re.compile(r"[\s*]+"), re.compile(r"\[\d+\]")
_FENCE = re.compile(r"```|~~~")
_Count = Annotated[int, Field(ge=0)]
_Number = Annotated[int, Field(ge=1, le=1_000_000)]  # far more papers than a conversation cites


def write_turns(path: str | Path, turns: Sequence[Turn]) -> None:
    """Writes turns to a file, whole or not at all.

    Raises:
        DiskError: the file cannot be written.
    """
    values = {
        "format": _FORMAT,
        "turns": [{"question": t.question, "answer": t.answer.to_dict()} for t in turns],
    }
    write_atomically(path, json.dumps(values, ensure_ascii=False, indent=1) + "\n")


def read_turns(path: str | Path, papers: Sequence[Paper]) -> tuple[list[Turn], tuple[str, ...]]:
    """The turns of a file, and what of them the library no longer has.

    Args:
        path: as `write_turns` wrote it.
        papers: of the library.

    Raises:
        CorpusError: the file cannot be read, is no conversation or contradicts itself.
    """
    try:
        saved = _SavedConversation.model_validate_json(Path(path).read_bytes())
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"]))
        wrong = f"{where}: {first['msg']}" if where else "it is not what /save writes to a .json"
        raise _no_conversation(path, wrong) from error
    except (OSError, ValueError) as error:  # ValueError: a name that no file can have
        raise CorpusError(
            f"{path} cannot be read: {explain_os_error(error)}.", path=path
        ) from error
    for turn in saved.turns:
        if wrong := _contradiction(turn.answer):
            raise _no_conversation(path, wrong)
    cited = {(c.number, c.paper) for t in saved.turns for c in t.answer.citations}
    if len(dict(cited)) < len(cited):
        raise _no_conversation(path, "one number stands for two papers")
    known = {identity: p for p in papers for identity in (p.id, *p.aliases)}
    missing: dict[str, None] = {}
    turns = [Turn(t.question, _answer(t.answer, known, missing)) for t in saved.turns]
    return turns, tuple(missing)


def left_over(text: str, statements: Sequence[str]) -> str | None:
    """What a text says beside some statements; None where it has not all of them, in order.

    Blanks, stars and markers do not count.
    """
    rest, behind = "", _bare(text)
    for words in map(_bare, statements):
        before, found, behind = behind.partition(words) if words else ("", "", behind)
        if found != words:
            return None
        rest += before
    return rest + behind


def _bare(text: str) -> str:
    text = _BLANK.sub("", text)
    while (shorter := _MARKER.sub("", text)) != text:
        text = shorter
    return text


def _no_conversation(path: str | Path, why: str) -> CorpusError:
    return CorpusError(f"{path} is no conversation saved by Papertrail ({why}).", path=path)


class _Saved(BaseModel):
    model_config = ConfigDict(strict=True, allow_inf_nan=False)


class _SavedQuote(_Saved):
    start: _Count
    end: _Count
    text: str


class _SavedHit(_Saved):
    rank: _Number
    score: float
    paper: str
    title: str


class _SavedCitation(_Saved):
    number: _Number
    paper: str
    title: str
    quotes: list[_SavedQuote]
    verdict: Verdict | None
    reason: str
    by: str


class _SavedStatement(_Saved):
    text: str
    start: _Count
    end: _Count
    citations: list[_SavedCitation]
    verdict: Verdict | None
    claim: bool


class _SavedAnswer(_Saved):
    question: str
    asked: str
    text: str
    statements: list[_SavedStatement]
    hits: list[_SavedHit]
    status: AnswerStatus
    mode: Mode
    kind: Kind = "answer"
    reason: str
    closest: list[_SavedHit]
    model: str | None
    scope: str = ""
    confidence: Annotated[float, Field(ge=0, le=1)] | None
    usage: Usage
    cost: str | None
    seconds: Annotated[float, Field(ge=0)]
    warnings: list[str]

    @property
    def citations(self) -> list[_SavedCitation]:
        return [citation for statement in self.statements for citation in statement.citations]


class _SavedTurn(_Saved):
    question: str
    answer: _SavedAnswer


class _SavedConversation(_Saved):
    format: Literal["papertrail conversation 1"]
    turns: list[_SavedTurn]


def _contradiction(saved: _SavedAnswer) -> str:
    """What of a saved answer cannot be true beside the rest of it; empty where all can."""
    usage = saved.usage
    if min(usage.calls, usage.prompt_tokens, usage.completion_tokens) < 0:
        return "it used less than nothing"
    if any(c.verdict == "supported" and not c.quotes for c in saved.citations):
        return "a supported citation quotes nothing"
    if any(q.end - q.start != len(q.text) for c in saved.citations for q in c.quotes):
        return "a quote is not as long as its place"
    if any(s.verdict and (s.verdict == "uncited") == bool(s.citations) for s in saved.statements):
        return "a verdict does not fit the citations"
    if saved.status == "abstained":
        agrees = not (saved.citations or (_speaks(saved.text) and _markers(saved.text)))
    else:
        agrees = _is_reply(saved) and (saved.mode == "model" or _is_joined(saved))
    return "" if agrees else "its text is not that of its statements and citations"


def _is_joined(saved: _SavedAnswer) -> bool:
    """Whether each statement stands with its markers where it says, as code puts them together."""
    shown = []
    for statement in saved.statements:
        markers = render_markers(tuple(citation.number for citation in statement.citations))
        shown.append(f"{statement.text} {markers}" if markers else statement.text)
    return shown == [saved.text[s.start : s.end] for s in saved.statements]


def _is_reply(saved: _SavedAnswer) -> bool:
    """Whether a model's text is the statements in order, with the markers of their citations."""
    rest = left_over(saved.text, [statement.text for statement in saved.statements])
    if rest is None or _speaks(rest):
        return False
    cited = {citation.number for citation in saved.citations}
    shown = all(render_markers((number,)) in saved.text for number in cited)
    return shown and _markers(saved.text) <= cited


def _speaks(text: str) -> bool:
    """Whether a text has words and no code, of which no statements are made."""
    return any(map(str.isalpha, text)) and not _FENCE.search(text)


def _markers(text: str) -> set[int]:
    reader = MarkerReader()
    pieces = [*reader.feed(text), *reader.finish()]
    return {n for piece in pieces if not isinstance(piece, str) for n in piece.numbers}


def _answer(saved: _SavedAnswer, papers: Mapping[str, Paper], missing: dict[str, None]) -> Answer:
    values = {name: getattr(saved, name) for name in _SavedAnswer.model_fields}
    values["statements"] = tuple(_statement(each, papers, missing) for each in saved.statements)
    values["hits"] = tuple(_hit(each, papers) for each in saved.hits)
    values["closest"] = tuple(_hit(each, papers) for each in saved.closest)
    values["warnings"] = tuple(saved.warnings)
    return Answer(**values)


def _hit(saved: _SavedHit, papers: Mapping[str, Paper]) -> Hit:
    from rag.retrieval import Hit

    paper = papers.get(saved.paper) or Paper(saved.paper, saved.title, "")
    return Hit(saved.rank, saved.score, paper, (), (), {})


def _statement(
    saved: _SavedStatement, papers: Mapping[str, Paper], missing: dict[str, None]
) -> Statement:
    citations = tuple(_citation(each, papers, missing) for each in saved.citations)
    return Statement(saved.text, saved.start, saved.end, citations, saved.verdict, saved.claim)


def _citation(
    saved: _SavedCitation, papers: Mapping[str, Paper], missing: dict[str, None]
) -> Citation:
    name = f"“{saved.title}”"
    paper = papers.get(saved.paper)
    standing: Standing = "current"
    if paper is None:
        standing = "gone"
        missing[f"The library no longer has {name} ({saved.paper}), which this cites."] = None
        paper = Paper(saved.paper, saved.title, "")
    elif any(paper.abstract[q.start : q.end] != q.text for q in saved.quotes):
        standing = "changed"
        missing[f"The abstract of {name} has changed since it was quoted here."] = None
    quotes = tuple(Quote(paper.id, q.start, q.end, q.text) for q in saved.quotes)
    return Citation(saved.number, paper, quotes, saved.verdict, saved.reason, saved.by, standing)
