"""Correct misspelled words of a question by the words of the library.

A word that no paper has may be misspelled, or name what the library lacks. It is corrected only if
one edit makes it one word of the library, and if it is no ordinary word and made of none. The
vocabulary of the bundled encoder says which are: "bananas" stays, whatever the library is about.
"""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from functools import cache
from string import ascii_lowercase
from typing import TYPE_CHECKING

import numpy as np

from rag.embedding.minilm import open_bundled_tokenizer
from rag.text.folding import fold_text
from rag.text.terms import lexical_terms

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rag.index import Index

_TOKEN = re.compile(r"\S+")
_NO_WORDS = re.compile(r"[\d@+/_]|\w\.\w|\w[A-Z]")  # in names, numbers, ids and addresses
_WORD = re.compile(r"(?<![\w'’])[A-Za-z][a-z]{4,24}(?!\w)")
_LETTERS = re.compile(r"[a-z]+", re.IGNORECASE)
_MOST_READ = 10  # rows with a stem, read for the word that has it
_CLEARLY = 10  # times as many rows as the next word, so that only one word can be meant
_MOST_CORRECTED = 10  # words of one question
_SHORTEST_ROOT = 4  # letters
_PRODUCTIVE = 60  # words of the vocabulary that an affix makes of others, such as "re" or "er"


@dataclass(frozen=True, slots=True)
class _Vocabulary:
    """Ordinary words, and what makes others of them.

    Attributes:
        words: those that may have an affix.
        terms: stems of all.
        prefixes: that many words have.
        suffixes: that many words have.
    """

    words: frozenset[str]
    terms: frozenset[str]
    prefixes: frozenset[str]
    suffixes: frozenset[str]


def find_corrections(question: str, index: Index) -> dict[str, str]:
    """Return misspelled word -> word of the library, in the order of the question."""
    tokens = [each for each in question.split() if not _NO_WORDS.search(each)]
    found = {}
    for word in dict.fromkeys(word for token in tokens for word in _WORD.findall(token)):
        may_be_name = not word.islower() and not question.lstrip().startswith(word)
        if may_be_name or _is_known(word.lower(), index):
            continue
        correct = _find_correct(word.lower(), index)
        if correct and not _is_inflection(word.lower(), correct.lower(), index):
            found[word] = correct
        if len(found) == _MOST_CORRECTED:
            break
    return found


def correct_words(text: str, corrections: dict[str, str]) -> str:
    """Return a text with its misspelled words corrected.

    >>> correct_words("attenton in attenton-1a", {"attenton": "attention"})
    'attention in attenton-1a'
    """

    def correct_token(token: re.Match[str]) -> str:
        if _NO_WORDS.search(token[0]):
            return token[0]
        return _WORD.sub(lambda word: corrections.get(word[0], word[0]), token[0])

    return _TOKEN.sub(correct_token, text)


def _is_known(word: str, index: Index) -> bool:
    """Return whether the library has a word. Its stem is not enough: distilation is misspelled."""
    terms = lexical_terms(word)
    if not all(map(index.lexical.count_rows, terms)):
        return False
    is_ordinary = not terms or word in _load_words()
    return is_ordinary or _read_word(terms[0], {word}, index) is not None


def _is_inflection(word: str, other: str, index: Index) -> bool:
    """Return whether a word may be right though the library has only others of its stem."""
    terms = lexical_terms(word)
    if not all(map(index.lexical.count_rows, terms)):
        return False
    is_longer = word.startswith(other) or other.startswith(word)  # by an ending
    return is_longer or terms != lexical_terms(other)


def _find_correct(word: str, index: Index) -> str | None:
    """Return the one word of the library that is meant, or None."""
    near: dict[str, set[str]] = {}
    for edited in _list_edits(word):
        for term in lexical_terms(edited):
            near.setdefault(term, set()).add(edited)
    words: Counter[str] = Counter()
    for term, several in near.items():
        if (count := index.lexical.count_rows(term)) and (form := _read_word(term, several, index)):
            words[form] += count
    (best, count), (_, second) = [*words.most_common(2), ("", 0), ("", 0)][:2]
    is_clear = count > 0 and count >= _CLEARLY * second
    return best if is_clear and not _is_ordinary(word) else None


def _list_edits(word: str) -> Iterator[str]:
    """Yield all that one edit behind its first letter makes of a word.

    Edits are deletion, transposition, substitution and insertion.
    """
    for at in range(1, len(word) + 1):
        before, behind = word[:at], word[at:]
        if behind:
            yield before + behind[1:]
        if len(behind) > 1:
            yield before + behind[1] + behind[0] + behind[2:]
        for letter in ascii_lowercase:
            yield before + letter + behind
            if behind:
                yield before + letter + behind[1:]


def _read_word(term: str, words: set[str], index: Index) -> str | None:
    """Return the most frequent of some words in papers with their term, as it is written there."""
    rows = index.find_words([term], _MOST_READ, index.select(None))
    papers = np.unique(index.records.load_rows(rows).paper).tolist()
    forms: Counter[str] = Counter()
    for stored in index.records.load_papers(papers):
        text = fold_text(f"{stored.paper.title} {stored.paper.abstract}")
        forms.update({form for form in _LETTERS.findall(text) if form.lower() in words})
    return _choose_form(forms)


def _choose_form(forms: Counter[str]) -> str | None:
    """Return the most frequent word, in lower case if it ever stands so."""
    words: Counter[str] = Counter()
    for form, count in forms.items():
        words[form.lower()] += count
    if not words:
        return None
    word = words.most_common(1)[0][0]
    return (
        word if word in forms else max(forms, key=lambda form: (form.lower() == word, forms[form]))
    )


def _is_ordinary(word: str) -> bool:
    """Return whether a word, or what is left of it without an affix, is in the vocabulary."""
    vocabulary = _load_vocabulary()
    if lexical_terms(word)[0] in vocabulary.terms:
        return True
    return any(
        (before in vocabulary.words and behind in vocabulary.suffixes)
        or (before in vocabulary.prefixes and behind in vocabulary.words)
        for before, behind in _split_word(word)
    )


def _split_word(word: str) -> Iterator[tuple[str, str]]:
    for at in range(1, len(word)):
        yield word[:at], word[at:]


@cache
def _load_words() -> frozenset[str]:
    """Read the words that the bundled encoder knows."""
    pieces = open_bundled_tokenizer().get_vocab()
    return frozenset(piece for piece in pieces if _LETTERS.fullmatch(piece))


@cache
def _load_vocabulary() -> _Vocabulary:
    """Find the affixes that many ordinary words have in common."""
    words = _load_words()
    roots = {word for word in words if len(word) >= _SHORTEST_ROOT}
    splits = [pair for word in words for pair in _split_word(word)]
    suffixes = Counter(behind for before, behind in splits if before in roots)
    prefixes = Counter(before for before, behind in splits if behind in roots)
    return _Vocabulary(
        words=frozenset(roots),
        terms=frozenset(lexical_terms(" ".join(words))),
        prefixes=frozenset(
            each for each, count in prefixes.items() if count >= _PRODUCTIVE and len(each) > 1
        ),
        suffixes=frozenset(each for each, count in suffixes.items() if count >= _PRODUCTIVE),
    )
