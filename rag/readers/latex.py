r"""Convert the values of BibTeX fields to plain text.

pylatexenc turns accents and commands into characters. It reads a bare per cent sign as a comment
and a bare ampersand as a column separator. Abstracts mean the signs, so both are escaped first. It
opens no file, whatever ``\input`` says.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache, lru_cache, partial
from operator import itemgetter
from typing import TYPE_CHECKING

from rag.readers.fields import collapse_space
from rag.text.tex import get_symbol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pylatexenc.latex2text import LatexNodes2Text
    from pylatexenc.latexwalker import LatexMacroNode
    from pylatexenc.macrospec import LatexContextDb

_GROUP = re.compile(r"\{([^{}#]*)\}")
_get_content = itemgetter(1)  # four times faster than a template
_PLAIN_ESCAPE = re.compile(r"(?<!\\)\\([%&])")
_ESCAPE_OR_SIGN = re.compile(r"\\.|[%&]", re.DOTALL)
_LINK = re.compile(r"\\(?:url|href\s*\{[^{}]*\})\s*\{([^{}]*)\}")
_HAS_TEX = re.compile(r"[\\${}]")
_MARK = re.compile(r'(?<!\\)[{}"#]')
_BOUNDARY = re.compile(r"\\(?:[A-Za-z]+|.)\s*|[{}$]|\s+", re.DOTALL)
_SPACE_BEHIND = re.compile(r"(?<!\\)(\\([A-Za-z]+))(?=\s)")
_LIGATURES = {"~": "\xa0", "--": "–", "---": "—", "``": "“", "''": "”"}
_LIGATURE = re.compile("~|---?|``|''")
_DEEPEST = 50  # braces within braces
_LONGEST_PIECE = 50_000  # characters; pylatexenc is slower per character in longer texts
_LONGEST_JOINED = 2_000_000  # characters of a value with @string entries
_SIGNS = {  # which pylatexenc drops or misreads
    "textbraceleft": "{",
    "textbraceright": "}",
    "textasciicircum": "^",
    "textless": "<",
    "textgreater": ">",
    "textbar": "|",
    "textunderscore": "_",
    "textquotedbl": '"',
    "LaTeX": "LaTeX",
    "TeX": "TeX",
}
_KEPT = ("texttt", "textsf", "textup", "textmd", "mbox")  # whose text pylatexenc drops
_CASES = {
    "uppercase": str.upper,
    "MakeUppercase": str.upper,
    "lowercase": str.lower,
    "MakeLowercase": str.lower,
}


def unquote_value(value: str, strings: Mapping[str, str]) -> str:
    """Remove the delimiters of a field's value. Join parts at "#" and resolve @string names.

    >>> unquote_value('acl # " 2020"', {"acl": "Proc. of ACL"})
    'Proc. of ACL 2020'

    Raises:
        ValueError: @string entries make the value too long.
    """
    if "#" not in value:
        return _resolve_part(value.strip(), strings)
    parts, start, depth, quoted = [], 0, 0, False
    for mark in _MARK.finditer(value):
        if mark[0] == '"':
            quoted = quoted != (depth == 0)
        elif mark[0] != "#":
            depth += 1 if mark[0] == "{" else -1
        elif depth == 0 and not quoted:
            parts.append(value[start : mark.start()])
            start = mark.end()
    parts.append(value[start:])
    whole = [_resolve_part(part.strip(), strings) for part in parts]
    if sum(map(len, whole)) > max(_LONGEST_JOINED, len(value)):
        raise ValueError("its @string entries make a value too long")
    return "".join(whole)


def _resolve_part(part: str, strings: Mapping[str, str]) -> str:
    if part[:1] in {"{", '"'}:
        return part[1:-1]
    return strings.get(part.lower(), part)


def to_plain_text(value: str) -> str:
    r"""Convert a value to text on one line, without commands and braces. Formulas stay.

    >>> to_plain_text(r"{\'E}tude of {BERT} \& co: 5% in $x_{1}$")
    'Étude of BERT & co: 5% in $x_{1}$'
    """
    return collapse_space(to_plain_lines(value))


def to_plain_lines(value: str) -> str:
    """Convert a value in the same way, but keep its white space."""
    if "\\" in value:
        value = _PLAIN_ESCAPE.sub(r"\1", _LINK.sub(r"\1", value))
    if not _needs_tex(value):
        return value
    if "\\" not in value and "$" not in value:  # braces that only keep capitals
        bare = _GROUP.sub(_get_content, value)
        if not _needs_tex(bare):
            return bare
    return "".join(map(_convert, _split_pieces(_unwrap(value))))


def _needs_tex(value: str) -> bool:
    if "\\" in value or "{" in value or "}" in value or "~" in value:
        return True
    # Looking for one sign is much faster than looking for two.
    return (
        ("-" in value and "--" in value)
        or ("`" in value and "``" in value)
        or ("'" in value and "''" in value)
    )


def _split_pieces(value: str) -> Iterator[str]:
    """Split a value into words, each with its white space. Groups and formulas stay whole.

    pylatexenc takes some 15 microseconds per character, so it gets only pieces that need it.
    """
    has_formulas = len(re.findall(r"(?<!\\)\$", value)) % 2 == 0  # else a price
    start, depth, formula = 0, 0, False
    for mark in _BOUNDARY.finditer(value):
        if mark[0] == "$":
            formula = has_formulas and not formula
        elif mark[0] in "{}":
            depth = max(0, depth + (1 if mark[0] == "{" else -1))
        elif mark[0].isspace() and depth == 0 and not formula:
            yield value[start : mark.end()]
            start = mark.end()
    yield value[start:]


@lru_cache(maxsize=4096)
def _convert(piece: str) -> str:
    if not _needs_tex(piece):
        return piece
    if not _HAS_TEX.search(piece):
        return _LIGATURE.sub(lambda found: _LIGATURES[found[0]], piece)
    if len(piece) > _LONGEST_PIECE:
        return _drop_braces(piece)
    guarded = _ESCAPE_OR_SIGN.sub(_escape, piece)
    if "$" not in piece:
        guarded = _SPACE_BEHIND.sub(_keep_space, guarded)
    if len(re.findall(r"(?<!\\)\$", guarded)) % 2:
        guarded = re.sub(r"(?<!\\)\$", r"\\$", guarded)
    if _measure_depth(guarded) > _DEEPEST:
        return _drop_braces(piece)
    try:
        text: str = _make_converter().latex_to_text(guarded, latex_context=_load_macros())
    except Exception:  # noqa: BLE001 - it raises anything on bad input
        return _drop_braces(piece)
    return text


def _unwrap(value: str) -> str:
    """Remove braces around the whole value."""
    for _ in range(_DEEPEST):
        value = value.strip()
        closes = next(_find_balanced_ends(value), None) if value.startswith("{") else None
        if closes != len(value):
            break
        value = value[1:-1]
    return value


def _find_balanced_ends(value: str) -> Iterator[int]:
    """Yield the positions where all open braces are closed."""
    depth = 0
    for mark in re.finditer(r"(?<!\\)[{}]", value):
        depth += 1 if mark[0] == "{" else -1
        if depth == 0:
            yield mark.end()


def _escape(found: re.Match[str]) -> str:
    return found[0] if found[0].startswith("\\") else "\\" + found[0]


def _keep_space(found: re.Match[str]) -> str:
    r"""Keep the space after a symbol. Only a letter (``\o``) swallows it."""
    sign = get_symbol(found[2])[:1]
    is_letter = not sign or unicodedata.name(sign, "").startswith("LATIN")
    return found[0] if is_letter else found[0] + "{}"


def _drop_braces(value: str) -> str:
    return re.sub(r"(?<!\\)[{}]", "", value)


def _measure_depth(value: str) -> int:
    depth = deepest = 0
    for mark in re.finditer(r"[{}]", value):
        depth += 1 if mark[0] == "{" else -1
        deepest = max(deepest, depth)
    return deepest


def _convert_case(
    change: Callable[[str], str], node: LatexMacroNode, l2tobj: LatexNodes2Text
) -> str:
    """Change the case of a macro's text. pylatexenc passes itself as `l2tobj`."""
    return change(l2tobj.nodelist_to_text(node.nodeargd.argnlist))


def _get_verbatim(node: LatexMacroNode) -> str:
    return str(getattr(node.nodeargd, "verbatim_text", ""))


@cache
def _load_macros() -> LatexContextDb:
    """Load pylatexenc's macros, with an argument added to those that change the case."""
    from pylatexenc.latexwalker import get_default_latex_context_db
    from pylatexenc.macrospec import MacroSpec

    known: LatexContextDb = get_default_latex_context_db()
    macros = [MacroSpec(name, "{") for name in _CASES]
    known.add_context_category("cases", prepend=True, macros=macros)
    return known


@cache
def _make_converter() -> LatexNodes2Text:
    from pylatexenc.latex2text import (
        LatexNodes2Text,
        MacroTextSpec,
        get_default_latex_context_db,
    )

    known = get_default_latex_context_db()
    macros = [
        *(MacroTextSpec(name, sign) for name, sign in _SIGNS.items()),
        *(MacroTextSpec(name, discard=False) for name in _KEPT),
        MacroTextSpec("verb", _get_verbatim),
        *(MacroTextSpec(name, partial(_convert_case, change)) for name, change in _CASES.items()),
    ]
    known.add_context_category("kept", prepend=True, macros=macros)
    return LatexNodes2Text(math_mode="verbatim", latex_context=known)
