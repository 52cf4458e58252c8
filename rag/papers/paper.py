"""Paper value and its id.

A DOI identifies a paper, else its arXiv id, else its title.
"""

from __future__ import annotations

import html
import json
import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields
from hashlib import sha256
from itertools import repeat
from operator import attrgetter
from types import NoneType
from typing import Any, TypeAlias
from urllib.parse import unquote

from rag.errors import SettingsError
from rag.papers.names import ET_AL
from rag.text.folding import fold_text
from rag.text.links import find_links, strip_punctuation

JsonValue: TypeAlias = "str | int | float | bool | list[JsonValue] | dict[str, JsonValue] | None"

_MARK = r"((?:retracted|withdrawn)(?: (?:article|chapter|paper|publication))?)"
_MARK_BEFORE = re.compile(
    rf"(?:\[{_MARK}\]\s*[-–—:.]?|{_MARK}(?:\s*:|\s+[-–—]\s))\s*(?=\S)", re.IGNORECASE
)
_MARK_AFTER = re.compile(rf"\s*[(\[]{_MARK}(?:[.:;,]\s*([^()\[\]]*))?[)\]]\.?$", re.IGNORECASE)
_ZOTERO_LINK = re.compile(r"zotero://select/(?:library|groups/[0-9]+)/items/[A-Z0-9]{8}")
_ALWAYS_SHOWN = ("id", "title", "abstract")
_SEVERAL = ("authors", "sources", "aliases")
_MOST_AUTHORS = 6  # that a model is told
_TEXTS = 'a tuple of texts, such as ("Ada Clark", "Bo Li")'
_WANTED: dict[str, tuple[tuple[type, ...], str]] = {  # types of each field, and in words
    **dict.fromkeys(("id", "title", "abstract"), ((str,), "a text")),
    **dict.fromkeys(
        ("venue", "url", "doi", "arxiv_id", "citation_key", "entry_type", "retraction"),
        ((str, NoneType), "a text or None"),
    ),
    **dict.fromkeys(_SEVERAL, ((tuple, list), _TEXTS)),
    "year": ((int, NoneType), "a whole number or None"),
    "metadata": ((dict, Mapping), "a mapping"),
}
_get_values = attrgetter(*_WANTED)
_KINDS = tuple(kinds for kinds, _ in _WANTED.values())


@dataclass(frozen=True, slots=True)
class Paper:
    """One title and abstract, with the other fields that its source has.

    Attributes:
        id: never changes within a library; see `make_paper_id`.
        title: plain text on one line.
        abstract: plain text on one line. Offsets of passages and quotes refer to it.
        authors: in the order of the paper; () when unknown. A final "et al." means that the source
            omits others.
        year: of publication, or None.
        venue: journal or conference, or None.
        url: an http or https address of the paper itself, or None.
        doi: without the resolver's address ("10.1000/xyz"), or None.
        arxiv_id: without version ("1706.03762"), or None.
        sources: files it was read from, in the order of reading. An item of Zotero has the link
            that opens it there ("zotero://select/library/items/ABCD2345").
        aliases: other ids of this paper.
        metadata: other fields of its source. Those of a reference have these names: "tags",
            "editors" and "collections" (of Zotero, each with its path), which are lists of texts,
            "volume", "issue", "pages", "publisher" and "month" (a number from 1 to 12, or the
            source's text). "family_names" has the family name under each name of an author or
            editor that does not tell it, if the source does: {"Ming Wei Chang": "Chang"}.
        citation_key: key of the entry in the user's own file ("hochreiter1997long"), or None.
        entry_type: type of the reference in BibTeX's terms ("inproceedings"), or the source's own
            name if BibTeX has no such type ("MGZN"), or None. See `rag.papers.entry_types`.
        retraction: mark by which its source says that it was retracted, with the notice if it is
            named ("Retracted in: Tea J. 2020;3:1. PMID: 123"), or None.

    Raises:
        SettingsError: a field has a value of another type.
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
    citation_key: str | None = None
    entry_type: str | None = None
    retraction: str | None = None

    def __post_init__(self) -> None:
        if not all(map(isinstance, _get_values(self), _KINDS)) or isinstance(self.year, bool):
            raise _make_type_error(self)
        for name in _SEVERAL:
            values = getattr(self, name)
            if not all(map(isinstance, values, repeat(str))):
                raise SettingsError(f"Paper({name}={values!r:.60}) takes {_TEXTS}.")
            if type(values) is not tuple:
                object.__setattr__(self, name, tuple(values))
        object.__setattr__(self, "metadata", dict(self.metadata))

    @property
    def reference(self) -> str:
        """Title, with up to three authors and the year where they are known, and a retraction."""
        authors = ", ".join([*self.authors[:3], *[ET_AL] * (len(self.authors) > 3)])
        mark = "retracted" if self.retraction else ""
        details = ", ".join(filter(None, [authors, str(self.year or ""), mark]))
        return f"{self.title} ({details})" if details else self.title

    @property
    def retraction_mark(self) -> str:
        """Mark to show beside a retracted paper, with the notice if it is named, else "".

        >>> Paper("a", "A", "", retraction="Retracted in: Tea J. 2020;3:1.").retraction_mark
        'retracted: Tea J. 2020;3:1.'
        >>> Paper("a", "A", "", retraction="Retracted Publication").retraction_mark
        'retracted'
        """
        label, _, notice = (self.retraction or "").partition(": ")
        said = notice or ("" if label.casefold().startswith("retract") else label)
        return ": ".join(filter(None, ["retracted" * bool(label), said]))

    @property
    def zotero_link(self) -> str | None:
        """Link that opens the paper in Zotero, or None if it was not read from there.

        It holds letters, digits, slashes and a colon only, so it needs no escape.
        """
        return next(filter(_ZOTERO_LINK.fullmatch, self.sources), None)

    @property
    def links(self) -> tuple[str, ...]:
        """Code, model and data links in the abstract."""
        return find_links(self.abstract)

    @property
    def content_hash(self) -> str:
        """16 hex digits that change with any field of the paper."""
        canonical = json.dumps(self.to_dict(), sort_keys=True, separators=(",", ":"))
        return sha256(canonical.encode()).hexdigest()[:16]

    def to_dict(self) -> dict[str, JsonValue]:
        """Return the non-empty fields in a fixed order, for JSON."""
        known: dict[str, JsonValue] = {}
        for each in fields(self):
            value = getattr(self, each.name)
            if value or each.name in _ALWAYS_SHOWN:
                known[each.name] = list(value) if each.name in _SEVERAL else value
        return known

    @classmethod
    def from_dict(cls, record: Mapping[str, Any]) -> Paper:
        """Read a paper written by `to_dict`. Unknown keys are ignored.

        Raises:
            SettingsError: it has no id, title or abstract, or a field has another type.
        """
        if missing := [name for name in _ALWAYS_SHOWN if name not in record]:
            raise SettingsError(f"A record of a paper needs {missing[0]!r}: {record!r:.60}.")
        return cls(**{each.name: record[each.name] for each in fields(cls) if each.name in record})


def _make_type_error(paper: Paper) -> SettingsError:
    """Return the error for the first field with a value of another type."""
    for name, (kinds, wanted) in _WANTED.items():
        value = getattr(paper, name)
        if not isinstance(value, kinds) or isinstance(value, bool):
            return SettingsError(f"Paper({name}={value!r:.60}) takes {wanted}.")
    raise AssertionError("one of the fields has another type")


def require_papers(values: object, *, or_also: type = Paper) -> list[Any]:
    """Return the papers of an argument as a list.

    Args:
        values: what was passed.
        or_also: another type that is taken too.

    Raises:
        SettingsError: it is or holds something else.
    """
    is_one = isinstance(values, str | bytes | Mapping | Paper) or not isinstance(values, Iterable)
    several = [values] if is_one else list(values)  # type: ignore[call-overload]
    if isinstance(values, Paper):
        raise SettingsError("papers takes a list of papers. Put the one into a list: [paper].")
    for value in several:
        if not isinstance(value, Paper | or_also):
            raise SettingsError(
                f"papers takes Paper objects, not {type(value).__name__} ({value!r:.60}). Make "
                "each with Paper(id=..., title=..., abstract=...), or read a file with "
                "read_papers(path)."
            )
    return several


def describe_record(paper: Paper) -> dict[str, str]:
    """Return the year, authors, venue and retraction of a paper for a model, where known.

    >>> describe_record(Paper("a", "A", "", authors=("Ada Clark", "Bo Li"), year=2021))
    {'Year': '2021', 'Authors': 'Ada Clark, Bo Li'}
    """
    authors = [*paper.authors[:_MOST_AUTHORS], *[ET_AL] * (len(paper.authors) > _MOST_AUTHORS)]
    known = {
        "Year": str(paper.year or ""),
        "Authors": ", ".join(authors),
        "Venue": paper.venue or "",
        "Retracted": paper.retraction or "",
    }
    return {name: value for name, value in known.items() if value}


# Most are, and this is fast.
_PLAIN_DOI = re.compile(r"(?:https?://(?:dx\.)?doi\.org/)?(10\.\d{4,9}/[\w.()-]*\w)")
# May be followed by another one, or by a note in brackets ("10.1000/a [doi]").
_DOI = re.compile(
    r"(?<![\w.])(10\.\d{4,9}(?:\.\d+)*/(?=[^\s?#&]*\w)\S+?)"
    r"(?:\s*[;,|](?:\s|(?=https?:|10\.\d{4})).*|\s+(?:[\[(|]|doi\b|https?:).*)?$",
    re.IGNORECASE | re.DOTALL,
)
_QUERY = re.compile(r"[?#]\w.*|&\w+=.*")
# What publishers add to the DOI in the address of a page or of a preprint's version.
_PAGE = re.compile(
    r"(?:(?<=\d)v\d+)?(?:[./](?:full|abstract|e?pdf|pdfdirect|full-?text|html?|xml|epub|summary|meta"
    r"|references)(?:\+html)?)*/?$",
    re.IGNORECASE,
)
_DOI_RESOLVER = re.compile(r"\bdoi[.-]org\b", re.IGNORECASE)
_ARXIV = re.compile(
    r"(?:(?:https?://)?[\w.-]*\barxiv[\w.-]*/(?:abs|pdf|html)/|arxiv:\s*)?"
    r"(\d{4}\.\d{4,5}|[a-z-]+(?:\.[a-z]{2})?/\d{7})(?:v\d+)?(?:\.pdf)?(?:[?#].*|\s\[.*)?",
    re.IGNORECASE,
)
_SLUG_CHARS = 40


def split_retraction_mark(title: str) -> tuple[str, str | None]:
    """Split the mark that publishers add to the title of a retracted paper from the title.

    >>> split_retraction_mark("RETRACTED ARTICLE: Tea and sleep")
    ('Tea and sleep', 'RETRACTED ARTICLE')
    >>> split_retraction_mark("Tea (Retracted article. See vol. 2, 2010)")
    ('Tea', 'Retracted article: See vol. 2, 2010')
    >>> split_retraction_mark("Retracted papers on tea: a survey")
    ('Retracted papers on tea: a survey', None)
    """
    if found := _MARK_BEFORE.match(title):
        return title[found.end() :], found[1] or found[2]
    if (found := _MARK_AFTER.search(title)) and found.start():
        return title[: found.start()], ": ".join(filter(None, found.groups()))
    return title, None


def choose_retraction(*marks: str | None) -> str | None:
    """Return the first mark of a retraction that names the notice, else the first mark.

    >>> choose_retraction(None, "RETRACTED", "Retracted in: Tea J. 2020;3:1.")
    'Retracted in: Tea J. 2020;3:1.'
    """
    return max(filter(None, marks), key=lambda mark: ": " in mark, default=None)


def normalise_title(title: str) -> str:
    """Return the title for comparison: letters and digits only, case folded, Unicode NFKC.

    >>> normalise_title("BERT: Pre-training  of Deep…")
    'bert pre training of deep'
    """
    plain = unicodedata.normalize("NFKC", fold_text(title))
    folded = unicodedata.normalize("NFKC", plain.casefold())
    return " ".join(re.findall(r"[^\W_]+", folded)) or " ".join(folded.split())


def normalise_doi(text: str) -> str | None:
    """Return the DOI of a text or an address in lower case, or None if there is none.

    >>> normalise_doi("https://doi-org.proxy.edu/10.1000%2FABC."), normalise_doi("10.1000/a b")
    ('10.1000/abc', None)
    """
    text = text.strip()
    if plain := _PLAIN_DOI.fullmatch(text):
        return plain[1].lower()
    found = _DOI.search(html.unescape(unquote(text)))
    if not found:
        return None
    doi = strip_punctuation(_QUERY.sub("", found[1])).rstrip("/")
    before = found.string[: found.start()]
    if "/" in before and not _DOI_RESOLVER.search(before):
        doi = _PAGE.sub("", doi)
    return doi.lower()


def normalise_arxiv_id(text: str) -> str | None:
    """Return the arXiv id without prefix and version, or None if it is not an arXiv id.

    >>> normalise_arxiv_id("https://arxiv.org/pdf/1706.03762v7.pdf")
    '1706.03762'
    """
    found = _ARXIV.fullmatch(strip_punctuation(text.strip()))
    return found[1].lower() if found else None


def make_paper_id(title: str, *, doi: str | None = None, arxiv_id: str | None = None) -> str:
    """Make a paper's id: its DOI, else its arXiv id, else a slug and hash of its title.

    >>> make_paper_id("Attention Is All You Need", arxiv_id="arXiv:1706.03762v7")
    'arxiv:1706.03762'
    >>> make_paper_id("Attention Is All You Need")
    'attention-is-all-you-need-4a1c93'
    """
    return make_normal_id(title, normalise_doi(doi or ""), normalise_arxiv_id(arxiv_id or ""))


def make_normal_id(title: str, doi: str | None, arxiv_id: str | None) -> str:
    """Make the same id from a DOI and an arXiv id that are normalised already."""
    if doi:
        return f"doi:{doi}"
    return f"arxiv:{arxiv_id}" if arxiv_id else make_title_id(title, normalise_title(title))


def make_title_id(title: str, seed: str, *, digits: int = 6) -> str:
    """Join the title's slug and the first hex digits of the seed's sha256."""
    digest = sha256(seed.encode("utf-8", "surrogatepass")).hexdigest()
    return f"{_slugify(title)}-{digest[:digits]}"


def is_title_id(identity: str, title: str) -> bool:
    """Return whether an id was made of the title, alone or with more.

    >>> is_title_id("tea-4a1c93", "Tea"), is_title_id("doi:10.1000/tea", "Tea")
    (True, False)
    """
    return identity.rpartition("-")[0] == _slugify(title)


def _slugify(title: str) -> str:
    """Join the title's Latin words with hyphens, cut after a whole word."""
    folded = unicodedata.normalize("NFKD", title.casefold())
    plain = folded.encode("ascii", "ignore").decode().lower()
    slug = "-".join(re.findall(r"[a-z0-9]+", plain))
    if len(slug) > _SLUG_CHARS:
        slug = slug[: _SLUG_CHARS + 1].rpartition("-")[0] or slug[:_SLUG_CHARS]
    return slug or "paper"
