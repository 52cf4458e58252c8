"""What words give away: missing names, negation, direction, overclaiming. Pure."""

from __future__ import annotations

import re

_TOKEN = re.compile(r"[^\W_][\w+\-.]*[\w+]|[^\W_]")
_NEGATION = re.compile(
    r"\b(?:not|no|never|neither|nor|none|nothing|without|cannot|unable|fail(?:s|ed|ing)?|"
    r"lack(?:s|ed|ing)?|hardly|rarely|absence|n't)\b|n't\b|\b(?:rather than|instead of|different from|unlike)\b",
    re.IGNORECASE,
)
_TOTAL = re.compile(
    r"\b(?:all|every|always|only|never|any|entirely|completely|fully|guarantee\w*|prov(?:e|es|ed|en)"
    r"|best|solely|exclusively|universal\w*|regardless|eliminat\w*|perfect\w*|must)\b",
    re.IGNORECASE,
)
_HEDGE = re.compile(
    r"\b(?:may|might|could|can|suggest\w*|potential\w*|possibl\w*|likely|appear\w*|seem\w*|some|"
    r"often|most|many|several|partial\w*|up to|typically|generally|hypothesi\w*|preliminary|nearly|"
    r"almost|comparable|close to|largely|sometimes|usually|mainly|primarily)\b",
    re.IGNORECASE,
)
_OPPOSITES = tuple(
    (re.compile(rf"\b(?:{a})\b", re.IGNORECASE), re.compile(rf"\b(?:{b})\b", re.IGNORECASE))
    for a, b in (
        (r"increas\w*|rais\w+|grow\w*|rise\w*|rising|rose", r"decreas\w*|reduc\w*|lower\w*|declin\w*|shrink\w*|drop\w*|fall\w*|diminish\w*"),
        (r"higher|greater|larger|bigger|more", r"lower|lesser|smaller|fewer|less"),
        (r"improv\w*|enhanc\w*|boost\w*|benefit\w*|gains?", r"degrad\w*|worsen\w*|hurt\w*|harm\w*|deteriorat\w*|impair\w*"),
        (r"better|superior|outperform\w*|surpass\w*|exceed\w*|beats?", r"worse|inferior|underperform\w*|behind"),
        (r"faster|quicker|accelerat\w*|speed(?:s|ed)? up", r"slower|slow(?:s|ed|ing)?"),
        (r"before|earlier|prior|precede\w*", r"after|later|subsequent\w*|follow\w*"),
        (r"with", r"without"),
        (r"positive\w*", r"negative\w*"),
        (r"promot\w*|activat\w*|induc\w*|stimulat\w*|enabl\w*", r"inhibit\w*|suppress\w*|prevent\w*|block\w*|hinder\w*"),
        (r"strong\w*|robust", r"weak\w*|fragile"),
        (r"short\w*", r"long\w*"),
        (r"frozen|freez\w*|fixed", r"trained|updated|fine-tun\w*|unfrozen|learn(?:ed|able)"),
        (r"same|identical|shared?", r"different|distinct|separate\w*"),
        (r"easy|easier|simple\w*", r"hard\w*|difficult\w*|complex\w*"),
        (r"early|shallow|bottom|lower", r"late|deep\w*|top|upper"),
        (r"maximi[sz]\w*", r"minimi[sz]\w*"),
        (r"add(?:s|ed|ing)?|insert\w*", r"remov\w*|delet\w*|drop\w*|discard\w*"),
        (r"supervised|labell?ed", r"unsupervised|unlabell?ed|self-supervised"),
        (r"first", r"last|final"),
    )
)  # fmt: skip
RISING = re.compile(
    r"\b(?:increas\w*|higher|greater|more|elevat\w*|enhanc\w*|improv\w*|promot\w*|activat\w*|"
    r"induc\w*|stimulat\w*|up-?regulat\w*|gain\w*|rise\w*|rais\w*|strong\w*|facilitat\w*|"
    r"accelerat\w*|requir\w*|necessary|essential|critical|enabl\w*|susceptib\w*|abundan\w*|"
    r"better|longer|high|support\w*|associat\w*|correlat\w*|caus\w*|lead\w*|result\w*|"
    r"effective\w*|benefi\w*|positive\w*|outperform\w*|surpass\w*|exceed\w*)\b",
    re.IGNORECASE,
)
FALLING = re.compile(
    r"\b(?:decreas\w*|lower\w*|reduc\w*|less|fewer|diminish\w*|inhibit\w*|suppress\w*|prevent\w*|"
    r"block\w*|impair\w*|down-?regulat\w*|declin\w*|loss|lack\w*|absen\w*|deficien\w*|"
    r"attenuat\w*|weak\w*|worse\w*|slow\w*|delay\w*|resist\w*|abolish\w*|abrogat\w*|deplet\w*|"
    r"disrupt\w*|short\w*|limit\w*|low|fail\w*|not|no|never|without|neither|nor|negative\w*|"
    r"ineffective|unaffected|independent\w*|dispensable|unlikely|unable|cannot|n't|degrad\w*|"
    r"underperform\w*|drop\w*|hurt\w*|harm\w*)\b",
    re.IGNORECASE,
)
_FUNCTION_WORDS = re.compile(
    r"\b(?:the|of|and|to|is|are|was|were|for|on|with|by|that|it|its|as|than|from|at|not|be|has|have|"
    r"which|this|these|can|into|their|but|when|does|while|without|between|both|more|through)\b",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(r"[.!?:]\s*[\"“(]?$")
_LONG_ENOUGH = 8  # words; shorter ones may do without any of the above
_COMMON_CAPITALS = frozenset(
    [
        "I",
        "A",
        "The",
        "This",
        "That",
        "These",
        "Those",
        "It",
        "We",
        "In",
        "On",
        "At",
        "By",
        "For",
        "With",
        "From",
        "As",
    ]
)


def names(text: str) -> list[str]:
    """Words that look like names: capitals or digits inside, or a capital within a sentence.

    >>> names("The ELECTRA paper uses T5 and Wikipedia, not BERT-base.")
    ['ELECTRA', 'T5', 'Wikipedia', 'BERT-base']
    """
    found = []
    for match in _TOKEN.finditer(text):
        word = match[0].strip(".-")
        inner = any(c.isupper() for c in word[1:]) or (
            any(c.isdigit() for c in word) and any(c.isalpha() for c in word) and word[0].isupper()
        )
        within = match.start() > 0 and not _SENTENCE_END.search(
            text[max(0, match.start() - 4) : match.start()]
        )
        if inner or (
            within and word[:1].isupper() and len(word) > 1 and word not in _COMMON_CAPITALS
        ):
            found.append(word)
    return found


def missing_names(statement: str, source: str) -> list[str]:
    """Names of a statement that the source does not have in any spelling."""
    there = _squeezed(source)
    missing = []
    for name in names(statement):
        parts = [part for part in re.split(r"[-/.]", name) if len(part) > 1] or [name]
        wanted = _squeezed(name)
        known = wanted in there or wanted.removesuffix("s") in there
        if not known and not all(_squeezed(part) in there for part in parts):
            missing.append(name)
    return list(dict.fromkeys(missing))


def in_english(statement: str) -> bool:
    """Whether a statement reads as English; one of a few words always does.

    >>> in_english("Der Diskriminator sagt voraus, ob jedes Wort aus dem Generator stammt.")
    False
    """
    long = len(statement.split()) >= _LONG_ENOUGH
    return not long or bool(_FUNCTION_WORDS.search(statement))


def negations(text: str) -> int:
    """How many negating words a text has."""
    return len(_NEGATION.findall(text))


def turned(statement: str, source: str) -> tuple[str, str] | None:
    """A word of the statement whose opposite the source has in its place, or None."""
    for left, right in _OPPOSITES:
        for mine, other in ((left, right), (right, left)):
            said, opposite = mine.search(statement), other.search(source)
            if said and opposite and not mine.search(source) and not other.search(statement):
                return said[0], opposite[0]
    return None


def overclaims(statement: str, source: str) -> str | None:
    """A word of totality in the statement that the source lacks, or None."""
    there = {match[0].casefold() for match in _TOTAL.finditer(source)}
    for match in _TOTAL.finditer(statement):
        if match[0].casefold() not in there:
            return match[0]
    return None


def hedges_lost(statement: str, source: str) -> bool:
    """Whether the source hedges and the statement does not."""
    return bool(_HEDGE.search(source)) and not _HEDGE.search(statement)


def _squeezed(text: str) -> str:
    return re.sub(r"[\s\-_.]", "", text).casefold()
