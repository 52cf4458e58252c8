r"""Clean titles and abstracts of residue of TeX, HTML and MathML.

Web pages lose parts of an abstract's TeX: ``\%`` remains, ``\times`` becomes ``times`` next to a
digit. Crossref passes on the publishers' JATS and MathML. `clean_markup` fixes only what is
certain, because citations quote the abstract word for word. A TeX parser would damage whole
abstracts ("gains of 36% over BERT" ends at the per cent sign), so only fragments that start with a
backslash are read as TeX. "<" is also a sign ("<1M parameters", "the <mask> token"), so only
elements that are closed somewhere or have attributes count as tags. Used by the readers for every
format.
"""

from __future__ import annotations

import html
import re
import unicodedata
from string import digits

from rag.text.mathml import bracket, convert_mathml
from rag.text.tex import (
    convert_formula,
    convert_formulas,
    convert_tex,
    drop_styles,
    get_symbol,
)

_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SHORT_CHARS = 100
_ASCII_CONTROL = bytes((*range(0x20), 0x7F))

# Entities of HTML 5 and of ISO 8879, which may be escaped several times, and IEEE's "/spl mu/".
_ENTITY = re.compile(r"&(?:amp;)*(#\d{1,7}|#[xX][\da-fA-F]{1,6}|[A-Za-z][A-Za-z\d]{1,30});")
_IEEE_SIGN = re.compile(r"/spl ([A-Za-z]+)/")
_IEEE_SCRIPT = re.compile(r"/(su[bp]) ([^/<>]{1,20})/")
_GREEK_NAMES = (
    *("a", "b", "g", "d", "e", "z", "ee", "th", "i", "k", "l", "m", "n", "x", "o", "p", "r"),
    *("sf", "s", "t", "u", "ph", "kh", "ps", "oh"),
)
_ISO_GREEK = {
    f"{form(name)}gr": form(letter)
    for name, letter in zip(_GREEK_NAMES, "αβγδεζηθικλµνξοπρςστυφχψω", strict=True)
    for form in (str, str.capitalize)
}
_UNICODE_NAME = re.compile(r"<([a-z]+(?: [a-z]+){1,4})>")  # <middle dot>
# Only a word with a value is an attribute: "p<b and q>c" is text.
_ATTRIBUTES = r"""(?:\s[\w:.-]+\s?=\s?(?:"[^"<]*"|'[^'<]*'|[^\s"'<>]+))*+\s?"""
_TAG = re.compile(rf"<(/?)((?:[A-Za-z]+:)?[A-Za-z][A-Za-z\d-]*)({_ATTRIBUTES})(/?)>")
_OPENING = re.compile(r"<[A-Za-z]")
_QUIET = re.compile(r"<!--[^<>]*-->|<!\[CDATA\[|\]\]>|<\?xml[^<>]*\?>")
_APART = {"p", "sec", "title", "div", "br", "li", "list-item", "tr", "td", "h1", "h2", "h3", "h4"}
# Elements that are tags wherever they are closed. Others are if they enclose a word, so that
# "<s> and </s>" are tokens of a model.
_ELEMENTS = _APART | {
    *("b", "i", "u", "em", "strong", "span", "font", "a", "sub", "sup", "small", "big", "tt", "sc"),
    *("ul", "ol", "table", "inf", "italic", "bold", "list", "abstract", "code", "math"),
}
_BEHIND_START, _BEFORE_END = re.compile(r"[\w<(\[\"'“‘©]"), re.compile(r"[\w>)\].,;:?!\"'”’%]")
_RAISED = re.compile(
    r"<((?:\w+:)?(?:sup|sub|inf)(?:erscript|script)?)(?:\s[^<>]*)?>"
    r"((?:[^<>]|</?(?:\w+:)?(?:i|it|b|em|italic|bold|a|xref)(?:\s[^<>]*)?>){1,80}?)</\1>",
    re.IGNORECASE,
)
_ANY_TAG = re.compile(r"<[^<>]*>")
_NEAR = 80  # characters of context before a script
_WORD, _WORDS = re.compile(r"[^\W_]"), re.compile(r"[^\W_]{2}\W*\s\W*[^\W_]{2}")
_VARIABLE = re.compile(r"(?<![^\W_])[a-z]$")
_DIGITS = re.compile(r"[-−–+]?\d[\d.,]*[-−–+]?")
_ORDINALS = frozenset({"st", "nd", "rd", "th", "er", "re", "o", "TM"})
# A number that is a power, not a footnote: after a single letter, a unit, an index, a formula in
# brackets or "=" and a few letters, and after any word if negative. B12 and P32 are names.
_POWER = re.compile(r"(?:(?P<negative>[-−–])|(?!1$))\d{1,2}(?:\.\d+)?|(?P<letter>[^\W\d_])")
_BASE = re.compile(r"(?:(?<![\w.'’])[^\W\d_]|(?<!\w)[cdkmnµμ]m|=\s?(?!ns)[a-z]{2,3})$")
_NAMING = re.compile(r"[A-Z]\d\d")
_GROUP = re.compile(
    r"(?:\||(?<=\w)\([^\W\d_]\)|[(\[](?=[^()\[\]]*[^\W\d_])(?=[^()\[\]]*(?:[-+−–*/·×]|log))"
    r"(?:\s|\d|[-+−–*/·×=^_.|]|[^\W\d_](?![^\W\d_])|(?:log|ln|exp|max|min)\b)*[)\]])$"
)
_INDEX_BEFORE = re.compile(r"</(?:\w+:)?(?:sub|inf)(?:script)?>$", re.IGNORECASE)
_ELEMENT = re.compile(r"(?:<[^<>]*>){0,4}[A-Z]")  # of an isotope, as in δ<sup>13</sup>C
_HEADING = re.compile(r"<((?:\w+:)?(?:section-)?title|h[1-6])>([^<>]*)</\1>(\s*\w)?")
_TEX_MATH = re.compile(r"<((?:\w+:)?tex-math)\b[^<>]*>([^<]*)</\1>")

# Everything below needs a backslash that is not itself escaped.
_TEX_SCRIPT = re.compile(r"(?<!\\)\\text(su[pb])(?:er)?script\s?\{([^{}]*)\}")
_MATH = re.compile(r"(?<!\\)\\\((.{1,400}?)(?<!\\)\\\)")
_SYMBOL = re.compile(
    r"(?<![\\\w:/])\\(text[a-z]+|(?:var)?(?:alpha|beta|gamma|delta|epsilon|zeta|eta|theta|kappa|lambda|mu|nu|xi"
    r"|pi|rho|sigma|tau|phi|chi|psi|omega|Gamma|Delta|Theta|Lambda|Xi|Pi|Sigma|Phi|Psi|Omega))"
    r"(?![A-Za-z{\\])"
)
_BRACED_SYMBOL = re.compile(r"(?<!\\)\{\\([A-Za-z]+)\}|(?<!\\)\\(ss|ae|oe|aa|[oOlL]|AE|OE|AA)\{\}")
_LATIN_ABBREVIATION = re.compile(r"(?<!\\)\\(e(?=g)|i(?=e))([ge])\b\.?")
_TEX_TIMES = re.compile(r"(?<!\\)(\$?)\\times\1(?![A-Za-z])")
_TEX_SIM = re.compile(r"(?<![^\s(\[])(\$?)\\sim\1(?=\d)")
_ESCAPED = re.compile(r"(?<!\\)\\([%&$#_])")
# Without braces an accent counts only inside a word and on a letter that can have it: the backslash
# in it\'s and in \"quoted\" comes from a program, not from TeX.
_ACCENT = re.compile(
    r"""(?<!\\)(?:
      \\["'`^~=.]\{\\?[A-Za-z]\}                           # \"{i}  \'{\i}
    | \\[cvuHkr]\{[A-Za-z]\}                               # \c{c}  \v{s}
    | \{\\["'`^~=.]\\?[A-Za-z]\}                           # {\"i}
    | (?<=[A-Za-z])\\(?:["'`^][aeiouyAEIOUY]|~[anoANO])    # na\"ive
    )""",
    re.VERBOSE,
)

# ``so''  "so''  ''so'': a doubled mark counts only as part of a pair around text.
_QUOTED = re.compile(
    r"""(?:``|(?<![\w)"'`])(?:''(?=\w)|"))(?=\S)((?:(?!''|``|").){1,200}?)(?<=\S)"""
    r"""''(?=$|[\s.,;:!?)\]}–—-])"""
)
_SINGLE_QUOTED = re.compile(r"(?<![\w`])`(?=[^\s`'])([^`']{1,80})(?<=\S)'(?!\w)")

# The first three alternatives are tildes to keep: in a URL, between variables, in a range.
_TILDE = re.compile(
    r"""https?://\S+|\b[A-Za-z]~[A-Za-z]\b|(?<=\d)~(?=\d)"""
    r"""|(?<=[\w.,;:)\]}%"'])(~)(?=[\w(\[`"'\\$–—-])"""
)
_DASH = re.compile(r"""x201([34])(?<=[A-Za-z)\]"']x201.)(?=[A-Za-z(\["'])""")
_TIMES = re.compile(r"times(?<=\dtimes)(?![A-Za-z_])")
# "sim2real" and "sim10k" are names: only a decimal number, a percentage or a multiple is certain.
_SIM = re.compile(r"sim(?<![^\s(\[]sim)(?=(?:\d+\.\d+[x×%]?|\d+[x×%])(?!\w))")
_LABEL = re.compile(r"([A-Z][A-Za-z]{2,}(?:[ /&,()'’-]+[A-Za-z]+){0,9}):\s")
_JOINT = re.compile(rf",(?<=[.?],)\s?(?={_LABEL.pattern})")


def clean_markup(text: str) -> str:
    r"""Clean a text of residue that can be recognised with certainty.

    This covers entities and tags of HTML, JATS and MathML (``&lt;``, ``<sub>``), escaped signs
    (``\%``), text styles (``\emph{..}``), short formulas, TeX accents and quotes, ``\eg``, a tilde
    used as a space, x2013 and x2014 glued into words, "times" and "sim" beside digits. Runs of
    white space and control characters become one space, none at the ends.
    Words outside such residue always stay. An empty text gives "".

    >>> clean_markup(r"60times faster than wav2vec~2.0, na\"ively by 87\%")
    '60× faster than wav2vec 2.0, naïvely by 87%'
    """
    text = _decode(text)
    for sign, clean in (("<", _drop_tags), ("$", convert_formulas), ("\\", _convert_tex)):
        if sign in text:
            text = clean(text)
    text = _split_parts(_fix_quotes(text))
    if "~" in text:
        text = _TILDE.sub(lambda found: " " if found[1] else found[0], text)
    if len(text) > _SHORT_CHARS and text.isascii() and not any(map(text.__contains__, digits)):
        return text  # all remaining residue contains a digit or is next to one
    return _fix_digits(text)


def _decode(text: str) -> str:
    """Decode entities. Write the powers and indices of IEEE and of TeX as those of HTML."""
    if "/" in text and "/s" in text:  # one sign is found much faster than two
        text = _IEEE_SCRIPT.sub(r"<\1>\2</\1>", _IEEE_SIGN.sub(r"&\1;", text))
    if "&" in text:
        text = _ENTITY.sub(_convert_entity, text)
    return _collapse_space(_TEX_SCRIPT.sub(r"<\1>\2</\1>", text) if "\\" in text else text)


def _split_parts(text: str) -> str:
    """End a part of a structured abstract before the next label, where Ovid joins them by commas.

    Without a label at the start, a label is a word of capitals, longer than "DNA" or "USA".

    >>> _split_parts("We count visits.,RESULTS: They rose.")
    'We count visits. RESULTS: They rose.'
    """
    if ":" not in text or (".," not in text and "?," not in text):
        return text
    has_label = _LABEL.match(text) is not None

    def part(found: re.Match[str]) -> str:
        is_label = has_label or (found[1].isupper() and len(found[1]) > 3)
        return " " if is_label else found[0]

    return _JOINT.sub(part, text)


def _fix_digits(text: str) -> str:
    if "x201" in text:
        text = _DASH.sub(lambda found: "–" if found[1] == "3" else "—", text)
    if "times" in text:
        text = _TIMES.sub("×", text)
    return _SIM.sub("~", text) if "sim" in text else text


def is_one_line(text: str) -> bool:
    r"""Return whether a text has no control characters and only single inner spaces.

    >>> is_one_line("one line"), is_one_line("two  spaces"), is_one_line("two\nlines")
    (True, False, False)
    """
    if "  " in text or text[:1] == " " or text[-1:] == " ":
        return False
    if len(text) < _SHORT_CHARS or not text.isascii():
        return text.isprintable()
    # Ten times faster than `isprintable`.
    return len(text.encode().translate(None, _ASCII_CONTROL)) == len(text)


def _collapse_space(text: str) -> str:
    """Replace runs of white space and control characters by one space, and strip the ends."""
    if is_one_line(text):
        return text
    return " ".join((text if text.isprintable() else _CONTROL.sub(" ", text)).split())


def _convert_entity(found: re.Match[str]) -> str:
    entity = f"&{found[1]};"
    plain = html.unescape(entity)
    return plain if plain != entity else _ISO_GREEK.get(found[1], found[0])


def _drop_tags(text: str) -> str:
    if "math" in text:
        text = convert_mathml(_TEX_MATH.sub(_unwrap_formula, text))
    text = _UNICODE_NAME.sub(_convert_name, _QUIET.sub("", text))
    text = _HEADING.sub(_format_heading, _RAISED.sub(_mark_script, text))
    dropped = _find_elements(text)
    return _collapse_space(_TAG.sub(lambda tag: _replace_tag(tag, dropped), text))


def _convert_name(found: re.Match[str]) -> str:
    try:
        return unicodedata.lookup(found[1])
    except KeyError:
        return found[0]


def _find_elements(text: str) -> set[str]:
    """Return the names of elements whose tags are to be dropped."""
    certain, opened, closed = set(), set(), set()
    for tag in _TAG.finditer(text):
        closes, name, attributes, is_empty = tag.groups()
        if attributes.strip() or ((closes or is_empty) and _is_known(name)):
            certain.add(name.lower())
        elif closes and _BEFORE_END.match(text, tag.start() - 1):
            closed.add(name.lower())
        elif not closes and _BEHIND_START.match(text, tag.end()):
            opened.add(name.lower())
    return certain | (opened & closed)


def _is_known(name: str) -> bool:
    return ":" in name or "-" in name or name.lower() in _ELEMENTS


def _replace_tag(tag: re.Match[str], dropped: set[str]) -> str:
    name = tag[2].lower()
    bare = name.rpartition(":")[2]
    if name not in dropped and bare != "br" and not name.startswith(("jats:", "mml:")):
        return tag[0]
    is_between = tag[1] and bare not in _ELEMENTS and _OPENING.match(tag.string, tag.end())
    return " " if bare in _APART or is_between else ""


def _mark_script(found: re.Match[str]) -> str:
    """Add a sign to a power or index that would otherwise read as part of its base."""
    start = found.start()
    before = _ANY_TAG.sub("", found.string[max(0, start - _NEAR) : start])
    script = _ANY_TAG.sub("", found[2]).strip()
    if _WORDS.search(script):  # a note
        return " " + found[0]
    raised = "sup" in found[1].lower()
    sign = _choose_sign("^" if raised else "_", before, script)
    if not sign and raised and _is_power(found, before, script):
        sign = "^"
    return sign + bracket(script) if sign else found[0]


def _choose_sign(sign: str, before: str, script: str) -> str:
    """Return the sign between a base and its script, or "" if they read well without one.

    Ca2+, the 5th, Vmax and Kd need none; 10^6, 2^n and x_i do.
    """
    if not before[-1:].isalnum() or not _WORD.search(script):
        return ""
    if before[-1].isdigit():
        reads_well = script in _ORDINALS
    elif sign == "^":
        reads_well = script in _ORDINALS or _DIGITS.fullmatch(script) is not None
    else:
        reads_well = len(script) > 1 or not script.isalpha() or not _VARIABLE.search(before)
    return "" if reads_well else sign


def _is_power(found: re.Match[str], before: str, script: str) -> bool:
    """Return whether a raised number without a sign from `_choose_sign` is still a power."""
    power = _POWER.fullmatch(script)
    if not power or _ELEMENT.match(found.string, found.end()):
        return False
    if power["negative"]:
        return before[-1:].isalpha() or before[-1:] in {")", "]"}
    if _GROUP.search(before):
        return True
    if power["letter"] or _NAMING.fullmatch(before[-1:] + script):
        return False
    start = found.start()
    is_indexed = _INDEX_BEFORE.search(found.string, max(0, start - _NEAR), start) is not None
    return is_indexed or _BASE.search(before) is not None


def _format_heading(heading: re.Match[str]) -> str:
    """Turn a heading inside an abstract into a label. Drop the heading "Abstract"."""
    words, rest = heading[2].strip(" :."), heading[3] or ""
    if not words or words.lower() == "abstract":
        return " " + rest
    return f" {words}: {rest}" if rest or heading.string[heading.end() :].strip() else words


def _unwrap_formula(found: re.Match[str]) -> str:
    """Extract a formula from the TeX document that publishers wrap around it."""
    _, _, body = found[2].partition(r"\begin{document}")
    formula = (body or found[2]).partition(r"\end{document}")[0]
    return f"<{found[1]}>{formula}</{found[1]}>"


def _convert_tex(text: str) -> str:
    text = _MATH.sub(lambda found: convert_formula(found[1]) or found[0], text)
    text = _BRACED_SYMBOL.sub(lambda found: get_symbol(found[1] or found[2]) or found[0], text)
    if "$" not in text:  # else it may be in a formula that is kept
        text = _SYMBOL.sub(lambda found: get_symbol(found[1]) or found[0], text)
    text = _LATIN_ABBREVIATION.sub(r"\1.\2.", text)
    text = _TEX_SIM.sub("~", _TEX_TIMES.sub("×", text))
    text = _ESCAPED.sub(r"\1", _ACCENT.sub(_convert_accent, text))
    return _collapse_space(drop_styles(text))


def _convert_accent(found: re.Match[str]) -> str:
    letter = convert_tex(found[0])
    return letter if len(letter) == 1 else found[0]


def _fix_quotes(text: str) -> str:
    text = _QUOTED.sub(r'"\1"', text) if "'" in text and "''" in text else text
    # A single back-tick also marks code, so single quotes count only if they explain every tick.
    if "`" in text and len(_SINGLE_QUOTED.findall(text)) == text.count("`"):
        text = _SINGLE_QUOTED.sub(r"'\1'", text)
    return text
