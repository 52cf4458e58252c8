r"""Formulas in TeX as plain text, where they are so short that this reads well.

A title has ``CO$_{\textrm{2}}$`` and ``$\alpha \le 5$`` where a page shows CO₂ and α ≤ 5. What
would not read on one line (fractions, roots, matrices) is left as it is, whole. Only what stands
between the marks of a formula is read, and never by a TeX parser: that ends at a bare per cent
sign.

Called by `rag.text.markup`.
"""

from __future__ import annotations

import re
from functools import lru_cache

# As pandoc tells a formula from prices, and shorter than any that reads well.
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


def without_formulas(text: str) -> str:
    r"""The text with characters for the formulas between dollars that read well so.

    >>> without_formulas(r"CO$_{\textrm{2}}$ in $AdS_5$ at $\alpha < 5$% for $5 or $6")
    'CO₂ in AdS_5 at α < 5% for $5 or $6'
    """
    return _FORMULA.sub(_replaced, text)


def plain_formula(tex: str) -> str:
    r"""The formula as text on one line; "" where it would not read so.

    >>> plain_formula(r"10^{-3} \le \mathrm{x}_{i}"), plain_formula(r"\frac{a}{b}")
    ('10^-3 ≤ x_i', '')
    """
    for _ in range(8):  # nested deeper than any abstract
        tex, count = _STYLE.subn(r"\1", tex)
        if not count:
            break
    tex = _BARE_GROUP.sub(r"\1", _NOTHING.sub("", _SPACE.sub(" ", tex)))
    tex = _SIGN.sub(r"\1", _SYMBOL.sub(_named, tex))
    tex = _BRACED.sub(r"\1\2", _ONE_SIGN.sub(r"\1\2", tex))
    tex = _DEGREES.sub("°", tex)
    rest = _GROUPED.sub("", tex)
    return "" if "\\" in rest or "{" in rest or "}" in rest else " ".join(tex.split())


@lru_cache(maxsize=1024)
def symbol(macro: str) -> str:
    """The character that a TeX macro stands for; "" if it stands for none."""
    from pylatexenc.latex2text import get_default_latex_context_db

    known = get_default_latex_context_db().get_macro_spec(macro)
    text = getattr(known, "simplify_repl", None)
    return text if isinstance(text, str) and text.strip() and "%" not in text else ""


def _named(found: re.Match[str]) -> str:
    """The character of a macro, or the word of an operator with spaces beside it."""
    macro, (start, end) = found[1], found.span()
    text = symbol(macro) or (macro if macro in _OPERATORS else found[0])
    if len(text) == 1 or not text.isalpha():
        return text
    before = " " if re.match(r"[\w)\]}']", found.string[start - 1 : start]) else ""
    behind = " " if re.match(r"[\d\\]", found.string[end : end + 1]) else ""
    return before + text + behind


def _replaced(found: re.Match[str]) -> str:
    """The formula as text; as it is if it may be none, or a name that a program replaces."""
    tex, behind = found[1], found[2]
    if not _IS_FORMULA.search(tex) or (behind and not _IS_TEX.search(tex)):
        return found[0]
    plain = plain_formula(tex)
    if tex[0] in "_^" and plain:
        after_digit = found.string[: found.start()][-1:].isdigit()
        plain = _FIRST_SCRIPT.sub(lambda script: _script(script, after_digit), plain, count=1)
    return plain or found[0]


def _script(found: re.Match[str], after_digit: bool) -> str:  # noqa: FBT001
    """A script whose base stands before the formula; a power of a number stays one."""
    sign, text = found[1], found[2]
    if sign == "^" and text in _ORDINALS:
        return text
    small = text.translate(_BELOW if sign == "_" else _ABOVE)
    is_small = not set(small) & set(text)
    return small if is_small and not (sign == "^" and after_digit and text != "∘") else sign + text
