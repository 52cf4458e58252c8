"""What several records of one paper say together.

Called by `rag.papers.merge`, which tells which records are of one paper.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, NamedTuple

from rag.papers.names import family_name, named_authors
from rag.papers.paper import Paper, normal_title

if TYPE_CHECKING:
    from collections.abc import Iterable


class ReadAgain(NamedTuple):
    """A paper of the library, and what its sources say when they are read again.

    Attributes:
        known: the paper as it was.
        records: by the sources that they come from.
    """

    known: Paper
    records: dict[tuple[str, ...], Paper]

    @property
    def is_whole(self) -> bool:
        """Whether all of its sources have been read."""
        return set(self.known.sources) <= {each for names in self.records for each in names}

    def add(self, paper: Paper) -> None:
        """Takes in one record."""
        before = self.records.get(paper.sources)
        self.records[paper.sources] = united(before, [paper])[0] if before else paper

    def newest(self) -> tuple[Paper, list[str]]:
        """The known paper with what its sources say now, the earlier source first."""
        order = {source: number for number, source in enumerate(self.known.sources)}
        first, *others = sorted(
            self.records.values(),
            key=lambda record: min(
                (order.get(each, len(order)) for each in record.sources), default=0
            ),
        )
        whole, warnings = united(first, others)
        return _replaced(self.known, whole), warnings


def _replaced(known: Paper, new: Paper) -> Paper:
    return replace(
        new,
        id=known.id,
        sources=tuple(dict.fromkeys((*known.sources, *new.sources))),
        aliases=_aliases(known, new),
    )


def united(known: Paper, records: Iterable[Paper]) -> tuple[Paper, list[str]]:
    """The known paper with what the records add, and what had to be decided."""
    warnings: list[str] = []
    for new in records:
        warnings += _differences(known, new)
        known = replace(
            known,
            abstract=max(known.abstract, new.abstract, key=len),
            authors=_fuller(known.authors, new.authors),
            year=known.year or new.year,
            venue=known.venue or new.venue,
            url=known.url or new.url,
            doi=known.doi or new.doi,
            arxiv_id=known.arxiv_id or new.arxiv_id,
            sources=tuple(dict.fromkeys((*known.sources, *new.sources))),
            aliases=_aliases(known, new),
            metadata={**new.metadata, **known.metadata},
        )
    return known, warnings


def _fuller(known: tuple[str, ...], new: tuple[str, ...]) -> tuple[str, ...]:
    """The known authors, or the new ones if these begin with the same and go on.

    Of two that name the same, the one counts that says that it leaves others out.
    """
    names, new_names = named_authors(known), named_authors(new)
    goes_on = (len(new_names), len(new)) > (len(names), len(known))
    pairs = zip(names, new_names, strict=False)
    return new if goes_on and all(map(_agree_on_name, pairs)) else known


def _agree_on_name(names: tuple[str, str]) -> bool:
    return family_name(names[0]) == family_name(names[1])


def _aliases(known: Paper, new: Paper) -> tuple[str, ...]:
    several = dict.fromkeys((*known.aliases, new.id, *new.aliases))
    return tuple(alias for alias in several if alias != known.id)


def _differences(known: Paper, new: Paper) -> list[str]:
    warnings = []
    if normal_title(known.title) != normal_title(new.title):
        warnings.append(
            f'{known.id} has two titles; "{known.title}" is kept, "{new.title}" is not.'
        )
    if known.abstract and new.abstract and known.abstract != new.abstract:
        kept, other = sorted((len(known.abstract), len(new.abstract)), reverse=True)
        warnings.append(
            f"{known.id} has two abstracts, of {kept} and {other} characters; the longer is kept."
        )
    return warnings
