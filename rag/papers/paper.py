"""One paper as a value, and what its id is made of.

Where a DOI or an arXiv id is known it is the identity; where neither is, the title stands in for
it. Called by everyone who makes or shows a paper.
"""

from __future__ import annotations

import json
import re
import unicodedata
from dataclasses import dataclass, field, fields
from hashlib import sha256
from typing import TYPE_CHECKING, Any, TypeAlias

from rag.text.links import find_links

if TYPE_CHECKING:
    from collections.abc import Mapping

# What json.loads gives.
JsonValue: TypeAlias = "str | int | float | bool | list[JsonValue] | dict[str, JsonValue] | None"

_ALWAYS_SHOWN = ("id", "title", "abstract")
_SEVERAL = ("authors", "sources", "aliases")


@dataclass(frozen=True, slots=True)
class Paper:
    """One title and abstract, with what else its source knows.

    Attributes:
        id: stable for the life of a library; see `paper_id`.
        title: as plain text on one line.
        abstract: as plain text on one line; offsets of passages and quotes count in it.
        authors: in the order of the paper; () when unknown. A last "et al." says that the source
            leaves others out.
        year: of publication, or None.
        venue: journal or conference, or None.
        url: an http or https address of the paper itself, or None.
        doi: without a resolver in front ("10.1000/xyz"), or None.
        arxiv_id: without version ("1706.03762"), or None.
        sources: the files it was read from, in the order of reading.
        aliases: other ids that mean this paper.
        metadata: further fields of its source.
    """

    id: str
    title: str
    abstract: str
    authors: tuple[str, ...] = ()
    year: int | None = None
    venue: str | None = None
    url: str | None = None
    doi: str | None = None
    arxiv_id: str | None = None
    sources: tuple[str, ...] = ()
    aliases: tuple[str, ...] = ()
    metadata: Mapping[str, JsonValue] = field(default_factory=dict, hash=False)

    def __post_init__(self) -> None:
        if not type(self.authors) is type(self.sources) is type(self.aliases) is tuple:
            for name in _SEVERAL:
                object.__setattr__(self, name, tuple(getattr(self, name)))
        object.__setattr__(self, "metadata", dict(self.metadata))

    @property
    def links(self) -> tuple[str, ...]:
        """The code, model and data links that stand in the abstract."""
        return find_links(self.abstract)

    @property
    def content_hash(self) -> str:
        """16 hex digits that change whenever anything about the paper does."""
        canonical = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))
        return sha256(canonical.encode()).hexdigest()[:16]

    def to_dict(self) -> dict[str, JsonValue]:
        """The paper for JSON: fields in fixed order, empty ones left out."""
        known: dict[str, JsonValue] = {}
        for each in fields(self):
            value = getattr(self, each.name)
            if value or each.name in _ALWAYS_SHOWN:
                known[each.name] = list(value) if each.name in _SEVERAL else value
        return known

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Paper:
        """The paper that `to_dict` wrote; keys it does not know are ignored."""
        return cls(**{each.name: record[each.name] for each in fields(cls) if each.name in record})


_DOI = re.compile(r"10\.\d{4,9}/\S+")
_DOI_PREFIX = re.compile(r"(?:https?://(?:dx\.|www\.)?doi\.org/|doi:)\s*", re.IGNORECASE)
_ARXIV = re.compile(r"(\d{4}\.\d{4,5}|[a-z-]+(?:\.[a-z]{2})?/\d{7})(?:v\d+)?", re.IGNORECASE)
_ARXIV_PREFIX = re.compile(
    r"(?:https?://(?:www\.|export\.)?arxiv\.org/(?:abs|pdf|html)/|arxiv:)\s*", re.IGNORECASE
)
_SLUG_CHARS = 40


def normal_title(title: str) -> str:
    """The title as compared: letters and digits only, case folded, compatible forms joined.

    >>> normal_title("BERT: Pre-training  of Deep…")
    'bert pre training of deep'
    """
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", title).casefold())
    return " ".join(re.findall(r"[^\W_]+", folded)) or " ".join(folded.split())


def normal_doi(text: str) -> str | None:
    """The DOI in lower case without a resolver in front, or None if the text is no DOI.

    >>> normal_doi("https://doi.org/10.1000/ABC")
    '10.1000/abc'
    """
    doi = text.strip()
    if not doi.startswith("10."):
        doi = _DOI_PREFIX.sub("", doi, count=1)
    return doi.lower() if _DOI.fullmatch(doi) else None


def normal_arxiv_id(text: str) -> str | None:
    """The arXiv id without prefix and version, or None if the text is none.

    >>> normal_arxiv_id("https://arxiv.org/pdf/1706.03762v7.pdf")
    '1706.03762'
    """
    bare = _ARXIV_PREFIX.sub("", text.strip(), count=1).removesuffix(".pdf")
    found = _ARXIV.fullmatch(bare)
    return found[1].lower() if found else None


def paper_id(title: str, *, doi: str | None = None, arxiv_id: str | None = None) -> str:
    """The id of a paper: its DOI, else its arXiv id, else a slug and hash of its title.

    >>> paper_id("Attention Is All You Need", arxiv_id="arXiv:1706.03762v7")
    'arxiv:1706.03762'
    >>> paper_id("Attention Is All You Need")
    'attention-is-all-you-need-4a1c93'
    """
    return known_id(
        title, normal_doi(doi) if doi else None, normal_arxiv_id(arxiv_id) if arxiv_id else None
    )


def known_id(title: str, doi: str | None, arxiv_id: str | None) -> str:
    """The same id; a DOI and an arXiv id that are given must be in their normal forms."""
    if doi:
        return f"doi:{doi}"
    return f"arxiv:{arxiv_id}" if arxiv_id else title_id(title, normal_title(title))


def title_id(title: str, seed: str, *, digits: int = 6) -> str:
    """The title's slug and the first hex digits of the seed's sha256."""
    digest = sha256(seed.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{_slug(title)}-{digest[:digits]}"


def _slug(title: str) -> str:
    """The title's Latin words, cut after a whole word."""
    folded = unicodedata.normalize("NFKD", title.casefold())
    plain = folded.encode("ascii", "ignore").decode().lower()
    slug = "-".join(re.findall(r"[a-z0-9]+", plain))
    if len(slug) > _SLUG_CHARS:
        slug = slug[: _SLUG_CHARS + 1].rpartition("-")[0] or slug[:_SLUG_CHARS]
    return slug or "paper"
