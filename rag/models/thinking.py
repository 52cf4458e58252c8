"""Takes a reasoning model's thoughts out of its reply as the reply streams in.

Some servers send thoughts in a field of their own, which nobody here reads; others put them into
the text, between <think> tags in front of the answer, or ended by a closing tag alone where the
opening one was part of the server's template.
"""

from __future__ import annotations

import re

_OPENS = re.compile(r"\s*<(think|thinking|thought|reasoning)>")
_COULD_OPEN = re.compile(r"\s*(<[a-z]{0,9})?\Z")
_LONE_CLOSE = re.compile(r"</(?:think|thinking)>\s*")
_LONGEST_TAG = 12


class ThoughtFilter:
    """Feed it chunks of a reply; it gives back what is not thought."""

    def __init__(self) -> None:
        self._held = ""
        self._tag = ""  # the tag that thoughts wait for
        self._decided = False

    def feed(self, chunk: str) -> str:
        """Text of the answer that is certain so far; may be empty."""
        if self._decided and not self._tag:
            return chunk
        self._held += chunk
        if not self._decided and not self._decide():
            return ""
        if self._tag:
            return self._behind_thoughts()
        held, self._held = self._held, ""
        return held

    def finish(self) -> str:
        """What was held back; thoughts that never ended are no answer."""
        held, self._held = self._held, ""
        return "" if self._tag else held

    def _decide(self) -> bool:
        if opened := _OPENS.match(self._held):
            self._tag = f"</{opened[1]}>"
            self._held = self._held[opened.end() :]
        elif _COULD_OPEN.match(self._held):
            return False
        self._decided = True
        return True

    def _behind_thoughts(self) -> str:
        _, closed, behind = self._held.partition(self._tag)
        if not closed:
            self._held = self._held[-_LONGEST_TAG:]
            return ""
        self._tag, self._held = "", ""
        return behind.lstrip()


def behind_lone_close(text: str) -> str | None:
    """What stands behind a closing tag without an opening one, or None where there is none.

    >>> behind_lone_close("Hm, 3 papers... </think> Two do [1].")
    'Two do [1].'
    """
    closed = _LONE_CLOSE.search(text)
    return text[closed.end() :] if closed else None
