"""`View`: what a handler wants the page to show; what is None stays as it is.

Handlers make views and know nothing of Gradio; the layout turns views into updates.
"""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Any


@dataclass(frozen=True, slots=True)
class View:
    """A change of the page.

    Attributes:
        past: HTML of the finished turns.
        live: HTML of the turn being written.
        sources: HTML of the panel of sources.
        question: text of the question box.
        busy: whether a question is being answered.
        note: one line above the question box; empty hides it.
        table: HTML of the papers in the Library tab.
        chosen: HTML of what can be done with the selected papers.
        shelf: HTML of the line that tells which library this is.
        report: HTML of what adding or removing papers did.
        scope: HTML of the line that tells which papers are asked.
        choices: HTML of the form in the Settings tab.
        moved: whether the page went to another library.
        message: for the script of the page: what it shall store, list, download or say.
    """

    past: str | None = None
    live: str | None = None
    sources: str | None = None
    question: str | None = None
    busy: bool | None = None
    note: str | None = None
    table: str | None = None
    chosen: str | None = None
    shelf: str | None = None
    report: str | None = None
    scope: str | None = None
    choices: str | None = None
    moved: bool | None = None
    message: dict[str, Any] | None = None


def joined(view: View, more: View) -> View:
    """Both changes in one; the second wins where both change a part."""
    changed = {each.name: getattr(more, each.name) for each in fields(more)}
    return replace(view, **{name: value for name, value in changed.items() if value is not None})
