"""Evaluation questions: hand-written JSON Lines, read and checked.

One object a line; empty lines and lines that begin with # are passed over. The bundled questions
lie in `qa/`, one file a split, so that nothing can move from one split to the other unseen.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from rag.errors import DiskError, QuestionError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping, Sequence

    from rag.papers import Paper

QA = Path(__file__).parent / "qa"
EXAMPLE = Path(__file__).parent / "example.jsonl"
SPLITS = ("dev", "test")
Kind = Literal["single", "named", "multi", "follow-up", "listing", "unanswerable"]
NEAR_MISS = "near miss of "
_TITLE_WORDS = 3  # of its gold title, in a row, that a single question may not repeat
_STOP_WORDS = frozenset(
    ("a", "an", "the", "of", "for", "to", "in", "on", "with", "and", "or", "from", "by", "at", "as",
     "is", "are", "via", "using", "into", "its", "their")
)  # fmt: skip


class Fact(BaseModel):
    """Something that a right answer holds: must, if vital."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    text: str = Field(min_length=1)
    vital: bool = True


class Evidence(BaseModel):
    """A sentence of an abstract (or a title) that carries the answer, verbatim."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    paper: str
    quote: str = Field(min_length=1)


class Earlier(BaseModel):
    """An earlier turn of a conversation."""

    model_config = ConfigDict(frozen=True, extra="forbid")
    question: str
    answer: str


class Question(BaseModel):
    """One question and what a right answer to it holds.

    Attributes:
        id: unique.
        kind: what sort of question; "unanswerable" has no papers, facts or evidence.
        question: as asked.
        paraphrase: the same in other words, for the robustness axis; "" where there is none.
        history: earlier turns, oldest first.
        papers: ids of the gold papers, all of them.
        borderline: ids that count neither way.
        answer: a right answer, for readers of a report.
        facts: what it must and may hold.
        evidence: where the abstracts say it.
        opposing: of a yes/no question, sentences that say the opposite when quoted alone.
        note: remarks; "near miss of <id>" ties an unanswerable question to its paper.
        split: taken from the name of the bundled file; "all" for a user's own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")
    id: str = Field(pattern=r"^[^\s\x00-\x1f](?:[^\x00-\x1f]*[^\s\x00-\x1f])?$")
    kind: Kind
    question: str = Field(pattern=r"\S")
    paraphrase: str = ""
    history: tuple[Earlier, ...] = ()
    papers: tuple[str, ...] = ()
    borderline: tuple[str, ...] = ()
    answer: str = ""
    facts: tuple[Fact, ...] = ()
    evidence: tuple[Evidence, ...] = ()
    opposing: tuple[Evidence, ...] = ()
    note: str = ""
    split: str = "all"

    @property
    def answerable(self) -> bool:
        """Whether the library holds an answer."""
        return self.kind != "unanswerable"

    @property
    def near_miss_of(self) -> str | None:
        """The paper that an unanswerable question just misses, or None."""
        rest = self.note.removeprefix(NEAR_MISS)
        return rest.split()[0] if rest != self.note and rest.strip() else None

    @property
    def anchors(self) -> tuple[str, ...]:
        """The papers that tie it to other questions; a listing asks the whole library of none."""
        if self.kind == "listing":
            return ()
        near = self.near_miss_of
        return self.papers or ((near,) if near else ())


def read_questions(path: str | Path | None = None, split: str = "all") -> list[Question]:
    """Read questions in order.

    Args:
        path: a file of one's own; None takes the bundled ones.
        split: "dev", "test" or "all" of the bundled ones; a file of one's own has only "all".

    Raises:
        QuestionError: a line is no question, an id comes twice, or there is none.
    """
    if path is not None:
        if split != "all":
            raise QuestionError(
                f"Only the bundled questions have the split {split}; leave --split out for {path}.",
                path=path,
            )
        return _read(Path(path), "all")
    if split not in (*SPLITS, "all"):
        raise QuestionError(f"There is no split {split}; there are dev, test and all.")
    names = SPLITS if split == "all" else (split,)
    return [question for name in names for question in _read(QA / f"{name}.jsonl", name)]


def write_example(file: Path) -> None:
    """Write a commented question file to begin with.

    Raises:
        QuestionError: the file is there already.
        DiskError: it cannot be written.
    """
    try:
        with file.open("x", encoding="utf-8") as out:
            out.write(EXAMPLE.read_text(encoding="utf-8"))
    except FileExistsError as error:
        raise QuestionError(f"{file} is there already; name another file.") from error
    except OSError as error:
        raise DiskError(f"{file} cannot be written: {error.strerror}.") from error


def digest(questions: Sequence[Question]) -> str:
    """Return the sha256 of the questions, without the labels of `opposing` sentences.

    Those labels came later. Leaving them out keeps older runs comparable.
    """
    content = "\n".join(q.model_dump_json(exclude={"opposing"}) for q in questions)
    return hashlib.sha256(content.encode()).hexdigest()


def problems(questions: Sequence[Question], papers: Mapping[str, Paper]) -> list[str]:
    """Return the faults of questions over a library, one sentence each.

    Args:
        questions: of one set.
        papers: id -> paper of the library.
    """
    found = [f"{q.id}: {said}" for q in questions for said in _problems(q, papers)]
    places: dict[str, set[str]] = {}
    for question in questions:
        for paper in question.anchors:
            places.setdefault(paper, set()).add(question.split)
    found += [
        f"the paper {paper} has questions in {' and '.join(sorted(splits))}; a paper belongs to one"
        for paper, splits in sorted(places.items())
        if len(splits) > 1
    ]
    return found


def refuse_unusable(questions: Sequence[Question], papers: Collection[str]) -> None:
    """Refuses what would make figures wrong; `problems` tells of much more.

    Raises:
        QuestionError: an id comes twice, a paper is unknown or named twice, or gold papers are
            lacking or do not fit the kind.
    """
    counts = Counter(question.id for question in questions)
    for question in questions:
        unknown = [p for p in (*question.papers, *question.borderline) if p not in papers]
        wrong = (
            (counts[question.id] > 1, "its id comes more than once"),
            (bool(unknown), f"there is no paper {unknown[0] if unknown else ''} in the library"),
            (len(set(question.papers)) < len(question.papers), "it names a paper twice"),
            (question.answerable != bool(question.papers), "its gold papers do not fit its kind"),
        )
        for is_so, said in wrong:
            if is_so:
                raise QuestionError(f"Question {question.id}: {said}; `rag eval check` tells all.")


def _problems(question: Question, papers: Mapping[str, Paper]) -> Iterator[str]:
    yield from _find_wrong_references(question, papers)
    if question.kind == "follow-up" and not question.history:
        yield "a follow-up has a history"
    if question.answerable:
        yield from _incomplete(question)
    elif question.papers or question.facts or question.evidence or question.opposing:
        yield "an unanswerable question has no papers, facts or quotes"
    if question.note.casefold().startswith("near miss") and not question.near_miss_of:
        yield f"its note names no paper; write “{NEAR_MISS}” and the id of the one it just misses"
    if question.kind == "single":
        yield from _find_repeated_titles(question, papers)


def _find_wrong_references(question: Question, papers: Mapping[str, Paper]) -> Iterator[str]:
    """Yield unknown papers, and quotes that their paper does not hold."""
    near = (question.near_miss_of,) if question.near_miss_of else ()
    quoted = (*question.evidence, *question.opposing)
    named = (*question.papers, *question.borderline, *(one.paper for one in quoted), *near)
    for paper in dict.fromkeys(named):
        if paper not in papers:
            yield f"there is no paper {paper} in the library"
    for one in quoted:
        text = papers.get(one.paper)
        if text and one.quote not in text.abstract and one.quote not in text.title:
            yield f"the abstract of {one.paper} does not say “{one.quote[:60]}”"


def _incomplete(question: Question) -> Iterator[str]:
    """Yield the parts that an answerable question lacks."""
    if not question.papers:
        yield "it names no gold paper"
    if len(set(question.papers)) < len(question.papers):
        yield "it names a gold paper twice"
    if set(question.papers) & set(question.borderline):
        yield "a paper is both gold and borderline"
    if question.kind == "listing":  # only its papers are counted
        return
    if not any(fact.vital for fact in question.facts):
        yield "it has no vital fact"
    for paper in sorted(set(question.papers) - {e.paper for e in question.evidence}):
        yield f"it quotes nothing of its gold paper {paper}"


def _find_repeated_titles(question: Question, papers: Mapping[str, Paper]) -> Iterator[str]:
    """Yield a fault for each gold title of which the question repeats three words in a row."""
    asked = set(_list_runs(question.question))
    for gold in filter(None, map(papers.get, question.papers)):
        if repeated := [run for run in _list_runs(gold.title) if run in asked]:
            yield f"it repeats “{' '.join(repeated[0])}” of its gold title"


def _list_runs(text: str) -> list[tuple[str, ...]]:
    """Return every three words in a row. Stop words do not count."""
    words = [w for w in re.findall(r"[^\W_]+", text.casefold()) if w not in _STOP_WORDS]
    return [tuple(words[n : n + _TITLE_WORDS]) for n in range(len(words) - _TITLE_WORDS + 1)]


def read_lines(path: Path) -> list[tuple[int, str]]:
    """Return the lines of a text file that are not blank, with their numbers.

    Raises:
        QuestionError: the file cannot be read as UTF-8.
    """
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise QuestionError(f"{path} is not UTF-8 text: {error.reason}.", path=path) from error
    except OSError as error:
        raise QuestionError(f"{path} cannot be read: {error.strerror}.", path=path) from error
    return [(number, line) for number, line in enumerate(lines, start=1) if line.strip()]


def _read(path: Path, split: str) -> list[Question]:
    found = [
        _question(line, split, path, number)
        for number, line in read_lines(path)
        if not line.lstrip().startswith("#")
    ]
    if not found:
        raise QuestionError(
            f"{path} holds no question; `rag eval new FILE` writes an example.", path=path
        )
    twice = [name for name, count in Counter(q.id for q in found).items() if count > 1]
    if twice:
        raise QuestionError(f"{path} has the id {twice[0]} more than once.", path=path)
    return found


def _question(line: str, split: str, path: Path, number: int) -> Question:
    try:
        return Question.model_validate_json(line).model_copy(update={"split": split})
    except ValidationError as error:
        problem = error.errors()[0]
        field = ".".join(map(str, problem["loc"])) or "the line"
        raise QuestionError(
            f"{path}, line {number}: {field}: {problem['msg']}.", path=path, line=number
        ) from error
