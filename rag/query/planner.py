"""Plan a question: by a language model in one short call, or by rules.

The model completes and translates the question, says what kind of answer it asks for and of which
papers, and puts it in other words. Its reply is parsed leniently and validated strictly. A year, an
author or a venue that the library does not have restricts nothing.
"""

from __future__ import annotations

import json
from dataclasses import replace
from functools import cache
from typing import TYPE_CHECKING, Annotated, Any, get_args

from pydantic import (
    AfterValidator,
    BaseModel,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)

from rag.citations.markers import remove_markers
from rag.errors import ModelError, ModelReplyInvalid, ModelUnreachable
from rag.index import Filter
from rag.llm.client import ChatModel, Message
from rag.llm.reply import get_usage
from rag.llm.tokens import count_tokens
from rag.prompts import load_prompt, neutral
from rag.query.plan import (
    NOT_PLANNED,
    NOTHING_CITED,
    Exchange,
    Kind,
    Order,
    Plan,
    find_cited,
    find_last_cited,
)
from rag.query.plan import Field as RecordField
from rag.query.rule_planner import complete_by_rules, plan_by_rules
from rag.text.terms import has_words

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rag.llm import Reply
    from rag.query.filters import PaperCollection
    from rag.settings import Settings

MOST_QUERIES = 5
_MOST_EXCHANGES = 4  # that the model reads
_SAMPLE = 5  # titles that show the model the field and the language of the library
_SHARE = 4  # of the window, at most one part in so many goes to the conversation
_JSON = json.JSONDecoder()
_RECORD_FIELDS = frozenset(get_args(RecordField))

_ONE_LINE = AfterValidator(lambda text: " ".join(text.split()))
_Text = Annotated[str, StringConstraints(strip_whitespace=True, max_length=1000), _ONE_LINE]
_Query = Annotated[str, StringConstraints(strip_whitespace=True, max_length=300), _ONE_LINE]
_Year = Annotated[int, Field(ge=1000, le=9999)]


class PlanReply(BaseModel):
    """Reply of the model. A value of another type or length makes it unreadable."""

    question: _Text = Field(min_length=1)
    alone: bool | None = None
    kind: Kind = "answer"
    subject: _Text = ""
    from_year: _Year | None = None
    to_year: _Year | None = None
    authors: list[_Query] = Field([], max_length=10)
    venues: list[_Query] = Field([], max_length=10)
    of_these: bool = False
    fields: list[RecordField] = []
    order: Order = ""
    queries: list[_Query] = []

    @model_validator(mode="before")
    @classmethod
    def _drop_empty(cls, values: Any) -> Any:
        """Read null as "not given", and leave out fields that no record has."""
        if not isinstance(values, dict):
            return values
        given = {name: value for name, value in values.items() if value is not None}
        if isinstance(given.get("fields"), list):
            given["fields"] = [
                each for each in given["fields"] if isinstance(each, str) and each in _RECORD_FIELDS
            ]
        return given

    @property
    def years(self) -> tuple[int | None, int | None]:
        """First and last year, None for an open end."""
        first, last = self.from_year, self.to_year
        return (min(first, last), max(first, last)) if first and last else (first, last)


class Planner:
    """Plans questions, with a language model where there is one and `plan` is "always"."""

    def __init__(self, settings: Settings, model: ChatModel | None) -> None:
        self._settings = settings
        self._model = model if settings.plan == "always" else None
        self._with_model = model is not None

    def asks_model(self, question: str) -> bool:
        """Return whether `plan` will call the model."""
        return self._model is not None and has_words(question)

    def plan(
        self,
        question: str,
        exchanges: Sequence[Exchange],
        where: Filter | None,
        library: PaperCollection,
        *,
        as_written: bool = False,
    ) -> Plan:
        """Return what a question asks for.

        If the model fails, the question is searched for as typed, a follow-up with what it points
        to. A model that cannot be reached is `unreachable` in the plan.

        Args:
            question: any text.
            exchanges: the conversation so far, oldest first.
            where: a restriction that holds anyway; it wins over what the question says.
            library: asked for some titles, and whether it has the years, authors and venues.
            as_written: search for the question as it stands, whatever the conversation. What it
                asks for is read all the same.
        """
        exchanges = () if as_written else exchanges
        cited = find_cited(question, exchanges)
        plan = Plan(question, question.strip(), where=where, as_written=as_written, cited=cited)
        if self._model is None or not has_words(question):
            return plan_by_rules(plan, exchanges, library, with_model=self._with_model)
        try:
            reply = self._ask(plan.question, exchanges, library, self._model)
            plan = replace(plan, usage=reply.earlier + reply.usage)
            return _apply(read_plan(reply.text), plan, exchanges, library)
        except ModelUnreachable as error:
            return replace(complete_by_rules(plan, exchanges), unreachable=str(error))
        except ModelError as error:
            note = f"{NOT_PLANNED}, and the question is searched for as typed. {error}"
            plan = complete_by_rules(plan, exchanges)
            return replace(plan, notes=(*plan.notes, note), usage=plan.usage + get_usage(error))

    def _ask(
        self,
        question: str,
        exchanges: Sequence[Exchange],
        library: PaperCollection,
        model: ChatModel,
    ) -> Reply:
        system, user = load_prompt("plan", self._settings.prompts).fill(
            library=_describe_library(library),
            conversation=render_exchanges(exchanges[-_MOST_EXCHANGES:], model.window // _SHARE),
            question=neutral(question),
        )
        messages = [Message("system", system), Message("user", user)]
        return model.complete(messages, prompt="plan", schema=build_schema())


def _apply(
    read: PlanReply, plan: Plan, exchanges: Sequence[Exchange], library: PaperCollection
) -> Plan:
    """Return the plan of a question as the model understands it."""
    if plan.as_written:
        read = _remove_restrictions(read).model_copy(update={"alone": True})
    where, notes = _build_filter(read, exchanges, library)
    alone = (not exchanges if read.alone is None else read.alone) and not read.of_these
    completed = remove_markers(read.question)
    return replace(
        plan,
        standalone=completed if has_words(completed) and not alone else plan.question.strip(),
        kind=_choose_kind(read),
        subject=" ".join(remove_markers(read.subject).split()) if read.kind != "answer" else "",
        where=_join_filters(plan.where, where),
        queries=tuple(dict.fromkeys(filter(None, read.queries)))[:MOST_QUERIES],
        fields=tuple(read.fields),
        order=read.order,
        follows_up=bool(exchanges) and not alone,
        ignores_filter=bool(notes),
        notes=(*plan.notes, *notes),
    )


def _remove_restrictions(read: PlanReply) -> PlanReply:
    """Return a reply that restricts no papers. The subject of a list says what did."""
    nothing: dict[str, Any] = {
        "from_year": None,
        "to_year": None,
        "authors": [],
        "venues": [],
        "of_these": False,
    }
    subject = read.subject
    if subject and read.kind == "list":
        subject = " ".join([subject, *(str(part) for _, part in _list_parts(read))])
    return read.model_copy(update=nothing | {"subject": subject})


def _choose_kind(read: PlanReply) -> Kind:
    """Return the kind of answer. "How many papers since 2020?" lists no subject but records."""
    if read.kind == "list" and not read.subject:
        asks_records = read.of_these or read.order or any(_list_parts(read))
        return "metadata" if asks_records else "answer"
    asks_records = bool(read.fields or read.order or not read.subject)
    return read.kind if read.kind != "metadata" or asks_records else "list"


def read_plan(text: str) -> PlanReply:
    """Return the first JSON object of a reply that is a plan.

    Raises:
        ModelReplyInvalid: there is none.

    >>> read_plan('Sure: {"question": "What is BERT?", "queries": []}').question
    'What is BERT?'
    """
    at = text.find("{")
    while at >= 0:
        try:
            return PlanReply.model_validate(_JSON.raw_decode(text, at)[0])
        except (ValueError, ValidationError, RecursionError):
            at = text.find("{", at + 1)
    raise ModelReplyInvalid("The model's reply holds no plan that can be read.")


@cache
def build_schema() -> dict[str, Any]:
    """Return the JSON schema of a plan in the part of the language that servers have in common.

    They want every field and no limit of a length.
    """
    fields = PlanReply.model_json_schema()["properties"]
    limits = {"default", "title", "minLength", "maxLength", "maxItems", "minimum", "maximum"}
    properties = {name: _drop_keys(field, limits) for name, field in fields.items()}
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


def _drop_keys(value: Any, names: set[str]) -> Any:
    """Return JSON values without the members of these names, at any depth."""
    if isinstance(value, dict):
        return {key: _drop_keys(each, names) for key, each in value.items() if key not in names}
    return [_drop_keys(each, names) for each in value] if isinstance(value, list) else value


def render_exchanges(exchanges: Sequence[Exchange], budget: int) -> str:
    """Return the newest exchanges that fit into a token budget, with the titles of their papers."""
    parts: list[str] = []
    for each in reversed(exchanges):
        titles = [f"source {n}: {neutral(paper.title)}" for n, paper in each.sources.items()]
        lines = [f"Reader: {neutral(each.question)}", f"Answer: {neutral(each.answer)}"]
        shown = "Sources of this answer" if each.answered else "Closest papers, which do not answer"
        lines += [f"{shown}: {'; '.join(titles)}"] if titles else []
        budget -= sum(count_tokens(line) + 2 for line in lines)
        if budget < 0:
            break
        parts[:0] = lines
    return "<conversation>\n" + "\n".join(parts) + "\n</conversation>" if parts else ""


def _describe_library(library: PaperCollection) -> str:
    titles = "; ".join(neutral(paper.title) for paper in library.papers(limit=_SAMPLE))
    return f"{library.count()} papers, such as: {titles}"


def _build_filter(
    read: PlanReply, exchanges: Sequence[Exchange], library: PaperCollection
) -> tuple[Filter, list[str]]:
    """Return the filter of a plan, and a note for each part that the library cannot apply."""
    fields = library.fields()
    kept, notes = [], []
    for field, part in _list_parts(read):
        if field in fields and (field == "years" or library.holds(part)):
            kept.append(part)
        else:
            lacks = "such paper" if field in fields else field
            notes.append(f"The library has no {lacks}, so “{part}” was not applied.")
    cited = find_last_cited(exchanges) if read.of_these else ()
    if read.of_these and not cited:
        is_unanswered = _choose_kind(read) == "metadata" and not read.subject
        notes.append("No earlier answer cites a paper." if is_unanswered else NOTHING_CITED)
    where = Filter(
        years=next((part.years for part in kept if part.years), None),
        authors=tuple(name for part in kept for name in part.authors),
        venues=tuple(name for part in kept for name in part.venues),
        ids=cited or None,
    )
    return where, notes


def _list_parts(read: PlanReply) -> Iterator[tuple[str, Filter]]:
    """Yield each restriction of a plan with the field of the records that it needs."""
    for name in filter(None, read.authors):
        yield "authors", Filter(authors=(name,))
    for name in filter(None, read.venues):
        yield "venues", Filter(venues=(name,))
    if read.years != (None, None):
        yield "years", Filter(years=read.years)


def _join_filters(given: Filter | None, read: Filter) -> Filter | None:
    """Return both restrictions. Parts that were given explicitly win."""
    joined = (given or Filter()).and_also(read)
    return joined if joined != Filter() else None
