"""A dedicated checker of the MiniCheck form: a document and a claim in, "Yes" or "No" out.

Ollama serves one as bespoke-minicheck, which brings its own system prompt. A model is asked in this
form if its name contains "minicheck". The document is title, year, authors, venue and abstract of
the cited papers. The model names no sentence, so a citation that it supports carries no quote: it
stands for the whole abstract. "No" means "unsupported". A sentence without a citation stays
"uncited".

Source: Tang, Laban, Durrett (2024), MiniCheck, https://arxiv.org/abs/2404.10774.
"""

from __future__ import annotations

import math
import re
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

from rag.errors import ModelError
from rag.llm.cancel import run_all
from rag.llm.client import ChatModel, Message
from rag.llm.reply import NO_USAGE, Usage
from rag.papers import describe_record
from rag.prompts import neutral
from rag.verification.quotation import Claim, TextChecker, Verification

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rag.llm.reply import Reply
    from rag.papers import Paper
    from rag.verification.verdict import Verdict

MOST_CALLS = 40  # for one answer, each with one claim
_CALLS_AT_ONCE = 4
_ANSWER = re.compile(r"\W*(yes|no)\b", re.IGNORECASE)


class MiniChecker:
    """Asks a checker of the MiniCheck form about one claim at a time.

    Attributes:
        usage: of all calls so far.
        notes: sentences a reader should know, such as a call that failed.
    """

    def __init__(self, model: ChatModel) -> None:
        self._model = model
        self.usage: Usage = NO_USAGE
        self.notes: list[str] = []

    def check(self, claims: Sequence[Claim]) -> list[Verification]:
        """Return one verification for each claim, in order. Equal claims are sent once."""
        unequal = {claim.key: claim for claim in claims}
        checked = dict(zip(unequal, TextChecker().check([*unequal.values()]), strict=True))
        cited = [claim for claim in unequal.values() if claim.papers]
        failure: ModelError | None = None
        for start in range(0, min(len(cited), MOST_CALLS), _CALLS_AT_ONCE):
            asked = cited[start : start + _CALLS_AT_ONCE]
            calls = [partial(self._ask, claim, checked[claim.key]) for claim in asked]
            with closing(run_all(calls)) as results:
                for claim, (verification, usage, error) in zip(asked, results, strict=True):
                    checked[claim.key] = verification
                    self.usage += usage
                    failure = error or failure
            if failure and not failure.shortenable:  # the next calls would fail too
                break
        if failure:
            self.notes.append(f"The model did not check all statements: {failure}")
        if len(cited) > MOST_CALLS:
            self.notes.append(f"{self._model.name} checked {MOST_CALLS} of {len(cited)} claims.")
        return [checked[claim.key] for claim in claims]

    def _ask(
        self, claim: Claim, compared: Verification
    ) -> tuple[Verification, Usage, ModelError | None]:
        """Return what the model says of a claim, the usage, and why it did not answer, if so."""
        document = " ".join(neutral(_render_paper(paper)) for paper in claim.papers)
        text = f"Document: {document}\nClaim: {neutral(claim.text)}"
        try:
            reply = self._model.complete([Message("user", text)], prompt="minicheck")
        except ModelError as error:
            return compared, NO_USAGE, error
        answer = _ANSWER.match(reply.text)
        if answer is None:
            reason = "the model gave no readable verdict"
            read = replace(compared, reason=reason, by=self._model.name)
            return compared if compared.verdict == "quoted" else read, reply.usage, None
        verdict: Verdict = "supported" if answer[1].lower() == "yes" else "unsupported"
        reason = _describe_answer(answer[1].lower(), reply)
        read = replace(compared, verdict=verdict, reason=reason, by=self._model.name)
        return read, reply.usage, None


def _render_paper(paper: Paper) -> str:
    record = "; ".join(describe_record(paper).values())
    return f"{paper.title}{f' ({record})' if record else ''}. {paper.abstract}"


def _describe_answer(answer: str, reply: Reply) -> str:
    """Return the answer, with its probability where the server returns that of its first token."""
    if reply.logprob is None:
        return answer
    return f"{answer}, with probability {math.exp(min(0.0, reply.logprob)):.2f}"
