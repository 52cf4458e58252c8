"""`View`: what a handler wants the page to show; what is None stays as it is.

Handlers make views and know nothing of Gradio; the script of the page puts
them into place.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, fields, replace
from typing import Any

_RECENT_S = 1.0


@dataclass(frozen=True, slots=True)
class View:
    """A change of the page.

    Attributes:
        top: HTML of the header.
        past: HTML of all finished turns.
        kept: how many finished turns stay; those after them go, with their sources.
        turn: HTML of one finished turn, put behind the others or in its own place.
        live: HTML of the turn being written.
        sources: HTML of the panel of sources.
        section: HTML of the sources of `turn`, shown in place of the other turns'.
        question: text of the question box.
        busy: whether a question is being answered.
        note: one line above the question box; empty hides it.
        filters: HTML of the filters in the Library tab.
        table: HTML of the papers in the Library tab.
        chosen: HTML of what can be done with the selected papers.
        heading: HTML of the line that tells which library this is.
        report: HTML of what adding or removing papers did.
        scope: HTML of the line that tells which papers are asked.
        choices: HTML of the form in the Settings tab.
        library: name of the library that the page went to, "" for its own; the browser keeps it.
        message: for the script of the page: what it shall store, list, download or say.
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


def joined(view: View, more: View) -> View:
    """Both changes in one; the second wins where both change a part."""
    changed = {each.name: getattr(more, each.name) for each in fields(more)}
    return replace(view, **{name: value for name, value in changed.items() if value is not None})


def values_of(view: View) -> dict[str, Any]:
    """What a view changes, by name."""
    named = ((each.name, getattr(view, each.name)) for each in fields(view))
    return {name: value for name, value in named if value is not None}


class Outbox:
    """What one page was sent within the last second, by stream of views.

    A browser may pass over a message that another one follows at once. So each message tells all
    that its stream changed so far, and what other streams of the page changed a moment ago.
    """

    def __init__(self) -> None:
        """Begins empty."""
        self._streams: dict[str, tuple[float, View]] = {}

    def put(self, stream: str, view: View) -> dict[str, dict[str, Any]]:
        """Adds a change; stream -> what it changed, for all that are recent."""
        now = time.monotonic()
        for name in [n for n, (since, _) in self._streams.items() if now - since > _RECENT_S]:
            if name != stream:
                self._streams.pop(name, None)
        _, before = self._streams.pop(stream, (now, View()))
        self._streams[stream] = (now, joined(before, view))
        return {name: values_of(each) for name, (_, each) in list(self._streams.items())}
