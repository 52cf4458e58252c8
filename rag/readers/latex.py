r"""The values of BibTeX fields as plain text.

pylatexenc turns accents and commands into characters. Left to itself it takes everything after a
bare per cent sign for a comment and a bare ampersand for the space between two columns; abstracts
mean the signs, so both are escaped first. It opens no file, whatever ``\input`` says.

Called by the BibTeX reader.
"""

from __future__ import annotations

import re
import unicodedata
from functools import cache, lru_cache, partial
from operator import itemgetter
from typing import TYPE_CHECKING

from rag.readers.fields import one_line
from rag.text.tex import symbol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from pylatexenc.latex2text import LatexNodes2Text
    from pylatexenc.latexwalker import LatexMacroNode
    from pylatexenc.macrospec import LatexContextDb

_GROUP = re.compile(r"\{([^{}#]*)\}")
_held = itemgetter(1)  # in a quarter of the time that a template takes
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
_LONGEST_PIECE = 50_000  # characters; pylatexenc takes more time a character the more there are
_LONGEST_JOINED = 2_000_000  # characters of a value that @string entries make longer
_SIGNS = {  # which pylatexenc leaves out or takes for others
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
_KEPT = ("texttt", "textsf", "textup", "textmd", "mbox")  # whose text pylatexenc leaves out
_CASES = {
    "uppercase": str.upper,
    "MakeUppercase": str.upper,
    "lowercase": str.lower,
    "MakeLowercase": str.lower,
}


def bare_value(value: str, strings: Mapping[str, str]) -> str:
    """A field's value without what encloses it: parts joined by "#", names of strings resolved.

    >>> bare_value('acl # " 2020"', {"acl": "Proc. of ACL"})
    'Proc. of ACL 2020'

    Raises:
        ValueError: the strings make it longer than any text of a paper.
    """
    if "#" not in value:
        return _part(value.strip(), strings)
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
    whole = [_part(part.strip(), strings) for part in parts]
    if sum(map(len, whole)) > max(_LONGEST_JOINED, len(value)):
        raise ValueError("its @string entries make a value longer than any text of a paper")
    return "".join(whole)


def _part(part: str, strings: Mapping[str, str]) -> str:
    if part[:1] in {"{", '"'}:
        return part[1:-1]
    return strings.get(part.lower(), part)


def plain_text(value: str) -> str:
    r"""The value on one line, with characters for commands and without braces; formulas stay.

    >>> plain_text(r"{\'E}tude of {BERT} \& co: 5% in $x_{1}$")
    'Étude of BERT & co: 5% in $x_{1}$'
    """
    return one_line(plain_lines(value))


def plain_lines(value: str) -> str:
    """The same with the white space that the value has."""
    if "\\" in value:
        value = _PLAIN_ESCAPE.sub(r"\1", _LINK.sub(r"\1", value))
    if not _needs_tex(value):
        return value
    if "\\" not in value and "$" not in value:  # braces that do no more than keep capitals
        bare = _GROUP.sub(_held, value)
        if not _needs_tex(bare):
            return bare
    return "".join(map(_converted, _pieces(_unwrapped(value))))


def _needs_tex(value: str) -> bool:
    if "\\" in value or "{" in value or "}" in value or "~" in value:
        return True
    # To look for one sign takes next to nothing beside looking for two.
    return (
        ("-" in value and "--" in value)
        or ("`" in value and "``" in value)
        or ("'" in value and "''" in value)
    )


def _pieces(value: str) -> Iterator[str]:
    """The words and white space of the value; what braces, dollars or a command hold is one piece.

    pylatexenc takes some 15 microseconds a character, so it gets only the pieces that need it.
    """
    has_formulas = len(re.findall(r"(?<!\\)\$", value)) % 2 == 0  # else it is a price
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
def _converted(piece: str) -> str:
    if not _needs_tex(piece):
        return piece
    if not _HAS_TEX.search(piece):
        return _LIGATURE.sub(lambda found: _LIGATURES[found[0]], piece)
    if len(piece) > _LONGEST_PIECE:
        return _without_braces(piece)
    guarded = _ESCAPE_OR_SIGN.sub(_escaped, piece)
    if "$" not in piece:
        guarded = _SPACE_BEHIND.sub(_kept_apart, guarded)
    if len(re.findall(r"(?<!\\)\$", guarded)) % 2:
        guarded = re.sub(r"(?<!\\)\$", r"\\$", guarded)
    if _depth(guarded) > _DEEPEST:
        return _without_braces(piece)
    try:
        text: str = _converter().latex_to_text(guarded, latex_context=_macros())
    except Exception:  # noqa: BLE001 - it raises whatever it stumbles over; the words are kept
        return _without_braces(piece)
    return text


def _unwrapped(value: str) -> str:
    """The value without braces that hold all of it."""
    for _ in range(_DEEPEST):
        value = value.strip()
        closes = next(_balanced_ends(value), None) if value.startswith("{") else None
        if closes != len(value):
            break
        value = value[1:-1]
    return value


def _balanced_ends(value: str) -> Iterator[int]:
    """Where the braces that are open have all been closed."""
    depth = 0
    for mark in re.finditer(r"(?<!\\)[{}]", value):
        depth += 1 if mark[0] == "{" else -1
        if depth == 0:
            yield mark.end()


def _escaped(found: re.Match[str]) -> str:
    return found[0] if found[0].startswith("\\") else "\\" + found[0]


def _kept_apart(found: re.Match[str]) -> str:
    r"""A symbol that keeps the space behind it, which only a letter (``\o``) is to swallow."""
    sign = symbol(found[2])[:1]
    return (
        found[0] + "{}" if sign and not unicodedata.name(sign, "").startswith("LATIN") else found[0]
    )


def _without_braces(value: str) -> str:
    return re.sub(r"(?<!\\)[{}]", "", value)


def _depth(value: str) -> int:
    depth = deepest = 0
    for mark in re.finditer(r"[{}]", value):
        depth += 1 if mark[0] == "{" else -1
        deepest = max(deepest, depth)
    return deepest


def _in_case(change: Callable[[str], str], node: LatexMacroNode, l2tobj: LatexNodes2Text) -> str:
    """The text that a macro holds, in its case; pylatexenc tells by `l2tobj` what it offers."""
    return change(l2tobj.nodelist_to_text(node.nodeargd.argnlist))


def _verbatim(node: LatexMacroNode) -> str:
    return str(getattr(node.nodeargd, "verbatim_text", ""))


@cache
def _macros() -> LatexContextDb:
    """What pylatexenc knows of macros, and that those which change the case hold a text."""
    from pylatexenc.latexwalker import get_default_latex_context_db
    from pylatexenc.macrospec import MacroSpec

    known: LatexContextDb = get_default_latex_context_db()
    macros = [MacroSpec(name, "{") for name in _CASES]
    known.add_context_category("cases", prepend=True, macros=macros)
    return known


@cache
def _converter() -> LatexNodes2Text:
    from pylatexenc.latex2text import (
        LatexNodes2Text,
        MacroTextSpec,
        get_default_latex_context_db,
    )

    known = get_default_latex_context_db()
    macros = [
        *(MacroTextSpec(name, sign) for name, sign in _SIGNS.items()),
        *(MacroTextSpec(name, discard=False) for name in _KEPT),
        MacroTextSpec("verb", _verbatim),
        *(MacroTextSpec(name, partial(_in_case, change)) for name, change in _CASES.items()),
    ]
    known.add_context_category("kept", prepend=True, macros=macros)
    return LatexNodes2Text(math_mode="verbatim", latex_context=known)
