"""What is wrong with a library, and what to do about it.

Nothing is written. The recorded sources are read again and compared with the papers. Called by
`rag doctor`.
"""

from __future__ import annotations

import re
import shlex
import textwrap
from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

from rag.errors import IndexStale
from rag.index import Index, PassageSettings
from rag.index.manifest import SCHEMA
from rag.library import compare_sources, require_library, resolve_bundled_folder
from rag.papers.duplicates import find_duplicates
from rag.readers.fields import is_placeholder

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from pathlib import Path

    from rag.embedding import Embedder
    from rag.papers import Paper
    from rag.settings import Settings

_MOST_EXAMPLES = 3  # of a finding
_TITLE_CHARS = 60
_LEAST_LETTERS = 3  # of a title
_FILE_NAME = re.compile(
    r".*\.(?:pdf|docx?|odt|rtf|tex|txt|html?|xlsx?|pptx?|ps)|https?://\S+", re.IGNORECASE
)
_UNTITLED = re.compile(r"\W*untitled(?: \w+)?\W*", re.IGNORECASE)
_TITLE = re.compile(r"\btitle\b", re.IGNORECASE)  # "No title available"
_MARKUP = re.compile(r"</?[a-z][^<>]*>|&#?\w+;|\\[a-z]+|\$[^$]*[\\^_{][^$]*\$", re.IGNORECASE)

# By kind: what is found in a paper, in words, and the command that fixes it.
_CHECKS: dict[str, tuple[Callable[[Paper], object], str, str]] = {
    "retracted": (
        lambda paper: paper.retraction,
        "marked as retracted, and answers say so",
        "rag papers list --retracted",
    ),
    "no abstract": (
        lambda paper: not paper.abstract,
        "without an abstract, found by title only",
        "rag index FILE_WITH_ABSTRACTS",
    ),
    "no year": (
        lambda paper: not paper.year,
        "without a year, left out by filters of years",
        "rag index FILE_WITH_DETAILS",
    ),
    "no author": (
        lambda paper: not paper.authors,
        "without an author, left out by filters of authors",
        "rag index FILE_WITH_DETAILS",
    ),
}


@dataclass(frozen=True, slots=True)
class Finding:
    """One kind of problem.

    Attributes:
        kind: in a few words, such as "no abstract".
        message: what was found, with the count, in a sentence.
        fix: command that fixes it, or shows the papers that need a look.
        items: ids of the papers, or files, or records that have the problem.
        examples: the first of them in words.
    """

    kind: str
    message: str
    fix: str
    items: tuple[str, ...] = ()
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Examination:
    """Result of `examine_library`.

    Attributes:
        folder: of the index.
        papers: number of papers.
        findings: problems, those of the index and of the sources first.
    """

    folder: Path
    papers: int
    findings: tuple[Finding, ...]


def examine_library(settings: Settings, embedder: Embedder) -> Examination:
    """Return what is wrong with the library in the settings.

    Raises:
        IndexMissing, IndexDamaged, IndexStale, DiskError: the index cannot be read.
    """
    folder = require_library(settings, embedder.name)
    is_bundled = folder == resolve_bundled_folder(settings, embedder.name)
    name = "NAME" if is_bundled else shlex.quote(str(settings.index))  # the bundled one is fixed
    examiner = _Examiner(f" --index {name}")
    index = Index.open(folder)
    try:
        papers = list(index.papers())
        findings = (
            *examiner.check_index(index, settings, embedder),
            *examiner.check_sources(index, papers, settings, embedder),
            *examiner.check_duplicates(index, papers),
            *examiner.check_papers(papers),
            *examiner.check_titles(papers),
        )
    finally:
        index.close()
    return Examination(folder, len(papers), findings)


class _Examiner:
    """Makes the findings of one library."""

    def __init__(self, option: str) -> None:
        """Take the option of commands that names the library, with a space before it."""
        self._option = option

    def check_index(
        self, index: Index, settings: Settings, embedder: Embedder
    ) -> Iterator[Finding]:
        """Yield what keeps the index from being used or updated."""
        passages = PassageSettings(
            budget_tokens=settings.passage_tokens, overlap_sentences=settings.overlap_sentences
        )
        try:
            index.check_fits(embedder, passages)
        except IndexStale as error:
            message = str(error).partition(" Use those settings")[0]
            yield Finding("other settings", message, self._write("rag index --rebuild"))
        if index.manifest.schema_version != SCHEMA:
            yield Finding(
                "older layout",
                f"The index has layout {index.manifest.schema_version}, which is slower. The next "
                f"update makes it {SCHEMA}.",
                self._write("rag index --update"),
            )

    def check_sources(
        self, index: Index, papers: Sequence[Paper], settings: Settings, embedder: Embedder
    ) -> Iterator[Finding]:
        """Yield how the recorded sources differ from the papers."""
        found = compare_sources(settings, embedder, index.manifest, papers)
        if missing := found.missing:
            message = f"{_count(missing, 'source')} no longer there. The papers are kept."
            fix = self._write("rag index NEW_PATH")
            yield Finding("missing sources", message, fix, missing, missing[:_MOST_EXAMPLES])
        known = {paper.id: paper for paper in (*papers, *found.intake.papers)}
        changed = tuple(dict.fromkeys((*found.intake.changed, *found.intake.merged)))
        if stale := (*found.intake.added, *changed):
            message = (
                f"The sources say something else now: {len(found.intake.added)} new and "
                f"{len(changed)} changed papers are not in the library yet."
            )
            yield self._find(
                "stale sources", message, [known[i] for i in stale], "rag index --update"
            )
        if vanished := [known[each] for each in found.vanished]:
            message = f"{_count(vanished, 'paper')} no longer in the files they were read from."
            yield self._find("gone from sources", message, vanished, "rag papers remove ID")
        if gone := found.intake.gone:
            message = f"{_count(gone, 'paper')} no longer in Zotero."
            yield self._find("gone from Zotero", message, gone, "rag index --update")
        if refused := tuple(map(str, found.intake.refused)):
            message = f"{_count(refused, 'record')} refused when the sources are read."
            fix = f"mend the sources, then {self._write('rag index --update')}"
            yield Finding("refused records", message, fix, refused, refused[:_MOST_EXAMPLES])
        if unread := found.intake.unread:
            message = (
                f"{_count(unread, 'source')} not readable now, so papers that are no longer in its "
                "Zotero library stay. If it is gone for good, forget it."
            )
            fix = self._write(f"rag index --forget {shlex.quote(unread[0])}")
            yield Finding("unread Zotero", message, fix, unread, unread[:_MOST_EXAMPLES])

    def check_papers(self, papers: Sequence[Paper]) -> Iterator[Finding]:
        """Yield what is missing in the papers, and which are retracted."""
        for kind, (has_problem, said, fix) in _CHECKS.items():
            if found := [paper for paper in papers if has_problem(paper)]:
                are = "is" if len(found) == 1 else "are"
                message = f"{len(found)} of {len(papers)} papers {are} {said}."
                yield self._find(kind, message, found, fix)

    def check_titles(self, papers: Sequence[Paper]) -> Iterator[Finding]:
        """Yield the titles that are odd."""
        odd = {paper.id: reason for paper in papers if (reason := _find_oddity(paper.title))}
        if odd:
            reasons = Counter(odd.values()).most_common()
            said = ", ".join(f"{count} {reason}" for reason, count in reasons)
            found = [paper for paper in papers if paper.id in odd]
            message = f"{_count(found, 'title')} odd: {said}."
            yield self._find("odd titles", message, found, "rag papers show ID")

    def check_duplicates(self, index: Index, papers: Sequence[Paper]) -> Iterator[Finding]:
        """Yield the papers that may be one work and are not decided about."""
        decisions = [decision.load() for decision in index.manifest.decisions]
        if pairs := find_duplicates(papers, decisions):
            ids = dict.fromkeys(paper.id for pair in pairs for paper in (pair.first, pair.second))
            yield Finding(
                "possible duplicates",
                f"{_count(pairs, 'pair')} possibly one work.",
                self._write("rag papers duplicates"),
                tuple(ids),
                tuple(
                    f"{' and '.join(_list_examples([pair.first, pair.second]))}: {pair.reason}"
                    for pair in pairs[:_MOST_EXAMPLES]
                ),
            )

    def _find(self, kind: str, message: str, papers: Sequence[Paper], fix: str) -> Finding:
        ids = tuple(paper.id for paper in papers)
        return Finding(kind, message, self._write(fix), ids, _list_examples(papers))

    def _write(self, command: str) -> str:
        """Return the command with the option that names the library."""
        return command + self._option


def _list_examples(papers: Sequence[Paper]) -> tuple[str, ...]:
    return tuple(
        f'"{textwrap.shorten(paper.title, _TITLE_CHARS, placeholder="…")}" ({paper.id})'
        for paper in papers[:_MOST_EXAMPLES]
    )


def _count(several: Sequence[object], noun: str) -> str:
    """Return how many there are, with the verb.

    >>> _count("a", "paper"), _count("ab", "paper")
    ('1 paper is', '2 papers are')
    """
    return f"1 {noun} is" if len(several) == 1 else f"{len(several)} {noun}s are"


def _find_oddity(title: str) -> str:
    """Return what is odd about a title, or "".

    >>> [_find_oddity(title) for title in ("x", "draft-2.pdf", "ON RATES", "On <i>E. coli</i>")]
    ['too short', 'a file name', 'all in capitals', 'with markup']
    >>> _find_oddity("BERT"), _find_oddity("If x < 3 and y > 2")
    ('', '')
    """
    if sum(map(str.isalpha, title)) < _LEAST_LETTERS:
        return "too short"
    if _UNTITLED.fullmatch(title) or is_placeholder(_TITLE.sub("abstract", title)):
        return "a placeholder"
    if _FILE_NAME.fullmatch(title):
        return "a file name"
    if _MARKUP.search(title):
        return "with markup"
    return "all in capitals" if title.isupper() and " " in title else ""
