"""Follow-ups: does a question need the conversation, and what does it ask when it stands alone?

The test is cheap and looks at words only, so that a question that is clear by itself never costs a
call and a change of subject never drags the last one along.
"""

from __future__ import annotations

import re
from dataclasses import replace
from typing import TYPE_CHECKING

from rag.citations.markers import remove_markers
from rag.errors import ModelError
from rag.generation.pipeline import Asked
from rag.index import Filter
from rag.llm.client import ChatModel, Message
from rag.llm.tokens import count_tokens
from rag.prompts import Prompt, load_prompt, neutral
from rag.query.listings import subject_of_list
from rag.query.understanding import understand
from rag.text.terms import lexical_terms

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from rag.answer import Turn
    from rag.llm.reply import Usage
    from rag.query.understanding import Library
    from rag.retrieval import Retrieval
    from rag.settings import Settings

_POINTS_BACK = re.compile(
    r"\b(?:it|its|it's|they|them|their|theirs|this|these|those|that one|the (?:same|other|others|"
    r"former|latter|rest|first|second|third|fourth|last|authors?|paper|papers|method|model|approach|"
    r"result|results|study|work|system)|such|one|ones|both|either|neither|else|instead|too|also|"
    r"there|he|she|his|her|again|more|previous|above|earlier)\b",
    re.IGNORECASE,
)
_OPENS_BACK = re.compile(
    r"\s*(?:and|or|but|so|then|also|what about|how about|why|really|ok(?:ay)?|yes|yeah|no|sure|"
    r"go on|continue|tell me more|more|elaborate|explain|which one|compared to what|how so)\b",
    re.IGNORECASE,
)
_OTHERS = re.compile(r"\b(?:it|its|they|them|their|these|those|this|that)\b", re.IGNORECASE)
_OF_THESE = re.compile(
    r"\s*(?:and )?(?:which|what|how many|are any|any|list|show) (?:ones )?of (?:these|those|them)"
    r"\b",
    re.IGNORECASE,
)
_ORDINALS = {"first": 1, "second": 2, "third": 3, "fourth": 4, "fifth": 5}
_ABOUT = re.compile(
    r"\s*(?:and|(?:and )?(?:what|how) about)\s+(?P<subject>.+?)[\s?.!]*", re.IGNORECASE
)
_NUMBERED = re.compile(
    r"\[(\d{1,3})\]|\b(?:the (first|second|third|fourth|fifth)(?: one| paper)?|paper (\d{1,3}))\b",
    re.IGNORECASE,
)
_SHORT_TERMS = 2  # content words at most for a question that is short enough to lean on the last
_LONGEST = 400  # characters of a rewritten question that are believed


def needs_history(question: str) -> bool:
    """Whether a question can hardly be understood without what came before.

    >>> [needs_history(q) for q in ("why?", "and the second one?", "How is ELECTRA trained?")]
    [True, True, False]
    """
    if subject_of_list(question) and not _OTHERS.search(question):
        return False
    terms = len(lexical_terms(question))
    if _OPENS_BACK.match(question) and terms <= 2 * _SHORT_TERMS:
        return True
    if _POINTS_BACK.search(question) and not _names_its_subject(question):
        return True
    short = terms <= 1 and "?" in question and len(question.split()) <= 3
    return short and not _names_its_subject(question)


def understood(
    question: str, history: tuple[Turn, ...], model: ChatModel | None, settings: Settings
) -> Asked:
    """The question as it is searched for: rewritten when, and only when, it needs the past."""
    text = question.strip()
    if not history:
        return Asked(question, text)
    if _OF_THESE.match(text) and (last := history[-1].answer.sources):
        cited = tuple(paper.id for paper in last.values())
        return Asked(question, text, history, where=Filter(ids=cited))
    if not needs_history(text):
        return Asked(question, text, history)
    if model is None:
        return Asked(question, joined_question(text, history), history)
    prompt = load_prompt("condense_question", settings.prompts)
    try:
        text, usage = condensed_question(text, history, model=model, prompt=prompt)
    except ModelError as error:
        warning = f"The follow-up was joined to the last question, for want of a model: {error}"
        return Asked(question, joined_question(text, history), history, warnings=(warning,))
    return Asked(question, text, history, usage)


def understood_papers(asked: Asked, library: Library, where: Filter | None) -> Asked:
    """The question without the years and authors that it names; they restrict the papers."""
    given = (where or Filter()).and_also(asked.where) if asked.where else where
    found = understand(asked.text, library, given)
    warnings = (*asked.warnings, *found.notes)
    return replace(
        asked, text=found.text, where=found.where, warnings=warnings, refused=found.refused
    )


def with_previous(
    retrieval: Retrieval, asked: Asked, retrieve: Callable[..., Retrieval]
) -> Retrieval:
    """What was found, with the papers that the last answer cited behind it."""
    found = {hit.paper.id for hit in retrieval.hits}
    last_sources = asked.history[-1].answer.sources.values()
    cited = tuple(paper.id for paper in last_sources if paper.id not in found)
    if not cited or not retrieval.hits:
        return retrieval
    allowed = replace(asked.where or Filter(), ids=cited)
    more = retrieve(retrieval.question, k=len(cited), where=allowed)
    last = len(retrieval.hits)
    least = retrieval.hits[-1].score
    added = tuple(
        replace(hit, rank=last + hit.rank, score=min(hit.score, least)) for hit in more.hits
    )
    return replace(retrieval, hits=(*retrieval.hits, *added))


def joined_question(question: str, history: Sequence[Turn]) -> str:
    """A follow-up made searchable without a model: with its papers, or with the last question."""
    last = history[-1].answer.asked
    subject = subject_of_list(last)
    about = _ABOUT.fullmatch(question)
    if subject and about and subject in last:  # the same list of something else
        return last.replace(subject, about["subject"])
    sources = {n: p.title for turn in history for n, p in turn.answer.sources.items()}
    pointed = []
    for match in _NUMBERED.finditer(question):
        number = int(match[1] or match[3] or _ORDINALS[match[2].casefold()])
        if number in sources:
            pointed.append(sources[number])
    if pointed:
        return f"{question.strip()} ({'; '.join(pointed)})"
    last = history[-1].answer.asked or history[-1].question
    return f"{last.strip()} {question.strip()}"


def condensed_question(
    question: str, history: Sequence[Turn], *, model: ChatModel, prompt: Prompt
) -> tuple[str, Usage]:
    """A follow-up rewritten by the model; one line, or the joined question where it gives none.

    Raises:
        ModelError: the model gave no reply.
    """
    conversation = _numbered(history[-4:], model.window // 4)
    system, user = prompt.fill(conversation=conversation, question=neutral(question))
    reply = model.complete([Message("system", system), Message("user", user)])
    lines = [line.strip().strip("\"'“”") for line in reply.text.splitlines() if line.strip()]
    text = remove_markers(lines[-1]) if lines else ""
    if not text or len(text) > max(_LONGEST, 2 * len(question)):
        text = joined_question(question, history)
    return text, reply.usage


def _numbered(history: Sequence[Turn], budget: int) -> str:
    """The newest turns that fit, with the titles behind the numbers that the reader saw."""
    parts: list[str] = []
    for turn in reversed(history):
        titles = [f"source {n}: {neutral(p.title)}" for n, p in turn.answer.sources.items()]
        said = neutral(remove_markers(turn.answer.text))
        lines = [f"Reader: {neutral(turn.question)}", f"Answer: {said}"]
        lines += [f"Sources of this answer: {'; '.join(titles)}"] if titles else []
        budget -= sum(count_tokens(line) + 2 for line in lines)
        if budget < 0:
            break
        parts[:0] = lines
    return "<conversation>\n" + "\n".join(parts) + "\n</conversation>" if parts else ""


def _names_its_subject(question: str) -> bool:
    """Whether it carries enough words of its own: a name inside, or many content words."""
    named = re.search(r"(?<!^)\b(?:[A-Z][\w-]*[A-Z0-9]\w*|[A-Z]{2,})\b", question)
    return bool(named) or len(lexical_terms(question)) > 3 * _SHORT_TERMS
