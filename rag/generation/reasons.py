"""Reasons for an abstention, given only where they can be proved."""

from __future__ import annotations

from typing import TYPE_CHECKING

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
    words = [word for word in dict.fromkeys(split_words(question)) if lexical_terms(word)]
    unknown = [word for word in words if _is_unknown(word, index)]
    shown = NAME.findall(question)
    names = [word for word in unknown if word.removesuffix("'s") in shown]
    if names or len(unknown) > len(words) / 2:  # one common word may be missing by chance
        return _describe_unknown(names or unknown, index)
    if asks_for_number(question) and not any(map(read_quantities, sentences)):
        return "None of the closest sentences has a number."
    return ""


def _is_unknown(word: str, index: Index) -> bool:
    """Return whether no title or abstract has a word. A number is no word.

    The stemmer leaves the plural of an acronym, such as LSTMs, as it is. Where GPT is known, GPT-7
    may still be unknown.
    """
    whole = word.replace("-", "") if any(map(str.isdigit, word)) else word
    terms = lexical_terms(f"{whole} {whole.removesuffix('s')}") if not word.isdigit() else []
    return bool(terms) and not any(map(index.lexical.count_rows, terms))


def _describe_unknown(words: Sequence[str], index: Index) -> str:
    authors = [word for word in words if index.holds(Filter(authors=(word,)))]
    if authors:
        return f"“{authors[0]}” is an author here and occurs in no title or abstract."
    named = [f"“{word}”" for word in words[:_MOST_NAMED]]
    if more := len(words) - len(named):
        named.append(f"{more} more word{'s' * (more > 1)}")
    return f"{join_names(tuple(named))} occur{'s' * (len(words) == 1)} in no title or abstract."
