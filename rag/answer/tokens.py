"""Documents as tokens of Markdown, which HTML, LaTeX and Word are made of."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from rag.answer.document import ASIDE, is_safe_link
from rag.exporters.markdown_list import FORMULA
from rag.text.tex import convert_formula

if TYPE_CHECKING:
    from collections.abc import Iterator

    from markdown_it import MarkdownIt
    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token

    from rag.answer.document import Document


def make_parser() -> MarkdownIt:
    """Return a parser of documents. It shows HTML as text, and follows only harmless links.

    Beside those of Markdown its tokens are "aside", with the aside in `meta`, and "formula".
    """
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark").enable("table")
    parser.disable(["html_block", "html_inline", "image", "reference"])
    parser.validateLink = is_safe_link  # type: ignore[assignment,method-assign]
    parser.inline.ruler.before("escape", "formula", _read_formula)
    parser.inline.ruler.before("link", "aside", _read_aside)
    return parser


def parse_document(document: Document, parser: MarkdownIt) -> list[Token]:
    """Return the tokens of a document. Paragraphs that are references have a class."""
    tokens = parser.parse(document.text, {"asides": document.asides})
    for opening, inline in pairwise(tokens):
        first = inline.children[0] if inline.children else None
        if first and first.type == "aside" and first.meta["aside"].kind == "reference":
            opening.attrSet("class", "reference")
    for token in list_tokens(tokens):
        if token.type in ("code_inline", "code_block", "fence"):
            token.content = ASIDE.sub(
                lambda found: document.asides[int(found[1])].text, token.content
            )
    return tokens


def list_tokens(tokens: list[Token]) -> Iterator[Token]:
    """Yield tokens in order, and those within an inline token in its place."""
    for token in tokens:
        if token.type == "inline":
            yield from token.children or ()
        else:
            yield token


def _read_aside(state: StateInline, silent: bool) -> bool:  # noqa: FBT001 - markdown-it's form
    found = ASIDE.match(state.src, state.pos)
    if found and not silent:
        state.push("aside", "", 0).meta["aside"] = state.env["asides"][int(found[1])]
    state.pos = found.end() if found else state.pos
    return found is not None


def _read_formula(state: StateInline, silent: bool) -> bool:  # noqa: FBT001
    found = FORMULA.match(state.src, state.pos)
    if not found or ASIDE.search(found[0]):
        return False
    if not silent:
        state.push("formula", "", 0).content = found[0]
    state.pos = found.end()
    return True


def show_formula(source: str) -> str:
    r"""Return a formula as plain text, or its source if it would not read well as such.

    >>> show_formula(r"$\alpha_2 \le 3$"), show_formula(r"$\frac{a}{b}$")
    ('α_2 ≤ 3', '$\\frac{a}{b}$')
    """
    width = 2 if source.startswith(("$$", "\\")) else 1
    return convert_formula(source[width:-width]) or source
