"""The check by a language model: one call for all statements of an answer.

The model sees the sentences of the cited abstracts with ids and the statements, and names for each
statement first its evidence, then a verdict. A line that cannot be read, an id that does not exist,
or support without evidence leaves the offline verdict in place, and the reason says so. Where the
model sees support for a number that no cited abstract has, the verdict is weak: models overlook
figures. The same holds for names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, cast

from rag.errors import ModelError
from rag.models.chat import ChatModel, Message
from rag.models.reply import NO_USAGE, Usage
from rag.prompts import Prompt, neutral
from rag.text import count_tokens, sentence_spans
from rag.verification.denials import denies
from rag.verification.numbers import missing_numbers
from rag.verification.verification import Claim, Quote, Verdict, Verification, Verifier
from rag.verification.words import in_english, missing_names

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rag.papers import Paper

_LINE = re.compile(
    r"\W*(?P<number>\d{1,3})\W*\|\s*(?P<ids>[^|]*)\|\s*\W*(?P<verdict>supported|weak|unsupported)\W*"
    r"\s*(?:\|\s*(?P<reason>.*))?",
    re.IGNORECASE,
)
_ID = re.compile(r"\bs?(\d{1,4})\b", re.IGNORECASE)
_LONGEST_REASON = 160


@dataclass(frozen=True, slots=True)
class _Sentences:
    """The sentences a model may name: ids from 1, and for each paper its ids."""

    quotes: tuple[Quote, ...]
    of_paper: dict[str, frozenset[int]]


class ModelVerifier:
    """Asks the chat model, with the offline check to fall back on.

    Attributes:
        usage: of all calls so far.
        notes: sentences a reader should know, such as a call that failed.
    """

    def __init__(
        self, model: ChatModel, prompt: Prompt, offline: Verifier, question: str = ""
    ) -> None:
        """Wires the model to its prompt (`verify`) and the fallback.

        Args:
            model: asked.
            prompt: named "verify".
            offline: gives the verdicts that the model does not.
            question: that the statements answer; it tells what "it" or "yes" stand for.
        """
        self._model = model
        self._prompt = prompt
        self._offline = offline
        self._question = question
        self.usage: Usage = NO_USAGE
        self.notes: list[str] = []

    def verify(self, claims: Sequence[Claim]) -> list[Verification]:
        """One verification a claim, in order; a single call, none where all is word for word."""
        found = self._offline.verify(claims)
        open_ones = [
            number
            for number, (claim, first) in enumerate(zip(claims, found, strict=True))
            if first.by != "verbatim" and claim.papers and not denies(claim.statement)
        ]
        if not open_ones:
            return found
        open_ones = open_ones[: self._fitting([claims[number] for number in open_ones])]
        asked = [claims[number] for number in open_ones]
        sentences = _sentences(_papers(asked))
        try:
            reply = self._model.complete(self._messages(asked, sentences))
        except ModelError as error:
            self.notes.append(f"The model did not check the statements: {error}")
            return found
        self.usage += reply.usage
        said = _read(reply.text)
        for place, (number, claim) in enumerate(zip(open_ones, asked, strict=True), start=1):
            found[number] = self._merged(claim, found[number], said.get(place), sentences)
        return found

    def _fitting(self, claims: Sequence[Claim]) -> int:
        """How many of the claims, from the first, go into one call; the others are told of."""
        count = len(claims)
        while count > 1:
            messages = self._messages(claims[:count], _sentences(_papers(claims[:count])))
            if sum(count_tokens(m.text) for m in messages) + 40 * count <= self._model.window:
                break
            count = count * 2 // 3
        if count < len(claims):
            self.notes.append(
                f"The model's window held {count} of {len(claims)} statements to check; the others "
                "have the offline verdict."
            )
        return count

    def _messages(self, claims: Sequence[Claim], sentences: _Sentences) -> list[Message]:
        listed = []
        for paper in _papers(claims):
            listed.append(f"Paper: {neutral(paper.title)}")
            listed += [
                f"s{number} {neutral(sentences.quotes[number - 1].text)}"
                for number in sorted(sentences.of_paper[paper.id])
            ]
        statements = []
        for number, claim in enumerate(claims, start=1):
            ids = sorted(set().union(*(sentences.of_paper[p.id] for p in claim.papers)))
            span = f"s{ids[0]} to s{ids[-1]}" if len(claim.papers) == 1 and ids else ""
            cited = span or ", ".join(f"s{i}" for i in ids)
            statements.append(f"{number} (cites {cited}): {neutral(claim.statement)}")
        system, user = self._prompt.fill(
            question=neutral(self._question) or "(not told)",
            sentences="\n".join(listed),
            statements="\n".join(statements),
        )
        return [Message("system", system), Message("user", user)]

    def _merged(
        self,
        claim: Claim,
        offline: Verification,
        said: tuple[frozenset[int], Verdict, str] | None,
        sentences: _Sentences,
    ) -> Verification:
        if said is None:
            return _unread(offline, "the model gave no readable verdict")
        ids, verdict, reason = said
        allowed = frozenset().union(*(sentences.of_paper[p.id] for p in claim.papers))
        if not ids <= allowed:
            return _unread(offline, "the model named sentences that are not cited")
        if verdict != "unsupported" and not ids:
            return _unread(offline, "the model named no sentence")
        quotes = tuple(sentences.quotes[number - 1] for number in sorted(ids)[:3])
        reason = reason or "the model gave no reason"
        if verdict == "supported" and (lacking := _lacking(claim)):
            verdict, reason = "weak", f"{reason}; but the abstract does not have {lacking}"
        return Verification(verdict, quotes or offline.quotes, reason, self._model.name)


def _lacking(claim: Claim) -> str | None:
    """A number or a name of a claim that stands nowhere in the papers it cites."""
    whole = "\n".join(f"{paper.title}\n{paper.abstract}" for paper in claim.papers)
    for number in missing_numbers(claim.statement, whole):
        if not number.could_be_derived:
            return f"the number {number.shown}"
    names = missing_names(claim.statement, whole) if in_english(claim.statement) else []
    return f"the name {names[0]}" if names else None


def _papers(claims: Sequence[Claim]) -> list[Paper]:
    """The papers that some claims cite, each once."""
    return list({paper.id: paper for claim in claims for paper in claim.papers}.values())


def _sentences(papers: Sequence[Paper]) -> _Sentences:
    quotes: list[Quote] = []
    of_paper = {}
    for paper in papers:
        first = len(quotes) + 1
        quotes += [
            Quote(paper.id, start, end, paper.abstract[start:end])
            for start, end in sentence_spans(paper.abstract)
        ]
        of_paper[paper.id] = frozenset(range(first, len(quotes) + 1))
    return _Sentences(tuple(quotes), of_paper)


def _read(text: str) -> dict[int, tuple[frozenset[int], Verdict, str]]:
    """Statement number -> evidence ids, verdict, reason; the first line about each counts."""
    found: dict[int, tuple[frozenset[int], Verdict, str]] = {}
    for line in text.splitlines():
        match = _LINE.fullmatch(line.strip())
        if match is None:
            continue
        ids = frozenset(int(number) for number in _ID.findall(match["ids"]))
        verdict = cast("Verdict", match["verdict"].lower())
        reason = " ".join((match["reason"] or "").strip(" |").split())[:_LONGEST_REASON]
        found.setdefault(int(match["number"]), (ids, verdict, reason))
    return found


def _unread(offline: Verification, why: str) -> Verification:
    return replace(offline, reason=f"{offline.reason} ({why})")
