"""Find http and https links in a text."""

from __future__ import annotations

import re

LINK = re.compile(r"(https?:) ?(//(?=\w)[^\s<>\"`{}|\\^\[\]]+)", re.IGNORECASE)


def find_links(text: str) -> tuple[str, ...]:
    """Return the http and https links in a text, in order, each once.

    Punctuation after a link is not part of it, nor is the bracket of a pair opened before it. A
    stray space before the slashes ("https: //host") is removed. No link gives ().

    >>> find_links("Code (see https://example.org/a_(b)), models: https: //example.org/m.")
    ('https://example.org/a_(b)', 'https://example.org/m')
    """
    found = (_strip_punctuation(scheme + rest) for scheme, rest in LINK.findall(text))
    return tuple(dict.fromkeys(found))


def _strip_punctuation(link: str) -> str:
    surplus = link.count(")") - link.count("(")
    end = len(link)
    while link[end - 1] in ".,;:!?'*" or (link[end - 1] == ")" and surplus > 0):
        surplus -= link[end - 1] == ")"
        end -= 1
    return link[:end]
