r"""Convert TeX to plain text: values of BibTeX, and short formulas in any text.

pylatexenc knows the characters of macros. Its own converter takes a bare per cent sign for a
comment and 15 microseconds per character. unicodeit replaces beginnings of macros: ``\lt`` is "łt".
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import TYPE_CHECKING

from rag.text.mathml import bracket

if TYPE_CHECKING:
    from collections.abc import Callable

_SIGNS = {  # which pylatexenc lacks or misreads
    "textless": "<", "lt": "<", "textgreater": ">", "gt": ">", "slash": "/", "textbar": "|",
    "textbraceleft": "{", "textbraceright": "}", "textasciicircum": "^", "textunderscore": "_",
    "textquotedbl": '"', "LaTeX": "LaTeX", "TeX": "TeX", "S": "§", "P": "¶", "copyright": "©",
    "euro": "€", "pounds": "£", "degree": "°", "textmu": "µ", "micro": "µ", "ohm": "Ω",
    **dict.fromkeys(("newline", "par", "quad", "qquad", "space", "item"), " "),
}  # fmt: skip
_HAS_TEX = re.compile(r"[\\{}~]|--|``|''")
_DOLLAR = re.compile(r"(?<!\\)\$")
_TOKEN = re.compile(
    r"""(?P<formula>\$(?:[^$\\]|\\.)*\$|\\\((?:[^\\]|\\[^(]){1,400}?\\\)
        |\\\[(?:[^\\]|\\[^[]){1,400}?\\\])
    |(?P<verbatim>\\(?:url|nolinkurl|path)\s*\{(?P<link>[^{}]*)\}
        |\\verb(?P<bar>[^\w\s])(?P<code>.{0,400}?)(?P=bar))
    |(?P<dropped>\\(?:href|textcolor|cite[a-z]*|label|ref|begin|end|input|include[a-z]*|[hv]space)
        \*?\s*(?:\[[^][]*\]\s*)?\{[^{}]*\})
    |(?P<macro>\\(?P<name>[A-Za-z]+)(?P<space>\s*))
    |(?P<escape>\\(?P<sign>.))
    |(?P<brace>[{}])
    |(?P<ligature>~|---?|``|'')""",
    re.VERBOSE | re.DOTALL,
)
_LIGATURES = {"~": "\xa0", "--": "–", "---": "—", "``": "“", "''": "”"}
_ESCAPED = {**dict.fromkeys("\\ ,;:>", " "), **dict.fromkeys("-/!@", "")}
_ACCENTS = {
    "'": "\u0301", "`": "\u0300", "^": "\u0302", '"': "\u0308", "~": "\u0303", "=": "\u0304",
    ".": "\u0307", "c": "\u0327", "v": "\u030c", "u": "\u0306", "H": "\u030b", "k": "\u0328",
    "r": "\u030a", "d": "\u0323", "b": "\u0331",
}  # fmt: skip
_DOTLESS = {"ı": "i", "ȷ": "j"}
_WRAPPERS: dict[str, Callable[[str], str]] = {
    **dict.fromkeys(("uppercase", "MakeUppercase"), str.upper),
    **dict.fromkeys(("lowercase", "MakeLowercase"), str.lower),
    "textsuperscript": "<sup>{}</sup>".format,
    "textsubscript": "<sub>{}</sub>".format,
}
_DEEPEST = 50  # macros within macros

# Pandoc's rule for formulas and prices. Longer ones do not read well.
_FORMULA = re.compile(r"(?<![\\$])\$(?![\s$])([^$]{1,200})(?<![\s\\])\$(?![\d${])(?=(\w?))")
_ONE_SIGN_FORMULA = re.compile(
    r"(?<![\\$])\$(?:\s?(\\[A-Za-z]+|\\[,;: ])\s?|([-<>=+±×≤≥≈~−–/*|,]))\$(?!\$)"
)
_IS_TEX = re.compile(r"\\|[_^{]\{|\{\}|^[_^]")
_IS_FORMULA = re.compile(
    r"[_^\\]|^\d*[^\W\d_]['*]?$|^-?[\w.]+(?:\s?[-+=<>*/|,≤≥≈±×]\s?-?\.?\w[\w.]*)+%?$"
    r"|^\w{1,3}\([\w, ]+\)$|^[-+<>=≤≥±]?\s?\.?\d[\d.,]*\s?%?$"
)
_STYLE = re.compile(
    r"(?<!\\)\\(?:emph|underline|math[a-z]+|ce|mbox|operatorname"
    r"|text(?:rm|it|bf|sc|sf|sl|tt|up|normal)?)\s?\{([^{}]*)\}"
)
_SPACE = re.compile(r"~|\\(?:[,;:>\s]|q?quad(?![A-Za-z]))")
_NOTHING = re.compile(
    r"\\(?:!|(?:left|right|big|Big|limits|displaystyle|rm|bf|it|sf|tt|cal)(?![A-Za-z])\s?)"
)
_BARE_GROUP = re.compile(r"(?<![_^\w}])\{([^{}\\]*)\}")
_SYMBOL = re.compile(r"\\([A-Za-z]+)(?![A-Za-z{])")
_SIGN = re.compile(r"\\([%&#_])")
_ROOT = re.compile(r"\\sqrt\s?\{([^{}\\]+)\}")
_BRACED = re.compile(r"([_^])\s?\{\s*([-+]?(?:\d+(?:\.\d+)?[-+]?|[^\W_]+))\s*\}(?!\w)")
_ONE_SIGN = re.compile(r"([_^])\s?\{\s*([^\w\s{}\\])\s*\}")
_DEGREES = re.compile(r"(?<=\d)\s?\^∘(?!\w)")
_GROUPED = re.compile(r"[_^]\{[^{}]*\}")
_FIRST_SCRIPT = re.compile(r"([_^])([-+]?\w+[-+]?|.)")
_BELOW = str.maketrans("0123456789+-=()", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎")
_ABOVE = str.maketrans("0123456789+-=()n∘", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿ°")
_OPERATORS = frozenset({"arg", "deg", "det", "dim", "gcd", "ker", "liminf", "limsup", "Pr"})
_ORDINALS = frozenset({"st", "nd", "rd", "th"})


def convert_tex(text: str) -> str:
    r"""Convert a text in TeX to plain text, without commands and braces. Formulas stay.

    >>> convert_tex(r"{\'E}tude of {BERT} \& co: 5% in $x_{1}$")
    'Étude of BERT & co: 5% in $x_{1}$'
    """
    if not _HAS_TEX.search(text):
        return text
    if len(_DOLLAR.findall(text)) % 2:  # one is a price
        text = _DOLLAR.sub(r"\\$", text)
    writer = _Writer()
    at = 0
    for token in _TOKEN.finditer(text):
        writer.write(text[at : token.start()])
        _write_token(token, writer)
        at = token.end()
    writer.write(text[at:])
    return "".join(writer.parts)


class _Writer:
    """Collects text. An accent or a change of all letters waits for the letter or group behind."""

    def __init__(self) -> None:
        self.parts: list[str] = []
        self.waiting = ""
        self._groups: list[tuple[str, int]] = []
        self._depth = 0

    def write(self, text: str) -> None:
        """Add a text. What waits changes its first letter."""
        if self.waiting and text:
            macro, self.waiting = self.waiting, ""
            text = _apply(macro, text[0]) + text[1:]
        self.parts.append(text)

    def open_group(self) -> None:
        """Begin a group. What waits changes all of it, unless it is too deep."""
        macro = self.waiting if self._depth < _DEEPEST else ""
        self.waiting = ""
        self._depth += bool(macro)
        self._groups.append((macro, len(self.parts)))

    def close_group(self) -> None:
        """End a group, if one is open."""
        macro, start = self._groups.pop() if self._groups else ("", 0)
        if macro:
            self._depth -= 1
            self.parts[start:] = [_apply(macro, "".join(self.parts[start:]))]


def _write_token(token: re.Match[str], writer: _Writer) -> None:
    match token.lastgroup:
        case "formula" | "ligature":
            writer.write(_LIGATURES.get(token[0], token[0]))
        case "verbatim":
            writer.write(re.sub(r"\\([%#&_~{}])", r"\1", token["link"] or token["code"] or ""))
        case "macro":
            _write_macro(token["name"], token["space"], writer)
        case "escape" if token["sign"] in _ACCENTS:
            writer.waiting = token["sign"]
        case "escape":
            writer.write(_ESCAPED.get(token["sign"], token["sign"]))
        case "brace":
            (writer.open_group if token[0] == "{" else writer.close_group)()


def _write_macro(name: str, space: str, writer: _Writer) -> None:
    """Write the character of a macro. Only one that is a letter swallows the space behind it."""
    if name in _ACCENTS or name in _WRAPPERS:
        writer.waiting = name
        return
    symbol = get_symbol(name)
    is_letter = not symbol or unicodedata.name(symbol[0], "").startswith("LATIN")
    writer.write(symbol + ("" if is_letter and len(symbol) < 2 else space))


def _apply(macro: str, text: str) -> str:
    """Change the case of a text, raise or lower it, or put an accent on its first letter."""
    if macro in _WRAPPERS:
        return _WRAPPERS[macro](text)
    letter = _DOTLESS.get(text[:1], text[:1])
    if not letter.isalpha():
        return macro + text if not macro.isalpha() else text
    return unicodedata.normalize("NFC", letter + _ACCENTS[macro]) + text[1:]


def convert_formulas(text: str) -> str:
    r"""Convert the formulas between dollars that read well as plain text.

    >>> convert_formulas(r"CO$_{\textrm{2}}$ in $AdS_5$ at $\alpha < 5$% for $5 or $6")
    'CO₂ in AdS_5 at α < 5% for $5 or $6'
    """
    text = _ONE_SIGN_FORMULA.sub(_convert_sign, text)
    return _FORMULA.sub(_convert_match, text)


def convert_formula(tex: str) -> str:
    r"""Convert a formula to text on one line, or "" if it would not read well.

    >>> convert_formula(r"10^{-3} \le \mathrm{x}_{i}"), convert_formula(r"\frac{a}{b}")
    ('10^-3 ≤ x_i', '')
    """
    tex = _NOTHING.sub("", _SPACE.sub(" ", drop_styles(tex)))
    tex = _BARE_GROUP.sub(r"\1", tex)
    tex = _SIGN.sub(r"\1", _SYMBOL.sub(_convert_macro, tex))
    tex = _BRACED.sub(r"\1\2", _ONE_SIGN.sub(r"\1\2", tex))
    tex = _DEGREES.sub("°", _ROOT.sub(lambda root: "√" + bracket(root[1]), tex))
    rest = _GROUPED.sub("", tex)
    return "" if "\\" in rest or "{" in rest or "}" in rest else " ".join(tex.split())


def drop_styles(tex: str) -> str:
    r"""Remove commands that set a text in some style, from the innermost outwards.

    >>> drop_styles(r"\emph{scan and \textbf{snap}} dynamics")
    'scan and snap dynamics'
    """
    for _ in range(8):  # nested deeper than any abstract
        tex, count = _STYLE.subn(r"\1", tex)
        if not count:
            break
    return tex


@lru_cache(maxsize=1024)
def get_symbol(macro: str) -> str:
    """Return the character of a TeX macro, or "" if it has none."""
    from pylatexenc.latex2text import get_default_latex_context_db

    if macro in _SIGNS:
        return _SIGNS[macro]
    known = get_default_latex_context_db().get_macro_spec(macro)
    text = getattr(known, "simplify_repl", None)
    return text if isinstance(text, str) and text.strip() and "%" not in text else ""


def _convert_sign(found: re.Match[str]) -> str:
    """Convert a formula of one sign, or of one macro that is a sign or a space."""
    macro, sign = found.groups()
    if not macro:
        return " " if sign == "~" else sign
    return (get_symbol(macro[1:]) or found[0]) if macro[1:].isalpha() else " "


def _convert_macro(found: re.Match[str]) -> str:
    """Return the character of a macro, or the word of an operator with spaces around it."""
    macro, (start, end) = found[1], found.span()
    text = get_symbol(macro) or (macro if macro in _OPERATORS else found[0])
    if len(text) == 1 or not text.isalpha():
        return text
    before = " " if re.match(r"[\w)\]}']", found.string[start - 1 : start]) else ""
    behind = " " if re.match(r"[\d\\]", found.string[end : end + 1]) else ""
    return before + text + behind


def _convert_match(found: re.Match[str]) -> str:
    """Convert a formula. Keep text that may be a price or a program's variable."""
    tex, behind = found[1], found[2]
    if not _IS_FORMULA.search(tex) or (behind and not _IS_TEX.search(tex)):
        return found[0]
    plain = convert_formula(tex)
    if tex[0] in "_^" and plain:
        after_digit = found.string[: found.start()][-1:].isdigit()
        plain = _FIRST_SCRIPT.sub(
            lambda script: _convert_script(script, after_digit), plain, count=1
        )
    return plain or found[0]


def _convert_script(found: re.Match[str], after_digit: bool) -> str:  # noqa: FBT001
    """Convert a script whose base is before the formula. A power of a number stays a power."""
    sign, text = found[1], found[2]
    if sign == "^" and text in _ORDINALS:
        return text
    small = text.translate(_BELOW if sign == "_" else _ABOVE)
    is_small = not set(small) & set(text)
    return small if is_small and not (sign == "^" and after_digit and text != "∘") else sign + text
