r"""Documents as LaTeX, to be pasted into a manuscript or read by \input.

Text of papers and models is escaped, so that none of it becomes a command. Only formulas of a model
whose commands are all symbols or known to be harmless stay.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rag.answer.tokens import list_tokens, make_parser, parse_document
from rag.exporters.bibtex import escape_latex
from rag.text.tex import get_symbol

if TYPE_CHECKING:
    from collections.abc import Iterable

    from markdown_it.token import Token

    from rag.answer.document import Aside, Document
    from rag.csl import Run

_HARMLESS = frozenset(
    {
        *("bar", "exp", "frac", "hat", "left", "ln", "log", "mathbb", "mathbf", "mathcal"),
        *("mathrm", "max", "min", "operatorname", "right", "sqrt", "text", "tilde", "vec"),
    }
)
_BREAKING = re.compile(r"\^\^|[%#]|\n\s*\n")  # in a formula: other characters, comments, its end
_COMMAND = re.compile(r"\\([A-Za-z]+|.)", re.DOTALL)
_HEADINGS = {"h1": r"\section*{", "h2": r"\subsection*{"}
_TAGS = {  # what each token of Markdown opens or closes
    "strong_open": r"\textbf{",
    "em_open": r"\emph{",
    "strong_close": "}",
    "em_close": "}",
    "softbreak": "\n",
    "hardbreak": "\n",
    "paragraph_close": "\n\n",
    "heading_close": "}\n\n",
    "bullet_list_open": "\\begin{itemize}\n",
    "bullet_list_close": "\\end{itemize}\n\n",
    "ordered_list_open": "\\begin{enumerate}\n",
    "ordered_list_close": "\\end{enumerate}\n\n",
    "list_item_open": r"\item ",
    "blockquote_open": "\\begin{quote}\n",
    "blockquote_close": "\\end{quote}\n\n",
    "hr": "\\bigskip\n\n",
    "table_close": "\\end{tabular}\n\n",
    "tr_close": "\\\\\n",
}


def render_latex(document: Document) -> str:
    """Return a document as LaTeX without a preamble."""
    tokens = list(list_tokens(parse_document(document, make_parser())))
    latex = ""
    for at, token in enumerate(tokens):
        if token.type == "aside":
            aside = token.meta["aside"]
            is_tied = aside.kind == "citation" and not any(run.superscript for run in aside.runs)
            latex = (latex.rstrip(" ") + "~" if is_tied else latex) + _render_aside(aside)
        elif token.type == "table_open":
            latex += f"\\begin{{tabular}}{{{'l' * _count_columns(tokens[at:])}}}\n"
        elif token.type in ("th_close", "td_close"):
            latex += " & " if tokens[at + 1].type != "tr_close" else " "
        else:
            latex += _render_token(token)
    return re.sub(r"\n{3,}", "\n\n", latex).strip() + "\n"


def render_comment(text: str) -> str:
    r"""Return a text on one line as a comment.

    >>> render_comment("a\nb")
    '% a b'
    """
    return f"% {' '.join(text.split())}"


def _render_aside(aside: Aside) -> str:
    if aside.kind == "note":
        return f"\\footnote{{{_render_runs(aside.runs)}}}"
    if aside.kind == "formula":
        return _keep_formula(aside.source)
    return aside.source or _render_runs(aside.runs)


def _render_runs(runs: Iterable[Run]) -> str:
    return "".join(map(_render_run, runs))


def _render_run(run: Run) -> str:
    shown = _escape(run.text)
    for is_set, command in (
        (run.bold, "textbf"),
        (run.italic, "textit"),
        (run.superscript, "textsuperscript"),
        (run.small_caps, "textsc"),
    ):
        shown = f"\\{command}{{{shown}}}" if is_set else shown
    return shown


def _count_columns(tokens: list[Token]) -> int:
    names = [token.type for token in tokens]
    return names[: names.index("tr_close")].count("th_open")


def _render_token(token: Token) -> str:
    if token.content:
        shown = _RENDERERS.get(token.type, _escape)(token.content)
        return f"{{}}{shown}" if shown.startswith("[") else shown  # no option of what is before it
    if token.type == "heading_open":
        return _HEADINGS.get(token.tag, r"\paragraph{")
    if token.hidden:
        return "\n" if token.type == "paragraph_close" else ""
    return _TAGS.get(token.type, "")


def _render_lines(code: str) -> str:
    lines = (
        f"\\texttt{{{escape_latex(line)}}}\\\\\n" for line in code.splitlines() if line.strip()
    )
    return "".join(lines) + "\n"


def _render_code(code: str) -> str:
    return f"\\texttt{{{escape_latex(code)}}}"


def _escape(text: str) -> str:
    """Return a text escaped, with one space for those around it."""
    body = text.strip()
    before, _, after = text.partition(body) if body else (text, "", "")
    return f"{before and ' '}{escape_latex(body)}{after and ' '}"


def _keep_formula(tex: str) -> str:
    """Return a formula, or its text escaped if it may do something else or break what follows."""
    commands = _COMMAND.findall(tex)
    is_safe = all(not c.isalpha() or c in _HARMLESS or get_symbol(c) for c in commands)
    is_whole = _is_balanced(tex) and not _BREAKING.search(_COMMAND.sub("", tex))
    return tex if is_safe and is_whole else escape_latex(tex)


def _is_balanced(tex: str) -> bool:
    """Return whether each brace of a formula is closed in it."""
    depth = 0
    for brace in re.findall(r"[{}]", _COMMAND.sub("", tex)):
        depth += 1 if brace == "{" else -1
        if depth < 0:
            return False
    return depth == 0


_RENDERERS = {
    "fence": _render_lines,
    "code_block": _render_lines,
    "code_inline": _render_code,
}
