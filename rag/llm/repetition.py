"""Find out whether a model says the same again and again, in any language."""

from __future__ import annotations

import re

_TIMES = 4  # a table or a list may say the same thing twice or three times
_CHARS = 240  # of all repetitions together: short lines such as "Yes." may stand often
_WORD = re.compile(r"[^\W_]+")
# What a loop counts up: markers and numbers of list items, but not those of verdicts (1 | s3 | x).
_COUNTERS = re.compile(r"\[[^\]\n]{1,20}\]|^[ \t]*\d{1,3}[.)](?=[^|\n]*$)", re.MULTILINE)
_SENTENCE_END = re.compile(r"[.!?](?=[\s\[]|\Z)|[。！？]|\n")
_MARKERS_BEHIND = re.compile(r"(?:[ \t]*\[[^\]\n]{1,20}\])*")


def find_repetition(text: str) -> int | None:
    r"""Return where a text begins to repeat what it has just said, if it does so until its end.

    The same words, however many, must follow each other four times. Markers and list numbers may
    differ. The last word may be incomplete.

    >>> text = "So it is. " + "Warm tea is warm tea and warm tea is warm. " * 9
    >>> text[: find_repetition(text)]
    'So it is. Warm tea is warm tea and warm tea is warm.'
    >>> find_repetition("| BERT | yes | yes |\n| GPT | yes | yes |\n" * 3)
    """
    plain = _COUNTERS.sub(lambda found: " " * len(found[0]), text)
    words = list(_WORD.finditer(plain))[:-1]
    said = [word[0].casefold() for word in words]
    for count in range(1, len(said) // _TIMES + 1):
        if said[-count:] != said[-2 * count : -count]:
            continue
        start = len(said) - count
        while start and said[start - 1] == said[start - 1 + count]:
            start -= 1
        chars = words[-1].end() - words[start].start()
        if len(said) - start >= _TIMES * count and chars >= _CHARS:
            first, second = words[start + count - 1].end(), words[start + 2 * count - 1].end()
            return _find_sentence_end(text, first, second)
    return None


def _find_sentence_end(text: str, first: int, last: int) -> int:
    """Return the end of the sentence at an offset, with its markers. Without one, the offset."""
    stop = _SENTENCE_END.search(text, first, last)
    if stop is None:
        return first
    line = text[: stop.end()].rpartition("\n")[2].lstrip()
    behind = None if line.startswith("[") else _MARKERS_BEHIND.match(text, stop.end())
    return behind.end() if behind else stop.end()
