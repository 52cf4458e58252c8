"""Names of authors: how their parts are put together, and how two of them are compared.

Called by the readers, by what merges papers and by what filters them.
"""

from __future__ import annotations

import re
import unicodedata

ET_AL = "et al."  # behind the last author that a source names, where it leaves others out
_HAN = re.compile(r"[々〇\u3400-\u9fff\uf900-\ufaff\U00020000-\U000323af]+")
_NAME_END = re.compile(r"[;,&]| and | et al\b", re.IGNORECASE)
_GENERATIONS = frozenset({"jr", "sr", "ii", "iii", "iv"})


def full_name(given: str, family: str) -> str:
    """The given name and then the family name; in Han characters the other way, without a space.

    >>> full_name("Ada", "Lovelace"), full_name("", "Plato"), full_name("小明", "王")
    ('Ada Lovelace', 'Plato', '王小明')
    """
    if not family.isascii():
        joined = family.strip() + given.strip()
        if is_han(joined):
            return joined
    return f"{given} {family}".strip()


def named_authors(authors: tuple[str, ...]) -> tuple[str, ...]:
    """The authors without the mark that others are left out.

    >>> named_authors(("Ada Lovelace", "et al."))
    ('Ada Lovelace',)
    """
    return authors[:-1] if authors and authors[-1] == ET_AL else authors


def is_han(name: str) -> bool:
    """Whether the name is one word in Han characters."""
    return _HAN.fullmatch(name) is not None


def family_name(author: str) -> str | None:
    """The last word of the name, or the one before the comma, without accents and case.

    Of a name in Han characters these in a fixed order, because some sources put a space into it and
    the family name last.

    >>> family_name("Müller, Jan"), family_name("Jan Muller Jr."), family_name(" -")
    ('muller', 'muller', None)
    >>> family_name("王小明") == family_name("小明 王")
    True
    """
    name = unicodedata.normalize("NFKD", _NAME_END.split(author, maxsplit=1)[0]).casefold()
    words = re.findall(r"[^\W_]+", "".join(c for c in name if not unicodedata.combining(c)))
    if is_han(joined := "".join(words)):
        return "".join(sorted(joined))
    names = [word for word in words if word not in _GENERATIONS]
    return names[-1] if names else None
