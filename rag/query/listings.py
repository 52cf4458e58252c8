"""Does a question ask for all papers of a kind? Listing and counting questions, and their subject.

"Which papers use curriculum learning?" and "how many evaluate on GLUE?" want every paper of the
library that fits, not the few best; what they ask about is the subject, the question without the
words that ask. Called by the assistant before it searches.
"""

from __future__ import annotations

import re
from functools import cache

from rag.query.subjects import without_frame

# What stands for a part of a form. "Which approaches for X ..." asks of the approaches, "which
# approaches prune tokens" of papers; "code papers" and "mixture-of-experts papers" name a kind.
_PARTS = {
    "PAPERS": r"(?:papers|studies|articles|publications|abstracts|surveys|reviews|preprints|ones|"
    r"research(?! questions?| directions?| problems?| groups?)|"
    r"work(?= (?:is|are) there| exists| do we| there is)|THINGS)",
    "THINGS": r"(?:benchmarks|datasets|methods|approaches|models|systems)"
    r"(?! for| of| to| in| on| do\b| does| did| can\b| are\b(?! BOUND)| were\b|"
    r" \S+ (?:is|was|has)\b)",
    "BOUND": r"(?:under|over|below|above|at|up|between|smaller|larger|bigger)",
    "KIND": r"(?P<kind>(?:(?!(?:papers|of|for|in|on|to|with|from|do|does|did|are|is|was|were|the|a|"
    r"an|one|who|that|which|how|what|why|when|everything|anything|any|i|my|we|our|you|your|"
    r"they|it|this|these|those|makes?|says?)"
    r"\b)[\w/-]+ ){0,4}?)",
    "OF THESE": r"(?:of (?:these|those|them|the (?:papers|abstracts|library)) )",
    "DO": r"(?:are|were|have|had|do|deal|study|report|evaluate|train|pre-?train|use|work|address|"
    r"rely|apply|look|focus|consider|propose|introduce|compare|discuss|mention|test|release|show|"
    r"explore|investigate|make|give|present|build|learn|combine|cover|concern|involve|also|only)\b",
    "ACTS": r"(?=(?:looks?|works?|uses?|trains?|stud(?:y|ies)|address(?:es)?|investigates|tries|"
    r"evaluates|measures|reports|compares|tests|tackles|handles|explores|examines|analy[sz]es|"
    r"applies|builds|experiments|describes|discusses|proposes|combines|covers|mentions|deals|"
    r"focuses|relies|employs|adopts|leverages|checks|ha(?:s|ve) \w+ed) )",
    "GIVE ME": r"(?:(?:(?:can|could|would) you (?:please )?)?"
    r"(?:list|name|show|give|find|enumerate|count|recommend|suggest)(?: me)?"
    r"(?: (?:a|the) (?:full |complete )?list of)?|i(?: am|['’]m)? (?:need|want|looking for)|"
    r"i(?: would|['’]d) like(?: to (?:see|read|find))?)",
    "COUNT": r"(?:\d+ |two |three |four |five |ten |some )?",
    "WHICH": r"(?:which|what)",
    "THAT": r"(?:that|on|about|with|which|where|from|in which|there is on|(?!during)\w{2,}ing|"
    r"(?:aimed|based) \w+)",
    "WAYS": r"(?:methods|approaches|models|systems)",
    "USE": r"(?:use|exploit|rely on|employ|apply|adopt|leverage|combine|build on)",
    "ANY": r"(?:more|other|others|some|good|best|similar|related|recent|new|two|three|\d+)\b",
    "HERE": r"(?:in (?:the|this|our|your) (?:library|collection)|(?:in )?here)\W*",
    "ASKED": r"(?:what (?:is there|do we have|have we got)|(?:which|any) papers|"
    r"who (?:uses|does|studies|reports|has) (?:it|them|this|that))\W*",
}
_FORMS = r"""
WHICH OF THESE(?:PAPERS )?(?P<rest>DO.*)
WHICH (?P<noun>works)\b(?! better| best| well| worse| for)(?P<rest>.*)
WHICH (?:all )?KIND(?P<noun>PAPERS)\b(?P<rest>.*)
how many OF THESE?(?P<rest>DO.*)
how many OF THESE?KIND(?P<noun>PAPERS)\b(?P<rest>.*)
GIVE ME (?:(?:all|every|the|any)(?: of)?(?: the)? )?COUNTKIND(?P<noun>PAPERS|paper)\b(?P<rest>.*)
GIVE ME (?:all|the)(?: of)?(?: the)? (?P<noun>works) (?P<rest>THAT .+)
GIVE ME (?:everything|all) (?P<rest>THAT .+)
do any KIND(?P<noun>PAPERS)\b(?P<rest>.*)
do any of (?:the|these|those) (?:authors|papers|works) (?P<rest>.+)
do (?:we|you) have (?:(?:any|some) )?KIND(?P<noun>PAPERS)\b(?P<rest>.*)
(?:are|is) there (?:(?:any|some|other) )?KIND(?P<noun>PAPERS)\b(?P<rest>.*)
(?:any|all) KIND(?P<noun>papers|works?|studies)\b(?P<rest>.*)
GIVE ME (?:everything|all)(?P<rest>)\W*
(?:what are|(?:what is )?(?:the )?number of)(?: all)?(?: the)? KIND(?P<noun>papers)\b(?P<rest>.*)
what(?:['’]s| is| has| have) been (?:published|done|written) (?P<rest>(?:on|about|in|with|for) .+)
(?P<noun>models|methods|datasets|benchmarks) (?P<rest>(?:BOUND|with (?:more|fewer|less|at)) .+)
(?:is there )?anything (?P<rest>THAT .+)
KIND(?P<noun>papers|studies|work|works|methods|approaches) (?P<rest>THAT .+)
what is there (?P<rest>THAT .+)
what (?:have|do) we (?:got|have) (?P<rest>THAT .+)
is there (?:any )?(?:work|research) (?P<rest>THAT .+)
any (?!idea|chance|way|reason|hint)(?P<rest>.+?) HERE
(?P<rest>\w[^?:]*?)(?: [-–—]|:) ASKED
WHICH KIND(?P<noun>WAYS) (?P<rest>(?:for|to|of|in|on) (?:\S+ ){1,4}?USE .+)
KIND(?P<noun>papers|studies|articles)\b(?P<rest>.*?),? please\W*
(?!ANY)(?=\S+ \S)KIND(?P<noun>papers)(?P<rest>)\W*
does any(?:body|one) here (?P<rest>.+)
what (?:does|do) (?:the library|the collection|we|you|i) (?:have|hold)(?: here)? (?P<rest>THAT .+)
who(?: else)? ACTS(?P<rest>.+)
"""
_ALL = re.compile(
    r"(?:(?:which|what|the|all|any) )?(?:papers?|works?|articles)\W*|(?:which|what|how many|any)"
    r"(?: ones)? of (?:these|those|them)(?: (?:are|were|is|was))?\W*",
    re.IGNORECASE,
)
_LONGEST = 600  # characters; who writes more asks for more than a list
# "which two papers", "which papers ..., and what does each": a few, or more than a list; and a
# question of several sentences asks for more too, unless what follows only says "list them"
_MORE = re.compile(
    r"\s*(?:which|what) (?:two|three|of the two)\b|.*\b(?:and|then) "
    r"(?:what|how|why|which|does|do|summari[sz]e|explain|describe|compare|tell|rank|sort)\b"
    r"(?! are they| ones)|.*\. (?:Why|How)\b|"
    r".*: (?:(?:what|how) (?:is|are|do|does)(?! there\W*$| we have\W*$)|why|is|are|do|does)\b|"
    r"\S+ (?:\S+ ){0,3}?(?:papers|studies|works) "
    r"(?:(?:should|would|could|can) (?!be on|i |we |help)|"
    r"(?:does|did) (?!we |you |i |not )|do (?:the|these|those|they|both) |inspired|influenced|"
    r"(?:are|were|is|have) (?:the )?(?:most|least|best|worst|newest|oldest|latest)\b)|"
    r".*(?:[?!] |\. (?=(?-i:[A-Z])))(?!(?:please )?(?:list|name|show|give)\b)\w+ \w+ \w+",
    re.IGNORECASE,
)
# what an abstract does not say is not known; "that BERT does not need labels" is said
_NEGATED = re.compile(
    r"\s*\S+ (?:(?!papers|studies|works|articles)\S+ ){0,4}?(?:papers|studies|works|articles|"
    r"abstracts|models|methods|approaches|systems|datasets|benchmarks|ones)(?: that| which)? "
    r"(?:(?:do|does|did|are|is|were|have|has|was) ?(?:not|n['’]?t)\b|(?:don|doesn|aren|haven)t\b|"
    r"not \w+ing\b|never\b)(?! only| just| merely)",
    re.IGNORECASE,
)
_LEAD = re.compile(
    r"(?P<lead>[^?]+(?:[.!;:]|, so|, I wonder)) (?P<question>(?:please |[Cc](?:an|ould) you )?"
    r"(?:Which|What|How many|Are there|List|Show|Please list|list|(?<![.!] )which)"
    r"(?: [\w-]+){0,3}? (?:papers|paper that|studies|works|articles|abstracts|surveys)\b"
    r"(?:[^.!?]|i\.e\.|e\.g\.)+[.?]?)"
)
# "... cover that?", "where this ability comes from": understood with what was told before
_POINTS_BACK = re.compile(
    r"(?:\S+ ){0,3}(?:that|this|it|them|these|those|less|more|fewer)|"
    r"(?:\S+ ){0,3}(?:this|these|those|such(?! as)) .*",
    re.IGNORECASE,
)
_PRONOUN = re.compile(r"(?:it|them|this|that|these|those|us|me)\W*")
_ENOUGH = re.compile(r"\b(?:all|everything)\W*$|\S \S+ \S", re.IGNORECASE)
_LEANS = re.compile(
    r"\b(?:it|them|these|those|us|me|my|i|useful|helpful|relevant|interest|help|"
    r"(?:should|can|could) we)\b",
    re.IGNORECASE,
)
# "Summarizing source code does not count." would find just that
_NOT_COUNTED = re.compile(
    r"(?<=[?.!]) [A-Z][^.?!]*\b(?:not (?:be )?(?:count|included)|(?:leave|left) (?:out|aside)|"
    r"ignore|exclude|(?:not|don['’]t|doesn['’]t) (?:mind|care|matter))[^.?!]*[.!]?$|"
    r"(?<=[?.!]) [Tt]hank(?:s| you)[^.?!]*[.!]?$"
)
_WIDER = re.compile(
    r"(?:papers?|works?|studies|articles|abstracts|publications|research|methods|approaches|ones|)"
)


def subject_of_list(question: str, *, narrowed: bool = False) -> str | None:
    """What the papers of a listing shall be about or do, or None where no list is asked for.

    Args:
        question: any text, understandable alone.
        narrowed: whether years, authors and the like were taken out of it already: "papers" is a
            question then.

    Returns:
        the subject; empty where all papers that there are are asked for.

    >>> subject_of_list("Which papers use curriculum learning?")
    'curriculum learning'
    >>> subject_of_list("how many code papers are there?")
    'code'
    >>> subject_of_list("Which paper introduced ELECTRA?") is None
    True
    """
    lead, text = _lead_and_question(" ".join(question.split()))
    if narrowed and _ALL.fullmatch(text):
        return ""
    if len(text) > _LONGEST or _MORE.match(text):
        return None
    for form in _forms():
        if match := form.fullmatch(text):
            subject = _subject(match.groupdict())
            if _PRONOUN.fullmatch(subject):
                subject = ""
            if lead and (not subject or _POINTS_BACK.fullmatch(subject)):
                return f"{lead} {subject}".strip(" ;:,")  # "... Which papers cover that?"
            # "which papers?" says too little; "who uses it?" leans on what was said before
            if not subject:
                says_all = _ENOUGH.search(text) and not _LEANS.search(match["rest"] or "")
                return "" if says_all else None
            return subject
    return None


def _lead_and_question(text: str) -> tuple[str, str]:
    """What is told before the last sentence of a text, if nothing is asked in it, and the rest."""
    text = _NOT_COUNTED.sub("", text)
    match = _LEAD.fullmatch(text)
    return (match["lead"], match["question"]) if match else ("", text)


def denies(question: str) -> bool:
    """Whether a listing asks for papers that do not do something.

    >>> denies("which papers do not use BERT?"), denies("which papers show that BERT is not deep?")
    (True, False)
    >>> denies("which papers propose methods that do not need labels?")
    False
    """
    return _NEGATED.match(" ".join(question.split())) is not None


def _subject(parts: dict[str, str | None]) -> str:
    """The kind of paper and what is said of it, without words that every listing has."""
    noun = (parts.get("noun") or "").lower()
    rest = without_frame(parts["rest"] or "")
    kind = " ".join([parts.get("kind") or "", "" if _WIDER.fullmatch(noun) else noun])
    return " ".join(f"{kind} {rest}".split())


@cache
def _forms() -> tuple[re.Pattern[str], ...]:
    """The forms with their parts put in."""
    forms = _FORMS
    for name, part in _PARTS.items():
        forms = forms.replace(name, part)
    before = (
        r"\s*(?:(?:please|so|and|ok|okay|hi|hello),? |"
        r"(?:(?:can|could) you )?(?:please )?tell me,? |do you know |"
        r"i(?: would|['’]d) (?:like|love) to know,? |i (?:want to know|wonder),? )*"
    )
    return tuple(re.compile(before + form, re.IGNORECASE) for form in forms.split("\n") if form)
