"""The one way in which text from papers, files, models and readers becomes part of a page."""

from __future__ import annotations

from html import escape
from urllib.parse import urlsplit

# Signs that turn the reading direction of what stands behind them, also outside their own text.
_TURNING = dict.fromkeys([*range(0x202A, 0x202F), *range(0x2066, 0x206A), 0x200E, 0x200F, 0x61C])
_CONTROLS = dict.fromkeys(set(range(32)) - {9, 10}) | {0x7F: None}
_LEFT_OUT = _TURNING | _CONTROLS


def safe(text: object) -> str:
    """Text as HTML shows it, in an element or between quotes in an attribute.

    >>> safe('<b title="x">')
    '&lt;b title=&quot;x&quot;&gt;'
    """
    return escape(str(text).translate(_LEFT_OUT), quote=True)


def isolated(text: object) -> str:
    """Text from elsewhere amid other text, whose order it does not change, as HTML.

    >>> isolated("A & B")
    '<bdi>A &amp; B</bdi>'
    """
    return f"<bdi>{safe(text)}</bdi>"


def safe_address(url: str | None) -> str:
    """An http or https address as an attribute shows it, or "".

    >>> safe_address("javascript:alert(1)"), safe_address("https://a.org/?a=1&b=2")
    ('', 'https://a.org/?a=1&amp;b=2')
    """
    text = (url or "").strip()
    try:
        parts = urlsplit(text)
    except ValueError:
        return ""
    return safe(text) if parts.scheme in ("http", "https") and parts.netloc else ""


def shortened(text: str, most: int) -> str:
    """A text cut after a whole word, with an ellipsis where it was cut.

    >>> shortened("one two three", 8)
    'one two…'
    """
    text = " ".join(text.split())
    if len(text) <= most:
        return text
    whole_words = text[:most].rpartition(" ")[0].rstrip(" ,.;:")
    return (whole_words or text[: most - 1]) + "…"
