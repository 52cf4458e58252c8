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
    """Change of the page.

    Attributes:
        top: HTML of the header.
        past: HTML of all finished turns.
        kept: how many finished turns stay. Later ones go, with their sources.
        turn: HTML of one finished turn, added at the end or put in its place.
        live: HTML of the turn that is being written.
        sources: HTML of the panel of sources.
        section: HTML of the sources of `turn`, shown instead of those of other turns.
        question: text of the question box.
        busy: whether a question is being answered.
        note: one line above the question box; "" hides it.
        filters: HTML of the filters in the Library tab.
        table: HTML of the papers in the Library tab.
        chosen: HTML of what can be done with the selected papers.
        heading: HTML of the line that names the library.
        report: HTML of what adding or removing papers did.
        scope: HTML of the line that says which papers are asked.
        choices: HTML of the form in the Settings tab.
        library: name of the library that the page went to, "" for its own. The browser keeps it.
        message: for the page's script: what to store, list, download or say.
    """

    top: str | None = None
    past: str | None = None
    kept: int | None = None
    turn: str | None = None
    live: str | None = None
    sources: str | None = None
    section: str | None = None
    question: str | None = None
    busy: bool | None = None
    note: str | None = None
    filters: str | None = None
    table: str | None = None
    chosen: str | None = None
    heading: str | None = None
    report: str | None = None
    scope: str | None = None
    choices: str | None = None
    library: str | None = None
    message: dict[str, Any] | None = None

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
        """Start empty."""
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


def make_download(name: str, kind: str, text: str) -> dict[str, Any]:
    """Return a message that makes the browser save a file.

    Args:
        name: of the file.
        kind: its media type.
        text: its content.
    """
    return {"kind": "download", "name": name, "type": kind, "text": text}
