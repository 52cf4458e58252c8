"""Answers as notes of Obsidian, with links to the notes of the papers that they cite.

Text of papers is escaped as in `rag.exporters.obsidian`. Of a model's Markdown, emphasis, lists,
tables and links to the web stay. Code and formulas are shown as text, because plugins run some of
it. `Bibliography.save_notes` calls this.
"""

from __future__ import annotations

import json
import re
from datetime import datetime
from hashlib import sha256
from itertools import groupby
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from rag.answer.document import STANDINGS
from rag.citations.markers import split_shown_numbers
from rag.exporters.markdown_list import sanitise_markdown
from rag.exporters.notes import Note
from rag.exporters.obsidian import clean_text, draft_papers, escape_text
from rag.exporters.vault import ID_FIELD, Draft, VaultReport, make_stem, open_vault
from rag.papers.citation_key import make_citation_key
from rag.verification import VERDICTS

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from rag.answer import Answer
    from rag.citations.citation import Citation, Statement
    from rag.exporters.notes import Value
    from rag.papers import Paper

_STRUCTURE = re.compile(r"[\s-]*")  # between statements that code has put together
# Begins code, a formula, a link to a note, a template, a comment, an inline field or a tag.
_MODEL_SIGN = re.compile(r"[`$]|~(?=~)|\[(?=\[)|<(?=%)|%(?=[%>])|:(?=:)|(?<![\w/&#\\])#(?=[^\s#])")
_DOLLAR = re.compile(r"\\*&#36;")  # with the backslashes before it, which may escape each other


def save_answers(answers: Iterable[Answer], folder: Path) -> VaultReport:
    """Write a note for each answer, and write or update the notes of the papers that it cites.

    A question that is asked again keeps its note. See `rag.exporters.obsidian.export_notes`.
    """
    unique = {_make_id(answer): answer for answer in answers}
    papers = [paper for answer in unique.values() for paper in answer.sources.values()]
    with open_vault(folder) as vault:
        files: dict[str, str] = {}
        for identity, answer in unique.items():
            files[identity] = vault.place([identity], answer.question, again=True)
            vault.record_answer(identity, files[identity], _list_cited(answer))
        drafts = draft_papers(papers, vault)
        links = {draft.id: vault.make_link(draft.file, draft.key) for draft in drafts}
        closest = (hit.paper for answer in unique.values() for hit in answer.closest)
        links |= {
            clean_text(paper.id): vault.make_link(file, make_citation_key(paper))
            for paper in closest
            if clean_text(paper.id) not in links
            and (file := vault.find(map(clean_text, (paper.id, *paper.aliases))))
        }
        for identity, answer in unique.items():
            note = _NoteWriter(answer, links).write(identity, files[identity])
            drafts.append(Draft(identity, files[identity], note, cites=_list_cited(answer)))
        return vault.write(drafts)


def _make_id(answer: Answer) -> str:
    asked = json.dumps([answer.asked.casefold().split(), answer.scope])
    return f"answer:{sha256(asked.encode()).hexdigest()[:16]}"


def _list_cited(answer: Answer) -> tuple[str, ...]:
    return tuple(clean_text(paper.id) for paper in answer.sources.values())


class _NoteWriter:
    """Writes the note of one answer."""

    def __init__(self, answer: Answer, links: Mapping[str, str]) -> None:
        """Take the links to notes of papers, by their ids. A note that was deleted has none."""
        self._answer = answer
        self._notes = links
        self._links = {
            number: links.get(clean_text(paper.id)) or f"[[{make_stem(make_citation_key(paper))}]]"
            for number, paper in answer.sources.items()
        }

    def write(self, identity: str, file: str) -> Note:
        """Return the note."""
        answer = self._answer
        question, asked = clean_text(answer.question), clean_text(answer.asked)
        fields: Mapping[str, Value] = {
            ID_FIELD: identity,
            "question": question,
            "aliases": (question,) if question != PurePosixPath(file).stem else (),
            "understood": asked if asked != question else "",
            "scope": clean_text(answer.scope),
            "asked": datetime.now().astimezone().date().isoformat(),
            "mode": answer.mode,
            "model": clean_text(answer.model),
            "status": answer.status,
            "cites": tuple(self._links.values()),
        }
        closest = (f"- {self._name_paper(hit.paper)}" for hit in answer.closest)
        sections = {
            "## Answer": self._write_answer(),
            f"## {answer.closest_heading.rstrip(':')}": "\n".join(closest),
            "## Sources": "\n\n".join(map(self._write_source, answer.sources)),
            "## How this was checked": "\n".join(self._write_checks()),
        }
        return Note(
            {name: value for name, value in fields.items() if value},
            {heading: text for heading, text in sections.items() if text},
        )

    def _name_paper(self, paper: Paper) -> str:
        """Return the reference of a paper, behind the link to its note if it has one."""
        link = self._notes.get(clean_text(paper.id), "")
        return f"{link} {escape_text(paper.reference)}".lstrip()

    def _write_answer(self) -> str:
        answer = self._answer
        if answer.mode != "model" or answer.kind != "answer":
            return self._write_statements(answer.text, answer.statements)
        own, quoted = answer.split_quotations()
        parts = [self._write_prose(own.text), self._write_statements(*quoted)]
        return "\n\n".join(filter(None, parts))

    def _write_prose(self, text: str) -> str:
        """Return a model's text. In a table the sign between a link and its label is escaped."""
        shown = ""
        pieces = split_shown_numbers(text, self._links)
        for piece, group in groupby(pieces, lambda each: "" if isinstance(each, str) else each):
            if isinstance(piece, str):  # several may cut a sign off from the backslash before it
                shown += _sanitise_prose("".join(map(str, group)))
                continue
            is_in_table = shown.rpartition("\n")[2].lstrip().startswith("|")
            link = self._links[piece]
            shown += " " if shown.endswith("]]") else ""
            shown += link.replace("|", r"\|") if is_in_table else link
        return shown.strip()

    def _write_statements(self, text: str, statements: Iterable[Statement]) -> str:
        """Return a text that code put together of sentences and titles of papers."""
        shown, at = "", 0
        for statement in statements:
            between = text[at : statement.start]
            shown += between if _STRUCTURE.fullmatch(between) else f" {escape_text(between)} "
            said = escape_text(statement.text)
            said = f"“{said}”" if statement.verdict == "quoted" else said
            shown += " ".join([said, *self._link(statement.citations)])
            at = statement.end
        return (shown + escape_text(text[at:])).strip()

    def _link(self, citations: Iterable[Citation]) -> Iterable[str]:
        return (self._links[citation.number] for citation in citations)

    def _write_source(self, number: int) -> str:
        """Return the link to a paper, its reference, its standing and what is quoted of it."""
        answer = self._answer
        own = [citation for citation in answer.citations if citation.number == number]
        standings = dict.fromkeys(STANDINGS.get(citation.standing) for citation in own)
        marks = (f"*({standing})*" for standing in standings if standing)
        reference = escape_text(answer.sources[number].reference)
        quotes = dict.fromkeys(quote.text for citation in own for quote in citation.quotes)
        quoted = (f"> {escape_text(quote)}" for quote in quotes if not answer.is_quoted)
        return "\n\n".join(
            filter(None, [" ".join([self._links[number], reference, *marks]), "\n>\n".join(quoted)])
        )

    def _write_checks(self) -> list[str]:
        """Return the summary of the verdicts, then each in words."""
        answer = self._answer
        notes = [answer.reason if answer.status == "incomplete" else "", *answer.warnings]
        judged = [each for each in answer.statements if each.claim and each.verdict]
        verdicts = [] if answer.is_quoted else map(self._write_verdict, judged)
        return [
            f"- {escape_text(answer.verification)}",
            *(f"- {escape_text(note)}" for note in notes if note),
            *verdicts,
        ]

    def _write_verdict(self, statement: Statement) -> str:
        meaning = VERDICTS[statement.verdict].meaning if statement.verdict else ""
        reasons = [
            f"{self._links[citation.number]} {escape_text(citation.reason)}"
            for citation in statement.reasoned_citations
        ]
        notes = "; ".join([*reasons, *map(escape_text, statement.warnings)])
        said = f"- {meaning}: “{escape_text(statement.named_text)}”"
        return f"{said} ({notes})" if notes else said


def _sanitise_prose(text: str) -> str:
    r"""Make a model's Markdown harmless.

    >>> print(_sanitise_prose("**Yes** [[x]] `= run()` #tag <% y %> $30"))
    **Yes** &#91;[x]] &#96;= run()&#96; &#35;tag &#60;% y &#37;> \$30
    """
    signs = _MODEL_SIGN.sub(lambda sign: f"&#{ord(sign[0])};", text)
    safe = sanitise_markdown(signs.encode("utf-8", "replace").decode())
    return _DOLLAR.sub(r"\$", safe)
