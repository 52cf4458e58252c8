"""Remove a reasoning model's thoughts from its reply while the reply streams in.

Some servers send thoughts in a field of their own, which is ignored. Others put them into the text
between tags, or send the closing tag alone because the opening one is part of the server's
template. An answer may write about such tags, so a tag counts only where a model puts it: at the
start of a line or sentence, or, for a closing tag, at the end of its line.
"""

from __future__ import annotations

import re

# Opening tag -> closing tag. The forms with <|...|> are those of OpenAI's open models, where
# everything outside of the channel "final" is thought.
_TAGS = {
    **{f"<{name}>": f"</{name}>" for name in ("think", "thinking", "thought", "reasoning")},
    "◁think▷": "◁/think▷",
    **{f"<|{name}|>": "final<|message|>" for name in ("start", "channel", "end", "return")},
}
_OPENS = re.compile("|".join(map(re.escape, _TAGS)), re.IGNORECASE)
_CLOSES = re.compile("|".join(map(re.escape, set(_TAGS.values()))), re.IGNORECASE)
_LONGEST_CLOSE = max(map(len, _TAGS.values()))
_BOUNDARY = re.compile(r"(?:\A|[\n.!?…。！？\]])\s*\Z")  # also full-width, as in Chinese
_LOOK_BACK = 16  # characters, enough for the end of a sentence and the space behind it
_REST_OF_LINE_IS_EMPTY = re.compile(r"[ \t]*\r?\n")


class ThoughtFilter:
    """Takes chunks of a reply and returns the text that is not thought."""

    def __init__(self) -> None:
        self._held = ""
        self._close = ""  # closing tag of the thoughts under way
        self._before = ""  # end of the text returned so far
        self._strips = True  # drop white space before the answer and after thoughts

    def feed(self, chunk: str) -> str:
        """Add a chunk and return the text that is certain to belong to the answer, perhaps ""."""
        self._held += chunk
        shown = ""
        while not self._close or self._skip_thoughts():
            opened = self._find_opening()
            if opened is None:
                return shown + self._take(len(self._held) - self._count_tag_chars())
            shown += self._take(opened.start())
            self._held = self._held[len(opened[0]) :]
            self._close = _TAGS[opened[0].lower()]
        return shown

    def finish(self) -> str:
        """Return what was held back. Thoughts that never end are dropped."""
        return "" if self._close else self._take(len(self._held))

    def _skip_thoughts(self) -> bool:
        """Drop thoughts and return whether they have ended."""
        closed = re.search(re.escape(self._close), self._held, re.IGNORECASE)
        if closed is None:
            self._held = self._held[-_LONGEST_CLOSE:]
            return False
        self._held = self._held[closed.end() :]
        self._close = ""
        self._strips = not self._before or self._before[-1].isspace()
        return True

    def _find_opening(self) -> re.Match[str] | None:
        """Return the first opening tag at the start of a line or sentence."""
        for opened in _OPENS.finditer(self._held):
            before = self._before + self._held[max(0, opened.start() - _LOOK_BACK) : opened.start()]
            if _BOUNDARY.search(before[-_LOOK_BACK:]):
                return opened
        return None

    def _count_tag_chars(self) -> int:
        """Return how many characters at the end may be the start of a tag."""
        tail = self._held[max(self._held.rfind("<"), self._held.rfind("◁"), 0) :].lower()
        begins = any(tag.startswith(tail) and tag != tail for tag in _TAGS)
        return len(tail) if begins else 0

    def _take(self, count: int) -> str:
        """Remove and return the first held characters."""
        taken, self._held = self._held[:count], self._held[count:]
        if self._strips:
            taken = taken.lstrip()
            self._strips = not taken
        self._before = (self._before + taken)[-_LOOK_BACK:]
        return taken


def drop_unopened_thoughts(text: str) -> str | None:
    """Return the text after a closing tag that has no opening tag, or None if there is none.

    >>> drop_unopened_thoughts("Hm, 3 papers... </think> Two do [1].")
    'Two do [1].'
    >>> drop_unopened_thoughts("The tag </think> ends it [1].")
    """
    for closed in _CLOSES.finditer(text):
        before = text[max(0, closed.start() - _LOOK_BACK) : closed.start()]
        if _BOUNDARY.search(before) or _REST_OF_LINE_IS_EMPTY.match(text, closed.end()):
            return text[closed.end() :].lstrip()
    return None
