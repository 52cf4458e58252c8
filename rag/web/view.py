"""`View`: what a handler wants the page to show. Parts that are None stay as they are.

Handlers make views and do not know Gradio. The page's script puts them into place.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, fields, replace
from typing import Any

_RECENT_S = 1.0


@dataclass(frozen=True, slots=True)
class View:
    """Change of the page. All text is HTML, apart from `question` and `library`."""

    top: str | None = None  # the header
    past: str | None = None  # all finished turns
    kept: int | None = None  # how many finished turns stay; later ones go, with their sources
    turn: str | None = None  # one finished turn, added at the end or put in its place
    live: str | None = None  # the turn that is being written
    sources: str | None = None  # the panel of sources
    section: str | None = None  # the sources of `turn`, shown instead of those of other turns
    question: str | None = None  # text of the question box
    busy: bool | None = None  # whether a question is being answered
    note: str | None = None  # one line above the question box; "" hides it
    filters: str | None = None  # the filters in the Library tab
    table: str | None = None  # the papers in the Library tab
    chosen: str | None = None  # what can be done with the selected papers
    heading: str | None = None  # the line that names the library
    report: str | None = None  # what adding or removing papers did
    scope: str | None = None  # the line that says which papers are asked
    choices: str | None = None  # the form in the Settings tab
    library: str | None = None  # the page went there, "" for its own; the browser keeps it
    message: dict[str, Any] | None = None  # for the script: what to store, list, download or say

    def changes(self) -> dict[str, Any]:
        """Return the parts that change, by name."""
        parts = ((each.name, getattr(self, each.name)) for each in fields(self))
        return {name: value for name, value in parts if value is not None}

    def merge(self, later: View) -> View:
        """Return both changes in one. The later one wins where both change a part."""
        return replace(self, **later.changes())


class Outbox:
    """Changes that one page was sent within the last second, by stream of views.

    A browser may skip a message that another one follows at once. So each message repeats all that
    its stream changed so far, and what other streams of the page changed a moment ago.
    """

    def __init__(self) -> None:
        self._streams: dict[str, tuple[float, View]] = {}

    def put(self, stream: str, view: View) -> dict[str, dict[str, Any]]:
        """Add a change. Return the changes of all recent streams, by stream."""
        now = time.monotonic()
        for name in [n for n, (since, _) in self._streams.items() if now - since > _RECENT_S]:
            if name != stream:
                self._streams.pop(name, None)
        _, before = self._streams.pop(stream, (now, View()))
        self._streams[stream] = (now, before.merge(view))
        return {name: each.changes() for name, (_, each) in list(self._streams.items())}


def make_download(name: str, media_type: str, text: str) -> View:
    """Return a view that makes the browser save a file."""
    return View(message={"kind": "download", "name": name, "type": media_type, "text": text})


def make_say(sentence: str) -> View:
    """Return a view that shows a sentence for a moment."""
    return View(message={"kind": "say", "text": sentence})
