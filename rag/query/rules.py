"""Phrasings that are recognised without a language model; docs/questions.md prints them.

Four kinds: questions for a list of papers, questions to the records, years, authors and venues
that choose papers, and follow-ups. What no form covers stays part of the question. Called by
`rag.query.rule_planner` and `rag.query.filters`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from rag.text.terms import CODED_NAME, lexical_terms

# --- Lists ------------------------------------------------------------------------------------

_PAPERS = (
    r"(?:papers|studies|articles|publications|abstracts|preprints|surveys|reviews|theses|"
    r"dissertations|(?<=every )paper|works(?! (?:best|better|well|for|in|on|with|without)\b))\b"
)
_NOUN = rf"(?P<noun>{_PAPERS}|ones\b|authors\b|(?<=of )(?:these|those|them)\b)"
_KINDS = re.compile(r"(?i)preprints|surveys|reviews|theses|dissertations")
_KIND = (  # "mixture-of-experts papers"
    r"(?:(?:of|the|these|those|our|my|your|all|any|some|every|other|more) )*"
    r"(?P<kind>(?:(?!(?:of|for|in|on|to|with|from|do|does|did|are|is|was|has|have|can|the|a|that|"
    r"which|what|how|say|makes|i|we|you|two|three)\b)[\w/-]+ ){0,4}?)"
)
_GIVE = r"(?:list|show|find|give|name|i need|i(?: am|['’]m) looking for)(?: me| us)?"
_HAVE = r"(?:(?:are|is) there|(?:do|does|have) (?:we|you|(?:the|our) library)(?: have| got)?)"
_ABOUT = r"(?:on|about|by|from|in|of|with|since|after|before|between)\b"
_LINK = rf"(?:{_ABOUT}|(?:that|which|where|whose|at|using|not about|without|\w{{3,}}ing)\b)"
_LIST_FORMS = tuple(
    re.compile(rf"(?i){form}[\s.?!]*")
    for form in (
        rf"(?:which|what|what are|how many|number of) {_KIND}{_NOUN}(?P<rest>.*?)",
        rf"(?:{_GIVE}|{_HAVE}|(?:do |does |did |have )?any) {_KIND}{_NOUN}(?P<rest>.*?)",
        rf"(?:(?:{_GIVE}|{_HAVE}) )?(?:anything|everything|work|research)(?P<rest> {_ABOUT}.+?)",
        rf"what (?:work )?{_HAVE}(?P<rest> {_LINK}.+?)",
        r"who (?:has |have )?(?:work(?:s|ed)? on|uses?|studies|applies|evaluates?)(?P<rest> .+?)",
        rf"{_KIND}(?P<noun>{_PAPERS})(?P<rest>(?: {_LINK}.+?)?)",
    )
)
_POLITE = re.compile(
    r"(?i)^(?:(?:please|so|and|also|ok|hi|hello|tell me|i wonder|(?:can|could|would) you)\b,? ?)+"
)
_ASIDE = re.compile(r"(?i) in (?:(?:the|this|our|your) library|here)\b")
# "Which papers should I read?" asks for a choice, "..., and what does each do?" for more.
_NO_LIST = re.compile(
    r"(?i) (?:(?:does|did|is|was|should|would|could|inspired|influenced)\b|"
    r"(?:are|were) (?:used|included|in|(?:the )?(?:most|best|newest|latest))\b)|"
    r".*(?:[,:;]|\band|\bthen) (?:what|how|why)\b|.*: (?:is|are|do|does)\b"
)
_ASKS_FOR_ALL = re.compile(r"(?i)\b(?:how many|list|show|name|find|give|are there|have)\b")
_SENTENCE_END = re.compile(
    r"(?<=[.?!])\s+(?=[A-Z])|[,;:] (?=(?:so )?(?:(?:which|what)(?: of these)? papers|please|list|"
    r"could you|I wonder)\b)"
)
_PRONOUN = re.compile(r"(?i)(?:\w+ ){0,2}(?:it|this|that|them|these|those|so)")
_FRAME = re.compile(  # words that every question for papers has at its ends
    r"(?i)(?:which|what|how many|that|who|where|papers?|these|those|them|anything|everything|is|"
    r"are|was|were|there|do|we|have|any|the|and|or|about|on|with|of|in|at|for|from|by|using|uses?|"
    r"study|discuss|mention|address|report|(?:deal|work|look|evaluate)s?(?= (?:on|with|at)))(?: |$)"
)
_FRAME_END = re.compile(
    r"(?i)(?:^|,? )(?:(?:and )?which ones|are there|do we have|exist|please|papers)$"
)
_NEGATION = re.compile(r"(?i)(?:not|never|no|without|except|\w+n['’]t)\b")


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
    rest = [each for each, own in zip(sentences, subjects, strict=True) if own is None]
    found = max(filter(None, subjects), key=len, default=None if rest else "")
    asks_more = "?" in "".join(rest)
    return None if found is None or asks_more or _PRONOUN.fullmatch(found) else found


def is_negation(subject: str) -> bool:
    """Return whether the subject of a list says what its papers are not about."""
    return _NEGATION.match(subject) is not None


def _match_list(sentence: str) -> str | None:
    """Return the subject of one sentence, or None if it asks for no list."""
    text = _ASIDE.sub("", _POLITE.sub("", sentence))
    match = next(filter(None, (form.fullmatch(text) for form in _LIST_FORMS)), None)
    if match is None or _NO_LIST.match(_FRAME_END.sub("", match["rest"])):
        return None
    parts = {"kind": "", "noun": "", **match.groupdict()}
    noun = parts["noun"] if _KINDS.fullmatch(parts["noun"]) else ""  # says something of a paper
    subject = _strip_frame(f"{parts['kind']} {noun} {_strip_frame(match['rest'])}")
    return " ".join(subject.split()) if subject or _ASKS_FOR_ALL.search(text) else None


def _strip_frame(text: str) -> str:
    """Return a text without the words that every question for papers has at its ends."""
    text = text.strip(" ,.:;?!")
    while found := _FRAME.match(text) or _FRAME_END.search(text):
        text = f"{text[: found.start()]}{text[found.end() :]}".strip(" ,.:;?!")
    return text


# --- Questions to the records -----------------------------------------------------------------

_ONE = r"(?:paper|study|article)s?"
_THIS = (
    rf"(?:it|they|them|(?:this|that|these|those)(?: {_ONE})?|the {_ONE}|(?:paper )?\[?\d{{1,3}}\]?)"
)
_OF_PAPER = rf"(?:{_THIS}|(?:the )?(?:{_ONE} (?:on|about) )?(?P<subject>.+?)(?: {_ONE})?)"
_FIELD = r"(?P<field>authors?|year|venue|journal|doi|url)"
_ASKS = r"(?:what (?:is|are) |what['’]s )?"
_RECORD_FORMS = tuple(
    (field, re.compile(rf"(?i){form}"))
    for field, form in (
        ("authors", rf"who (?:wrote|(?:is|are|were) the authors? of) {_OF_PAPER}"),
        ("year", rf"when (?:was|were) {_OF_PAPER} (?:published|written)"),
        ("venue", rf"where (?:was|were) {_OF_PAPER} published"),
        ("", rf"{_ASKS}(?:the )?{_FIELD} of {_OF_PAPER}"),
        ("", rf"{_ASKS}(?:its|their) {_FIELD}"),
    )
)
_ORDER_FORM = re.compile(
    rf"(?i)(?:(?:which|what)(?P<papers> {_ONE})?(?: one)?(?: of (?:these|those|them))? "
    r"(?:is|are|was|were) )?(?:the )?(?P<order>oldest|earliest|newest|latest|most recent)"
    rf"(?P<noun> {_ONE})?(?: one)?(?: (?:on|about) (?P<subject>.+))?"
)
_FIELD_NAMES = {"author": "authors", "journal": "venue"}


@dataclass(frozen=True, slots=True)
class RecordQuestion:
    """What a question asks of the records of papers.

    Attributes:
        field: that it asks for, "" for the order of years alone.
        order: "oldest", "newest" or "".
        subject: that the papers are called or about, else "".
        refers_back: whether it may ask of the papers in the conversation.
    """

    field: str
    order: str
    subject: str
    refers_back: bool


def read_record_question(question: str) -> RecordQuestion | None:
    """Return what a question asks of the records, or None if it asks for something else.

    >>> read_record_question("Who wrote the ELECTRA paper?").subject
    'ELECTRA'
    >>> read_record_question("What is its DOI?").field
    'doi'
    """
    text = _POLITE.sub("", " ".join(question.split())).rstrip(" .?!")
    for field, form in _RECORD_FORMS:
        if match := form.fullmatch(text):
            groups = match.groupdict()
            subject, said = groups.get("subject") or "", (groups.get("field") or field).lower()
            return RecordQuestion(_FIELD_NAMES.get(said, said), "", subject, not subject)
    if match := _ORDER_FORM.fullmatch(text):
        order = "oldest" if match["order"].lower() in ("oldest", "earliest") else "newest"
        named = match["papers"] or match["noun"] or match["subject"]
        return RecordQuestion("", order, match["subject"] or "", not named)
    return None


# --- Years, authors and venues (read by rag.query.filters) -------------------------------------

_YEAR = r"(?:1[89]|20)\d\d"
_PUBLISHED = (
    r"(?i:(?:that |which )?(?:(?:were|was|are|is|have been|has been) )?"
    r"(?P<published>published|written|released|presented|appeared|came out) )"
)
YEAR_FORMS = tuple(
    re.compile(rf"(?i),? ?\b{_PUBLISHED}?{form}(?!,? ?(?:(?:and|or|to) |[-–/+]|{_YEAR}))")
    for form in (
        rf"(?:between|from) (?P<first>{_YEAR}) (?:and|to) (?P<last>{_YEAR})",
        rf"(?P<word>since|after|before|until|in|from|of) (?P<year>{_YEAR})",
        r"(?:from|in|over|within) the (?:last|past) (?P<count>\d\d?) years",
    )
)
_PARTICLES = r"(?:(?:van|von|de|der|den|du|la|le|di|da|al|el) )*"
_CAPITAL = rf"{_PARTICLES}(?![a-z])[^\W\d_][\w'’-]*\.?"
_NAMED = rf"(?!(?:What|Which|How|Are|Do|Did|List|Show|Find|Give)\b){_CAPITAL}(?: {_CAPITAL}){{0,3}}"
_NAMES = rf"(?P<names>{_NAMED}(?:(?:, and |, | and | & ){_NAMED})*)(?:,? et al\.?)?"
AUTHOR_FORMS = (
    re.compile(rf"\b{_NAMES}['’]s? (?={_PAPERS})"),
    re.compile(rf",? (?:that |which )?(?:were |was |are |is )?(?:written |published )?by {_NAMES}"),
)
VENUE_FORM = re.compile(
    rf"(?:,? ?\b{_PUBLISHED}(?:in|at)| (?:in|at)(?= (?:the )?[^\W_a-z])) (?:the )?"
)
ENDS_HERE = re.compile(  # behind a year or a venue: "after 2000 steps", "in Science fiction"
    r"(?i)\s*(?:$|[?.,;:!)]|(?:by|about|on|that|which|who|with|in|at|using|are|is|do|does|did|for|"
    r"from|of|has|have|use|study|show|there|since|after|before|until|between)\b)"
)
ENDS_IN_PAPERS = re.compile(rf"(?i)\b{_PAPERS}$")
SPEAKS_OF_PAPERS = re.compile(
    rf"(?i)\b(?:(?:{_PAPERS}|anything|everything|research|of (?:these|those|them))\b|"
    rf"since {_YEAR}\W*$)"
)
IS_NEGATED = re.compile(
    r"(?i)(?:\b(?:not|never|except|excluding|other than|nor)|n['’]t)(?:,? [\w'’]+){0,2}$|"
    r"\b(?:and|or)$"
)

# --- Follow-ups -------------------------------------------------------------------------------

_REFERS_BACK = re.compile(
    r"(?i)\[\d{1,3}\]|\bpaper \d{1,3}\b|^\s*(?:and|but)\b(?!.*\bpapers\b)|"
    r"\b(?:it|its|they|them|their|he|she|his|her|this|these|those|(?<!which )ones?|else|"
    r"tell me more|(?:do|does|did|is|was|of|on|in|with|than|for|about|like) that|"
    r"the (?:same|others?|former|latter|last|authors?)|"
    r"(?:that|the) (?:paper|study|work|method|model|approach|results?))\b"
)
_NAME = re.compile(r"\b[A-Z][\w-]*[A-Z0-9]\w*|(?<=[a-z,] )[A-Z][\w-]+")
_SUBJECT_TERMS = 6  # content words that make a subject, however many pronouns stand among them
_FEW_TERMS = 5  # of a question that goes on with the last one, such as "and on smaller models?"
_GOES_ON = re.compile(
    r"(?i)\s*(?:and|or|but|so|then|also|(?:what|how) about|why|yes|no|ok(?:ay)?|more|else)\b"
)
_AND_NAME = re.compile(
    rf"\s*(?i:and|or|but|(?:what|how) about) (?P<name>{CODED_NAME.pattern}|[A-Z][\w-]+)[\s?.!]*"
)
_OF_THESE = re.compile(
    r"(?i)\s*(?:and )?(?:which|what|how many|any|list|show)(?: ones)? of (?:these|those|them)\b"
)
_AND_WHICH = re.compile(r"(?i)\s*(?:and|or|but) (which|how many)\b")
_POINTED = re.compile(r"(?i)\[(\d{1,3})\]|\bpaper (\d{1,3})\b")


def is_follow_up(question: str) -> bool:
    """Return whether a question refers back and has no subject of its own.

    >>> [is_follow_up(q) for q in ("why?", "What is it good for?", "How does ELECTRA train?")]
    [True, True, False]
    """
    terms = len(lexical_terms(question))
    if terms == 0:
        return True
    has_subject = terms >= _SUBJECT_TERMS or _NAME.search(question)
    return not has_subject and _REFERS_BACK.search(question) is not None


def may_follow_up(question: str) -> bool:
    """Return whether a question may lean on the conversation, so that a model should complete it.

    >>> [may_follow_up(q) for q in ("What about BERT?", "How does ELECTRA train?")]
    [True, False]
    """
    goes_on = _GOES_ON.match(question) and len(lexical_terms(question)) <= _FEW_TERMS
    return bool(goes_on or is_follow_up(question))


def may_lean(question: str) -> bool:
    """Return whether a question is so short that it may go on without any word that refers back.

    >>> [may_lean(q) for q in ("Does quality suffer?", "What is ELECTRA?", "Thanks!")]
    [True, False, False]
    """
    asks = question.rstrip().endswith("?") or _WH.search(question)
    is_short = len(lexical_terms(question)) <= _FEW_TERMS
    return bool(asks) and is_short and not CODED_NAME.search(question)


def has_content(question: str) -> bool:
    """Return whether a question has a content word besides names, unlike "why?" or "and BERT?"."""
    return bool(lexical_terms(CODED_NAME.sub(" ", question)))


def exchange_name(question: str, topic: str) -> str:
    """Return the earlier question with another name, for "and BERT?", else "".

    >>> exchange_name("And LXMERT?", "Which tasks does UNITER use?")
    'Which tasks does LXMERT use?'
    """
    match = _AND_NAME.fullmatch(question)
    names = set(CODED_NAME.findall(topic))
    return topic.replace(names.pop(), match["name"]) if match and len(names) == 1 else ""


def asks_of_last_papers(question: str) -> bool:
    """Return whether a question asks among the papers of the last answer ("which of these ...")."""
    return _OF_THESE.match(question) is not None


def name_last_papers(question: str) -> str:
    """Return "and which ...?" as a question among the papers of the last answer.

    >>> name_last_papers("and which use images?")
    'which of these use images?'
    """
    return _AND_WHICH.sub(r"\1 of these", question, count=1)


def find_pointed_numbers(question: str) -> list[int]:
    """Return the shown numbers that a question points to, such as [2] or paper 3."""
    return [int(bracketed or named) for bracketed, named in _POINTED.findall(question)]


_NUMBER = re.compile(
    r"(?i)\b(?:how (?:many|much|long|large|big|small|often|far|fast)|what (?:\w+ )?(?:percentage|"
    r"share|number|factor|fraction|proportion|size|score|rate|accuracy))\b"
)


# --- Forms of a question, which decide the sentence that answers it best -----------------------

Form = Literal["yes/no", "name", "other"]
FORMS: tuple[Form, ...] = ("yes/no", "name", "other")
_WH = re.compile(  # at the beginning of a clause
    r"(?i)(?:^|[,;:]\s*|\b(?:and|or|but|so|to|in|at|by|from|for|with|on|of|then)\s+)"
    r"(who|whom|whose|whats?|when|where|which|why|how)\b"
)


def read_form(question: str) -> Form:
    """Return the form of a question: for yes or no, about one name, or any other.

    >>> read_form("Does it help?"), read_form("what is ELECTRA"), read_form("How does it learn?")
    ('yes/no', 'name', 'other')
    """
    names = CODED_NAME.findall(question)
    more = len(lexical_terms(CODED_NAME.sub(" ", question)))
    asked = _WH.findall(question.strip())
    is_yes_no = question.rstrip().endswith("?") and not asked
    asks_what = all(word.casefold().startswith("what") for word in asked) and not is_yes_no
    is_bare = len(question.split()) == 1
    if (names and not more) or (more == 1 and (asks_what or is_bare)):
        return "name"
    return "yes/no" if is_yes_no else "other"


def mentions_papers(question: str) -> bool:
    """Return whether a question speaks of papers, so that a list may be wanted."""
    return SPEAKS_OF_PAPERS.search(question) is not None


def asks_for_number(question: str) -> bool:
    """Return whether a question asks for a number."""
    return _NUMBER.search(question) is not None
