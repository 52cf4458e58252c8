r"""Answer as LaTeX, to be pasted into a manuscript beside the user's own .bib file.

Text of papers and models is escaped, so that none of it becomes a command. Only formulas of a model
whose commands are all symbols or known to be harmless stay. Sources and what they say follow as
comments.
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
    from collections.abc import Iterator, Mapping

    from markdown_it.token import Token

    from rag.answer.answer import Answer

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


def render_latex(answer: Answer) -> str:
    r"""Return the answer with ``\cite{key}``, its sources and quotes as comments."""
    several = assign_citation_keys(answer.sources.values())
    keys = {number: key for number, (key, _) in zip(answer.sources, several, strict=True)}
    parts = [f"% {_comment(answer.question)}"]
    if answer.status != "answered":
        parts.append(f"% {answer.status}: {_comment(answer.reason)}")
    if answer.mode == "model" and answer.kind == "answer":
        parts.append(_render_prose(answer.text, keys))
    else:
        parts.append(_render_statements(answer, keys))
    parts += [_render_source(answer, number, keys[number]) for number in answer.sources]
    parts.append(f"% {_comment(answer.verification)}")
    return "\n\n".join(filter(None, parts)) + "\n"


def _render_statements(answer: Answer, keys: Mapping[int, str]) -> str:
    lines = []
    for statement in answer.statements:
        numbers = [citation.number for citation in statement.citations]
        lines.append(f"{escape_latex(statement.text)}{_cite(numbers, keys)}")
    return "\n".join(lines) or escape_latex(answer.text)


def _render_source(answer: Answer, number: int, key: str) -> str:
    quotes = (c.quotes for c in answer.citations if c.number == number)
    texts = dict.fromkeys(quote.text for several in quotes for quote in several)
    lines = [f"[{key}] {answer.sources[number].reference}", *texts]
    return "\n".join(f"% {_comment(line)}" for line in lines)


def _cite(numbers: list[int], keys: Mapping[int, str]) -> str:
    return f"~\\cite{{{','.join(keys[number] for number in numbers)}}}" if numbers else ""


def _comment(text: str) -> str:
    return " ".join(text.split())


def _render_prose(text: str, keys: Mapping[int, str]) -> str:
    """Convert a model's Markdown. Citations and formulas are put aside while it is parsed."""
    from markdown_it import MarkdownIt

    stash: list[str] = []

    def put_aside(latex: str) -> str:
        stash.append(latex)
        return f"\ue000{len(stash) - 1}\ue001"

    marked = ""
    numbers: list[int] = []
    for piece in [*split_shown_numbers(text.translate(_STASH_SIGNS), keys), ""]:
        if isinstance(piece, int):
            numbers.append(piece)
            continue
        if numbers:
            marked = marked.rstrip(" ") + put_aside(_cite(numbers, keys))
            numbers = []
        marked += FORMULA.sub(lambda found: put_aside(_keep_formula(found[0])), piece)
    tokens = MarkdownIt("commonmark").parse(marked)
    latex = "".join(map(_render_token, _flatten(tokens)))
    latex = _STASHED.sub(lambda found: stash[int(found[1])], latex)
    return re.sub(r"\n{3,}", "\n\n", latex).strip()


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
