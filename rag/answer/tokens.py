"""Documents as tokens of Markdown, which HTML, LaTeX and Word are made of."""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from rag.answer.document import ASIDE, Aside, is_safe_link
from rag.csl import Run
from rag.text.tex import convert_formula

if TYPE_CHECKING:
    from collections.abc import Iterator

    from markdown_it import MarkdownIt
    from markdown_it.rules_inline import StateInline
    from markdown_it.token import Token

    from rag.answer.document import Document


def make_parser() -> MarkdownIt:
    """Return a parser of documents. It shows HTML as text, and follows only harmless links.

    Beside those of Markdown its tokens are "aside", with the aside in `meta`.
    """
    from markdown_it import MarkdownIt

    parser = MarkdownIt("commonmark").enable("table")
    parser.disable(["html_block", "html_inline", "image", "reference"])
    parser.validateLink = is_safe_link  # type: ignore[assignment,method-assign]
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
                lambda found: document.asides[int(found[1])].source, token.content
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


def list_runs(aside: Aside) -> tuple[Run, ...]:
    r"""Return the runs of an aside. A formula becomes plain text where it reads well as such.

    >>> list_runs(Aside("formula", (), r"$\alpha_2 \le 3$"))[0].text
    'α_2 ≤ 3'
    """
    if aside.kind != "formula":
        return aside.runs
    width = 2 if aside.source.startswith(("$$", "\\")) else 1
    return (Run(convert_formula(aside.source[width:-width]) or aside.source),)
