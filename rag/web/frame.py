"""The frame of the page: its look, its script, and the fixed words around what changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from rag import __version__
from rag.web.escape import safe
from rag.web.intake import LARGEST_FILE_BYTES, LARGEST_PASTE, MOST_FILES

if TYPE_CHECKING:
    from rag.web.library_pool import LibraryState

_FOLDER = Path(__file__).parent
_SCRIPTS = ("conversations.js", "answers.js", "page.js")


def look() -> dict[str, Any]:
    """Theme, styles and head of the page; all of it local."""
    theme = gr.themes.Base(
        primary_hue="teal",
        neutral_hue="stone",
        text_size="lg",
        radius_size="md",
        font=["system-ui", "sans-serif"],
        font_mono=["ui-monospace", "monospace"],
    )
    head = '<meta name="viewport" content="width=device-width, initial-scale=1">'
    return {"theme": theme, "css": (_FOLDER / "style.css").read_text("utf-8"), "head": head}


def script() -> str:
    """The script of the page, which runs once, in the element that carries messages."""
    return "\n".join((_FOLDER / name).read_text("utf-8") for name in _SCRIPTS)


def drawn(html: str, name: str) -> gr.HTML:
    """HTML of our own, in our own style; the script of the page replaces what is inside."""
    part = f'<div data-part="{name}">{html}</div>'
    return gr.HTML(part, elem_id=name, apply_default_css=False, js_on_load=None)


def message_value(message: dict[str, Any]) -> str:
    """A message for the script of the page, as the text of an element that nobody sees."""
    return safe(json.dumps(message, ensure_ascii=False))


def header(state: LibraryState, user: str | None = None) -> str:
    """Name of the page, state of the library, choice of light or dark."""
    return (
        '<header><h1>Papertrail</h1><p class="state '
        f'{state.kind}" role="status"><span class="dot" aria-hidden="true"></span>'
        f"{safe(state.text)}</p>{_signed_in(user)}"
        '<button type="button" id="theme" '
        'aria-label="Switch between light and dark">◐</button></header>'
    )


def note(sentence: str, *, cancel: bool) -> str:
    """The line above the question box; while a question is edited, with the way out."""
    leave = '<button type="button" data-act="cancel">Cancel</button>' if cancel else ""
    return f'<p><span role="status">{safe(sentence)}</span>{leave}</p>'


def _signed_in(user: str | None) -> str:
    if user is None:
        return ""
    return (
        f'<form method="post" action="/sign-out" class="user"><span>{safe(user)}</span>'
        '<button type="submit">Sign out</button></form>'
    )


def footer() -> str:
    """What this is."""
    return f"<footer>Papertrail {safe(__version__)}</footer>"


ADDING = (
    "<details><summary>Add papers</summary><p>Every common format is read: BibTeX, RIS, MEDLINE, "
    "PubMed XML, arXiv, CSV or TSV with a header, JSON, JSON Lines. At most "
    f"{MOST_FILES} files of {LARGEST_FILE_BYTES // 1_000_000} MB each.</p>"
    '<form id="add-papers"><label class="drop"><span>Files, chosen or dropped here</span>'
    '<input type="file" id="files" multiple></label>'
    '<label class="paste"><span>Or paste text</span><textarea id="pasted" rows="4" '
    f'maxlength="{LARGEST_PASTE}" placeholder="BibTeX, RIS, CSV, JSON …"></textarea></label>'
    '<label class="naming"><span>Name of your new library</span><input type="text" id="name" '
    'maxlength="48" autocomplete="off"></label>'
    '<button type="submit" class="first">Add papers</button>'
    '<p id="uploading" role="status"></p></form></details>'
)
FINDER = (
    '<label class="finder"><span class="unseen">Search titles and abstracts</span><input '
    'type="search" id="seek" placeholder="Search titles and abstracts" autocomplete="off"></label>'
)
CONVERSATIONS = (
    '<details id="kept" open><summary>Conversations</summary>'
    '<button type="button" data-act="new" class="new">New conversation</button>'
    '<label class="finder"><span class="unseen">Search conversations</span>'
    '<input type="search" id="find" placeholder="Search" autocomplete="off"></label>'
    '<ul id="list" aria-label="Conversations"></ul>'
    '<p class="exports"><span>Export</span>'
    '<button type="button" data-act="export" data-form="markdown">Markdown</button>'
    '<button type="button" data-act="export" data-form="json">JSON</button></p></details>'
)
