"""Documents as Markdown."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rag.answer.document import ASIDE
from rag.exporters.markdown_list import escape_address, escape_block_start, escape_signs

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rag.answer.document import Aside, Document
    from rag.csl import Run

_NUMBER = re.compile(r"\\\[(\d+)\\\]")


def render_markdown(document: Document) -> str:
    """Return a document as Markdown, with its footnotes at the end."""
    numbers = {id(note): number for number, note in enumerate(document.notes, 1)}

    def render_aside(aside: Aside) -> str:
        if aside.kind == "note":
            return f"[^{numbers[id(aside)]}]"
        shown = aside.source or _render_runs(aside.runs)
        return escape_block_start(shown) if aside.kind == "reference" else shown

    text = ASIDE.sub(lambda found: render_aside(document.asides[int(found[1])]), document.text)
    notes = (f"[^{n}]: {_render_runs(note.runs)}\n" for n, note in enumerate(document.notes, 1))
    return "\n".join([text, *notes])


def _render_runs(runs: Iterable[Run]) -> str:
    """Return formatted text. A number in brackets, as in styles that cite by number, stays."""
    return _NUMBER.sub(r"[\1]", "".join(map(_render_run, runs)))


def _render_run(run: Run) -> str:
    body = run.text.strip()
    before, _, after = run.text.partition(body) if body else (run.text, "", "")
    signs = "*" * (run.italic + 2 * run.bold)
    shown = f"{signs}{escape_signs(body)}{signs}"
    if run.superscript:
        shown = f"<sup>{shown}</sup>"
    if run.url:
        address = escape_address(run.url)
        shown = f"<{address}>" if run.url == body else f"[{shown}](<{address}>)"
    return f"{before and ' '}{shown if body else ''}{after and ' '}"
