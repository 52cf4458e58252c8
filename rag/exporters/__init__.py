"""Export papers as references, in the formats of reference managers and writers.

Each format is a module with a function `render` that yields the text of all papers, piece by piece,
with only the fields that a paper has. `rag.readers` reads every format with abstracts back as the
same papers. `rag.exporters.obsidian` writes notes: a folder instead of one text.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rag.errors import SettingsError
from rag.exporters import bibtex, csl, json_lines, markdown_list, ris
from rag.papers.citation_key import make_citation_key

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path

    from rag.papers import Paper

# No paper gives an empty text that can be read back.
FORMATS: dict[str, Callable[[Iterable[Paper]], Iterator[str]]] = {
    "bibtex": bibtex.render,
    "ris": ris.render,
    "csl": csl.render,
    "jsonl": json_lines.render,
    "markdown": markdown_list.render,
}
_ENDINGS = {
    ".bib": "bibtex",
    ".ris": "ris",
    ".csl": "csl",
    ".json": "csl",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".md": "markdown",
    ".markdown": "markdown",
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
    return "".join(FORMATS[form](unique.values()))


def detect_format(path: Path) -> str | None:
    """Return the format that the file name ends in, or None."""
    _, dot, ending = path.name.lower().rpartition(".")
    return _ENDINGS.get(dot + ending)


__all__ = ["FORMATS", "detect_format", "export_papers", "make_citation_key"]
