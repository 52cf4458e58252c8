"""Split an English text into sentences with exact offsets.

Sentences come from nltk's punkt with the tables that llama-index-core ships, so nothing is
downloaded.
"""

from __future__ import annotations

import re
from functools import cache
from itertools import pairwise
from typing import TYPE_CHECKING

from rag.files import find_bundled_table
from rag.text.links import LINK

if TYPE_CHECKING:
    from pathlib import Path

    from nltk.tokenize.punkt import PunktSentenceTokenizer


# Never the last word of a sentence, whatever follows.
_NEVER_LAST = frozenset(
    {"e.g", "i.e", "cf", "vs", "fig", "figs", "eq", "eqs", "approx", "resp", "w.r.t", "a.k.a"}
)
# The same, but only before a number ("No. 5"): the answer may be "no.", a run may take "5 sec."
_NOT_BEFORE_NUMBER = frozenset({"no", "nos", "sec", "secs", "ch", "pp", "vol", "tab", "ref"})
_MAYBE_LAST = frozenset({"al", "i.i.d", "etc"})  # but never before a word in lower case
# Words that start a sentence and are not names. After a full stop without a space, or after a
# single capital, they set a new sentence apart from torch.Tensor and from a person's initial.
_OPENERS = (
    "We|The|This|These|Those|That|It|Its|They|Their|Our|In|On|For|To|By|With|From|As|At|And|But|"
    "However|Moreover|Furthermore|Finally|Additionally|Specifically|Although|While|When|Despite|"
    "Here|There|Then|Thus|Therefore|Hence|First|Second|Third|Also|Such|Since|If|Recent|Recently|"
    "Experiments|Extensive|Results|Code|Unlike|Instead|Using|Both|Many|Most|Notably|Existing"
)
# The lookbehind comes last: a search that starts with it tries every place.
# So does a label in capitals, as in "We count.RESULTS: They rose."
_GLUED = re.compile(
    rf"""[.?!](?<=[a-z0-9)\]%"'][.?!])(?=(?:{_OPENERS})[ ,]|[A-Z]{{3,}}(?:[ /&]+[A-Z]+)*: )"""
)
_AFTER_CAPITAL = re.compile(rf"[A-Z]\. (?<=[a-z] [A-Z]\. )(?=(?:{_OPENERS})[ ,])")
_LAST_WORD = re.compile(r"[(\[\"']*(\S{1,40})\.([)\]\"'”’]*)\s*\Z")
_QUOTE_END = re.compile(r"[.?!][)\]\"'”’]+\s*\Z")
_LOWER_WORD = re.compile(r"[a-z]+(?=[\s,;.]|\Z)")


def sentence_spans(text: str) -> tuple[tuple[int, int], ...]:
    """Return the [start, end) character spans of the sentences of an English text, in order.

    Spans do not overlap, start and end on a character other than white space, and together cover
    all text but white space. An empty or blank text gives ().

    >>> text = "Vaswani et al. use attention.We do not."
    >>> [text[start:end] for start, end in sentence_spans(text)]
    ['Vaswani et al. use attention.', 'We do not.']
    """
    spaced = text.replace("\u200b", " ")
    starts = {at for at, _ in _punkt().span_tokenize(spaced) if _is_sentence_end(spaced, at)}
    cuts = sorted(starts | set(_find_missed_starts(spaced)) | {0, len(text)})
    spans = []
    for start, end in pairwise(cuts):
        piece = text[start:end]
        first = start + len(piece) - len(piece.lstrip())
        last = start + len(piece.rstrip())
        if first < last:
            spans.append((first, last))
    return tuple(spans)


def _is_sentence_end(text: str, start: int) -> bool:
    """Return whether punkt is right that a sentence starts at `start`."""
    before = text[max(0, start - 60) : start]
    # most sentences start with a capital, which is fast to check
    goes_on = text[start : start + 1].islower() and _LOWER_WORD.match(text, start) is not None
    if goes_on and _QUOTE_END.search(before):  # (articles, etc.) is   "can it?" asks
        return False
    last = _LAST_WORD.search(before, before.rstrip().rfind(" ") + 1)
    if last is None:
        return True
    word = last[1].lower().rpartition("(")[2]
    if word in _NEVER_LAST or (word in _NOT_BEFORE_NUMBER and text[start : start + 1].isdigit()):
        return False
    return not (goes_on and word in _MAYBE_LAST)


def _find_missed_starts(text: str) -> list[int]:
    """Return sentence starts that punkt misses: "models.We propose", "of length L. The"."""
    if "//" in text:
        text = LINK.sub(lambda link: "x" * len(link[0]), text)
    found = [*_GLUED.finditer(text), *_AFTER_CAPITAL.finditer(text)]
    return [match.end() for match in found if _is_sentence_end(text, match.end())]


@cache
def _punkt() -> PunktSentenceTokenizer:
    """Load punkt with its English tables, file by file.

    nltk's own loader has changed its arguments between versions, and searches `nltk.data.path`,
    which is shared by the whole process.
    """
    from nltk.tokenize.punkt import PunktParameters, PunktSentenceTokenizer

    folder = find_bundled_table("nltk_cache", "tokenizers", "punkt_tab", "english")
    parameters = PunktParameters()
    parameters.abbrev_types = {word for [word] in _read_rows(folder / "abbrev_types.txt")}
    parameters.abbrev_types |= {*_NEVER_LAST, "al"}
    parameters.sent_starters = {word for [word] in _read_rows(folder / "sent_starters.txt")}
    parameters.collocations = {tuple(pair) for pair in _read_rows(folder / "collocations.tab")}
    for word, context in _read_rows(folder / "ortho_context.tab"):
        parameters.ortho_context[word] = int(context)
    return PunktSentenceTokenizer(parameters)


def _read_rows(path: Path) -> list[list[str]]:
    return [line.split("\t") for line in path.read_text("utf-8").rstrip("\n").split("\n")]
