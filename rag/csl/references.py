"""Citations and the reference list of one document, in one style."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, NamedTuple

from rag.csl.runs import CLOSE_QUOTE, END, STARTS, drop_marks, parse_runs
from rag.exporters.csl import make_item
from rag.exporters.values import collapse_space
from rag.papers import ET_AL, join_name

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rag.csl.runs import Run
    from rag.csl.styles import CslStyle
    from rag.papers import Paper

_LEFT_OUT = ("id", "abstract", "keyword", "custom")
_THESES = {"phdthesis": "PhD thesis", "mastersthesis": "Master’s thesis"}
# Seams that citeproc-py leaves where formatting ends, or where a style expects them to vanish.
_MARKS = f"[{''.join(STARTS.values())}{END}]"
_QUOTE_END = re.compile(rf"([.?!,]?)({END}*){CLOSE_QUOTE}(\S)([.,])")
_SEAMS = (
    (re.compile(CLOSE_QUOTE), ""),
    (re.compile(rf"(?:(?<=[.?!]{END})|(?<=[?!]))\."), ""),  # "et al.", in italics, and a full stop
    (re.compile(rf" (?={_MARKS} )"), ""),
    (re.compile(r"(?<=[.,;]) ,"), ""),
    (re.compile(r"(?<!\. )[.,;] \.(?! \.)"), "."),  # but no ". . ." of a title
)


class Reference(NamedTuple):
    """One entry of a reference list.

    Attributes:
        number: shown number of the paper.
        label: number that the style puts before the entry ("[1]", "1."), or "".
        runs: the entry, without the label.
    """

    number: int
    label: str
    runs: tuple[Run, ...]


class StyledReferences:
    """Citations and reference list of the papers of one document."""

    def __init__(self, style: CslStyle, sources: Mapping[int, Paper]) -> None:
        """Prepare the papers, given by shown number."""
        from rag.csl.disambiguation import tell_apart
        from rag.csl.engine import Document

        items = [_make_csl_item(sources[number], number) for number in sorted(sources)]
        self._links = _collect_links(sources.values())
        self._document = Document(style.xml, style.locale, items)
        self._mark_retracted(sources)
        tell_apart(self._document, items)

    def cite(self, numbers: Sequence[int]) -> tuple[Run, ...]:
        """Return one citation of the papers with these shown numbers."""
        return self._make_runs(self._document.cite(list(map(str, dict.fromkeys(numbers)))))

    def references(self) -> tuple[Reference, ...]:
        """Return the reference list in the order of the style."""
        return tuple(
            Reference(int(key), drop_marks(label).strip(), self._make_runs(text.strip()))
            for key, label, text in self._document.list_references()
        )

    def _mark_retracted(self, sources: Mapping[int, Paper]) -> None:
        """Show a retraction before the title, whatever the style. It does not count for sorting."""
        for number, paper in sources.items():
            if paper.retraction:
                title = f"[Retracted] {collapse_space(paper.title)}"
                self._document.set_field(str(number), "title", title)

    def _make_runs(self, text: str) -> tuple[Run, ...]:
        if self._document.has_punctuation_inside:
            text = _QUOTE_END.sub(_move_inside, text)
        for seam, instead in _SEAMS:
            text = seam.sub(instead, text)
        return parse_runs(text, self._links)


def _move_inside(found: re.Match[str]) -> str:
    before, ends, quote, mark = found.groups()
    kept = "" if mark == "." and before else mark
    return f"{before}{kept}{ends}{quote}"


def _make_csl_item(paper: Paper, number: int) -> dict[str, Any]:
    """Return the item as the styles expect it."""
    item = make_item(paper, str(number))
    item = {name: value for name, value in item.items() if name not in _LEFT_OUT}
    item |= {"id": str(number), "type": _choose_type(paper, item["type"])}
    item |= {role: _make_names(item.get(role, [])) for role in ("author", "editor")}
    parts = item.pop("issued", {}).get("date-parts")  # a season has no name in the locales
    item["issued"] = {"date-parts": parts} if parts else None
    item["genre"] = _THESES.get(paper.entry_type or "")
    if item["type"] != "article":
        item.pop("number", None)  # which styles take for the number of an article
    elif paper.arxiv_id:
        item.setdefault("publisher", "arXiv")
        item.setdefault("URL", f"https://arxiv.org/abs/{paper.arxiv_id}")
    return {name: value for name, value in item.items() if value}


def _choose_type(paper: Paper, kind: str) -> str:
    """Return a type that shows what is known, if that of the paper is unknown."""
    if kind != "document" or not (paper.venue or paper.arxiv_id):
        return kind
    return "article-journal" if paper.venue else "article"


def _make_names(names: Sequence[dict[str, str]]) -> list[dict[str, str]]:
    """Return the names, with a final "et al." as the engine knows it."""
    return [
        {"literal": ET_AL} if name == {"literal": "others"} else _make_name(name) for name in names
    ]


def _make_name(name: dict[str, str]) -> dict[str, str]:
    """Return a name of which citeproc-py can make initials. Without any it is in one piece."""
    words = name.get("given", "").split()
    if not words:
        return name
    if not words[0][0].isupper():
        whole = join_name(name["given"], name["family"])
        return {"literal": " ".join(filter(None, [whole, name.get("suffix")]))}
    end = next(n for n in range(len(words), 0, -1) if words[n - 1][0].isupper())
    parts = {"given": " ".join(words[:end]), "dropping-particle": " ".join(words[end:])}
    return {part: text for part, text in (name | parts).items() if text}


def _collect_links(papers: Iterable[Paper]) -> dict[str, str]:
    """Return the address of each text that is a DOI or an address of a paper."""
    links: dict[str, str] = {}
    for paper in papers:
        if paper.doi:
            resolver = f"https://doi.org/{paper.doi}"
            links |= {paper.doi: resolver, resolver: resolver}
        if paper.arxiv_id:
            abstract = f"https://arxiv.org/abs/{paper.arxiv_id}"
            links[abstract] = abstract
        if paper.url and paper.url.startswith(("http://", "https://")):
            links[paper.url] = paper.url
    return links
