"""Fold letters that only look different, so that a search finds the words they spell.

Texts copied from a PDF have ligatures, soft hyphens and characters without width. Search and
comparison fold them. Papers and quotes keep what their source has.
"""

from __future__ import annotations

import unicodedata

# Kinds of compatibility characters that spell the same word in other letters. An index or a power
# does not: 10² is not 102. Source: https://www.unicode.org/reports/tr44/#Formatting_Tags_Table
_SAME = ("<compat>", "<font>", "<wide>", "<narrow>")


class _Folding(dict[int, str]):
    """Folded form of each character, found when it first occurs."""

    def __missing__(self, code: int) -> str:
        character = chr(code)
        plain = unicodedata.normalize("NFKC", character)
        is_same = plain.isalnum() and unicodedata.decomposition(character).startswith(_SAME)
        self[code] = plain if is_same else character
        if unicodedata.category(character) == "Cf":  # soft hyphen, zero-width space or joiner
            self[code] = ""
        return self[code]


_FOLDING = _Folding({ord(hyphen): "-" for hyphen in "\u2010\u2011"})


def fold_text(text: str) -> str:
    """Spell out ligatures, use plain letters and hyphens, and drop characters without width.

    >>> fold_text("uni\ufb01ed soft\u00adware, pre\u2011trained: 10²")
    'unified software, pre-trained: 10²'
    """
    return text if text.isascii() else text.translate(_FOLDING)


def locate_folded(text: str) -> list[int]:
    """Return the offset in the text of each character of the folded text.

    >>> locate_folded("a\ufb01b")
    [0, 1, 1, 2]
    """
    return [at for at, character in enumerate(text) for _ in fold_text(character)]
