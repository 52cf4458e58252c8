r"""Parts of an answer as LaTeX, to be pasted into a manuscript beside the user's own .bib file.

Text of papers and models is escaped, so that none of it becomes a command. Only formulas of a model
whose commands are all symbols or known to be harmless stay. `Answer.to_latex` puts the parts
together.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rag.citations.markers import split_shown_numbers
from rag.exporters.bibtex import escape_latex
from rag.exporters.markdown_list import FORMULA
from rag.exporters.values import assign_citation_keys
from rag.text.tex import get_symbol

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from markdown_it.token import Token

    from rag.citations.citation import Citation, Statement
    from rag.papers import Paper

_HARMLESS = frozenset(
    {
        *("bar", "exp", "frac", "hat", "left", "ln", "log", "mathbb", "mathbf", "mathcal"),
        *("mathrm", "max", "min", "operatorname", "right", "sqrt", "text", "tilde", "vec"),
    }
)
_COMMAND = re.compile(r"\\([A-Za-z]+|.)", re.DOTALL)
_STASHED = re.compile("\ue000(\\d+)\ue001")
_STASH_SIGNS = str.maketrans("", "", "\ue000\ue001")
_TAGS = {  # what each token of Markdown opens or closes
    "strong_open": r"\textbf{",
    "em_open": r"\emph{",
    "strong_close": "}",
    "em_close": "}",
    "softbreak": "\n",
    "hardbreak": "\n",
    "paragraph_close": "\n\n",
    "heading_open": r"\paragraph{",
    "heading_close": "}\n\n",
    "bullet_list_open": "\\begin{itemize}\n",
    "bullet_list_close": "\\end{itemize}\n\n",
    "ordered_list_open": "\\begin{enumerate}\n",
    "ordered_list_close": "\\end{enumerate}\n\n",
    "list_item_open": r"\item ",
    "blockquote_open": "\\begin{quote}\n",
    "blockquote_close": "\\end{quote}\n\n",
}


class LatexWriter:
    """Renders the parts of one answer. Each line of a comment starts with "% "."""

    def __init__(self, sources: Mapping[int, Paper]) -> None:
        """Take the cited papers by shown number."""
        self._sources = sources
        several = assign_citation_keys(sources.values())
        self._keys = {number: key for number, (key, _) in zip(sources, several, strict=True)}

    def render_statements(self, statements: Sequence[Statement]) -> str:
        """Return one line per statement, with its citations."""
        return "\n".join(
            escape_latex(each.text) + self._cite([citation.number for citation in each.citations])
            for each in statements
        )

    def render_source(self, number: int, citations: Sequence[Citation]) -> str:
        """Return the key and reference of a source and what is quoted of it, as comments."""
        quotes = (citation.quotes for citation in citations if citation.number == number)
        texts = dict.fromkeys(quote.text for several in quotes for quote in several)
        first = f"[{self._keys[number]}] {self._sources[number].reference}"
        return "\n".join(map(render_comment, [first, *texts]))

    def render_prose(self, text: str) -> str:
        """Convert a model's Markdown. Citations and formulas are put aside while it is parsed."""
        from markdown_it import MarkdownIt

        stash: list[str] = []

        def put_aside(latex: str) -> str:
            stash.append(latex)
            return f"\ue000{len(stash) - 1}\ue001"

        marked = ""
        numbers: list[int] = []
        for piece in [*split_shown_numbers(text.translate(_STASH_SIGNS), self._keys), ""]:
            if isinstance(piece, int):
                numbers.append(piece)
                continue
            if numbers:
                marked = marked.rstrip(" ") + put_aside(self._cite(numbers))
                numbers = []
            marked += FORMULA.sub(lambda found: put_aside(_keep_formula(found[0])), piece)
        tokens = MarkdownIt("commonmark").parse(marked)
        latex = "".join(map(_render_token, _flatten(tokens)))
        latex = _STASHED.sub(lambda found: stash[int(found[1])], latex)
        return re.sub(r"\n{3,}", "\n\n", latex).strip()

    def _cite(self, numbers: Sequence[int]) -> str:
        keys = ",".join(self._keys[number] for number in numbers)
        return f"~\\cite{{{keys}}}" if numbers else ""


def render_comment(text: str) -> str:
    r"""Return a text on one line as a comment.

    >>> render_comment("a\nb")
    '% a b'
    """
    return f"% {' '.join(text.split())}"


def _flatten(tokens: list[Token]) -> Iterator[Token]:
    for token in tokens:
        if token.type == "inline":
            yield from token.children or ()
        elif not (token.hidden and token.type == "paragraph_open"):
            yield token


def _render_token(token: Token) -> str:
    if token.type in {"fence", "code_block", "html_block"}:
        lines = (escape_latex(line) for line in token.content.splitlines())
        return "".join(f"\\texttt{{{line}}}\\\\\n" for line in lines if line) + "\n"
    if token.type == "code_inline":
        return f"\\texttt{{{escape_latex(token.content)}}}"
    if token.content:
        space = token.content[: len(token.content) - len(token.content.lstrip())]
        end = token.content[len(token.content.rstrip()) :] if token.content.strip() else ""
        return space[:1] + escape_latex(token.content) + end[:1]
    return "\n" if token.hidden else _TAGS.get(token.type, "")


def _keep_formula(tex: str) -> str:
    """Return a formula, or its text escaped if it has a command that may do something else."""
    commands = _COMMAND.findall(tex)
    is_safe = all(not c.isalpha() or c in _HARMLESS or get_symbol(c) for c in commands)
    return tex if is_safe and "^^" not in tex else escape_latex(tex)
