r"""Markdown: a numbered list of references, and the escaping of text from papers and models.

Text of a paper is escaped, so that none of it becomes a heading, link, image, formula, citation or
HTML. Markdown of a model is kept. Only HTML, images, links to anything but the web and pandoc's raw
code are disabled, because a text that the model read may have told it to write them. Works for
CommonMark, GitHub and pandoc.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rag.exporters.values import collapse_space

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from rag.papers import Paper

_SIGN = re.compile(r"[\\`*_\[\]<>&$^~@|]")
_BLOCK_START = re.compile(r"(\d{1,9}(?=[.)])|(?=[-+=#:%]))")
_WEB_ADDRESS = re.compile(r"https?://[^\s]+", re.IGNORECASE)
_NO_ADDRESS = {sign: f"%{ord(sign):02X}" for sign in '<>\\"`^{|}'}

# Certainly code in every renderer: a fenced block at the left edge, and inline code whose ticks no
# backslash or table can turn into something else.
_CODE = re.compile(
    r"^(?P<fence>```|~~~)[\w.+-]*\n(?:(?![ \t]*(?:```|~~~)).*\n)*(?P=fence)[ \t]*$"
    r"|(?<![\\`])(?P<ticks>`{1,2})(?!`)[^`|\n]+(?P=ticks)(?!`)",
    re.MULTILINE,
)
_UNSURE = re.compile(r"`|~~~")  # outside such code: a renderer may see other code than we do
# Formulas of Markdown.
FORMULA = re.compile(  # bounded, so that many unclosed openings stay fast
    r"\$\$.{1,2000}?\$\$|\$[^$\n]{1,2000}\$|\\\([^\\]{1,2000}(?:\\(?![()])[^\\]{0,2000}){0,200}?\\\)"
    r"|\\\[[^\\]{1,2000}(?:\\(?![\[\]])[^\\]{0,2000}){0,200}?\\\]",
    re.DOTALL,
)
_TAG = re.compile(r"<(?=[A-Za-z/!?])")
# A link, or the address that one is named for, which is not on the web.
_ODD_LINK = re.compile(
    r"\](?=\((?!\s*<?https?://))|^ {0,3}\[[^\]\n]+\](?=:(?!\s*<?https?://))",
    re.MULTILINE | re.IGNORECASE,
)
_RAW = re.compile(r"(?<=[`~])(\s*)\{(?=\s*=)")


def render(papers: Iterable[Paper]) -> Iterator[str]:
    """Yield one numbered line per paper."""
    for number, paper in enumerate(papers, 1):
        yield f"{number}. {format_reference(paper)}{link_to_zotero(paper)}\n"


def format_reference(paper: Paper) -> str:
    r"""Return the known ones of authors, year, title, venue and address in one line.

    A retracted paper is marked.

    >>> from rag.papers import Paper
    >>> format_reference(Paper("a", "On <b>", "", ("Ada Clark",), 2021, doi="10.1000/x"))
    'Ada Clark. 2021. On \\<b\\>. <https://doi.org/10.1000/x>'
    """
    parts = [
        escape_markdown(", ".join(paper.authors)),
        str(paper.year or ""),
        escape_markdown(paper.title),
        f"*{escape_markdown(paper.venue)}*" if paper.venue else "",
    ]
    text = " ".join(part if part[-1] in ".?!" else f"{part}." for part in parts if part)
    address = find_address(paper)
    mark = f"*({escape_markdown(paper.retraction_mark)})*" if paper.retraction else ""
    return " ".join(filter(None, [text, f"<{address}>" if address else "", mark]))


def escape_markdown(text: str) -> str:
    r"""Escape a text, on one line, so that Markdown shows it as it is.

    >>> escape_markdown("# a_b <img src=x> ![x](y)")
    '\\# a\\_b \\<img src=x\\> !\\[x\\](y)'
    """
    return escape_block_start(escape_signs(collapse_space(text)))


def escape_block_start(text: str) -> str:
    """Escape what would make a line a heading or an item, if a text begins with it."""
    return _BLOCK_START.sub(r"\1\\", text, count=1) if _BLOCK_START.match(text) else text


def escape_signs(text: str) -> str:
    """Escape the signs that mean something to Markdown anywhere in a line."""
    return _SIGN.sub(r"\\\g<0>", text)


def sanitise_markdown(text: str) -> str:
    """Disable HTML, images, raw code and links to anything but the web in Markdown.

    Code and formulas stay as they are.

    >>> sanitise_markdown("**yes**, `<s>` and <b> in ![x](http://a)")
    '**yes**, `<s>` and &lt;b> in ! [x](http://a)'
    """
    text = _RAW.sub(r"\1\\{", text)
    if _UNSURE.search(_CODE.sub("", text)):
        return _disable_html(text)
    return change_outside_code(text, _disable_html)


def change_outside_code(text: str, change: Callable[[str], str]) -> str:
    """Change the parts of a text in Markdown that are certainly not code."""
    return _replace_around(_CODE, text, str, change)


def _disable_html(text: str) -> str:
    """Escape tags and odd links; in a formula add a space, which changes nothing there."""
    safe = _ODD_LINK.sub(r"\g<0>\\", text.replace("![", "! ["))
    return _replace_around(FORMULA, safe, lambda part: _TAG.sub("< ", part), _escape_tags)


def _escape_tags(text: str) -> str:
    return _TAG.sub("&lt;", text)


def _replace_around(
    pattern: re.Pattern[str], text: str, inside: Callable[[str], str], outside: Callable[[str], str]
) -> str:
    """Change the matches of a pattern in one way and the text between them in another."""
    changed, at = "", 0
    for found in pattern.finditer(text):
        changed += outside(text[at : found.start()]) + inside(found[0])
        at = found.end()
    return changed + outside(text[at:])


def find_address(paper: Paper) -> str:
    """Return the page of the DOI, else the paper's URL, else its page at arXiv, else ""."""
    if paper.doi:
        found = f"https://doi.org/{paper.doi}"
    elif paper.url and _WEB_ADDRESS.fullmatch(paper.url):
        found = paper.url
    else:
        found = f"https://arxiv.org/abs/{paper.arxiv_id}" if paper.arxiv_id else ""
    return escape_address(found)


def link_to_zotero(paper: Paper) -> str:
    """Return a link that opens the paper in Zotero, with a space before it, else ""."""
    return f" [Zotero](<{paper.zotero_link}>)" if paper.zotero_link else ""


def escape_address(address: str) -> str:
    """Encode the characters that cannot stand in an address between angle brackets."""
    return "".join(_NO_ADDRESS.get(sign, sign) for sign in re.sub(r"\s+", "%20", address))
