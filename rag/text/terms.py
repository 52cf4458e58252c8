"""Split a text into the terms of the lexical index: stemmed words without stop words."""

from __future__ import annotations

import re
import unicodedata
from functools import cache
from pathlib import Path
from typing import Any

from rag.text.folding import fold_text

_STOP_WORDS = Path(__file__).parents[1] / "data" / "stop_words.txt"
LONGEST_QUESTION_CHARS = 4000  # the rest is ignored
_WORD = re.compile(r"[^\W_]+(?:[-'’][^\W_]+)*")
# Name with a capital or a digit behind its first letter: BERT, GPT-3, DeBERTa.
CODED_NAME = re.compile(r"\b[A-Za-z][\w@+-]*[A-Z0-9][\w@+-]*")
# The same, or a capital behind the first word of a sentence: Yoruba.
NAME = re.compile(rf"{CODED_NAME.pattern}|(?<=[^\s.?!:] )[A-Z][\w@+-]+")
FEW_OTHER_WORDS = 4  # terms of a question that may be about nothing but a name
_LONGEST_WORD = 60  # longer runs of letters are data, not words


@cache
def _stop_words() -> frozenset[str]:
    return frozenset(_STOP_WORDS.read_text(encoding="utf-8").split())


@cache
def _stemmer() -> Any:
    import Stemmer

    return Stemmer.Stemmer("english")


def lexical_terms(text: str) -> list[str]:
    """Return the stemmed words of a text without stop words, in order, with repeats.

    A compound with a hyphen gives its parts and the joined word, so that "pre-training" matches
    "pretraining". Ligatures, powers and the like are plain letters and digits: CO₂ is co2. There is
    no query syntax.
    """
    words: list[str] = []
    if not text.isascii():
        text = unicodedata.normalize("NFKC", fold_text(text)).replace("’", "'")
    for word in _WORD.findall(text.lower()):
        plain = word.removesuffix("'s").replace("'", "") if "'" in word else word
        words += [*plain.split("-"), plain.replace("-", "")] if "-" in plain else [plain]
    ignored = _stop_words()
    kept = [word for word in words if word not in ignored and len(word) <= _LONGEST_WORD]
    return list(_stemmer().stemWords(kept))


def split_words(text: str) -> list[str]:
    """Return the words of a text in order, with repeats.

    >>> split_words("What's GPT-3's pre-training?")
    ["What's", "GPT-3's", 'pre-training']
    """
    return _WORD.findall(fold_text(text))


def has_words(text: str) -> bool:
    """Return whether a text has a letter or a digit of any script. Else a question is empty.

    >>> has_words("ELECTRA?"), has_words("42"), has_words(" ?! "), has_words(chr(0))
    (True, True, False, False)
    """
    return any(map(str.isalnum, text))
