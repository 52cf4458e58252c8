"""Phrasings that are recognised without a language model; docs/questions.md prints them.

Three kinds: questions for a list of papers, years, authors and venues that choose papers, and
follow-ups. What no form covers stays part of the question. Called by `rag.query.plan` and
`rag.query.filters`.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from rag.text.terms import lexical_terms

if TYPE_CHECKING:
    from collections.abc import Iterable

# --- Lists ------------------------------------------------------------------------------------

_PAPERS = (
    r"(?:papers|studies|articles|publications|abstracts|preprints|surveys|reviews|theses|"
    r"dissertations|(?<=every )paper|(?<=any )paper)\b"
)
_KINDS = r"preprints|surveys|reviews|theses|dissertations"  # say something of a paper
_ASIDE = re.compile(
    r" (?:(?:in|of) (?:the|this|our|your) (?:library|collection)|(?:in )?here)\b|, if any,"
)
_DETERMINERS = r"(?:(?:of|the|these|those|our|my|your|all|any|some|every|other|more) )*"
_KIND = (
    r"(?P<kind>(?:(?!(?:of|for|in|on|to|with|from|do|does|did|are|is|was|has|have|can|the|a|that|"
    r"which|what|how|say|makes|i|we|you|two|three)\b)[\w/-]+ ){0,4}?)"
)
_GIVE = (
    r"(?:list|show|find|give|name|get|count|recommend|suggest|search for|look for|"
    r"point me to|i need|i want|i(?:['’]d| would) like|"
    r"i(?: am|['’]m) (?:looking for|interested in))(?: me| us)?(?: a list of)?"
)
_HAVE = (
    r"(?:(?:are|is) there|exists?|(?:do|have) (?:we|you)(?: have| got)?|"
    r"(?:do|does) (?:the|this|our|your) (?:library|collection) have)"
)
_ABOUT = r"(?:on|about|by|from|in|of|with|since|after|before|between)\b"
_LINK = rf"(?:{_ABOUT}|(?:that|which|where|whose|at|using|published|\w{{3,}}ing)\b)"
_WORK = r"(?:everything|work|research|literature)"
_REST = r"(?P<rest>.*?)"
_WHO_DOES = r"(?:work(?:s|ed)? on|use[sd]?|stud(?:y|ies|ied)|appl(?:y|ies|ied)|evaluate[sd]? on)"
_NOUN = rf"(?P<noun>{_PAPERS}|ones\b|authors\b)"
_LIST_FORMS = tuple(
    re.compile(rf"{form}[\s.?!]*", re.IGNORECASE)
    for form in (
        rf"(?:which|what|what are) {_DETERMINERS}{_KIND}{_NOUN}{_REST}",
        r"which works (?!(?:best|better|well|more|for|in|on|with|without|as|at)\b)(?P<rest>.+?)",
        rf"(?:which|what|how many) of (?:these|those|them)\b{_REST}",
        rf"(?:how many|(?:what is )?(?:the )?number of) {_DETERMINERS}{_KIND}{_NOUN}{_REST}",
        rf"{_GIVE} {_DETERMINERS}{_KIND}{_NOUN}{_REST}",
        rf"(?:{_HAVE}|(?:do|does|did|have|has) any|any) {_DETERMINERS}{_KIND}{_NOUN}{_REST}",
        rf"(?:(?:{_GIVE}|{_HAVE}) )?{_DETERMINERS}{_WORK}(?P<rest> {_LINK}.+?)",
        rf"(?:(?:(?:{_GIVE}|{_HAVE}) )?(?:any|some)thing|{_GIVE} all)(?P<rest> {_ABOUT}.+?)",
        rf"what (?:(?:work|research) )?{_HAVE}(?P<rest> {_LINK}.+?)",
        r"what (?:was|has been) (?:published|written|done)(?P<rest> .+?)",
        rf"who (?:else )?(?:has |have )?{_WHO_DOES}(?P<rest> .+?)",
    )
)
_PHRASE_FORMS = tuple(  # of a text that holds nothing else
    re.compile(rf"{form}[\s.?!]*", re.IGNORECASE)
    for form in (
        rf"(?:a list of )?{_DETERMINERS}{_KIND}{_NOUN}(?P<rest> {_LINK}.+?)",
        rf"(?!(?:other|more|these|the) ){_KIND}(?<= )papers(?P<rest>)",
    )
)
_POLITE = re.compile(
    r"(?:(?:please|so|and|also|then|ok|okay|hi|hello|tell me|let me see|i wonder|"
    r"do you know(?: of)?|(?:can|could|would) you|"
    r"i(?:['’]d| would) like to (?:know|see|read)|i want to (?:know|see|read))\b,? ?)+",
    re.IGNORECASE,
)
# "Which papers should I read?" asks for a choice, "..., and what does each do?" for more.
_NO_LIST = re.compile(
    r" (?:(?:does|did|is|was|should|would|could|inspired|influenced)\b|"
    r"(?:are|were) (?:used|included|in)\b|are (?:the )?(?:most|best|newest|latest)\b)|"
    r".*(?:[,:;]|\band|\bthen) (?:what|how|why)\b|.*: (?:is|are|do|does)\b",
    re.IGNORECASE,
)
_SENTENCE_END = re.compile(
    r"(?<=[.?!])\s+(?=[A-Z])|[,;:] (?=(?:so |and |then )?(?:(?:which|what)(?: of these)? papers|"
    r"please|could you|can you|list|show|find|I wonder)\b)"
)
_PRONOUN = re.compile(r"(?:\w+ ){0,2}(?:it|this|that|them|these|those|so)")
_REFERS_BACK = re.compile(r"\b(?:(?:this|these|such(?! as))\b|(?:it|that|them|those)$)")
_BARE = re.compile(r"(?:which|what|any)\b[\w ]* papers\W*", re.IGNORECASE)
_FRAME = re.compile(
    r"(?:which|what|how many|that|who|where|papers?|these|those|them|anything|everything|is|are|"
    r"was|were|there|do|we|have|any|the|and|or|about|on|with|of|in|at|for|from|by|using|uses?|"
    r"stud(?:y|ies)|discuss|mention|report|address|"
    r"(?:deal|work|look|evaluate)s?(?= (?:on|with|at)))(?: |$)",
    re.IGNORECASE,
)
_FRAME_END = re.compile(
    r"(?:^|,? )(?:(?:and )?which (?:ones|are they)|are there|do we have|exist|please|papers)$",
    re.IGNORECASE,
)


def read_list_subject(question: str, *, narrowed: bool = False) -> str | None:
    """Return what the papers of a list are about, or None if a question asks for no list.

    Args:
        question: any text, understandable alone.
        narrowed: whether a filter was taken out of it, so that "papers" asks for all of them.

    Returns:
        the subject, "" where all papers are asked for.

    >>> read_list_subject("Which of our papers mention RoBERTa?")
    'RoBERTa'
    >>> read_list_subject("how many papers are there?")
    ''
    >>> read_list_subject("Which paper introduced ELECTRA?") is None
    True
    """
    text = " ".join(question.split())
    if narrowed and not _strip_frame(text):
        return ""
    sentences = _SENTENCE_END.split(text)
    subjects = [_match_list(each) for each in sentences]
    if len(sentences) == 1 and subjects == [None]:
        subjects = [_match_list(text, _PHRASE_FORMS)]
    asks_more = any(
        subject is None and "?" in sentence
        for subject, sentence in zip(subjects, sentences, strict=True)
    )
    found = max(filter(None, subjects), key=len, default=subjects[0])
    lead = " ".join(each for each, own in zip(sentences, subjects, strict=True) if own is None)
    if asks_more or found is None or (lead and not found):
        return None
    if lead and _REFERS_BACK.search(found):  # "We have no chat data. Which papers cover that?"
        return f"{lead} {found}"
    return None if _PRONOUN.fullmatch(found) else found


def _match_list(sentence: str, forms: Iterable[re.Pattern[str]] = _LIST_FORMS) -> str | None:
    """Return the subject of one sentence, or None if it asks for no list."""
    polite = _POLITE.match(sentence)
    text = _ASIDE.sub("", sentence[polite.end() :] if polite else sentence)
    match = next(filter(None, (form.fullmatch(text) for form in forms)), None)
    if match is None or _NO_LIST.match(_FRAME_END.sub("", match["rest"])) or _BARE.fullmatch(text):
        return None
    parts = match.groupdict()
    kind = re.fullmatch(_KINDS, parts.get("noun") or "", re.IGNORECASE)
    words = (parts.get("kind") or "", kind[0] if kind else "", _strip_frame(match["rest"]))
    return _strip_frame(" ".join(" ".join(words).split()))


def _strip_frame(text: str) -> str:
    """Return a text without the words that every question for papers has at its ends."""
    text = text.strip(" ,.:;?!")
    while found := _FRAME.match(text) or _FRAME_END.search(text):
        text = f"{text[: found.start()]}{text[found.end() :]}".strip(" ,.:;?!")
    return text


# --- Years, authors and venues (read by rag.query.filters) -------------------------------------

_YEAR = r"(?:1[89]|20)\d\d"
# behind a year or a venue: "after 2000 steps" and "in Science fiction" are neither
_END = (
    r"(?=\s*(?:$|[?.,;:!)]|(?:by|about|on|that|which|who|with|in|at|using|are|is|do|does|did|for|"
    r"from|of|has|have|use|study|show|there|since|after|before|until|between)\b))"
)
_PUBLISHED = (
    r"(?:(?P<what>what )?(?:that |which )?(?:(?:were|was|are|is|have been|has been) )?"
    r"(?:published|written|released|presented|appeared|came out) )"
)
YEAR_FORMS = tuple(
    re.compile(
        rf",? ?\b{_PUBLISHED}?{form}(?!,? ?(?:(?:and|or|to) |[-–/+]|{_YEAR}))", re.IGNORECASE
    )
    for form in (
        rf"(?:between|from) (?P<first>{_YEAR}) (?:and|to) (?P<last>{_YEAR})",
        rf"since (?P<first>{_YEAR})",
        rf"from (?P<first>{_YEAR}) on(?:wards)?(?=\W*$)",
        r"(?:from|in|over|within) the (?:last|past) (?P<count>\d\d?) years",
        rf"after (?P<after>{_YEAR})",
        rf"before (?P<before>{_YEAR})",
        rf"(?:until|up to) (?P<last>{_YEAR})",
        rf"(?:in|from|of) (?P<first>(?P<last>{_YEAR}))",
    )
)
_PARTICLES = r"(?:(?:van|von|de|der|den|du|la|le|di|da|al|el) )*"
_CAPITAL = r"(?![a-z])[^\W\d_][\w'’-]*\.?"
_NAMED = (
    r"(?!(?:What|Which|Who|How|Why|When|Where|Is|Are|Was|Were|Do|Does|Did|Can|The|In|List|Show|"
    rf"Find|Give)\b){_PARTICLES}{_CAPITAL}(?: {_PARTICLES}{_CAPITAL}){{0,3}}"
)
_NAMES = rf"(?P<names>{_NAMED}(?:(?:, and |, | and | & ){_NAMED})*)(?:,? et al\.?)?"
_WRITE = r"(?:wrote|write|written|publish(?:ed)?)"
AUTHOR_FORMS = tuple(
    re.compile(form)
    for form in (
        rf"\b(?P<noun>[Ww]hat|{_PAPERS})(?: that| which)?(?: did| has| have)? {_NAMES} {_WRITE}\b",
        rf"\b{_NAMES}['’]s? (?={_PAPERS})",
        rf",? (?:(?:that |which )?(?:were |was |are |is )?(?:written |published )?)?by {_NAMES}",
    )
)
VENUE_FORMS = (
    re.compile(rf",? ?\b{_PUBLISHED}(?:in|at) (?:the )?", re.IGNORECASE),
    re.compile(r" (?:in|at) (?:the )?(?=[^\W_a-z])"),
)
ENDS_HERE = re.compile(_END, re.IGNORECASE)
ENDS_IN_PAPERS = re.compile(rf"\b{_PAPERS}$", re.IGNORECASE)
SPEAKS_OF_PAPERS = re.compile(
    rf"\b(?:{_PAPERS}|(?:anything|everything|research|literature|what (?:was|is) published)\b)",
    re.IGNORECASE,
)
IS_NEGATED = re.compile(
    r"(?:(?:\b(?:not|never|except|excluding|other than|neither|nor)|n['’]t)(?:,? [\w'’]+){0,2}|"
    r"\b(?:and|or))$",
    re.IGNORECASE,
)


# --- Follow-ups -------------------------------------------------------------------------------

_ORDINALS = ("first", "second", "third", "fourth", "fifth")
_PRONOUNS = re.compile(
    r"\[\d{1,3}\]|\bpaper \d{1,3}\b|\b(?:it|its|they|them|their|he|she|his|her|this|these|those|"
    r"(?<!which )ones?|else|tell me more|(?:do|does|did|is|was|of|on|in|with|than|for|about|like) "
    r"that)\b",
    re.IGNORECASE,
)
_DEFINITE = re.compile(
    r"^\s*(?:and|but)\b|\bthat (?:paper|study|work|method|model|approach|result)\b|"
    r"\bthe (?:same|others?|former|latter|last|authors?|papers?|study|method|model|approach|"
    rf"results?|{'|'.join(_ORDINALS)})\b",
    re.IGNORECASE,
)
_NAME = re.compile(r"\b[A-Z][\w-]*[A-Z0-9]\w*|(?<=[a-z,] )[A-Z][\w-]+")
_SUBJECT_TERMS = 6  # content words that make a subject, however many pronouns stand among them
_FEW_TERMS = 5  # of a question that goes on with the last one, such as "and on smaller models?"
_GOES_ON = re.compile(
    r"\s*(?:and|or|but|so|then|also|(?:what|how) about|why|yes|no|ok(?:ay)?|more|else)\b",
    re.IGNORECASE,
)
_OF_THESE = re.compile(
    r"\s*(?:and )?(?:which|what|how many|are any|any|list|show)(?: ones)? of "
    r"(?:these|those|them)\b",
    re.IGNORECASE,
)
_POINTED = re.compile(
    rf"\[(\d{{1,3}})\]|\bpaper (\d{{1,3}})\b|\bthe ({'|'.join(_ORDINALS)})\b", re.IGNORECASE
)


def is_follow_up(question: str) -> bool:
    """Return whether a question refers back and has no subject of its own.

    >>> [is_follow_up(q) for q in ("why?", "What is it good for?", "How does ELECTRA train?")]
    [True, True, False]
    """
    terms = len(lexical_terms(question))
    if terms == 0:
        return True
    if terms >= _SUBJECT_TERMS or _NAME.search(question):
        return False
    is_definite = _DEFINITE.search(question) and not read_list_subject(question)
    return bool(_PRONOUNS.search(question) or is_definite)


def may_follow_up(question: str) -> bool:
    """Return whether a question may lean on the conversation, so that a model should complete it.

    >>> [may_follow_up(q) for q in ("What about BERT?", "How does ELECTRA train?")]
    [True, False]
    """
    goes_on = _GOES_ON.match(question) and len(lexical_terms(question)) <= _FEW_TERMS
    return bool(goes_on or is_follow_up(question))


def asks_of_last_papers(question: str) -> bool:
    """Return whether a question asks among the papers of the last answer ("which of these ...")."""
    return _OF_THESE.match(question) is not None


def find_pointed_numbers(question: str, last: tuple[int, ...]) -> list[int]:
    """Return the shown numbers that a question points to.

    Args:
        question: such as "and [2]?" or "what does the second one say?".
        last: numbers that the last answer cites, in order; ordinals count among them.
    """
    found = []
    for number, paper, ordinal in _POINTED.findall(question):
        place = _ORDINALS.index(ordinal.lower()) if ordinal else 0
        if ordinal and place < len(last):
            found.append(last[place])
        elif not ordinal:
            found.append(int(number or paper))
    return found


_NAMES_PAPERS = re.compile(r"\b(?:papers|studies|works|articles|publications)\b", re.IGNORECASE)


def mentions_papers(question: str) -> bool:
    """Return whether a question speaks of papers, so that a list may be wanted."""
    return _NAMES_PAPERS.search(question) is not None


_NUMBER = re.compile(
    r"\b(?:how (?:many|much|long|large|big|small|often|far|fast)|what (?:\w+ )?(?:percentage|share|"
    r"number|factor|fraction|proportion|size|score|rate|accuracy))\b",
    re.IGNORECASE,
)


def asks_for_number(question: str) -> bool:
    """Return whether a question asks for a number."""
    return _NUMBER.search(question) is not None
