"""Tell citations of different papers apart, as the style asks for.

citeproc-py 0.11 does not. CSL tries more names, then given names, then letters after the year. Of
given names, only that of the first author is tried.
Source: https://docs.citationstyles.org/en/stable/specification.html#disambiguation
"""

from __future__ import annotations

from itertools import count, product
from string import ascii_lowercase
from typing import TYPE_CHECKING, Any

from rag.csl.engine import NameForm

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from rag.csl.engine import Document


def tell_apart(document: Document, items: Sequence[Mapping[str, Any]]) -> None:
    """Choose the names and letters in the citations of a document."""
    authors = {item["id"]: item.get("author", []) for item in items}
    has_given = document.get_option("disambiguate-add-givenname") == "true"
    if has_given and document.get_option("givenname-disambiguation-rule") not in ("", "by-cite"):
        document.set_names(_find_namesakes(authors), NameForm(has_given=True))
    equal = _find_equal(document)
    for keys in equal:
        most = max(len(authors[key]) for key in keys)
        if any(authors[key] != authors[keys[0]] for key in keys):
            _choose_names(document, keys, list(_make_forms(document, most, has_given=has_given)))
    if equal and document.get_option("disambiguate-add-year-suffix") == "true":
        _add_year_suffixes(document)


def _add_year_suffixes(document: Document) -> None:
    for keys in _find_equal(document):
        for key, suffix in zip(keys, _make_suffixes(), strict=False):
            document.set_field(key, "year_suffix", suffix)


def _find_equal(document: Document) -> list[list[str]]:
    """Return groups of items with equal citations, each in the order of the list."""
    equal: dict[str, list[str]] = {}
    for key in document.keys:
        equal.setdefault(document.cite([key]), []).append(key)
    return [keys for keys in equal.values() if len(keys) > 1]


def _find_namesakes(authors: Mapping[str, Sequence[Mapping[str, str]]]) -> list[str]:
    """Return items whose first author has the family name, but not the initial, of another."""
    initials: dict[str, set[str]] = {}
    first = {key: names[0] for key, names in authors.items() if names and "given" in names[0]}
    for name in first.values():
        initials.setdefault(name["family"], set()).add(name["given"][:1])
    return [key for key, name in first.items() if len(initials[name["family"]]) > 1]


def _make_forms(document: Document, most: int, *, has_given: bool) -> Iterator[NameForm]:
    """Yield the forms of names to try, in the order of CSL."""
    has_more = document.get_option("disambiguate-add-names") == "true"
    for given in (False, True) if has_given else (False,):
        for shown in range(most + 1) if has_more else (0,):
            yield NameForm(shown, given)


def _choose_names(document: Document, keys: Sequence[str], forms: Sequence[NameForm]) -> None:
    """Choose the first form that makes the most citations differ."""

    def count_different(form: NameForm) -> int:
        document.set_names(keys, form)
        return len({document.cite([key]) for key in keys})

    document.set_names(keys, max(forms, key=count_different))


def _make_suffixes() -> Iterator[str]:
    """Yield a to z, aa to zz and so on."""
    for length in count(1):
        yield from map("".join, product(ascii_lowercase, repeat=length))
