"""Value types of an answer, and of the events while it is made."""

from __future__ import annotations

import json
from abc import abstractmethod
from dataclasses import dataclass, fields, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from rag.answer.document import Composer, Document, write_titles
from rag.answer.docx import render_docx
from rag.answer.headings import QUOTED_INSTEAD
from rag.answer.html import render_html
from rag.answer.latex import render_comment, render_latex
from rag.answer.markdown import render_markdown
from rag.answer.summary import summarize_verdicts
from rag.citations.citation import name_paper, to_json_values
from rag.exporters import export_papers
from rag.exporters.markdown_list import escape_markdown
from rag.files import write_atomically
from rag.llm.reply import NO_USAGE, Usage

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from rag.answer.document import Aside
    from rag.citations.citation import Citation, Statement
    from rag.exporters.vault import VaultReport
    from rag.llm.traced import ModelCall
    from rag.papers import Paper
    from rag.retrieval import Hit
    from rag.verification import ReaderScore

AnswerStatus = Literal["answered", "abstained", "incomplete"]
Mode = Literal["model", "quotes"]
Kind = Literal["answer", "list", "metadata"]
StepName = Literal["plan", "retrieve", "write", "check", "repair"]


class Passage(NamedTuple):
    """Part of the text of an answer with its statements, whose offsets are in it."""

    text: str
    statements: tuple[Statement, ...]


class Bibliography:
    """Answers as documents, and the papers they cite as references, each once.

    The methods that take a style raise SettingsError if there is no such style.
    """

    @property
    @abstractmethod
    def sources(self) -> Mapping[int, Paper]:
        """Shown number -> cited paper, by number."""

    @property
    @abstractmethod
    def answers(self) -> Sequence[Answer]:
        """All answers, in order."""

    def to_bibtex(self) -> str:
        """Return BibTeX entries. Their keys are those of pandoc's markers."""
        return export_papers(self.sources.values(), "bibtex")

    def to_ris(self) -> str:
        """Return RIS records."""
        return export_papers(self.sources.values(), "ris")

    def to_csl(self) -> str:
        """Return a list in CSL-JSON."""
        return export_papers(self.sources.values(), "csl")

    def to_markdown(
        self,
        *,
        style: str | Path = "numeric",
        with_footnotes: bool = False,
        cite_style: str | None = None,
    ) -> str:
        """Return the answers with their sources, what they say, and how they were checked.

        Args:
            style: "numeric" marks a paper by [1], "pandoc" by [@key] as in `to_bibtex`. Both are
                short, to be pasted. A CSL style, by a name in `rag.csl.STYLE_NAMES` or the path of
                a `.csl` file, gives a document with headings.
            with_footnotes: whether quotes stand in footnotes. Else they stand below the references.
            cite_style: older name of `style`.
        """
        style = cite_style or style
        is_document = style not in ("numeric", "pandoc")
        return render_markdown(
            self._compose(style, with_footnotes=with_footnotes, is_document=is_document)
        )

    def to_html(self, *, style: str | Path = "ieee", with_footnotes: bool = False) -> str:
        """Return the answers as a page without scripts. See `to_markdown` for the arguments."""
        return render_html(self._compose(style, with_footnotes=with_footnotes))

    def to_docx(
        self, path: str | Path, *, style: str | Path = "ieee", with_footnotes: bool = False
    ) -> None:
        """Write the answers to a Word file, whole or not at all. See `to_markdown`.

        Raises:
            DiskError: the file cannot be written.
            SettingsError: there is no such style, or python-docx is not installed.
        """
        content = render_docx(self._compose(style, with_footnotes=with_footnotes))
        write_atomically(path, content)

    def save_notes(self, vault: str | Path) -> VaultReport:
        """Write the answers as notes of Obsidian, with notes of the papers that they cite.

        Parts of notes that you have edited stay as they are.

        Args:
            vault: folder of a vault, or a folder in it. It is made if its parent exists.

        Raises:
            SettingsError: the folder cannot be one.
            DiskError: it cannot be written, or another process writes to it.
        """
        from rag.answer.obsidian import save_answers

        return save_answers(self.answers, Path(vault))

    def to_latex(self, *, style: str | Path | None = None, with_footnotes: bool = False) -> str:
        r"""Return the answers as LaTeX without a preamble.

        Args:
            style: None for ``\cite{key}``, with sources and quotes as comments. The keys are those
                of `to_bibtex`: a paper's own, as its .bib file has it, where known. Otherwise as in
                `to_markdown`, with the references as text.
            with_footnotes: whether quotes stand in footnotes.
        """
        if style is not None:
            return render_latex(self._compose(style, with_footnotes=with_footnotes))
        return "\n".join(each.compose_latex(with_footnotes=with_footnotes) for each in self.answers)

    def _compose(
        self, style: str | Path, *, with_footnotes: bool, is_document: bool = True
    ) -> Document:
        asides: list[Aside] = []
        texts = [
            answer.compose(
                Composer(
                    style,
                    asides,
                    answer.sources,
                    is_document=is_document,
                    with_footnotes=with_footnotes,
                )
            )
            for answer in self.answers
        ]
        titles = [answer.question for answer in self.answers]
        return Document(titles[0] if titles else "", "\n---\n\n".join(texts), asides)


@dataclass(frozen=True, repr=False)
class Answer(Bibliography):
    """Answer whose statements can be checked, or an abstention.

    Attributes:
        question: as the user put it.
        asked: as it was searched for; the same unless a follow-up was rewritten.
        text: the statements with markers such as [1]. It says so if there is no clear answer.
        statements: in order. Of an abstention, the closest sentences behind what a model said.
        hits: papers that were retrieved, best first.
        status: "answered", "abstained" or "incomplete" (cut off).
        reason: why it abstained or is incomplete; empty if that is not known.
        closest: without a clear answer, the nearest papers. Beside quotes, the nearest that are not
            quoted, none if the question names its paper. Else empty.
        mode: "quotes" (verbatim sentences) or "model".
        kind: "answer", "list" (papers that fit a subject) or "metadata" (taken from the records).
        model: name of the language model, or None.
        checker: model that checked the statements, with its result in the reader's test. None where
            none did, or in an answer saved by version 0.2.
        scope: the papers that it was asked of, in words; "" for all of the library.
        narrowed: whether the question restricted them, not only a filter that was given.
        confidence: in [0, 1], how sure it is that the library holds an answer.
        usage: calls and tokens.
        cost: of the usage, with its currency, where the user's price file has the model. None where
            a second model checked.
        seconds: from question to answer.
        warnings: sentences a reader should know.
        model_error: why the language model did not write it, or did not read all papers of a list,
            else empty. Quotes, an abstention or a ranked list stand in for what it would say.
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
    checker: ReaderScore | None = None
    scope: str = ""
    narrowed: bool = False
    confidence: float | None = None
    usage: Usage = NO_USAGE
    cost: str | None = None
    seconds: float = 0.0
    warnings: tuple[str, ...] = ()
    model_error: str = ""

    @cached_property
    def citations(self) -> tuple[Citation, ...]:
        """All citations, in the order of the text."""
        return tuple(c for statement in self.statements for c in statement.citations)

    @property
    def answers(self) -> tuple[Answer, ...]:
        """The answer itself."""
        return (self,)

    @cached_property
    def sources(self) -> Mapping[int, Paper]:
        """Shown number -> cited paper, by number."""
        return dict(sorted({c.number: c.paper for c in self.citations}.items()))

    @property
    def is_quoted(self) -> bool:
        """Whether it quotes sentences under their papers, the best first, below a heading."""
        is_headed = bool(self.citations) and not self.statements[0].citations
        is_copied = self.mode == "quotes" or self.status == "abstained"
        return self.kind == "answer" and is_copied and is_headed

    @property
    def heading(self) -> int:
        """Index of the statement above quoted sentences. Words of a model may stand before it."""
        texts = [statement.text for statement in self.statements]
        return texts.index(QUOTED_INSTEAD) if QUOTED_INSTEAD in texts else 0

    def split_quotations(self) -> tuple[Passage, Passage]:
        """Return the words of a model, and the sentences quoted below them if there are any."""
        if not self.is_quoted:
            return Passage(self.text, self.statements), Passage("", ())
        at, first = self.statements[self.heading].start, self.heading
        below = (
            replace(each, start=each.start - at, end=each.end - at)
            for each in self.statements[first:]
        )
        return (
            Passage(self.text[:at], self.statements[:first]),
            Passage(self.text[at:], tuple(below)),
        )

    @property
    def closest_heading(self) -> str:
        """Words above the papers in `closest`."""
        return "Further papers:" if self.is_quoted else "Closest papers:"

    @property
    def verification(self) -> str:
        """One line on how the statements hold and who checked them."""
        return summarize_verdicts(self.statements, writer=self.model, checker=self.checker)

    @property
    def duration(self) -> str:
        """Seconds in words: "under 0.1 s", "0.38 s", "12.3 s"."""
        if self.seconds < 0.1:
            return "under 0.1 s"
        return f"{self.seconds:.2f} s" if self.seconds < 1 else f"{self.seconds:.1f} s"

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values. Papers appear with id and title, sources with their record."""
        values = {
            each.name: to_json_values(getattr(self, each.name))
            for each in fields(self)
            if each.name not in ("hits", "closest")
        }
        return {
            **values,
            "checker": self.checker and {**values["checker"], "tested": self.checker.tested},
            "sources": [
                {"number": number, **_describe_paper(paper)}
                for number, paper in self.sources.items()
            ],
            "hits": [_describe_hit(hit) for hit in self.hits],
            "closest": [_describe_hit(hit) for hit in self.closest],
            "verification": self.verification,
        }

    def to_json(self, *, indent: int | None = None) -> str:
        """Return `to_dict` as JSON text."""
        return json.dumps(self.to_dict(), ensure_ascii=False, indent=indent)

    def compose(self, composer: Composer) -> str:
        """Return the answer as Markdown with asides, for a `Document`."""
        parts = [composer.write_title(self.question), *self._compose_reading()]
        parts += [self._compose_text(composer), *self._compose_notes()]
        if self.is_quoted or not self.closest:
            sources = composer.write_sources(self.citations, with_quotes=not self.is_quoted)
            checks = self._compose_checks(composer)
            parts += checks + sources if composer.is_document else sources + checks
        return "\n\n".join(parts) + "\n"

    def to_reply(self) -> str:
        """Return short Markdown for a chat: the text first, then notes, sources and doubts."""
        composer = Composer("numeric", [], self.sources, is_document=False)
        parts = [self._compose_text(composer), *self._compose_reading(), *self._compose_notes()]
        parts += composer.write_sources(self.citations, with_quotes=False)
        parts += self._compose_checks(composer) if self.citations else []
        return render_markdown(Document("", "\n\n".join(parts), composer.asides))

    def _compose_reading(self) -> list[str]:
        """Return how the question was read and which papers were asked."""
        parts = []
        if self.asked != self.question.strip():
            parts.append(f"*Understood as: {escape_markdown(self.asked)}*")
        if self.scope:
            parts.append(f"*Only papers {escape_markdown(self.scope)}.*")
        return parts

    def _compose_notes(self) -> list[str]:
        """Return what is missing, the warnings, and the closest papers."""
        parts = []
        if self.status == "incomplete":
            parts.append(
                f"*This answer is incomplete: {escape_markdown(self.reason.rstrip('.'))}.*"
            )
        if self.warnings:
            parts.append(f"*{escape_markdown(' '.join(self.warnings))}*")
        if self.closest:
            parts += [self.closest_heading, write_titles(hit.paper for hit in self.closest)]
        return parts

    def _compose_checks(self, composer: Composer) -> list[str]:
        mode = self.model or self.mode
        return composer.write_checks(self.statements, self.verification, mode)

    def compose_latex(self, *, with_footnotes: bool) -> str:
        r"""Return the answer as LaTeX with ``\cite``, and what else it has as comments."""
        composer = Composer(
            "latex", [], self.sources, is_document=False, with_footnotes=with_footnotes
        )
        parts = [render_comment(self.question)]
        if self.status != "answered":
            parts.append(render_comment(f"{self.status}: {self.reason}"))
        parts.append(render_latex(Document("", self._compose_text(composer), composer.asides)))
        for number, paper in self.sources.items():
            quotes = [c.quotes for c in self.citations if c.number == number]
            texts = dict.fromkeys(quote.text for several in quotes for quote in several)
            lines = [f"[{composer.keys[number]}] {paper.reference}", *texts]
            parts.append("\n".join(map(render_comment, lines)))
        notes = [*composer.list_doubts(self.statements), self.verification, *self.warnings]
        parts.append("\n".join(map(render_comment, notes)))
        return "\n\n".join(part.strip() for part in parts if part.strip()) + "\n"

    def _compose_text(self, composer: Composer) -> str:
        if self.mode == "model" and self.kind == "answer":
            own, quoted = self.split_quotations()
            prose = composer.write_prose(own.text, own.statements)
            below = composer.write_statements(quoted.text, quoted.statements)
            return f"{prose.rstrip()}\n\n{below}" if below else prose
        return composer.write_statements(self.text, self.statements)

    def _repr_markdown_(self) -> str:
        return self.to_markdown()

    def __str__(self) -> str:
        lines = [f"[{number}] {paper.reference}" for number, paper in self.sources.items()]
        if self.is_quoted:  # the quotes stand under their papers
            lines = []
        if self.closest:
            lines = [self.closest_heading, *(f"- {hit.paper.reference}" for hit in self.closest)]
        return "\n\n".join(filter(None, [self.text, "\n".join(lines)]))

    def __repr__(self) -> str:
        text = self.text if len(self.text) <= 60 else f"{self.text[:60]}…"
        counts = f"{len(self.statements)} statements, {len(self.sources)} sources"
        return f"<Answer {self.status} ({self.kind}, {self.mode}): {text!r}, {counts}>"


class Answers(Bibliography):
    """Several answers as one document. Their sources are numbered anew, only to be listed."""

    def __init__(self, answers: Sequence[Answer]) -> None:
        """Take the answers, in order."""
        self._answers = answers

    @property
    def answers(self) -> Sequence[Answer]:
        """All answers, in order."""
        return self._answers

    @property
    def sources(self) -> Mapping[int, Paper]:
        """Number -> cited paper."""
        several = [paper for answer in self.answers for paper in answer.sources.values()]
        return dict(enumerate(several, 1))


@dataclass(frozen=True, slots=True)
class Turn:
    """One question of a conversation and its answer."""

    question: str
    answer: Answer


@dataclass(frozen=True, slots=True)
class Status:
    """Step that the assistant takes now."""

    text: str
    kind: Literal["status"] = "status"


@dataclass(frozen=True, slots=True)
class Text:
    """More text of the answer. A citation marker is never cut in two."""

    delta: str
    kind: Literal["text"] = "text"


@dataclass(frozen=True, slots=True)
class Verified:
    """Statements with their verdicts.

    Attributes:
        statements: of the draft.
        checker: model that checked them, if one did.
        text: that they stand in, where it is no longer what was streamed; else "".
    """

    statements: tuple[Statement, ...]
    checker: ReaderScore | None = None
    text: str = ""
    kind: Literal["verified"] = "verified"


@dataclass(frozen=True, slots=True)
class Step:
    """One step of an answer when it has ended, with `trace=True`. No key is in any of it.

    Attributes:
        name: "plan", "retrieve", "write", "check" or "repair". A list or records need no check.
        seconds: that the step took.
        calls: to language models, in the order in which they were sent; failed ones too.
        result: what came of it, as plain JSON values: the plan, the ranked papers, or the
            statements with their verdicts. Empty if the step changed nothing or failed.
    """

    name: StepName
    seconds: float
    calls: tuple[ModelCall, ...]
    result: Mapping[str, Any]
    kind: Literal["step"] = "step"

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return to_json_values(self)  # type: ignore[no-any-return]


@dataclass(frozen=True, slots=True)
class Done:
    """Whole answer, the last event of a stream."""

    answer: Answer
    kind: Literal["done"] = "done"


AnswerEvent = Status | Text | Verified | Step | Done


def _describe_hit(hit: Hit) -> dict[str, Any]:
    return {"rank": hit.rank, "score": round(hit.score, 4), **name_paper(hit.paper)}


def _describe_paper(paper: Paper) -> dict[str, Any]:
    return {name: value for name, value in paper.to_dict().items() if name != "abstract"}
