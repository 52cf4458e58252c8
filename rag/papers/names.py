"""Join and compare names of authors.

Used by the readers, by the merging of papers and by the filter.
"""

from __future__ import annotations

import re
import unicodedata

ET_AL = "et al."  # follows the last named author if the source omits others
_HAN = re.compile(r"[々〇\u3400-\u9fff\uf900-\ufaff\U00020000-\U000323af]+")
_NAME_END = re.compile(r"[;,&]| and | et al\b", re.IGNORECASE)
_GENERATIONS = frozenset({"jr", "sr", "ii", "iii", "iv"})


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


def find_family_name(author: str) -> str | None:
    """Return the family name in lower case without accents, or None if the name has no word.

    It is the last word, or the last one before a comma. A name in Han characters gives all of them
    sorted, because some sources add a space and put the family name last.

    >>> find_family_name("Müller, Jan"), find_family_name("Jan Muller Jr."), find_family_name(" -")
    ('muller', 'muller', None)
    >>> find_family_name("王小明") == find_family_name("小明 王")
    True
    """
    name = unicodedata.normalize("NFKD", _NAME_END.split(author, maxsplit=1)[0]).casefold()
    words = re.findall(r"[^\W_]+", "".join(c for c in name if not unicodedata.combining(c)))
    if is_han(joined := "".join(words)):
        return "".join(sorted(joined))
    names = [word for word in words if word not in _GENERATIONS]
    return names[-1] if names else None
