"""Formatted text of citations and references, before it becomes Markdown, HTML, LaTeX or Word."""

from __future__ import annotations

from typing import NamedTuple


class Run(NamedTuple):
    """Text with one formatting.

    Attributes:
        text: plain text, not escaped.
        url: address that the text links to, or "".
    """

    text: str
    bold: bool = False
    italic: bool = False
    superscript: bool = False
    small_caps: bool = False
    url: str = ""
