r"""Convert short formulas in TeX to plain text.

A title has ``CO$_{\textrm{2}}$`` and ``$\alpha \le 5$`` where a page shows CO₂ and α ≤ 5. A formula
that does not read well on one line (fractions, roots, matrices) stays as it is. Only text between
the delimiters of a formula is converted, and not by a TeX parser, which stops at a bare per cent
sign.
"""

from __future__ import annotations

import re
from functools import lru_cache

# Pandoc's rule for formulas and prices. Longer ones do not read well.
_FORMULA = re.compile(r"(?<![\\$])\$(?![\s$])([^$]{1,200})(?<![\s\\])\$(?![\d${])(?=(\w?))")
_IS_TEX = re.compile(r"\\|[_^{]\{|\{\}|^[_^]")
_IS_FORMULA = re.compile(
    r"[_^\\]|^[A-Za-z]['*]?$|^\w+(?:\s?[-+=<>*/|,]\s?\w+)+$|^\w\([\w, ]+\)$"
    r"|^[-+<>]?\s?\d+(?:\.\d+)?\s?%$"
)
_STYLE = re.compile(
    r"\\(?:math[a-z]+|text(?:rm|it|bf|sc|sf|tt|up|normal)?|mbox|operatorname)\s?"
    r"\{([^{}\\]*)\}"
)
_SPACE = re.compile(r"~|\\(?:[,;:>\s]|q?quad(?![A-Za-z]))")
_NOTHING = re.compile(
    r"\\(?:!|(?:left|right|big|Big|limits|displaystyle|rm|bf|it|sf|tt|cal)(?![A-Za-z])\s?)"
)
_BARE_GROUP = re.compile(r"(?<![_^\w}])\{([^{}\\]*)\}")
_SYMBOL = re.compile(r"\\([A-Za-z]+)(?![A-Za-z{])")
_SIGN = re.compile(r"\\([%&#_])")
_BRACED = re.compile(r"([_^])\s?\{\s*([-+]?(?:\d+(?:\.\d+)?[-+]?|[^\W_]+))\s*\}(?!\w)")
_ONE_SIGN = re.compile(r"([_^])\s?\{\s*([^\w\s{}\\])\s*\}")
_DEGREES = re.compile(r"(?<=\d)\s?\^∘(?!\w)")
_GROUPED = re.compile(r"[_^]\{[^{}]*\}")
_FIRST_SCRIPT = re.compile(r"([_^])([-+]?\w+[-+]?|.)")
_BELOW = str.maketrans("0123456789+-=()", "₀₁₂₃₄₅₆₇₈₉₊₋₌₍₎")
_ABOVE = str.maketrans("0123456789+-=()n∘", "⁰¹²³⁴⁵⁶⁷⁸⁹⁺⁻⁼⁽⁾ⁿ°")
_OPERATORS = frozenset({"arg", "deg", "det", "dim", "gcd", "ker", "liminf", "limsup", "Pr"})
_ORDINALS = frozenset({"st", "nd", "rd", "th"})


def convert_formulas(text: str) -> str:
    r"""Convert the formulas between dollars that read well as plain text.

    >>> convert_formulas(r"CO$_{\textrm{2}}$ in $AdS_5$ at $\alpha < 5$% for $5 or $6")
    'CO₂ in AdS_5 at α < 5% for $5 or $6'
    """
    return _FORMULA.sub(_convert_match, text)


def convert_formula(tex: str) -> str:
    r"""Convert a formula to text on one line, or "" if it would not read well.

    >>> convert_formula(r"10^{-3} \le \mathrm{x}_{i}"), convert_formula(r"\frac{a}{b}")
    ('10^-3 ≤ x_i', '')
    """
    for _ in range(8):  # nested deeper than any abstract
        tex, count = _STYLE.subn(r"\1", tex)
        if not count:
            break
    tex = _BARE_GROUP.sub(r"\1", _NOTHING.sub("", _SPACE.sub(" ", tex)))
    tex = _SIGN.sub(r"\1", _SYMBOL.sub(_convert_macro, tex))
    tex = _BRACED.sub(r"\1\2", _ONE_SIGN.sub(r"\1\2", tex))
    tex = _DEGREES.sub("°", tex)
    rest = _GROUPED.sub("", tex)
    return "" if "\\" in rest or "{" in rest or "}" in rest else " ".join(tex.split())


@lru_cache(maxsize=1024)
def get_symbol(macro: str) -> str:
    """Return the character of a TeX macro, or "" if it has none."""
    from pylatexenc.latex2text import get_default_latex_context_db

    known = get_default_latex_context_db().get_macro_spec(macro)
    text = getattr(known, "simplify_repl", None)
    return text if isinstance(text, str) and text.strip() and "%" not in text else ""


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
