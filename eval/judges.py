"""Judges decide whether a text supports a statement, for the evaluation.

A judge is a `Checker` as the product uses them, so a trained checker plugs in by having `check`.
`NoJudge` leaves everything unscored. `ModelJudge` asks a language model with a prompt of its own,
and leaves unscored what the model does not answer in the form asked for.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, TypeAdapter, ValidationError

from rag.errors import ModelError, ModelRejected
from rag.llm.client import ChatModel, Message
from rag.llm.reply import NO_USAGE, Usage
from rag.prompts import Prompt, neutral
from rag.text.sentences import sentence_spans
from rag.verification import Claim, Quote, TextChecker, Verdict, Verification

if TYPE_CHECKING:
    from collections.abc import Sequence

BATCH = 8  # statements a call of the model judge
_FENCE = re.compile(r"^\s*```(?:json)?\s*|\s*```\s*$")


class Judge:
    """A checker that scores answers.

    Attributes:
        name: as reports show it.
        tells_contradictions: whether it says "contradicted" apart from "unsupported".
        about: how it was made and what it is known to get wrong, one sentence.
        model: language model that judges, as a price file names it; None where there is none.
        sha256: of what decides its verdicts: coefficients, or prompt and name.
    """

    name: str
    sha256: str
    tells_contradictions = False
    about: str
    model: str | None = None

    @property
    def usage(self) -> Usage:
        """Of the calls so far on this thread, which judges one question at a time."""
        return NO_USAGE

    def check(self, claims: Sequence[Claim]) -> list[Verification]:
        """One verification a claim, in order; "unchecked" is unscored."""
        raise NotImplementedError


class NoJudge(Judge):
    """No judge: a run reports facts, and everything that needs a reader stays unscored."""

    name = "none"
    sha256 = ""
    about = "statements and facts are unscored"

    def check(self, claims: Sequence[Claim]) -> list[Verification]:
        """Return "unchecked" for each claim."""
        return [Verification("unchecked", reason="no judge")] * len(claims)


class _Said(BaseModel):
    """One line of a model's judgement."""

    model_config = ConfigDict(extra="forbid", strict=True)
    statement: int
    evidence: list[int]
    reason: str
    verdict: Literal["supported", "partly", "partial", "unsupported", "contradicted"]


_ARRAY = TypeAdapter(list[_Said])


@dataclass(frozen=True, slots=True)
class _Sentences:
    quotes: tuple[Quote, ...]
    of_claim: tuple[frozenset[int], ...]


class ModelJudge(Judge):
    """A language model, asked for evidence first and a verdict then, as JSON."""

    tells_contradictions = True

    def __init__(self, model: ChatModel, prompt: Prompt) -> None:
        """Wires the model to the prompt named "judge"."""
        self._model = model
        self._used = threading.local()
        self.model = model.name
        self._prompt = prompt
        self.name = f"model {model.name}"
        self.sha256 = hashlib.sha256(f"{prompt.sha256} {model.name}".encode()).hexdigest()
        self.about = (
            f"{self.name} with prompt {prompt.sha256[:12]}; its error is not known "
            "here: measure it with `rag eval judges --judge model`."
        )

    @property
    def usage(self) -> Usage:
        """Of the calls so far on this thread."""
        used: Usage = getattr(self._used, "usage", NO_USAGE)
        return used

    def check(self, claims: Sequence[Claim]) -> list[Verification]:
        """One verification a claim, in order; a few claims a call."""
        found = []
        for start in range(0, len(claims), BATCH):
            found += self._batch(claims[start : start + BATCH])
        return found

    def _batch(self, claims: Sequence[Claim]) -> list[Verification]:
        checked = TextChecker().check(claims)
        asked = [c for c, v in zip(claims, checked, strict=True) if v.verdict != "quoted"]
        judged = iter(self._ask(asked) if asked else [])
        return [each if each.verdict == "quoted" else next(judged) for each in checked]

    def _ask(self, claims: Sequence[Claim]) -> list[Verification]:
        sentences = _sentences(claims)
        listed = "\n".join(
            f"{number}. {neutral(quote.text)}" for number, quote in enumerate(sentences.quotes, 1)
        )
        statements = "\n".join(
            f"{number} (to be judged by the sentences "
            f"{', '.join(map(str, sorted(own))) or 'none'}): {neutral(claim.text)}"
            for number, (claim, own) in enumerate(
                zip(claims, sentences.of_claim, strict=True), start=1
            )
        )
        system, user = self._prompt.fill(sentences=listed, statements=statements)
        try:
            reply = self._model.complete([Message("system", system), Message("user", user)])
        except ModelRejected:
            raise
        except ModelError as error:
            return [self._leave_unscored(f"the judge did not answer: {error}")] * len(claims)
        self._used.usage = self.usage + reply.usage
        said = _read(reply.text)
        if isinstance(said, str):
            return [self._leave_unscored(said)] * len(claims)
        return [
            self._verification(said.get(number), own, sentences)
            for number, own in enumerate(sentences.of_claim, start=1)
        ]

    def _verification(
        self, said: _Said | None, own: frozenset[int], sentences: _Sentences
    ) -> Verification:
        if said is None:
            return self._leave_unscored("the judge passed over this statement")
        if not set(said.evidence) <= own:
            return self._leave_unscored("the judge named sentences that were not given")
        if said.verdict in {"supported", "partly", "partial"} and not said.evidence:
            return self._leave_unscored("the judge named no evidence")
        verdict: Verdict = "partly" if said.verdict == "partial" else said.verdict
        return Verification(
            verdict,
            tuple(sentences.quotes[number - 1] for number in sorted(set(said.evidence))[:3]),
            said.reason[:160].encode("utf-8", "replace").decode(),
            by=self.name,
        )

    def _leave_unscored(self, why: str) -> Verification:
        return Verification("unchecked", reason=why, by=self.name)


def _sentences(claims: Sequence[Claim]) -> _Sentences:
    quotes: list[Quote] = []
    of_paper: dict[tuple[str, str], range] = {}
    for paper in (paper for claim in claims for paper in claim.papers):
        key = (paper.id, paper.abstract)
        if key not in of_paper:
            first = len(quotes) + 1
            quotes += [
                Quote(paper.id, start, end, paper.abstract[start:end])
                for start, end in sentence_spans(paper.abstract)
            ]
            of_paper[key] = range(first, len(quotes) + 1)
    own = tuple(
        frozenset(n for paper in claim.papers for n in of_paper[paper.id, paper.abstract])
        for claim in claims
    )
    return _Sentences(tuple(quotes), own)


def _read(text: str) -> dict[int, _Said] | str:
    """Statement number -> judgement, or why the reply cannot be read."""
    try:
        values = json.loads(_FENCE.sub("", text))
        said = _ARRAY.validate_python(values)
    except (ValueError, RecursionError, ValidationError):
        return "the judge's reply is not the JSON asked for"
    numbers = [one.statement for one in said]
    if len(set(numbers)) < len(numbers):
        return "the judge gave two verdicts on one statement"
    return {one.statement: one for one in said}
