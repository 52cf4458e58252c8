"""The frame of the page: its look, its script, and the fixed text around what changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import gradio as gr

from rag import __version__
from rag.web.escape import escape, render_button
from rag.web.limits import LARGEST_FILE_BYTES, LARGEST_PASTE, MOST_FILES

if TYPE_CHECKING:
    from rag.serving.library_pool import LibraryState

_FOLDER = Path(__file__).parent
_SIGN_OUT = (
    '<form method="post" action="/sign-out" class="user"><span>{user}</span>'
    '<button type="submit">Sign out</button></form>'
)
_SCRIPTS = ("conversations.js", "answers.js", "page.js")


def load_look() -> dict[str, Any]:
    """Return theme, styles and head of the page. All of it is local."""
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


def load_script() -> str:
    """Return the script of the page. It runs once, in the element that carries messages."""
    return "\n".join((_FOLDER / name).read_text("utf-8") for name in _SCRIPTS)


def add_html(html: str, name: str) -> gr.HTML:
    """Add HTML to the page. The page's script replaces what is inside."""
    part = f'<div data-part="{name}">{html}</div>'
    return gr.HTML(part, elem_id=name, apply_default_css=False, js_on_load=None)


def encode_message(message: dict[str, Any]) -> str:
    """Return a message to the page's script as the text of a hidden element."""
    return escape(json.dumps(message, ensure_ascii=False))


def render_header(state: LibraryState, user: str | None = None) -> str:
    """Render the page's name, the library's state and the switch between light and dark."""
    leave = "" if user is None else _SIGN_OUT.format(user=escape(user))
    return (
        '<header><h1>Papertrail</h1><p class="state '
        f'{state.kind}" role="status"><span class="dot" aria-hidden="true"></span>'
        f"{escape(state.text)}</p>{leave}"
        '<button type="button" id="theme" '
        'aria-label="Switch between light and dark">◐</button></header>'
    )


def render_note(sentence: str, *, cancel: bool) -> str:
    """Render the line above the question box, with a way out while a question is edited."""
    leave = render_button("Cancel", act="cancel") if cancel else ""
    return f'<p><span role="status">{escape(sentence)}</span>{leave}</p>'


FOOTER = f"<footer>Papertrail {escape(__version__)}</footer>"
ADD_FORM = (
    "<details><summary>Add papers</summary><p>Common formats are read: BibTeX, RIS, MEDLINE, "
    "PubMed XML, arXiv, CSV or TSV with a header, JSON, JSON Lines. At most "
    f"{MOST_FILES} files of {LARGEST_FILE_BYTES // 1_000_000} MB each.</p>"
    '<form id="add-papers"><label class="drop"><span>Choose files or drop them here</span>'
    '<input type="file" id="files" multiple></label>'
    '<label class="paste"><span>Or paste text</span><textarea id="pasted" rows="4" '
    f'maxlength="{LARGEST_PASTE}" placeholder="BibTeX, RIS, CSV, JSON …"></textarea></label>'
    '<label class="naming"><span>Name of your new library</span><input type="text" id="name" '
    'maxlength="48" autocomplete="off"></label>'
    '<button type="submit" class="first">Add papers</button>'
    '<p id="uploading" role="status"></p></form></details>'
)
SEARCH_BOX = (
    '<label class="finder"><span class="unseen">Search titles and abstracts</span><input '
    'type="search" id="seek" placeholder="Search titles and abstracts" autocomplete="off"></label>'
)
CONVERSATIONS = (
    '<details id="kept" open><summary>Conversations</summary>'
    + render_button("New conversation", kind="new", act="new")
    + '<label class="finder"><span class="unseen">Search conversations</span>'
    '<input type="search" id="find" placeholder="Search" autocomplete="off"></label>'
    '<ul id="list" aria-label="Conversations"></ul>'
    '<p class="exports"><span>Export</span>'
    + render_button("Markdown", act="export", form="markdown")
    + render_button("JSON", act="export", form="json")
    + "</p></details>"
)
