"""Saved conversations: write them, and read them with suspicion.

A file holds ids and quotes, not abstracts. When it is read, every citation is looked up again, and
papers that changed or left the library are reported. A file that contradicts itself is refused
(see `rag.answer.contradictions`).
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import BeforeValidator, ConfigDict, InstanceOf, TypeAdapter, ValidationError

from rag.answer.answer import Turn
from rag.answer.contradictions import mark_uncited, refuse_contradictions
from rag.answer.headings import BEST_MATCH, CLOSEST
from rag.citations.citation import Statement
from rag.citations.resolve import check_statements
from rag.errors import CorpusError
from rag.files import explain_os_error, write_atomically
from rag.papers import Paper
from rag.verification import Quote, ReaderScore, TextChecker, Verdict

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rag.answer.answer import Answer
    from rag.retrieval import Hit

_Json = dict[str, Any]

_FORMAT, _OLD_FORMAT = "papertrail conversation 2", "papertrail conversation 1"
_OLD_WORDS = {"weak": "partly", "extractive": "quotes"}
_QUOTES = TypeAdapter(Quote)
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
        if is_old:
            turns = [replace(turn, answer=_upgrade(turn.answer)) for turn in turns]
        turns = [replace(turn, answer=mark_uncited(_name_papers(turn.answer))) for turn in turns]
        refuse_contradictions([turn.answer for turn in turns])
    except (ValueError, TypeError, LookupError) as error:
        raise CorpusError(
            f"{name} is not a conversation saved by Papertrail ({_explain(error)}). Open an "
            "unchanged copy, or ask again."
        ) from error
    return turns, tuple(reader.changes)


def _name_papers(answer: Answer) -> Answer:
    """Return an answer that quotes sentences, with its papers named as the library names them."""
    if not answer.is_quoted:
        return answer
    first = answer.heading + 1
    statements, rest = [*answer.statements[:first]], answer.statements[first:]
    at = statements[-1].end
    text = answer.text[:at]
    cited = [each for each in rest if each.citations]
    for each in rest:
        shown = answer.text[each.start : each.end]
        if each.citations:
            cited = cited[1:]
        elif cited and each.text not in (BEST_MATCH, CLOSEST):
            shown = cited[0].citations[0].paper.reference
        said = each.text if each.citations else shown
        text += answer.text[at : each.start]
        statements.append(replace(each, text=said, start=len(text), end=len(text) + len(shown)))
        text, at = text + shown, each.end
    return replace(answer, text=text + answer.text[at:], statements=tuple(statements))


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
            "Paper": Any,  # `_read_citation` has put one there
            "Quote": Quote,
            "ReaderScore": ReaderScore,
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
        citations = values["citations"]
        if values.get("listed") and [c["title"] for c in citations] != [values["text"]]:
            raise ValueError("an entry of a list is not the title of its paper")
        return {**values, "citations": [self._read_citation(c) for c in citations]}

    def _read_citation(self, values: _Json) -> _Json:
        paper = self._find_paper(values)
        quotes = [_QUOTES.validate_python({**q, "paper_id": paper.id}) for q in values["quotes"]]
        standing = "current"
        if paper.id not in self._known:
            standing = "gone"
            change = f"The library no longer has “{paper.title}” ({paper.id}), which this cites."
        elif not all(quote.stands_in(paper) for quote in quotes):
            standing = "changed"
            change = f"The abstract of “{paper.title}” has changed since it was quoted here."
        if standing != "current":
            self.changes[change] = None
        return {**values, "paper": paper, "quotes": quotes, "standing": standing}

    def _find_paper(self, values: _Json) -> Paper:
        """Return the paper, or what the file says of one that the library no longer has."""
        identity, title = values["paper"], values["title"]
        if not (isinstance(identity, str) and isinstance(title, str)):
            raise TypeError("the id and the title of a paper must be text")
        mark = values.get("retraction")
        retraction = mark if isinstance(mark, str) else None
        return self._known.get(identity) or Paper(identity, title, "", retraction=retraction)


def _read_turn(values: _Json) -> _Json:
    answer = values["answer"]
    return {**values, "answer": {**answer, "mode": _OLD_WORDS.get(answer["mode"], answer["mode"])}}


def _upgrade(answer: Answer) -> Answer:
    """Return an answer of format 1 with today's verdicts. Those of a model keep their meaning."""
    if not any(statement.names_paper for statement in answer.statements):
        return replace(answer, statements=tuple(map(_upgrade_statement, answer.statements)))
    is_metadata = any(citation.by == "listing" for citation in answer.citations)
    statements = tuple(
        _upgrade_entry(each, is_metadata=is_metadata) if each.names_paper else each
        for each in answer.statements
    )
    return replace(answer, statements=statements, kind="metadata" if is_metadata else "list")


def _upgrade_entry(entry: Statement, *, is_metadata: bool) -> Statement:
    (citation,) = entry.citations
    if citation.by in _OLD_TEXT_CHECKS:
        verdict: Verdict | None = "record" if is_metadata else None
        citation = replace(citation, verdict=verdict, by=verdict or "text")
    return replace(
        entry,
        citations=(citation,),
        verdict=citation.verdict,
        claim=True,
        listed=None if is_metadata else "possible" if entry.verdict == "partly" else "fits",
    )


def _upgrade_statement(statement: Statement) -> Statement:
    """Return a statement with a verdict that was given by words compared with its papers again."""
    by_text = [citation.by in _OLD_TEXT_CHECKS for citation in statement.citations]
    if not any(by_text):
        return statement
    checked = check_statements((statement,), TextChecker())[0]
    citations = tuple(
        replace(new, quotes=new.quotes or old.quotes) if is_old else old
        for old, new, is_old in zip(statement.citations, checked.citations, by_text, strict=True)
    )
    return replace(checked, citations=citations)


def _explain(error: Exception) -> str:
    """Return in one clause why values are not a conversation."""
    if isinstance(error, ValidationError):
        first = error.errors(include_url=False, include_input=False)[0]
        return f"{'.'.join(map(str, first['loc']))}: {first['msg']}"
    return str(error) if isinstance(error, ValueError) else "it is not what /save writes"
