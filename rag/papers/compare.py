"""Decide whether two records are one work.

Only what is certain is "same", because a wrong merge gives one paper the abstract of another. What
is likely is "possible", and the user decides. Used by the merging of papers and by the search for
possible duplicates.
"""

from __future__ import annotations

import re
import unicodedata
from typing import TYPE_CHECKING, Literal, NamedTuple, TypeAlias

from rag.papers.names import NameKey, drop_et_al, make_name_key
from rag.papers.paper import (
    make_paper_id,
    normalise_arxiv_id,
    normalise_doi,
    normalise_title,
    split_retraction_mark,
)

if TYPE_CHECKING:
    from collections.abc import Hashable, Iterator

    from rag.papers.paper import Paper

Verdict: TypeAlias = Literal["same", "possible", "different"]
Likeness: TypeAlias = Literal["equal", "near", "other"]

_ARXIV_DOI = "10.48550/arxiv."
# Prefixes of bioRxiv and medRxiv, Research Square, SSRN, OSF, PsyArXiv, SocArXiv, ChemRxiv,
# Preprints.org, Authorea, TechRxiv, JMIR Preprints and EGU. Source: https://www.crossref.org/members/
_PREPRINT_DOI = re.compile(
    r"10\.(?:1101/\d|21203/rs|2139/ssrn|31219/osf|3123[45]/osf|26434/chemrxiv|20944/preprints"
    r"|22541/au|36227/techrxiv|2196/preprints|5194/(?:egusphere|[a-z]+-20\d\d-))"
)
_PREPRINT_VENUE = re.compile(r"rxiv|\bcorr\b|preprint|research square|\bssrn\b", re.IGNORECASE)
_VERSION = re.compile(r"[./-]?v\d+$")
_UMLAUT_E = re.compile("(?<=[aou])e")  # "mueller" is "muller", which stands for "müller"
_NUMERAL = re.compile(r"\d+|\b[ivx]+\b")
_NUMBER = re.compile(r"[1-9]\d*")
_PUBMED = re.compile(r"ncbi\.nlm\.nih\.gov/(?:pubmed/)?(\d+)")
_KINDS = {"doi:": "DOIs", "arxiv:": "arXiv ids", "preprint:": "DOIs", "pmid:": "PubMed ids"}
_LONG_TITLE = 30  # letters and digits; shorter ones ("Editorial") may be those of many works
_START = 8  # letters with which similar titles begin
_LEAST_PREFIX = 20  # letters of a title without its subtitle
_NEAR, _LIKE = 92.0, 75.0  # of 100, by `rapidfuzz.fuzz`
_LEAST_SPELT, _SPELT = 5, 80.0  # letters, and likeness of 100, of two spellings of a word
_SIMILAR, _SAME = 0.6, 0.9  # share of the shorter abstract's words that the longer one has
_LEAST_WORDS = 12  # by which an abstract is known


class Traits(NamedTuple):
    """Normalised fields that tell works apart. None is unknown.

    Attributes:
        title: as words without accents and marks.
        title_key: the same without spaces: "pre-training" is "pretraining".
        ids: DOIs, arXiv ids, DOIs of preprints and PubMed ids, each as "kind:id".
        year: of publication.
        authors: as they are.
        family: family name of the first author.
        initial: of the first author.
        spot: volume and first page.
        is_preprint: whether it names a preprint server, alone or beside a journal.
        is_detailed: whether it has an identifier, a venue or an abstract.
        own_id: id that is made neither of a DOI or arXiv id nor of the title.
        names: `own_id`, and aliases.
        abstract: as it is.
    """

    title: str
    title_key: str
    ids: frozenset[str]
    year: int | None
    authors: tuple[str, ...]
    family: str | None
    initial: str | None
    spot: tuple[str, str] | None
    is_preprint: bool
    is_detailed: bool
    own_id: str | None
    names: frozenset[str]
    abstract: str

    @property
    def exact(self) -> tuple[object, ...]:
        """Traits that a file repeats when it is read again, even if its abstract was edited."""
        return self.title_key, self.ids, self.year, self.family, self.initial, self.spot

    @property
    def whole(self) -> tuple[object, ...]:
        """The same with the abstract."""
        return *self.exact, self.is_detailed, self.abstract

    @property
    def is_long(self) -> bool:
        """Whether the title is long enough to be that of one work."""
        return len(self.title_key) >= _LONG_TITLE


def describe(paper: Paper) -> Traits:
    """Return the traits of a paper."""
    ids = frozenset(_list_ids(paper))
    name = make_name_key(paper.authors[0]) if paper.authors else NameKey(None, None)
    own_id = _find_own_id(paper)
    is_preprint = any(each.startswith(("arxiv:", "preprint:")) for each in ids)
    title = fold_title(paper.title)
    return Traits(
        title,
        title.replace(" ", ""),
        ids,
        paper.year,
        drop_et_al(paper.authors),
        _UMLAUT_E.sub("", name.family) if name.family else None,
        name.initial,
        _find_spot(paper),
        is_preprint or bool(_PREPRINT_VENUE.search(paper.venue or "")),
        bool(ids or paper.venue or paper.abstract),
        own_id,
        frozenset(filter(None, (own_id, *paper.aliases))),
        paper.abstract,
    )


def _list_ids(paper: Paper) -> Iterator[str]:
    for name in (f"doi:{paper.doi}", f"arxiv:{paper.arxiv_id}", paper.id, *paper.aliases):
        kind, _, value = name.partition(":")
        doi = (normalise_doi(value) or "").replace("//", "/") if kind == "doi" else ""
        if doi.startswith(_ARXIV_DOI):
            kind, value = "arxiv", doi.removeprefix(_ARXIV_DOI)
        elif doi:
            is_preprint = _PREPRINT_DOI.match(doi)
            yield f"preprint:{_VERSION.sub('', doi)}" if is_preprint else f"doi:{doi}"
        if kind == "arxiv" and (arxiv_id := normalise_arxiv_id(value)):
            yield f"arxiv:{arxiv_id}"
    address = _PUBMED.search(paper.url or "")
    if pmid := address[1] if address else paper.metadata.get("pmid"):
        yield f"pmid:{pmid}"


def fold_title(title: str) -> str:
    """Return the words of a title, without accents, markup and a mark of retraction.

    >>> fold_title("RETRACTED: β-Carotene & [naïve] cells.")
    'beta carotene and naive cells'
    """
    title = split_retraction_mark(title)[0].replace("&", " and ")
    if not title.isascii():
        title = "".join(map(_fold_letter, unicodedata.normalize("NFKD", title)))
    return normalise_title(title)


def _fold_letter(letter: str) -> str:
    if unicodedata.combining(letter):
        return ""
    if "\u0370" <= letter <= "\u03ff":  # as others write it: "beta"
        return unicodedata.name(letter, letter).rpartition(" ")[2].lower()
    return letter


def _find_spot(paper: Paper) -> tuple[str, str] | None:
    """Return volume and first page without letters: "S72" and "e72" are "72"."""
    texts = (str(paper.metadata.get(name) or "") for name in ("volume", "pages"))
    volume, page = map(_NUMBER.search, texts)
    return (volume[0], page[0]) if volume and page else None


def _find_own_id(paper: Paper) -> str | None:
    if paper.id.startswith(("doi:", "arxiv:")) or paper.id == make_paper_id(paper.title):
        return None
    return paper.id


def is_published(paper: Paper) -> bool:
    """Return whether a paper is more than a preprint: it has a publisher's DOI, or a venue."""
    venue = paper.venue or ""
    has_doi = any(each.startswith("doi:") for each in _list_ids(paper))
    return has_doi or bool(venue and not _PREPRINT_VENUE.search(venue))


def find_arxiv_id(paper: Paper) -> str | None:
    """Return the arXiv id of a paper, also from the DOI that arXiv gives."""
    doi = normalise_doi(paper.doi or "") or ""
    given = paper.arxiv_id or (doi.removeprefix(_ARXIV_DOI) if doi.startswith(_ARXIV_DOI) else "")
    return normalise_arxiv_id(given)


def list_block_keys(traits: Traits) -> list[Hashable]:
    """Return keys of which two records share one if they may be one work."""
    title = traits.title_key
    return [traits.whole, traits.exact, (title, traits.family), *list_keys(traits)]


def list_keys(traits: Traits) -> list[str]:
    """Return those keys that an index keeps: title, ids, page and author with title."""
    title = traits.title_key
    start = title[:_START]
    keys = [title, *traits.ids]
    keys += [f"{' '.join(traits.spot)} {start}"] if traits.spot else []
    return [*keys, f"{traits.family} {start}"] if traits.family else keys


def compare(one: Traits, other: Traits) -> Verdict:
    """Return whether two records are one work."""
    title = _compare_titles(one, other)
    if title in ("equal", "near") and _are_on_one_page(one, other):
        return "same"
    if shared := one.ids & other.ids:
        is_doi = all(each.startswith("doi:") for each in shared)
        return _compare_by_id(one, other, title, is_doi=is_doi)
    return _COMPARE[title](one, other)


def has_one_title(one: Traits, other: Traits) -> bool:
    """Return whether two records have similar titles."""
    return _compare_titles(one, other) != "other" or _has_like_words(one, other)


def _compare_titles(one: Traits, other: Traits) -> Likeness:
    if one.title_key == other.title_key:
        return "equal"
    from rapidfuzz import fuzz

    short, long = sorted((one.title, other.title), key=len)
    if short[:_START] != long[:_START]:
        return "other"
    if long.startswith(f"{short} ") and len(short) >= _LEAST_PREFIX:
        return "other" if _NUMERAL.match(long, len(short) + 1) else "near"
    is_near = fuzz.ratio(short, long, score_cutoff=_NEAR) > 0 and _has_same_numbers(short, long)
    return "near" if is_near and _differ_in_spelling(short, long) else "other"


def _differ_in_spelling(title: str, other: str) -> bool:
    """Return whether the words that only one title has are spellings of those in the other.

    >>> _differ_in_spelling("tumor of rats", "tumour of rats"), _differ_in_spelling("men", "women")
    (True, False)
    """
    from rapidfuzz import fuzz

    words, others = title.split(), other.split()
    alone = "".join(word for word in words if word not in others)
    others_alone = "".join(word for word in others if word not in words)
    shorter = min(len(alone), len(others_alone))
    return not (alone or others_alone) or (
        shorter >= _LEAST_SPELT and fuzz.ratio(alone, others_alone) >= _SPELT
    )


def _has_same_numbers(title: str, other: str) -> bool:
    return _NUMERAL.findall(title) == _NUMERAL.findall(other)


def _has_like_words(one: Traits, other: Traits) -> bool:
    """Return whether two titles have most words in common, in any order."""
    from rapidfuzz import fuzz

    is_like = fuzz.token_sort_ratio(one.title, other.title) >= _LIKE
    return is_like and _has_same_numbers(one.title, other.title)


def _are_on_one_page(one: Traits, other: Traits) -> bool:
    """Return whether volume and first page are equal, and an author is."""
    is_one_page = one.spot is not None and one.spot == other.spot
    return is_one_page and (_agree(one, other) or _share_author(one, other))


def _share_author(one: Traits, other: Traits) -> bool:
    families = ({make_name_key(name).family for name in each.authors} for each in (one, other))
    return bool(set.intersection(*families) - {None})


def _agree(one: Traits, other: Traits) -> bool | None:
    """Return whether the first authors agree, None if one is unknown."""
    if not one.family or not other.family:
        return None
    initials = {one.initial, other.initial} - {None}
    return one.family == other.family and len(initials) < 2


def _measure_gap(one: Traits, other: Traits) -> int | None:
    """Return how many years lie between two works, None if one is unknown.

    A journal may print in the next year what a preprint server published.
    """
    if not one.year or not other.year:
        return None
    gap = abs(one.year - other.year)
    return 0 if gap == 1 and (one.is_preprint or other.is_preprint) else gap


def _find_other_id(one: Traits, other: Traits) -> str:
    """Return which identifier both have, but not the same, or ""."""
    for kind, name in _KINDS.items():
        ids, others = ({x for x in each.ids if x.startswith(kind)} for each in (one, other))
        if ids and others and ids.isdisjoint(others):
            return name
    return ""


def _is_preprint_of(one: Traits, other: Traits) -> bool:
    """Return whether one of two works is a preprint and the other is not."""
    return one.is_preprint != other.is_preprint


def _has_other_spot(one: Traits, other: Traits) -> bool:
    is_preprint = one.is_preprint or other.is_preprint
    return not is_preprint and bool(one.spot and other.spot and one.spot != other.spot)


def _measure_overlap(one: Traits, other: Traits) -> float | None:
    """Return the share of the shorter abstract's words in the longer one; None: too few words."""
    words, others = (normalise_title(each.abstract).split() for each in (one, other))
    if min(len(words), len(others)) < _LEAST_WORDS:
        return None
    shorter, longer = sorted((set(words), set(others)), key=len)
    return len(shorter & longer) / len(shorter)


def _has_same_abstract(one: Traits, other: Traits) -> bool:
    """Return whether both have one abstract, up to a revision or a cut."""
    return (_measure_overlap(one, other) or 0) >= _SAME


def _has_other_abstract(one: Traits, other: Traits) -> bool:
    overlap = _measure_overlap(one, other)
    return overlap is not None and overlap < _SIMILAR


def _compare_by_id(one: Traits, other: Traits, title: Likeness, *, is_doi: bool) -> Verdict:
    """Compare records that share an identifier. Many works may share a DOI: a supplement's."""
    author, gap = _agree(one, other), _measure_gap(one, other) or 0
    is_proved = title == "equal" and (one.is_long or not is_doi)
    is_titled = title == "equal" or (one.is_long and other.is_long and title == "near")
    if author is False and not is_proved:
        return "different"
    if _find_other_id(one, other):
        return "possible" if is_titled else "different"
    if is_proved or _has_same_abstract(one, other):
        return "same"
    is_unlike = _has_other_spot(one, other) or _has_other_abstract(one, other) or gap > 1
    if is_doi and not is_titled and (is_unlike or not author):
        return "different"
    is_certain = title == "equal" or bool(author)
    return "same" if is_certain and not is_unlike and (is_titled or not is_doi) else "possible"


def _compare_equal(one: Traits, other: Traits) -> Verdict:
    """Compare records with one title and no common identifier."""
    author, gap = _agree(one, other), _measure_gap(one, other) or 0
    if author is False or gap > 1 + one.is_long:
        is_like = _has_same_abstract(one, other) or (gap < 1 and _share_author(one, other))
        is_like = is_like or bool(author and _is_preprint_of(one, other))
        return "possible" if is_like and one.is_long else "different"
    if not one.is_long and (gap or _has_other_spot(one, other)):
        return "different"
    if has_difference(one, other):
        return "possible"
    is_one_work = one.is_long or _has_author_and_year(one, other)
    is_copy = one.abstract == other.abstract != "" or (
        is_one_work and _has_same_abstract(one, other)
    )
    return "same" if is_copy or _is_certain(one, other) else "possible"


def _has_author_and_year(one: Traits, other: Traits) -> bool:
    """Return whether first author and year of both records are known."""
    return _agree(one, other) is not None and _measure_gap(one, other) is not None


def has_difference(one: Traits, other: Traits) -> bool:
    """Return whether two records of one title differ in author, year, identifier or page."""
    author, gap = _agree(one, other), _measure_gap(one, other)
    is_other = author is False or bool(gap) or _has_other_spot(one, other)
    return is_other or bool(_find_other_id(one, other))


def _is_certain(one: Traits, other: Traits) -> bool:
    """Return whether equal titles without any difference are enough.

    A long title is, or a short one with author and year. A reference without journal, abstract and
    identifier may be to the data, slides or code of a paper.
    """
    has_both = _has_author_and_year(one, other)
    if _has_other_abstract(one, other) and not (has_both and one.is_long):
        return False
    if has_both or one.is_long:
        return one.is_detailed == other.is_detailed
    has_own_ids = bool(one.own_id and other.own_id and one.own_id != other.own_id)
    has_two_abstracts = _measure_overlap(one, other) is not None
    return one.exact == other.exact and not has_own_ids and not has_two_abstracts


def _compare_near(one: Traits, other: Traits) -> Verdict:
    """Compare records with similar titles and no common identifier."""
    if not _agree(one, other) or _measure_gap(one, other) != 0:
        return "different"
    is_copy = _has_same_abstract(one, other)
    if _find_other_id(one, other) or _has_other_spot(one, other):
        return "possible" if is_copy else "different"
    return "same" if is_copy else "possible"


def _compare_other(one: Traits, other: Traits) -> Verdict:
    """Compare records with other titles and no common identifier: a preprint's may change."""
    author = _agree(one, other)
    if author is False or (_measure_gap(one, other) or 0) > 0:
        return "different"
    is_copy = _has_same_abstract(one, other)
    is_renamed = _is_preprint_of(one, other) and _has_like_words(one, other)
    return "possible" if is_copy or (author and is_renamed) else "different"


_COMPARE = {
    "equal": _compare_equal,
    "near": _compare_near,
    "other": _compare_other,
}


def explain(one: Traits, other: Traits) -> str:
    """Return what two records share and what sets them apart."""
    title = _compare_titles(one, other)
    author, other_ids = _agree(one, other), _find_other_id(one, other)
    years = f"years {one.year} and {other.year}"
    said = [
        {"equal": "same title", "other": "other title"}.get(title, "similar titles"),
        f"both have {shared[0]}" if (shared := sorted(one.ids & other.ids)) else "",
        {True: "same first author", False: "other first author", None: "an author is unknown"}[
            author
        ],
        "a year is unknown"
        if not (one.year and other.year)
        else "same year"
        if one.year == other.year
        else years,
        f"two {other_ids}" if other_ids else "",
        "other volume or page" if _has_other_spot(one, other) else "",
        "same abstract" if _has_same_abstract(one, other) else "",
        "other abstract" if _has_other_abstract(one, other) else "",
    ]
    return ", ".join(filter(None, said))
