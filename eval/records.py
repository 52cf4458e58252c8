"""One record a question: what was asked, answered and judged, as it lies in `records.jsonl`."""

from __future__ import annotations

from types import NoneType
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, field_validator

from eval.questions import Fact, Kind
from rag.llm.reply import NO_USAGE, Usage
from rag.query.plan import NOT_PLANNED

Variant = Literal["asked", "paraphrase", "without gold"]
JudgedVerdict = Literal["supported", "partly", "unsupported", "contradicted"]


# what figures read of an answer
_ANSWER: dict[str, tuple[type, ...]] = {
    "status": (str,),
    "mode": (str,),
    "text": (str,),
    "statements": (list,),
    "sources": (list,),
    "hits": (list,),
    "confidence": (float, int, NoneType),
    "seconds": (float, int),
    "usage": (dict,),
    "cost": (str, NoneType),
}


def _rename_old_verdict(verdict: object) -> object:
    return "partly" if verdict == "weak" else verdict


def _rename_old_words(answer: dict[str, Any]) -> dict[str, Any]:
    """Return an answer of a version before 0.2, which had no `kind`, in today's words."""

    def rename(value: dict[str, Any]) -> dict[str, Any]:
        return {**value, "verdict": _rename_old_verdict(value.get("verdict"))}

    statements = [
        {**rename(statement), "citations": [rename(c) for c in statement["citations"]]}
        for statement in answer["statements"]
    ]
    mode = "quotes" if answer["mode"] == "extractive" else answer["mode"]
    return {**answer, "mode": mode, "statements": statements}


class Judged(BaseModel):
    """A judge's verdict; None is unscored, with the reason."""

    model_config = ConfigDict(frozen=True)
    verdict: JudgedVerdict | None
    reason: str = ""

    @field_validator("verdict", mode="before")
    @classmethod
    def _of_an_old_run(cls, verdict: object) -> object:
        return _rename_old_verdict(verdict)


class JudgedStatement(BaseModel):
    """The verdicts on one statement that claims something.

    Attributes:
        text: of the statement.
        shown: against all the papers that the answer was made from.
        cited: against the papers it cites, together; None where it cites none.
        each: cited paper id -> the verdict against it alone.
    """

    model_config = ConfigDict(frozen=True)
    text: str
    shown: Judged
    cited: Judged | None
    each: dict[str, Judged]


class JudgedFact(BaseModel):
    """Whether the answer holds a fact."""

    model_config = ConfigDict(frozen=True)
    fact: Fact
    found: Judged


class Record(BaseModel):
    """One question of a run.

    Attributes:
        id: of the question.
        variant: asked as it stands, paraphrased, or with its gold papers taken from the library.
        kind: of the question.
        split: of the question.
        cluster: questions with one cluster share a paper; intervals are drawn over clusters.
        question: as asked.
        near_miss: whether an unanswerable one asks about a paper that is there.
        gold: ids of the gold papers; empty where the library holds no answer.
        borderline: ids that count neither way.
        evidence: gold sentences.
        opposing: sentences that oppose the gold answer of a yes/no question.
        reference: a right answer, for readers.
        ranked: the first twenty papers of retrieval.
        first_text_s: seconds until the first text of the answer; None if it has none.
        answer: as `Answer.to_dict` gives it; None if there was no answer, and `failed` says why.
        statements: judged, those that claim something.
        facts: judged.
        judge_usage: calls and tokens of the judge.
        judge_cost: of these, with its currency, where the price file has the judge's model.
        failed: why there is no answer, else empty.
        usage: calls and tokens of an attempt that failed; those of an answer are in `answer`.
    """

    model_config = ConfigDict(frozen=True)
    id: str
    variant: Variant
    kind: Kind
    split: str
    cluster: str
    question: str
    near_miss: bool = False
    gold: tuple[str, ...]
    borderline: tuple[str, ...] = ()
    evidence: tuple[str, ...] = ()
    opposing: tuple[str, ...] = ()
    reference: str = ""
    ranked: tuple[str, ...] = ()
    first_text_s: float | None = None
    answer: dict[str, Any] | None = None
    statements: tuple[JudgedStatement, ...] = ()
    facts: tuple[JudgedFact, ...] = ()
    judge_usage: Usage = NO_USAGE
    judge_cost: str | None = None
    failed: str = ""
    usage: Usage = NO_USAGE

    @field_validator("answer")
    @classmethod
    def _check_shape(cls, answer: dict[str, Any] | None) -> dict[str, Any] | None:
        if answer is None:
            return None
        for name, kinds in _ANSWER.items():
            if not isinstance(answer.get(name), kinds):
                raise ValueError(f"the answer has no {name}")  # noqa: TRY004 - pydantic's way
        if answer["status"] not in {"answered", "abstained", "incomplete"}:
            raise ValueError("the answer has an unknown status")
        return answer if "kind" in answer else _rename_old_words(answer)

    @property
    def answerable(self) -> bool:
        """Whether the library, as asked, holds an answer."""
        return bool(self.gold) and self.variant != "without gold"

    @property
    def is_factual(self) -> bool:
        """Whether the library holds an answer and the question asks for no list."""
        return self.answerable and self.kind != "listing"

    @property
    def is_unplanned(self) -> bool:
        """Whether the model failed to plan the search."""
        warnings = self.answer.get("warnings", []) if self.answer else []
        return any(str(warning).startswith(NOT_PLANNED) for warning in warnings)

    @property
    def is_written(self) -> bool:
        """Whether a model wrote the answer."""
        return self.answer is not None and self.answer["mode"] != "quotes"

    @property
    def said(self) -> list[dict[str, Any]]:
        """Statements of an answer, none of an abstention."""
        return self.answer["statements"] if self.answer and self.answered else []

    @property
    def shown(self) -> list[dict[str, Any]]:
        """Statements of an answer, or the closest sentences of an abstention."""
        return self.answer["statements"] if self.answer else []

    @property
    def answered(self) -> bool:
        """Whether it seems to be answered: no abstention. An incomplete answer counts."""
        return self.answer is not None and self.answer["status"] != "abstained"

    @property
    def cited(self) -> tuple[str, ...]:
        """Ids of the cited papers, each once."""
        statements = self.answer["statements"] if self.answer else []
        papers = (c["paper"] for statement in statements for c in statement["citations"])
        return tuple(dict.fromkeys(papers))
