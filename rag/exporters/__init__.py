"""Papers as references, in the forms that reference managers and writers read.

Each format module offers

    NAME              what the format is called
    ENDINGS           of files that hold it
    pieces(papers)    the text of all papers, piece by piece

and writes only what the library knows: a field that a paper lacks is left out, and where the
library cannot tell an article from a report, the most general type is taken. Whatever holds
abstracts is read back by `rag.readers` as the same papers.

Called by the answer, the conversation and the command.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from rag.errors import SettingsError
from rag.exporters import bibtex, csl, json_lines, markdown_list, ris
from rag.exporters.values import make_citation_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from rag.papers import Paper


class ReferenceFormat(Protocol):
    """What a format module offers."""

    NAME: str
    ENDINGS: tuple[str, ...]

    def pieces(self, papers: Iterable[Paper]) -> Iterator[str]:
        """The text of all papers, piece by piece; no paper gives a readable empty text."""
        ...


FORMATS: dict[str, ReferenceFormat] = {
    "bibtex": bibtex,
    "ris": ris,
    "csl": csl,
    "jsonl": json_lines,
    "markdown": markdown_list,
}


def export_papers(papers: Iterable[Paper], form: str) -> str:
    r"""Papers as references, each once, in the order given.

    Args:
        papers: none gives a text without references.
        form: a name among `FORMATS`.

    Raises:
        SettingsError: there is no such format.

    >>> from rag.papers import Paper
    >>> export_papers([Paper("a-1", "Rates", "", year=2021)], "markdown")
    '1. 2021. Rates.\n'
    """
    if form not in FORMATS:
        raise SettingsError(f"There is no format {form!r}; known are {', '.join(FORMATS)}.")
    once = {paper.id: paper for paper in papers}
    return "".join(FORMATS[form].pieces(once.values()))


def detect_format(path: Path) -> str | None:
    """The format that a file's name ends in, or None."""
    name = path.name.lower()
    return next((form for form, each in FORMATS.items() if name.endswith(each.ENDINGS)), None)


__all__ = ["FORMATS", "ReferenceFormat", "detect_format", "export_papers", "make_citation_key"]
