"""Reasons for an abstention, given only where they can be proved."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rag.answer.headings import ABSENT, NO_NUMBER
from rag.index import Filter
from rag.papers.names import join_names
from rag.query.rules import asks_for_number
from rag.text.numbers import read_quantities
from rag.text.terms import NAME, lexical_terms, split_words

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rag.index import Index

_MOST_NAMED = 3  # unknown words in one reason


def explain_abstention(question: str, sentences: Sequence[str], index: Index) -> str:
    """Return why a question has no clear answer, as one sentence, or "" if that is not known.

    Args:
        question: that was searched for.
        sentences: shown as the closest ones.
        index: that was searched.
    """
    words = [word for word in _list_words(question) if lexical_terms(word)]
    unknown = [word for word in words if _is_unknown(word, index)]
    names = [word for word in unknown if word in NAME.findall(question)]
    if names or len(unknown) > len(words) / 2:  # one common word may be missing by chance
        return _describe_unknown(names or unknown, index)
    if asks_for_number(question) and not any(map(read_quantities, sentences)):
        return NO_NUMBER
    return ""


def _list_words(question: str) -> list[str]:
    """Return the words of a question without the 's of a possessive, each once."""
    return list(dict.fromkeys(re.sub(r"['’]s$", "", word) for word in split_words(question)))


def _is_unknown(word: str, index: Index) -> bool:
    """Return whether no title or abstract has a word, nor all its parts. A number is no word.

    The stemmer leaves the plural of an acronym, such as LSTMs, as it is. "Llama-2" is not unknown
    where one abstract has "Llama" and "2".
    """
    if word.isdigit() or "'" in word or "’" in word:
        return False
    singular = word.removesuffix("s")
    forms = [lexical_terms(form) for form in (word.replace("-", ""), singular, f"{singular}s")]
    parts = lexical_terms(" ".join(re.findall(r"[^\W\d_]+|\d+", word)))
    return not any(len(index.lexical.find_all(terms)) for terms in (*forms, parts) if terms)


def _describe_unknown(words: Sequence[str], index: Index) -> str:
    authors = [word for word in words if index.holds(Filter(authors=(word,)))]
    if authors:
        return f"“{authors[0]}” is an author here and occurs {ABSENT}"
    named = [f"“{word}”" for word in words[:_MOST_NAMED]]
    if more := len(words) - len(named):
        named.append(f"{more} more word{'s' * (more > 1)}")
    return f"{join_names(tuple(named))} occur{'s' * (len(words) == 1)} {ABSENT}"
