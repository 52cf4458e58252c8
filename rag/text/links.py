"""Find http and https links in a text."""

from __future__ import annotations

import re

LINK = re.compile(r"(https?:) ?(//(?=\w)[^\s<>\"`{}|\\^\[\]]+)", re.IGNORECASE)


def find_links(text: str) -> tuple[str, ...]:
    """The http and https links that stand in a text, in order, each once.

    Punctuation after a link is not part of it, nor is a bracket that opened before it. A space that
    slipped in before the two slashes ("https: //host") is taken out. No link gives ().

    >>> find_links("Code (see https://example.org/a_(b)), models: https: //example.org/m.")
    ('https://example.org/a_(b)', 'https://example.org/m')
    """
    found = (_without_trailing_marks(scheme + rest) for scheme, rest in LINK.findall(text))
    return tuple(dict.fromkeys(found))


def _without_trailing_marks(link: str) -> str:
    surplus = link.count(")") - link.count("(")
    end = len(link)
    while link[end - 1] in ".,;:!?'*" or (link[end - 1] == ")" and surplus > 0):
        surplus -= link[end - 1] == ")"
        end -= 1
    return link[:end]
