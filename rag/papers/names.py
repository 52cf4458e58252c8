"""Join and compare names of authors.

Used by the readers, by the merging of papers and by the filter.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple

ET_AL = "et al."  # follows the last named author if the source omits others
_HAN = re.compile(r"[々〇\u3400-\u9fff\uf900-\ufaff\U00020000-\U000323af]+")
_NAME_END = re.compile(r"[;&]| and | et al\b", re.IGNORECASE)
_GENERATIONS = frozenset({"Jr", "jr", "Sr", "sr", "II", "III", "IV", "2nd", "3rd"})
_APOSTROPHE = re.compile("['’ʼ`]")
_VOWELS = frozenset("AEIOUY")
_MOST_INITIALS = 3  # in one word, as in "Doe JRR"
_SUFFIXES = frozenset({"Jr.", "Jr", "Sr.", "Sr", "II", "III", "IV"})
_GIVEN_INITIALS = re.compile(r"(?:[^\W\d_]\.-?)+|[A-Z]{1,3}")
_PERSONS_WORD = re.compile(r"[^\W\d_](?:[^\W\d_]|['’.-])*")
_GROUP = re.compile(
    r"\b(?:Academy|Agency|Alliance|Association|Bank|Cent(?:er|re)s?|Collaboration|College|Commission"
    r"|Committee|Company|Consortium|Corp(?:oration)?|Council|Department|Foundation|GmbH|Groups?|Inc"
    r"|Initiative|Institut[eo]?s?|Investigators|Labs?|Laborator(?:y|ies)|LLC|Ltd|Ministry|Nations"
    r"|Network|Office|Organi[sz]ations?|Programme|Project|Research|School|Services?|Society|Team"
    r"|The|Union|Universi\w+|at|for|in|of|on|the)\b"
)


def join_name(given: str, family: str) -> str:
    """Join a given and a family name. Han characters put the family name first, without a space.

    >>> join_name("Ada", "Lovelace"), join_name("", "Plato"), join_name("小明", "王")
    ('Ada Lovelace', 'Plato', '王小明')
    """
    if not family.isascii():
        joined = family.strip() + given.strip()
        if is_han(joined):
            return joined
    return f"{given} {family}".strip()


def join_names(authors: tuple[str, ...]) -> str:
    """Return the names in one phrase, as in a sentence.

    >>> join_names(("Ana Silva", "Ji-woo Park")), join_names(("A", "B", "C")), join_names(("A",))
    ('Ana Silva and Ji-woo Park', 'A, B and C', 'A')
    >>> join_names(("A", "et al."))
    'A et al.'
    """
    joint = " " if ET_AL in authors else " and "
    return joint.join(filter(None, [", ".join(authors[:-1]), *authors[-1:]]))


def drop_et_al(authors: tuple[str, ...]) -> tuple[str, ...]:
    """Return the authors without a final "et al.".

    >>> drop_et_al(("Ada Lovelace", "et al."))
    ('Ada Lovelace',)
    """
    return authors[:-1] if authors and authors[-1] == ET_AL else authors


def is_han(name: str) -> bool:
    """Return whether the name is one word in Han characters."""
    return _HAN.fullmatch(name) is not None


class NameParts(NamedTuple):
    """Parts of a person's name; a missing part is ""."""

    family: str
    given: str
    suffix: str


def is_group(name: str) -> bool:
    """Return whether a word of the name is typical of organisations.

    >>> is_group("World Health Organization"), is_group("Ada Lovelace")
    (True, False)
    """
    return _GROUP.search(name) is not None


def split_name(name: str, family: str = "") -> NameParts | None:
    """Split a displayed name into its parts, or None if that would be a guess.

    A family name that the source tells is certain if the name ends with it, or, in Han characters,
    begins with it. Else the last word is the family name after one given name and initials, with
    the lower-case words before it. The middle one of three whole words may belong to either
    ("Gabriel García Márquez", "Mary Ann Evans"), unless "Jr." follows.

    >>> split_name("Anna M. van den Berg"), split_name("Gabriel García Márquez")
    (NameParts(family='van den Berg', given='Anna M.', suffix=''), None)
    >>> split_name("Gabriel García Márquez", "García Márquez")
    NameParts(family='García Márquez', given='Gabriel', suffix='')
    """
    told = _split_off(name, family) if family else None
    return told or _split_clear_name(name)


def _split_clear_name(name: str) -> NameParts | None:
    """Split a name whose words tell its parts, else return None."""
    words = name.split(" ")
    suffix = words.pop() if words[-1] in _SUFFIXES else ""
    if len(words) < 2 or not all(map(_PERSONS_WORD.fullmatch, words)):
        return None
    start = len(words) - 1
    while start > 1 and words[start - 1].islower():
        start -= 1
    given, last = words[:start], words[start:]
    is_clear = bool(suffix) or all(map(_GIVEN_INITIALS.fullmatch, given[1:]))
    if not is_clear or not _is_capitalised(given[0], last[-1]) or is_group(name):
        return None
    return NameParts(" ".join(last), " ".join(given), suffix)


def _split_off(name: str, family: str) -> NameParts | None:
    """Split off a family name, or None if it does not fit."""
    if is_han(name):
        whole, suffix, given = name, "", name.removeprefix(family)
    else:
        start, _, last = name.rpartition(" ")
        whole, suffix = (start, last) if last in _SUFFIXES else (name, "")
        given = whole.removesuffix(f" {family}")
    fits = given not in ("", whole) and "," not in name and not is_group(name)
    return NameParts(family, given, suffix) if fits else None


def _is_capitalised(given: str, family: str) -> bool:
    return given[0].isupper() and family[0].isupper() and not family.isupper()


class NameKey(NamedTuple):
    """Family name and first initial for comparison: lower case, no accents. None is unknown."""

    family: str | None
    initial: str | None


def find_family_name(author: str) -> str | None:
    """Return the family name in lower case without accents, or None if the name has no word.

    >>> find_family_name("Müller, Jan"), find_family_name("Jan Muller Jr."), find_family_name(" -")
    ('muller', 'muller', None)
    """
    return make_name_key(author).family


@lru_cache(maxsize=4096)
def make_name_key(author: str) -> NameKey:
    """Return the family name, and the initial of the given name, of the first name in a text.

    The family name precedes a comma, or precedes or follows initials. Else it is the last word. Of
    a name in Han characters it is all of them sorted, because some sources add a space and put the
    family name last.

    >>> {make_name_key(name) for name in ("Doe J", "J Doe", "Doe, John", "J. Doe", "DOE, J.")}
    {NameKey(family='doe', initial='j')}
    >>> make_name_key("van den Berg JM"), make_name_key("小明 王") == make_name_key("王小明")
    (NameKey(family='berg', initial='j'), True)
    """
    first = _NAME_END.split(author, maxsplit=1)[0]
    family, *others = (_split_words(part) for part in first.split(","))
    given = next(filter(None, others), [])
    if is_han(joined := "".join(family + given)):
        return NameKey("".join(sorted(joined)), None)
    names, initials = _separate_initials(family)
    if not names:
        return NameKey(None, None)
    if initials and family[-1] in initials:  # "Doe J"
        given = initials
    elif initials or not given:  # "J Doe", "John R. Doe"
        given = family[:-1]
    return NameKey(_fold(names[-1]), _fold(given[0])[0] if given else None)


def _split_words(name: str) -> list[str]:
    words = re.findall(r"[^\W_]+", _APOSTROPHE.sub("", unicodedata.normalize("NFKC", name)))
    return [word for word in words if word not in _GENERATIONS]


def _separate_initials(words: list[str]) -> tuple[list[str], list[str]]:
    """Separate names from initials: short words of capitals, without vowels if all have capitals.

    The longest word is a name in any case, but never a single letter.
    """
    has_capitals_only = "".join(words).isupper()
    initials = [
        word
        for word in words
        if len(word) == 1
        or (
            (word.isupper() and len(word) <= _MOST_INITIALS)
            and not (has_capitals_only and _VOWELS.intersection(word))
        )
    ]
    several = set(initials)
    names = [word for word in words if word not in several]
    if not names and initials and len(longest := max(initials, key=len)) > 1:
        names = [longest]
        initials.remove(longest)
    return names, initials


def _fold(word: str) -> str:
    if word.isascii():
        return word.lower()
    folded = unicodedata.normalize("NFKD", word).casefold()
    return "".join(letter for letter in folded if not unicodedata.combining(letter))
