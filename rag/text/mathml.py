"""Convert MathML to text on one line, with signs for powers, indices, fractions and roots.

A part of several tokens gets brackets, so that 2^(2n) is not read as 4n. Annotations are dropped,
and so is MathML behind the TeX of the same formula.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING
from xml.etree.ElementTree import fromstring

if TYPE_CHECKING:
    from collections.abc import Iterator
    from xml.etree.ElementTree import Element

_SCRIPTS = {
    "msup": "^", "mover": "^", "msub": "_", "munder": "_", "mfrac": "/", "mroot": "√",
    "msubsup": "_^", "munderover": "_^",
}  # fmt: skip
_TURNED = {*_SCRIPTS, "msqrt", "mfenced"}  # into signs that a word must not run into
_DROPPED = {"annotation", "annotation-xml"}
_OPENING = re.compile(r"<((?:\w+:)?math)\b[^<>]*>", re.IGNORECASE)
_PREFIX = re.compile(r"(</?)\w+:|(?<=\s)\w+:(?=[\w-]+\s?=)")
_SIGN = re.compile(r"<(?![/A-Za-z])")
_ONE_TOKEN = re.compile(
    r"[-+−–]?(?:\d+(?:[.,]\d+)*[-+−–]?|[^\W\d_]+['′]*)|[^\w\s]|√\w+|"
    r"|\([^()]*\)|\[[^][]*\]|\|[^|]*\|"
)
_INDEXED = re.compile(r"[^\W\d_]+_[^\W_]+")
_PRIMES = frozenset("'′″‴")


def convert_mathml(text: str) -> str:
    """Replace the formulas in MathML by text. What is not closed stays.

    >>> convert_mathml("<math><msup><mi>x</mi><mrow><mn>2</mn><mi>n</mi></mrow></msup></math> is")
    'x^(2n) is'
    """
    return "".join(_convert_pieces(text))


def _convert_pieces(text: str) -> Iterator[str]:
    at = 0
    while opening := _OPENING.search(text, at):
        start, closing = opening.start(), f"</{opening[1]}>"
        end = text.find(closing, start)
        if end < 0:
            break
        end += len(closing)
        before = text[at:start]
        yield before
        if not before.rstrip().endswith("tex-math>"):
            yield _convert_formula(text[start:end])
        at = end
    yield text[at:]


def _convert_formula(formula: str) -> str:
    """Return a formula as text, or as it is if it is not well-formed or much too deep."""
    bare = _PREFIX.sub(r"\1", formula).replace("&", "&amp;")
    try:
        return _convert(fromstring(_SIGN.sub("&lt;", bare)))  # noqa: S314 - no DTD is left
    except (SyntaxError, RecursionError):
        return formula


def bracket(part: str) -> str:
    """Put the part of a formula in brackets unless it is one number, word or sign.

    >>> bracket("-3"), bracket("n"), bracket("n+1")
    ('-3', 'n', '(n+1)')
    """
    part = part.strip()
    return part if _ONE_TOKEN.fullmatch(part) else f"({part})"


def _convert(element: Element) -> str:
    """Return an element as text. One with too few or too many children is a row of them."""
    name, parts = element.tag, [_convert(child).strip() for child in element]
    if name in _DROPPED:
        return ""
    if name == "mfenced":  # Source: https://www.w3.org/TR/MathML3/chapter3.html#presm.mfenced
        separator = element.get("separators", ",").strip()[:1]
        return element.get("open", "(") + separator.join(parts) + element.get("close", ")")
    if name in _SCRIPTS and len(parts) == len(_SCRIPTS[name]) + 1:
        return _join_scripts(name, parts)
    row = _join_row(element, parts)
    return "√" + bracket(row) if name == "msqrt" else row


def _join_row(element: Element, parts: list[str]) -> str:
    """Join parts, with spaces where a fraction or power would run into a word beside it."""
    row, was_turned = element.text or "", False
    for child, part in zip(element, parts, strict=True):
        is_word = re.match(r"[\w√]", part) and not re.search(r"_\d+$", row)
        if (was_turned and is_word) or (child.tag == "mfrac" and re.search(r"\w$", row)):
            row += " "
        row += part + (child.tail or "")
        was_turned = child.tag in _TURNED
    return row


def _join_scripts(name: str, parts: list[str]) -> str:
    """Join a base and its powers and indices, a fraction or a root."""
    if name in {"msup", "msub"} and not parts[0]:  # the base is outside
        return f"<{name[1:]}>{parts[1].replace('∘', '°')}</{name[1:]}>"
    if name == "mroot":
        return f"{bracket(parts[0])}^(1/{bracket(parts[1])})"
    base = parts[0] if _INDEXED.fullmatch(parts[0]) else bracket(parts[0])
    if name in {"mover", "munder"} and not re.search(r"\w", parts[1]):  # an accent
        return base + parts[1]
    for sign, script in zip(_SCRIPTS[name], parts[1:], strict=True):
        base += _format_script(sign, script, base)
    return base


def _format_script(sign: str, script: str, base: str) -> str:
    if script == "∘" and base[-1:].isdigit():
        return "°"
    return script if set(script) <= _PRIMES else sign + bracket(script)
