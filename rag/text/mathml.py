"""Formulas in MathML as text on one line: powers, indices, fractions and roots keep their signs.

Elements are read from the innermost outwards by their tags alone, since abstracts also hold parts
of formulas that no XML parser takes; each becomes a leaf of the one around it. What is not known
stays as it is, for its tags to be taken off. A part of several tokens stands in brackets, so that
2^(2n) is not read as 4n.

Called by `rag.text.markup`.
"""

from __future__ import annotations

import re

_ROWS = ("mrow", "mstyle", "mpadded")
_ROOTS = ("msqrt", "mroot")
_SCRIPTS = {
    "msup": "^",
    "mover": "^",
    "msub": "_",
    "munder": "_",
    "mfrac": "/",
    "msubsup": "_^",
    "munderover": "_^",
}
_KNOWN = "|".join((*_ROWS, *_ROOTS, "mfenced", *_SCRIPTS))
_INNERMOST = re.compile(
    rf"<((?:mml:)?)({_KNOWN})((?:\s[^<>]*)?)>"
    # not possessive: before Python 3.11.5 that loses what the groups before it have found
    rf"([^<]*(?:<(?!/?(?:mml:)?(?:{_KNOWN})\b)[^<]*)*)</\1\2>"
)
_EMPTY = re.compile(rf"<((?:mml:)?)({_KNOWN}|m[ino])\s?/>")
_LEAF = re.compile(r"<((?:mml:)?m(?:[ino]|text))(?:\s[^<>]*)?>([^<]*)</\1>")
_ONE_TOKEN = re.compile(
    r"[-+−–]?(?:\d+(?:[.,]\d+)*[-+−–]?|[^\W\d_]+['′]*)|[^\w\s]|√\w+|"
    r"|\([^()]*\)|\[[^][]*\]|\|[^|]*\|"
)
_INDEXED = re.compile(r"[^\W\d_]+_[^\W_]+")
_WORD_BEFORE = re.compile(r"\w</(?:mml:)?m(?:[ino]|text)>\s?$")
_WORD_BEHIND = re.compile(r"\s?<(?:mml:)?m(?:sup|sub|sqrt|root|(?:[in]|text)\b[^<>]*>[\w√])")
_FENCE = re.compile(r"""\s(open|close|separators)\s?=\s?["']([^"']*)["']""")
_PRIMES = frozenset("'′″‴")
_DEEPEST = 20  # elements within elements
_NEAR = 80  # characters that show what stands beside an element


def with_signs(text: str) -> str:
    """The text with a sign for each power, index, fraction or root in MathML.

    >>> with_signs("<msup><mi>x</mi><mrow><mn>2</mn><mi>n</mi></mrow></msup>")
    '<mi>x^(2n)</mi>'
    """
    text = _EMPTY.sub(r"<\1\2></\1\2>", text)
    for _ in range(_DEEPEST):
        before, text = text, _INNERMOST.sub(_as_leaf, text)
        if text == before:
            break
    return text


def bracketed(part: str) -> str:
    """The part of a formula, in brackets unless it is one number, word or sign.

    >>> bracketed("-3"), bracketed("n"), bracketed("n+1")
    ('-3', 'n', '(n+1)')
    """
    part = part.strip()
    return part if _ONE_TOKEN.fullmatch(part) else f"({part})"


def _as_leaf(found: re.Match[str]) -> str:
    """The element as a leaf; as it is if it holds others than leaves or not as many as it takes."""
    space, name, attributes, inside = found.groups()
    row = _LEAF.sub(r"\2", inside)
    if "<" in row:
        return found[0]
    if name in _ROWS:
        return f"<{space}mi>{row}</{space}mi>"
    parts = [leaf[2].strip() for leaf in _LEAF.finditer(inside)]
    if name == "msqrt":
        text = "√" + bracketed(row)
    elif name == "mfenced":
        text = _fenced(attributes, parts)
    else:
        if len(parts) != len(_SCRIPTS.get(name, "^")) + 1:
            return found[0]
        if not parts[0] and name in {"msup", "msub"}:  # the base stands before the formula
            return f"<{name[1:]}>{parts[1].replace('∘', '°')}</{name[1:]}>"
        text = _signed(name, parts)
    before, behind = _beside(found)
    if name == "mfrac" and _WORD_BEFORE.search(before):
        text = " " + text
    if _WORD_BEHIND.match(behind) and not re.search(r"_\d+$", text):
        text += " "
    return f"<{space}mi>{text}</{space}mi>"


def _fenced(attributes: str, parts: list[str]) -> str:
    """The parts in the brackets and with the commas that MathML puts where nothing else is said.

    Source: https://www.w3.org/TR/MathML3/chapter3.html#presm.mfenced
    """
    known: dict[str, str] = {name: value.strip() for name, value in _FENCE.findall(attributes)}
    between = known.get("separators", ",")[:1]
    return known.get("open", "(") + between.join(parts) + known.get("close", ")")


def _beside(found: re.Match[str]) -> tuple[str, str]:
    """What stands just before and just behind."""
    start, end = found.span()
    return found.string[max(0, start - _NEAR) : start], found.string[end : end + _NEAR]


def _signed(name: str, parts: list[str]) -> str:
    """What stands first with its powers and indices, or over what stands second."""
    base = parts[0] if _INDEXED.fullmatch(parts[0]) else bracketed(parts[0])
    if name == "mroot":
        return f"{base}^(1/{bracketed(parts[1])})"
    is_accented = name in {"mover", "munder"} and not re.search(r"\w", parts[1])
    for sign, script in zip(_SCRIPTS[name], parts[1:], strict=True):
        if script == "∘" and base[-1:].isdigit():
            base += "°"
        else:
            bare = not script or is_accented or set(script) <= _PRIMES
            base += script if bare else sign + bracketed(script)
    return base
