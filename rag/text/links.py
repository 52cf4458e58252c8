"""Find http and https links in a text."""

from __future__ import annotations

import re

LINK = re.compile(r"(https?:) ?(//(?=\w)[^\s<>\"`{}|\\^\[\]]+)", re.IGNORECASE)
_PUNCTUATION = frozenset(".,;:!?'\"*")
_CLOSING = {")": "(", "]": "[", "}": "{", ">": "<"}


def find_links(text: str) -> tuple[str, ...]:
    """Return the http and https links in a text, in order, each once.

    Punctuation after a link is not part of it, nor is the bracket of a pair opened before it. A
    stray space before the slashes ("https: //host") is removed. No link gives ().

    >>> find_links("Code (see https://example.org/a_(b)), models: https: //example.org/m.")
    ('https://example.org/a_(b)', 'https://example.org/m')
    """
    found = (strip_punctuation(scheme + rest) for scheme, rest in LINK.findall(text))
    return tuple(dict.fromkeys(found))


def strip_punctuation(link: str) -> str:
    """Remove punctuation from the end of a link or identifier, and brackets that it did not open.

    >>> strip_punctuation("10.1000/a(b)."), strip_punctuation("10.1000/ab].")
    ('10.1000/a(b)', '10.1000/ab')
    """
    surplus = {end: link.count(end) - link.count(start) for end, start in _CLOSING.items()}
    end = len(link)
    while end and (link[end - 1] in _PUNCTUATION or surplus.get(link[end - 1], 0) > 0):
        if link[end - 1] in surplus:
            surplus[link[end - 1]] -= 1
        end -= 1
    return link[:end]
