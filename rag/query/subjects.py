"""What a question is about, without the words that every question for papers has.

"Which papers try to name X?", "experiment with X", "describe how to X" all ask for X: a verb that
papers do with any subject, rare as it may be in abstracts, would only draw the wrong papers. Called
by rag.query.listings.
"""

from __future__ import annotations

import re

# What is said to be left out finds just what is not wanted; how to decide finds nothing.
_EXCLUDED = (
    r"\s*\((?:no|not|excluding|except|without)\b[^)]*\)|"
    r",? (?:(?:but )?(?<!do )(?<!does )(?<!did )(?<!is )(?<!are )(?<!can )not|rather than|"
    r"leaving aside|excluding|as opposed to|other than) [^,;]*$"
)
_ASIDE = re.compile(
    rf"{_EXCLUDED}|"
    r",? (?:going by|as (?:stated|told) in|according to) the [^,;]*$|"
    r" as the (?:setting|field|area) they work in$|[?.!] (?:please )?list them$",
    re.IGNORECASE,
)
_LIBRARY = r"(?:the|this|our|your) (?:library|collection|corpus)"
_ENDING = re.compile(
    r"(?:[,;.?!]?\s*(?:and )?(?:which (?:ones|are they|papers)|what are they|"
    r"list (?:them|those papers|all)(?: of (?:it|them))?|are there|do we have|exist|is there|"
    r"(?:do )?you know|can you find|then|"
    rf"please)|\s+(?:in|of|from) {_LIBRARY}|\s+(?:in )?here|\s+papers?)[\s?.!]*$",
    re.IGNORECASE,
)
# Verbs of any paper, one of which is taken away where it follows the papers: "papers that use state
# spaces" have spaces with states, and so have "papers on state space models".
_VERBS = """
use utilize utilise employ apply adopt leverage study address tackle target handle treat examine
analyze analyse investigate explore exploit consider discuss describe mention name state say cover
involve include feature incorporate measure check tell
"""
_VERBS_WITH_LINK = """
look work deal focus rely depend draw build base report experiment test evaluate run touch bear
concern try
"""
_WAYS = r"(?:ways?|methods?|approach(?:es)?|techniques?)"
_USEFUL = r"(?:help|(?:be )?(?:useful|helpful|relevant|of interest))"
_FILLERS = (
    r"that|which|who|where|there|here|is|are|was|were|do|does|did|have|has|can|we|you|these|those|"
    r"all|also|explicitly|actually|ever|mainly|only|just|exist|\(?if any\)?|in which|in here|"
    rf"(?:in|of|from) {_LIBRARY}|in (?:the|their) abstracts?|"
    r"(?:show|demonstrate|find|report|argue)s? that|(?:try|tries|trying|aims?|attempts?|seeks?) to|"
    rf"(?:propose|offer|describe|present|give|suggest|find)s? (?:an? )?(?:new |better )?{_WAYS} "
    r"(?:of|to|for)|(?:try|tries|tests?|evaluates?|runs?) (?:their|its) (?:models?|methods?) "
    r"(?:out )?on|should be on my (?:reading )?list|"
    r"(?:should|could|can) (?:i|we) \w+(?: (?:him|her|them))?(?: first)?|"
    rf"(?:(?:could|would|can|might) )?{_USEFUL}(?: (?:(?:to|for) )?(?:us|me|them))?"
)
_LINKS = (
    r"about|with|at(?! (?:least|most) )|on|upon|of|in|for|to|or|and|it|the|using|out(?! of)|"
    r"(?:results|scores|experiments) (?:on|with|for|in)"
)


def _verb(base: str) -> str:
    """A verb in the forms it has after the papers."""
    if base.endswith("y") and base[-2] not in "aeiou":
        return f"{base[:-1]}(?:y|ies|ied|ying)"
    if base.endswith("e"):
        return f"{base[:-1]}(?:e|es|ed|ing)"
    return f"{base}(?:s|es|ed|ing)?"


def _first(words: str) -> re.Pattern[str]:
    """What finds these words where a text begins with them."""
    return re.compile(rf"(?:{words})(?=[\s,]|$)", re.IGNORECASE)


_PLAIN_VERB = "|".join(map(_verb, _VERBS.split()))
_VERB_WITH_LINK = "|".join(map(_verb, _VERBS_WITH_LINK.split()))
_ANY_VERB = f"(?:{_PLAIN_VERB}|{_VERB_WITH_LINK})"
_OR = r"(?: (?:on|with|at|in|about|to|out))?,? (?:or|and)"  # "build on or examine"
_FILLER = _first(_FILLERS)
_VERB = _first(rf"(?:{_ANY_VERB}{_OR} )*(?:(?P<plain>{_PLAIN_VERB})|{_VERB_WITH_LINK})")
_LINK = _first(_LINKS)
_AFTER_PLAIN = _first("how to|the|or|and|in (?:the|their) abstracts?")


def without_frame(text: str) -> str:
    """What a question says of its papers, without what is said of any.

    Returns:
        the rest; empty only where nothing but words without a meaning of their own were there.

    >>> without_frame("that try to name continual learning, in the library")
    'continual learning'
    >>> without_frame("on state space models (not attention)")
    'state space models'
    >>> without_frame("report results"), without_frame("are there")
    ('results', '')
    """
    text = _bare(_ASIDE.sub("", _bare(text))) or _bare(text)
    while ending := _ENDING.search(text):
        text = _bare(text[: ending.start()])
    text = _stripped(text, _FILLER)
    if verb := _VERB.match(text):
        rest = _bare(text[verb.end() :])
        return _stripped(rest, _AFTER_PLAIN if verb["plain"] else _LINK) or rest or text
    return _stripped(text, _LINK) or text


def exclusion_in(text: str) -> str:
    """What a question says shall not be meant, in its words; empty where it says nothing so.

    >>> exclusion_in("Which papers use BERT but not GPT?"), exclusion_in("Which papers use BERT?")
    ('but not GPT', '')
    """
    found = re.search(_EXCLUDED, _bare(text), re.IGNORECASE)
    return found[0].strip(" ,().") if found else ""


def _stripped(text: str, opening: re.Pattern[str]) -> str:
    while match := opening.match(text):
        text = _bare(text[match.end() :])
    return text


def _bare(text: str) -> str:
    return text.strip(" ,.:;?!")
