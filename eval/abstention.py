"""Answering and refusing: who is asked in vain, who is answered wrongly. Pure functions."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from eval.metrics import evidence_shown, mean, share_facts

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eval.records import Record


def false_answer(record: Record) -> float | None:
    """Return whether an unanswerable question was answered."""
    if record.answerable or record.variant != "asked" or record.answer is None:
        return None
    return float(record.answered)


def false_answer_near(record: Record) -> float | None:
    """Return `false_answer` of near misses: the right paper lacks the detail."""
    return false_answer(record) if record.near_miss else None


def false_answer_absent(record: Record) -> float | None:
    """Return `false_answer` of subjects that the library does not hold."""
    return None if record.near_miss else false_answer(record)


def false_refusal(record: Record) -> float | None:
    """Return whether an answerable question was refused."""
    if not record.answerable or record.variant != "asked" or record.answer is None:
        return None
    return float(not record.answered)


def answers_without_gold(record: Record) -> float | None:
    """Return whether a question was answered without its gold papers."""
    if record.variant != "without gold" or record.answer is None:
        return None
    return float(record.answered)


def abstention_f1(records: Sequence[Record]) -> tuple[float, int] | None:
    """Return the F1 of abstaining over all questions."""
    asked = [r for r in records if r.variant == "asked" and r.answer is not None]
    right = sum(not r.answered and not r.answerable for r in asked)
    said = sum(not r.answered for r in asked)
    due = sum(not r.answerable for r in asked)
    return (2 * right / (said + due), len(asked)) if said + due else None


def selective_accuracy(records: Sequence[Record]) -> tuple[float, int] | None:
    """Return the share of answers that hold every vital fact. Answering the unanswerable is 0."""
    answered = [r for r in records if r.variant == "asked" and r.answered and r.kind != "listing"]
    right = mean([_right(r) for r in answered])
    return None if right is None else (right, len(answered))


def risk_coverage_area(records: Sequence[Record]) -> tuple[float, int] | None:
    """Return the area under risk over coverage, most confident first.

    An unanswerable question is wrong once it is answered, so with such questions 0 is out of reach.
    """
    curve = risk_coverage(records)
    return (float(np.mean([risk for _, risk in curve])), len(curve)) if curve else None


def risk_coverage(records: Sequence[Record]) -> list[tuple[float, float]]:
    """Return (share answered, share of these that is wrong) as the threshold falls."""
    # questions of one confidence come in any order: each counts as their mean
    alike: dict[float, list[float]] = {}
    for record in records:
        confidence = record.answer["confidence"] if record.answer else None
        if record.variant == "asked" and record.kind != "listing" and confidence is not None:
            alike.setdefault(confidence, []).append(_right(record))
    right = [np.mean(alike[c]) for c in sorted(alike, reverse=True) for _ in alike[c]]
    wrong = np.cumsum(np.subtract(1, right))
    return [(n / len(right), float(w / n)) for n, w in enumerate(wrong, start=1)]


def _right(record: Record) -> float:
    """Return 1 for an answer with every vital fact, judged by its evidence where no judge was."""
    if not record.answerable:
        return 0.0
    held = share_facts(record, strict=True, vital=True)
    return float(held == 1.0) if held is not None else evidence_shown(record) or 0.0
