"""Saved conversations: write them, and read them with suspicion.

A file holds ids and quotes, not abstracts. One that contradicts itself is refused. When it is read,
every citation is looked up again, and papers that changed or left the library are reported.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BeforeValidator, ConfigDict, InstanceOf, TypeAdapter, ValidationError

from rag.answer.answer import Kind, Turn
from rag.citations.citation import Statement
from rag.citations.markers import MarkerReader, remove_markers
from rag.citations.resolve import check_statements
from rag.citations.statements import render_markers
from rag.errors import CorpusError
from rag.files import explain_os_error, write_atomically
from rag.papers import Paper
from rag.verification import Quote, TextChecker, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rag.answer.answer import Answer
    from rag.retrieval import Hit

_Json = dict[str, Any]
_Listed = Literal["fits", "possible"]

_FORMAT, _OLD_FORMAT = "papertrail conversation 2", "papertrail conversation 1"
_OLD_WORDS = {"weak": "partly", "extractive": "quotes"}
_NEED_QUOTES = ("quoted", "supported")
_OLD_TEXT_CHECKS = ("verbatim", "offline", "relevance", "numbers", "listing")


def write_turns(path: str | Path, turns: Sequence[Turn]) -> None:
    """Write turns to a file, whole or not at all.

    Raises:
        DiskError: the file cannot be written.
    """
    write_atomically(path, json.dumps(dump_turns(turns), ensure_ascii=False, indent=1) + "\n")


def dump_turns(turns: Sequence[Turn]) -> dict[str, Any]:
    """Return turns as plain JSON values, in the form of a file."""
    saved = [{"question": turn.question, "answer": turn.answer.to_dict()} for turn in turns]
    return {"format": _FORMAT, "turns": saved}


def read_turns(path: str | Path, papers: Iterable[Paper]) -> tuple[list[Turn], tuple[str, ...]]:
    """Return the turns of a file, and what changed in the library since they were saved.

    Args:
        path: of a file that `write_turns` wrote.
        papers: of the library.

    Raises:
        CorpusError: the file cannot be read, is not a conversation or contradicts itself.
    """
    try:
        content = Path(path).read_bytes()
    except (OSError, ValueError) as error:  # ValueError: no file can have this name
        raise CorpusError(f"Cannot read {path} ({explain_os_error(error)}).", path=path) from error
    try:
        values = json.loads(content)
    except (ValueError, RecursionError):
        values = None
    return load_turns(values, papers, name=str(path))


def load_turns(
    values: Any, papers: Iterable[Paper], *, name: str = "This"
) -> tuple[list[Turn], tuple[str, ...]]:
    """Return the turns of a file's JSON values, and what changed since they were saved.

    Args:
        values: as `dump_turns` gives them, today or in an earlier version.
        papers: of the library.
        name: of the file, for errors.

    Raises:
        CorpusError: it is not a conversation, or it contradicts itself.
    """
    reader = _Reader(papers)
    try:
        is_old = {_FORMAT: False, _OLD_FORMAT: True}[values["format"]]
        turns = reader.types().validate_python(values["turns"])
        _refuse_contradictions([turn.answer for turn in turns])
    except (ValueError, TypeError, LookupError) as error:
        why = _explain(error)
        raise CorpusError(f"{name} is not a conversation saved by Papertrail ({why}).") from error
    if is_old:
        turns = [replace(turn, answer=_upgrade(turn.answer)) for turn in turns]
    return turns, tuple(reader.changes)


class _Reader:
    """Puts papers of the library in place of the ids in a file.

    Attributes:
        changes: sentences on papers that changed or left the library.
    """

    def __init__(self, papers: Iterable[Paper]) -> None:
        self.changes: dict[str, None] = {}
        self._known = {identity: each for each in papers for identity in (each.id, *each.aliases)}

    def types(self) -> TypeAdapter[list[Turn]]:
        """Return the value types of a turn, which pydantic reads as they are declared.

        Their modules import these names for type checks only. Here each gets its type.
        """
        from rag.retrieval import Hit

        names = {
            "Hit": Annotated[InstanceOf[Hit], BeforeValidator(self._read_hit)],
            "Paper": InstanceOf[Paper],
            "Quote": Quote,
            "Statement": Annotated[Statement, BeforeValidator(self._read_statement)],
            "Verdict": Annotated[Verdict, BeforeValidator(lambda v: _OLD_WORDS.get(v, v))],
        }
        turn = Annotated[Turn, BeforeValidator(_read_turn)]
        config = ConfigDict(defer_build=True, allow_inf_nan=False)
        types: TypeAdapter[list[Turn]] = TypeAdapter(list[turn], config=config)
        types.rebuild(_types_namespace=names)
        return types

    def _read_hit(self, values: _Json) -> Hit:
        from rag.retrieval import Hit

        rank, score = int(values["rank"]), float(values["score"])
        return Hit(rank, score, self._find_paper(values), (), (), {})

    def _read_statement(self, values: _Json) -> _Json:
        return {**values, "citations": [self._read_citation(c) for c in values["citations"]]}

    def _read_citation(self, values: _Json) -> _Json:
        paper = self._find_paper(values)
        quotes = [{**quote, "paper_id": paper.id} for quote in values["quotes"]]
        standing = "current"
        if paper.id not in self._known:
            standing = "gone"
            change = f"The library no longer has “{paper.title}” ({paper.id}), which this cites."
        elif any(paper.abstract[q["start"] : q["end"]] != q["text"] for q in quotes):
            standing = "changed"
            change = f"The abstract of “{paper.title}” has changed since it was quoted here."
        if standing != "current":
            self.changes[change] = None
        return {**values, "paper": paper, "quotes": quotes, "standing": standing}

    def _find_paper(self, values: _Json) -> Paper:
        """Return the paper, or one with only id and title where the library no longer has it."""
        identity, title = values["paper"], values["title"]
        if not (isinstance(identity, str) and isinstance(title, str)):
            raise TypeError("the id and the title of a paper must be text")
        return self._known.get(identity) or Paper(identity, title, "")


def _read_turn(values: _Json) -> _Json:
    answer = values["answer"]
    return {**values, "answer": {**answer, "mode": _OLD_WORDS.get(answer["mode"], answer["mode"])}}


def _refuse_contradictions(answers: Sequence[Answer]) -> None:
    """Raise ValueError for what would mislead a reader of the answers."""
    citations = [citation for answer in answers for citation in answer.citations]
    statements = [statement for answer in answers for statement in answer.statements]
    cited = {(citation.number, citation.paper.id) for citation in citations}
    if len(dict(cited)) < len(cited):
        raise ValueError("one number stands for two papers")
    if any(not 0 < q.end - q.start == len(q.text) for c in citations for q in c.quotes):
        raise ValueError("a quote is not as long as its place")
    if any(each.verdict in _NEED_QUOTES and not each.quotes for each in citations):
        raise ValueError("a supported citation quotes nothing")
    if any(each.verdict in _NEED_QUOTES and not _list_quotes(each) for each in statements):
        raise ValueError("a supported statement quotes nothing")
    if any(each.verdict == "quoted" and not _repeats_quote(each) for each in statements):
        raise ValueError("a quoted statement is not the sentence that it quotes")
    if not all(shows_statement(a.text, each) for a in answers for each in a.statements):
        raise ValueError("its text does not have its statements")
    if not all(map(_has_right_markers, answers)):
        raise ValueError("the markers of its text are not those of its citations")


def _list_quotes(statement: Statement) -> list[str]:
    return [quote.text for citation in statement.citations for quote in citation.quotes]


def _repeats_quote(statement: Statement) -> bool:
    letters = _letters(statement.text.casefold())
    return any(_letters(quote.casefold()) == letters for quote in _list_quotes(statement))


def shows_statement(text: str, statement: Statement) -> bool:
    """Return whether a text has a statement at its place. Markers and markup do not count."""
    return _letters(text[statement.start : statement.end]) == _letters(statement.text)


def _letters(text: str) -> list[str]:
    return [letter for letter in remove_markers(text) if letter.isalnum()]


def _has_right_markers(answer: Answer) -> bool:
    numbers = {citation.number for citation in answer.citations}
    allowed = set(numbers)
    if answer.mode == "quotes" or any(each.names_paper for each in answer.statements):
        for statement in answer.statements:  # sentences and titles may hold what looks like one
            allowed |= _read_markers(statement.text)
    shown = all(render_markers((number,)) in answer.text for number in numbers)
    return shown and _read_markers(answer.text) <= allowed


def _read_markers(text: str) -> set[int]:
    reader = MarkerReader()
    pieces = [*reader.feed(text), *reader.finish()]
    return {n for piece in pieces if not isinstance(piece, str) for n in piece.numbers}


def _upgrade(answer: Answer) -> Answer:
    """Return an answer of format 1 with today's verdicts. Those of a model keep their meaning."""
    kind: Kind = "answer"
    if any(statement.names_paper for statement in answer.statements):
        is_metadata = any(citation.by == "listing" for citation in answer.citations)
        kind = "metadata" if is_metadata else "list"
    statements = tuple(_upgrade_statement(each, kind) for each in answer.statements)
    return replace(answer, statements=statements, kind=kind)


def _upgrade_statement(statement: Statement, kind: Kind) -> Statement:
    by_text = any(citation.by in _OLD_TEXT_CHECKS for citation in statement.citations)
    if kind != "answer" and statement.names_paper:
        verdict: Verdict | None = "record" if kind == "metadata" else None
        citations = tuple(
            replace(c, verdict=verdict, by=verdict or "text") if by_text else c
            for c in statement.citations
        )
        listed: _Listed = "possible" if statement.verdict == "partly" else "fits"
        return replace(
            statement,
            citations=citations,
            verdict=verdict if by_text else statement.verdict,
            claim=True,
            listed=None if kind == "metadata" else listed,
        )
    if not by_text:
        return statement
    checked = check_statements((statement,), TextChecker())[0]
    citations = tuple(
        replace(new, quotes=new.quotes or old.quotes) if old.by in _OLD_TEXT_CHECKS else old
        for old, new in zip(statement.citations, checked.citations, strict=True)
    )
    return replace(checked, citations=citations)


def _explain(error: Exception) -> str:
    """Return in one clause why values are not a conversation."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return str(error) if isinstance(error, ValueError) else "it is not what /save writes"
