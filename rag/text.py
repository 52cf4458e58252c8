"""Plain text: sentences, token counts and links.

Sentences come from nltk's punkt and token counts from tiktoken, both with the tables that
llama-index-core ships, so nothing is downloaded, and are imported on first use.

Called by the passage splitter (sentences, counts), `Paper` (links) and whatever takes questions.
"""

from __future__ import annotations

import os
import re
import threading
from functools import cache
from importlib.util import find_spec
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from rag.errors import DiskError

if TYPE_CHECKING:
    from nltk.tokenize.punkt import PunktSentenceTokenizer
    from tiktoken import Encoding

LONGEST_QUESTION_CHARS = 4000  # what lies behind is not read
_LINK = re.compile(r"(https?:) ?(//(?=\w)[^\s<>\"`{}|\\^\[\]]+)", re.IGNORECASE)


def has_words(text: str) -> bool:
    """Whether a text has a letter or a digit of any script; a question without one is empty.

    >>> has_words("ELECTRA?"), has_words("42"), has_words(" ?! "), has_words(chr(0))
    (True, True, False, False)
    """
    return any(map(str.isalnum, text))


def find_links(text: str) -> tuple[str, ...]:
    """The http and https links that stand in a text, in order, each once.

    Punctuation after a link is not part of it, nor is a bracket that opened before it. A space that
    slipped in before the two slashes ("https: //host") is taken out. No link gives ().

    >>> find_links("Code (see https://example.org/a_(b)), models: https: //example.org/m.")
    ('https://example.org/a_(b)', 'https://example.org/m')
    """
    found = (_without_trailing_marks(scheme + rest) for scheme, rest in _LINK.findall(text))
    return tuple(dict.fromkeys(found))


def _without_trailing_marks(link: str) -> str:
    surplus = link.count(")") - link.count("(")
    end = len(link)
    while link[end - 1] in ".,;:!?'*" or (link[end - 1] == ")" and surplus > 0):
        surplus -= link[end - 1] == ")"
        end -= 1
    return link[:end]


# Never the last word of a sentence, whatever follows.
_NEVER_LAST = frozenset(
    {"e.g", "i.e", "cf", "vs", "fig", "figs", "eq", "eqs", "approx", "resp", "w.r.t", "a.k.a"}
)
# The same, but only before a number ("No. 5"): the answer may be "no.", a run may take "5 sec."
_NOT_BEFORE_NUMBER = frozenset({"no", "nos", "sec", "secs", "ch", "pp", "vol", "tab", "ref"})
_MAYBE_LAST = frozenset({"al", "i.i.d", "etc"})  # but never before a word in lower case
# Words that open a sentence and are no names: after a full stop without a space, or after a lone
# capital, they tell a new sentence from torch.Tensor and from a person's initial.
_OPENERS = (
    "We|The|This|These|Those|That|It|Its|They|Their|Our|In|On|For|To|By|With|From|As|At|And|But|"
    "However|Moreover|Furthermore|Finally|Additionally|Specifically|Although|While|When|Despite|"
    "Here|There|Then|Thus|Therefore|Hence|First|Second|Third|Also|Such|Since|If|Recent|Recently|"
    "Experiments|Extensive|Results|Code|Unlike|Instead|Using|Both|Many|Most|Notably|Existing"
)
# What stands before is looked at last: a search that begins with it tries every place.
_GLUED = re.compile(rf"""[.?!](?<=[a-z0-9)\]%"'][.?!])(?=(?:{_OPENERS})[ ,])""")
_AFTER_CAPITAL = re.compile(rf"[A-Z]\. (?<=[a-z] [A-Z]\. )(?=(?:{_OPENERS})[ ,])")
_LAST_WORD = re.compile(r"[(\[\"']*(\S{1,40})\.([)\]\"'”’]*)\s*\Z")
_QUOTE_END = re.compile(r"[.?!][)\]\"'”’]+\s*\Z")
_LOWER_WORD = re.compile(r"[a-z]+(?=[\s,;.]|\Z)")


def sentence_spans(text: str) -> tuple[tuple[int, int], ...]:
    """The exact [start, end) character spans of the sentences of an English text, in order.

    Spans never overlap, are never empty, begin and end on something that is no white space, and
    together cover all of the text but white space. An empty or blank text gives ().

    >>> text = "Vaswani et al. use attention.We do not."
    >>> [text[start:end] for start, end in sentence_spans(text)]
    ['Vaswani et al. use attention.', 'We do not.']
    """
    starts = {start for start, _ in _punkt().span_tokenize(text) if _is_sentence_end(text, start)}
    cuts = sorted(starts | set(_missed_starts(text)) | {0, len(text)})
    spans = []
    for start, end in pairwise(cuts):
        piece = text[start:end]
        first = start + len(piece) - len(piece.lstrip())
        last = start + len(piece.rstrip())
        if first < last:
            spans.append((first, last))
    return tuple(spans)


def _is_sentence_end(text: str, start: int) -> bool:
    """Whether punkt is right that a sentence begins at `start`."""
    before = text[max(0, start - 60) : start]
    # most sentences begin with a capital, which is told in no time
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


def _missed_starts(text: str) -> list[int]:
    """Where a sentence begins that punkt does not see: "models.We propose", "of length L. The"."""
    if "//" in text:
        text = _LINK.sub(lambda link: "x" * len(link[0]), text)
    found = [*_GLUED.finditer(text), *_AFTER_CAPITAL.finditer(text)]
    return [match.end() for match in found if _is_sentence_end(text, match.end())]


@cache
def _punkt() -> PunktSentenceTokenizer:
    """Punkt with its English tables, read file by file.

    nltk's own loader has changed its argument between versions and looks for folders in
    `nltk.data.path`, which belongs to the whole process.
    """
    from nltk.tokenize.punkt import PunktParameters, PunktSentenceTokenizer

    folder = _shipped("nltk_cache", "tokenizers", "punkt_tab", "english")
    parameters = PunktParameters()
    parameters.abbrev_types = {word for [word] in _rows(folder / "abbrev_types.txt")}
    parameters.abbrev_types |= {*_NEVER_LAST, "al"}
    parameters.sent_starters = {word for [word] in _rows(folder / "sent_starters.txt")}
    parameters.collocations = {tuple(pair) for pair in _rows(folder / "collocations.tab")}
    for word, context in _rows(folder / "ortho_context.tab"):
        parameters.ortho_context[word] = int(context)
    return PunktSentenceTokenizer(parameters)


def _rows(path: Path) -> list[list[str]]:
    return [line.split("\t") for line in path.read_text("utf-8").rstrip("\n").split("\n")]


_encoding_lock = threading.Lock()


def count_tokens(text: str) -> int:
    """How many o200k_base tokens a text has; 0 for "".

    Text that spells a special token ("<|endoftext|>") is counted as the plain text it is.

    >>> count_tokens("Every claim is cited.")
    5
    """
    with _encoding_lock:
        encoding = _encoding()
    return len(encoding.encode(text, disallowed_special=()))


@cache
def _encoding() -> Encoding:
    """The encoding from the table on this machine; the caller holds the lock.

    tiktoken takes the folder from the environment only, and downloads what it does not find there.
    """
    import tiktoken

    folder = _shipped("tiktoken_cache", "fb374d419588a4632f3f557e76b4b70aebbca790").parent
    before = {name: os.environ[name] for name in ["TIKTOKEN_CACHE_DIR"] if name in os.environ}
    os.environ["TIKTOKEN_CACHE_DIR"] = str(folder)
    try:
        return tiktoken.get_encoding("o200k_base")
    finally:
        del os.environ["TIKTOKEN_CACHE_DIR"]
        os.environ |= before


def _shipped(*parts: str) -> Path:
    """A file or folder among llama-index-core's tables, found without importing it."""
    spec = find_spec("llama_index")
    for place in (spec.submodule_search_locations if spec else None) or ():
        path = Path(place, "core", "_static", *parts)
        if path.exists():
            return path
    raise DiskError(
        f"llama-index-core's {'/'.join(parts)} is not installed; "
        'run pip install --force-reinstall "llama-index-core>=0.14.25,<0.15".'
    )
