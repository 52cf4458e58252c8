"""Takes a reasoning model's thoughts out of its reply as the reply streams in.

Some servers send thoughts in a field of their own, which nobody here reads; others put them into
the text, between tags, or ended by a closing tag alone where the opening one was part of the
server's template. An answer may speak about such tags, so one counts only where a model sets it:
where a line or a sentence begins, or, for a closing one, where its line ends.
"""

from __future__ import annotations

import re

# Opening tag -> what ends the thoughts. The forms with <|...|> are those of OpenAI's open models:
# whatever is not in the channel "final" is thought.
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
    """Feed it chunks of a reply; it gives back what is not thought."""

    def __init__(self) -> None:
        self._held = ""
        self._close = ""  # the tag that thoughts wait for
        self._before = ""  # the end of what was given back
        self._strips = True  # white space in front of the answer and behind thoughts is dropped

    def feed(self, chunk: str) -> str:
        """Text of the answer that is certain so far; may be empty."""
        self._held += chunk
        shown = ""
        while not self._close or self._leave():
            opened = self._opening()
            if opened is None:
                return shown + self._take(len(self._held) - self._could_open())
            shown += self._take(opened.start())
            self._held = self._held[len(opened[0]) :]
            self._close = _TAGS[opened[0].lower()]
        return shown

    def finish(self) -> str:
        """What was held back; thoughts that never ended are no answer."""
        return "" if self._close else self._take(len(self._held))

    def _leave(self) -> bool:
        """Drops thoughts; whether they have ended."""
        closed = re.search(re.escape(self._close), self._held, re.IGNORECASE)
        if closed is None:
            self._held = self._held[-_LONGEST_CLOSE:]
            return False
        self._held = self._held[closed.end() :]
        self._close = ""
        self._strips = not self._before or self._before[-1].isspace()
        return True

    def _opening(self) -> re.Match[str] | None:
        for opened in _OPENS.finditer(self._held):
            before = self._before + self._held[max(0, opened.start() - _LOOK_BACK) : opened.start()]
            if _BOUNDARY.search(before[-_LOOK_BACK:]):
                return opened
        return None

    def _could_open(self) -> int:
        """How many characters at the end may be the beginning of a tag."""
        tail = self._held[max(self._held.rfind("<"), self._held.rfind("◁"), 0) :].lower()
        begins = any(tag.startswith(tail) and tag != tail for tag in _TAGS)
        return len(tail) if begins else 0

    def _take(self, count: int) -> str:
        """Gives so many held characters back."""
        taken, self._held = self._held[:count], self._held[count:]
        if self._strips:
            taken = taken.lstrip()
            self._strips = not taken
        self._before = (self._before + taken)[-_LOOK_BACK:]
        return taken


def behind_lone_close(text: str) -> str | None:
    """What stands behind a closing tag without an opening one, or None where there is none.

    >>> behind_lone_close("Hm, 3 papers... </think> Two do [1].")
    'Two do [1].'
    >>> behind_lone_close("The tag </think> ends it [1].")
    """
    for closed in _CLOSES.finditer(text):
        before = text[max(0, closed.start() - _LOOK_BACK) : closed.start()]
        if _BOUNDARY.search(before) or _REST_OF_LINE_IS_EMPTY.match(text, closed.end()):
            return text[closed.end() :].lstrip()
    return None
