"""`View`: what a handler wants the page to show; what is None stays as it is.

Handlers make views and know nothing of Gradio; the layout turns views into updates.
"""

from __future__ import annotations

from dataclasses import dataclass
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
        message: for the script of the page: what it shall store, list, download or say.
    """

    past: str | None = None
    live: str | None = None
    sources: str | None = None
    question: str | None = None
    busy: bool | None = None
    note: str | None = None
    message: dict[str, Any] | None = None
