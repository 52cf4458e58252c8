"""What a question is about, without the words that every question for papers has.

"Which papers try to name X?", "experiment with X", "describe how to X" all ask for X: a verb that
papers do with any subject, rare as it may be in abstracts, would only draw the wrong papers. Called
by rag.listings.
"""

from __future__ import annotations

import re

# What is said to be left out finds just what is not wanted; how to decide finds nothing.
_ASIDE = re.compile(
    r"\s*\((?:no|not|excluding|except|without)\b[^)]*\)|"
    r",? (?:(?:but )?(?<!do )(?<!does )(?<!did )(?<!is )(?<!are )(?<!can )not|rather than|"
    r"leaving aside|excluding|as opposed to|other than) [^,;]*$|"
    r",? (?:going by|as (?:stated|told) in|according to) the [^,;]*$|"
    r" as the (?:setting|field|area) they work in$|[?.!] (?:please )?list them$",
    re.IGNORECASE,
)
_LIBRARY = r"(?:the|this|our|your) (?:library|collection|corpus)"
_ENDING = re.compile(
    r"(?:[,;.?!]?\s*(?:and )?(?:which (?:ones|are they|papers)|what are they|"
    r"list (?:them|those papers|all)(?: of (?:it|them))?|are there|do we have|exist|is there|"
    r"(?:do )?you know|can you find|"
    rf"please)|\s+(?:in|of|from) {_LIBRARY}|\s+(?:in )?here|\s+papers?)[\s?.!]*$",
    re.IGNORECASE,
)
# Verbs of any paper, taken away where they follow the papers: "papers that use state spaces", but
# not in "papers on state space models".
_VERBS = """
use utilize utilise employ apply adopt leverage study address tackle target handle treat examine
analyze analyse investigate explore exploit consider discuss describe mention name state say cover
involve include feature incorporate concern look work deal focus rely depend draw build base report
experiment test evaluate measure check try run touch bear tell
"""
_FILLERS = (
    r"that|which|who|where|there|here|is|are|was|were|do|does|did|have|has|can|we|you|these|those|"
    r"all|also|explicitly|actually|ever|mainly|only|just|out|results|scores|experiments|how to|"
    r"in which|in (?:the|their) abstracts?|(?:show|demonstrate|find|report|argue)s? that|"
    r"(?:propose|offer|describe|present|give|suggest|find)s? (?:an? )?(?:new |better )?"
    r"(?:ways?|methods?|approach(?:es)?|techniques?) (?:of|to|for)|"
    r"(?:try|tries|tests?|evaluates?|runs?) (?:their|its) (?:models?|methods?) (?:out )?on|"
    rf"(?:in|of|from) {_LIBRARY}|in here|should be on my (?:reading )?list|"
    r"(?:should|could|can) (?:i|we) \w+(?: (?:him|her|them))?(?: first)?|if any|"
    r"(?:(?:could|would|can|might) )?(?:help|(?:be )?(?:useful|helpful|relevant|of interest))"
    r"(?: (?:(?:to|for) )?(?:us|me|them))?"
)
_LINKS = (
    r"about|with|at(?! (?:least|most) )|on|upon|of|in|for|to|or|and|it|the|using|"
    r"(?:results|scores) on"
)


def _verb(base: str) -> str:
    """A verb in the forms it has after the papers."""
    if base.endswith("y") and base[-2] not in "aeiou":
        return f"{base[:-1]}(?:y|ies|ied|ying)"
    if base.endswith("e"):
        return f"{base[:-1]}(?:e|es|ed|ing)"
    return f"{base}(?:s|es|ed|ing)?"


_VERB = "|".join(_verb(base) for base in _VERBS.split())
_OR = rf"(?:(?:on|with|at|in|about|to) )?(?:or|and)(?= (?:{_VERB})\b)"  # "build on or examine"
_FRAME = re.compile(
    rf"(?:{_FILLERS}|{_VERB}|{_OR})(?=[\s,]|$)",
    re.IGNORECASE,
)
_LINK = re.compile(rf"(?:{_LINKS})(?=\s|$)", re.IGNORECASE)


def without_frame(text: str) -> str:
    """What a question says of its papers, without what is said of any.

    >>> without_frame("that try to name continual learning, in the library")
    'continual learning'
    >>> without_frame("on state space models (not attention)")
    'state space models'
    """
    text = _bare(_ASIDE.sub("", _bare(text))) or _bare(text)
    while ending := _ENDING.search(text):
        text = _bare(text[: ending.start()])
    for opening in (_FRAME, _LINK):
        while match := opening.match(text):
            text = _bare(text[match.end() :])
    return text


def _bare(text: str) -> str:
    return text.strip(" ,.:;?!")
