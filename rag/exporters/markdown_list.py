r"""Markdown: a numbered list of references, and text of papers and models made harmless.

What comes from a paper is escaped: it stands in the page as it does in the library, and is no
heading, link, image, formula, citation or HTML. A model writes Markdown, which is kept; only HTML,
images and pandoc's raw code are taken the force of, because what a model read may have told it to
write them. Meant for CommonMark, GitHub and pandoc alike.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rag.exporters.values import one_line

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from rag.papers import Paper

NAME = "Markdown"
ENDINGS: tuple[str, ...] = (".md", ".markdown")

_SIGN = re.compile(r"[\\`*_\[\]<>&$^~@|]")
_BLOCK_START = re.compile(r"(\d{1,9}(?=[.)])|(?=[-+=#:%]))")
_WEB_ADDRESS = re.compile(r"https?://[^\s]+", re.IGNORECASE)
_NO_ADDRESS = {sign: f"%{ord(sign):02X}" for sign in '<>\\"`^{|}'}

# What is surely code on every reader's page: a fenced block at the left edge, and a piece in a line
# whose ticks no backslash and no table can turn into something else.
_CODE = re.compile(
    r"^(?P<fence>```|~~~)[\w.+-]*\n(?:(?![ \t]*(?:```|~~~)).*\n)*(?P=fence)[ \t]*$"
    r"|(?<![\\`])(?P<ticks>`{1,2})(?!`)[^`|\n]+(?P=ticks)(?!`)",
    re.MULTILINE,
)
_UNSURE = re.compile(r"`|~~~")  # outside of such code: a page may see code elsewhere than we do
_FORMULA = re.compile(  # bounded, so that what opens many and closes none takes no time
    r"\$\$.{1,2000}?\$\$|\$[^$\n]{1,2000}\$|\\\([^\\]{1,2000}(?:\\(?![()])[^\\]{0,2000}){0,200}?\\\)"
    r"|\\\[[^\\]{1,2000}(?:\\(?![\[\]])[^\\]{0,2000}){0,200}?\\\]",
    re.DOTALL,
)
_TAG = re.compile(r"<(?=[A-Za-z/!?])")
_RAW = re.compile(r"(?<=[`~])(\s*)\{(?=\s*=)")


def pieces(papers: Iterable[Paper]) -> Iterator[str]:
    """One numbered line a paper."""
    return (f"{number}. {format_reference(paper)}\n" for number, paper in enumerate(papers, 1))


def format_reference(paper: Paper) -> str:
    r"""Authors, year, title, venue and address of a paper in one line, as far as they are known.

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
    address = _address(paper)
    return f"{text} <{address}>" if address else text


def escape_markdown(text: str) -> str:
    r"""A text of a paper, on one line, so that Markdown shows it as it is.

    >>> escape_markdown("# a_b <img src=x> ![x](y)")
    '\\# a\\_b \\<img src=x\\> !\\[x\\](y)'
    """
    shown = _SIGN.sub(r"\\\g<0>", one_line(text))
    return _BLOCK_START.sub(r"\1\\", shown, count=1) if _BLOCK_START.match(shown) else shown


def sanitise_markdown(text: str) -> str:
    """A model's Markdown without HTML, images and raw code; code and formulas stay as they are.

    >>> sanitise_markdown("**yes**, `<s>` and <b> in ![x](http://a)")
    '**yes**, `<s>` and &lt;b> in ! [x](http://a)'
    """
    text = _RAW.sub(r"\1\\{", text)
    if _UNSURE.search(_CODE.sub("", text)):
        return _without_force(text)
    return _but_for(_CODE, text, str, _without_force)


def _without_force(text: str) -> str:
    """In a formula a space does it, which means nothing there."""
    safe = text.replace("![", "! [")
    return _but_for(_FORMULA, safe, lambda part: _TAG.sub("< ", part), _escaped_tags)


def _escaped_tags(text: str) -> str:
    return _TAG.sub("&lt;", text)


def _but_for(
    pattern: re.Pattern[str], text: str, inside: Callable[[str], str], outside: Callable[[str], str]
) -> str:
    """The text with one change where a pattern matches and another one elsewhere."""
    changed, at = "", 0
    for found in pattern.finditer(text):
        changed += outside(text[at : found.start()]) + inside(found[0])
        at = found.end()
    return changed + outside(text[at:])


def _address(paper: Paper) -> str:
    """Where the paper is found: its DOI's page, its own address, or its page at arXiv."""
    if paper.doi:
        found = f"https://doi.org/{paper.doi}"
    elif paper.url and _WEB_ADDRESS.fullmatch(paper.url):
        found = paper.url
    else:
        found = f"https://arxiv.org/abs/{paper.arxiv_id}" if paper.arxiv_id else ""
    return "".join(_NO_ADDRESS.get(sign, sign) for sign in found)
