"""Export papers as references, in the formats of reference managers and writers.

Each format is a module that offers

    ENDINGS           file name endings of the format
    render(papers)    yields the text of all papers, piece by piece

It writes only fields that the paper has. `rag.readers` reads every format with abstracts back as
the same papers. `rag.exporters.obsidian` writes notes: a folder instead of one text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

from rag.errors import SettingsError
from rag.exporters import bibtex, csl, json_lines, markdown_list, ris
from rag.papers.citation_key import make_citation_key

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from pathlib import Path

    from rag.papers import Paper


class ReferenceFormat(Protocol):
    """Module of one format."""

    ENDINGS: tuple[str, ...]

    def render(self, papers: Iterable[Paper]) -> Iterator[str]:
        """Yield the text of all papers. No paper gives an empty text that can be read back."""
        ...


FORMATS: dict[str, ReferenceFormat] = {
    "bibtex": bibtex,
    "ris": ris,
    "csl": csl,
    "jsonl": json_lines,
    "markdown": markdown_list,
}


def export_papers(papers: Iterable[Paper], form: str) -> str:
    r"""Export papers as references, each once, in the order given.

    Args:
        papers: none gives a text without references.
        form: a key of `FORMATS`.

    Raises:
        SettingsError: the format is unknown.

    >>> from rag.papers import Paper
    >>> export_papers([Paper("a-1", "Rates", "", year=2021)], "markdown")
    '1. 2021. Rates.\n'
    """
    if form not in FORMATS:
        raise SettingsError(f"Unknown format {form!r}. Choose one of {', '.join(FORMATS)}.")
    unique = {paper.id: paper for paper in papers}
    return "".join(FORMATS[form].render(unique.values()))


def detect_format(path: Path) -> str | None:
    """Return the format that the file name ends in, or None."""
    name = path.name.lower()
    return next((form for form, each in FORMATS.items() if name.endswith(each.ENDINGS)), None)


__all__ = ["FORMATS", "ReferenceFormat", "detect_format", "export_papers", "make_citation_key"]
