"""Trace of an answer: an event for each step when it ends, with what came of it and its calls.

Only a pipeline that was given a `Trace` has them. Keys of the models are hidden in all texts.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TypeVar

from rag.answer import Step
from rag.citations.citation import to_json_values
from rag.errors import ModelError
from rag.llm.errors import hide_secrets
from rag.llm.traced import CallRecord, TracedModel
from rag.query.plan import Plan
from rag.retrieval import Retrieval

if TYPE_CHECKING:
    from collections.abc import Generator

    from rag.answer import AnswerEvent, StepName
    from rag.generation.draft import Draft
    from rag.llm import ChatModel
    from rag.retrieval import Hit

    Result = TypeVar("Result", Plan, Retrieval, Draft)

_DRAFT_FIELDS = ("status", "reason", "statements", "warnings")


class Trace:
    """Reports the steps of one answer, with the calls to the models that it records."""

    def __init__(self) -> None:
        self._records: list[CallRecord] = []
        self._secrets: set[str] = set()
        self._last: object = None

    def record(self, model: ChatModel | None) -> ChatModel | None:
        """Return a model whose calls belong to this trace, None without one."""
        if model is None:
            return None
        self._secrets.update(model.secrets)
        return TracedModel(model, self._records)

    def follow(
        self, name: StepName, step: Generator[AnswerEvent, None, Result]
    ) -> Generator[AnswerEvent, None, Result]:
        """Run a step, then yield what came of it, also if a model refuses a call of it.

        Raises:
            ModelError: as the step.
        """
        started = time.perf_counter()
        try:
            result = yield from step
        except ModelError:
            yield self._end_step(name, started, {})
            raise
        described = {} if result is self._last else _describe(result)
        self._last = result
        yield self._end_step(name, started, described)
        return result

    def _end_step(self, name: StepName, started: float, result: dict[str, Any]) -> Step:
        seconds = time.perf_counter() - started
        calls = tuple(record.to_call(self._secrets) for record in self._records)
        self._records.clear()
        return Step(name, seconds, calls, self._hide_secrets(result))

    def _hide_secrets(self, value: Any) -> Any:
        """Return a JSON value without the keys that its texts contain."""
        if isinstance(value, str):
            return hide_secrets(value, self._secrets)
        if isinstance(value, Mapping):
            return {name: self._hide_secrets(each) for name, each in value.items()}
        return [self._hide_secrets(each) for each in value] if isinstance(value, list) else value


def _describe(result: Plan | Retrieval | Draft) -> dict[str, Any]:
    """Return what came of a step as JSON values."""
    if isinstance(result, Plan):
        values: dict[str, Any] = to_json_values(result)
        del values["usage"]
        return values | {"where": str(result.where or "")}
    if isinstance(result, Retrieval):
        return {"papers": [describe_hit(hit) for hit in result.hits], "notes": [*result.notes]}
    return {name: to_json_values(getattr(result, name)) for name in _DRAFT_FIELDS}


def describe_hit(hit: Hit) -> dict[str, Any]:
    """Return the score and rank of a hit in each stage, and the query that found it."""
    return {
        "rank": hit.rank,
        "score": hit.score,
        "named": hit.named,
        "query": hit.query,
        "paper": hit.paper.id,
        "title": hit.paper.title,
        "stages": {name: to_json_values(stage) for name, stage in hit.stages.items()},
    }
