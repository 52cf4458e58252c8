"""The one way in which text from papers, files, models and readers becomes part of a page."""

from __future__ import annotations

import html
from urllib.parse import urlsplit

# Characters that turn the reading direction of the text behind them, also outside their own text.
_DIRECTIONS = dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x61C])
_CONTROLS = dict.fromkeys(set(range(32)) - {9, 10}) | {0x7F: None}
_REMOVED = _DIRECTIONS | _CONTROLS


def escape(text: object) -> str:
    """Return text as HTML, for an element or a quoted attribute.

    >>> escape('<b title="x">')
    '&lt;b title=&quot;x&quot;&gt;'
    """
    return html.escape(str(text).translate(_REMOVED), quote=True)


def isolate(text: object) -> str:
    """Return text as HTML that does not change the order of the text around it.

    >>> isolate("A & B")
    '<bdi>A &amp; B</bdi>'
    """
    return f"<bdi>{escape(text)}</bdi>"


def escape_url(url: str | None) -> str:
    """Return an http or https address for an attribute, or "".

    >>> escape_url("javascript:alert(1)"), escape_url("https://a.org/?a=1&b=2")
    ('', 'https://a.org/?a=1&amp;b=2')
    """
    text = (url or "").strip()
    try:
        parts = urlsplit(text)
    except ValueError:
        return ""
    return escape(text) if parts.scheme in ("http", "https") and parts.netloc else ""


def render_button(
    words: str, *, label: str = "", title: str = "", kind: str = "", state: str = "", **data: object
) -> str:
    """Render a button. `data` are attributes for the page's script, `state` more attributes.

    `label` is its name for screen readers where its words do not say what it does.

    >>> render_button("Edit", act="edit", turn=2)
    '<button type="button" data-act="edit" data-turn="2">Edit</button>'
    """
    named = {"class": kind, "aria-label": label, "title": title}
    given: dict[str, object] = {name: value for name, value in named.items() if value}
    given |= {f"data-{name}": value for name, value in data.items()}
    attributes = "".join(f' {name}="{escape(value)}"' for name, value in given.items())
    return f'<button type="button"{attributes}{state}>{escape(words)}</button>'


def render_doing(sentence: str) -> str:
    """Render a step that is under way."""
    pulse = '<span class="pulse" aria-hidden="true"></span>'
    return f'<p class="doing">{pulse}{escape(sentence)}</p>'


def shorten(text: str, most: int) -> str:
    """Cut a text after a whole word, with an ellipsis where it was cut.

    >>> shorten("one two three", 8)
    'one two…'
    """
    text = " ".join(text.split())
    if len(text) <= most:
        return text
    whole_words = text[:most].rpartition(" ")[0].rstrip(" ,.;:")
    return (whole_words or text[: most - 1]) + "…"
