"""Convert MathML to text on one line, with signs for powers, indices, fractions and roots.

Elements are converted from the innermost outwards by their tags alone, because abstracts contain
fragments that no XML parser accepts. Each becomes a leaf of the one around it. Unknown elements
stay; their tags are removed later. A part of several tokens gets brackets, so that 2^(2n) is not
read as 4n.
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
    # not possessive: before Python 3.11.5 that loses earlier groups
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
_NEAR = 80  # characters of context beside an element


def convert_mathml(text: str) -> str:
    """Replace powers, indices, fractions and roots in MathML by text with signs.

    >>> convert_mathml("<msup><mi>x</mi><mrow><mn>2</mn><mi>n</mi></mrow></msup>")
    '<mi>x^(2n)</mi>'
    """
    text = _EMPTY.sub(r"<\1\2></\1\2>", text)
    for _ in range(_DEEPEST):
        before, text = text, _INNERMOST.sub(_convert_element, text)
        if text == before:
            break
    return text


def bracket(part: str) -> str:
    """Put the part of a formula in brackets unless it is one number, word or sign.

    >>> bracket("-3"), bracket("n"), bracket("n+1")
    ('-3', 'n', '(n+1)')
    """
    part = part.strip()
    return part if _ONE_TOKEN.fullmatch(part) else f"({part})"


def _convert_element(found: re.Match[str]) -> str:
    """Convert an element to a leaf. Keep it if its children are not leaves of the right number."""
    space, name, attributes, inside = found.groups()
    row = _LEAF.sub(r"\2", inside)
    if "<" in row:
        return found[0]
    if name in _ROWS:
        return f"<{space}mi>{row}</{space}mi>"
    parts = [leaf[2].strip() for leaf in _LEAF.finditer(inside)]
    if name in {"msup", "msub"} and len(parts) == 2 and not parts[0]:  # the base is outside
        return f"<{name[1:]}>{parts[1].replace('∘', '°')}</{name[1:]}>"
    if name == "msqrt":
        text = "√" + bracket(row)
    elif name == "mfenced":
        text = _join_fenced(attributes, parts)
    elif len(parts) == len(_SCRIPTS.get(name, "^")) + 1:
        text = _join_scripts(name, parts)
    else:
        return found[0]
    return f"<{space}mi>{_pad(found, text)}</{space}mi>"


def _pad(found: re.Match[str], text: str) -> str:
    """Add spaces where a converted element would run into a word beside it."""
    start, end = found.span()
    before, after = found.string[max(0, start - _NEAR) : start], found.string[end : end + _NEAR]
    if found[2] == "mfrac" and _WORD_BEFORE.search(before):
        text = " " + text
    if _WORD_BEHIND.match(after) and not re.search(r"_\d+$", text):
        text += " "
    return text


def _join_fenced(attributes: str, parts: list[str]) -> str:
    """Join parts with brackets and commas, MathML's defaults.

    Source: https://www.w3.org/TR/MathML3/chapter3.html#presm.mfenced
    """
    known: dict[str, str] = {name: value.strip() for name, value in _FENCE.findall(attributes)}
    between = known.get("separators", ",")[:1]
    return known.get("open", "(") + between.join(parts) + known.get("close", ")")


def _join_scripts(name: str, parts: list[str]) -> str:
    """Join a base and its powers and indices, or a fraction."""
    base = parts[0] if _INDEXED.fullmatch(parts[0]) else bracket(parts[0])
    if name == "mroot":
        return f"{base}^(1/{bracket(parts[1])})"
    is_accented = name in {"mover", "munder"} and not re.search(r"\w", parts[1])
    for sign, script in zip(_SCRIPTS[name], parts[1:], strict=True):
        if script == "∘" and base[-1:].isdigit():
            base += "°"
        else:
            bare = not script or is_accented or set(script) <= _PRIMES
            base += script if bare else sign + bracket(script)
    return base
