"""Every figure of a report: name, axis, meaning, and how it is worked out."""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import chain
from typing import TYPE_CHECKING, Literal

from eval import abstention, metrics
from eval.metrics import RETRIEVAL, paraphrase_change, quantile, retrieval_values

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from eval.records import Record

    Value = Callable[[Record], float | None]

Better = Literal["higher", "lower", ""]
AXES = ("retrieval", "faithfulness", "citations", "correctness", "abstention", "robustness", "cost")
# What a comparison is decided by: p values are adjusted over these, for each more dilutes the rest.
PRIMARY = ("recall@5", "evidence_shown", "supported", "citation_recall", "vital_facts",
           "false_answer", "false_refusal")  # fmt: skip


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure of a report.

    Attributes:
        name: as in tables and gates.
        axis: it belongs to; axes are never averaged into one.
        says: what it is, one clause.
        value: of one record, or None; None for a figure over all.
        over_all: of a set of records instead, with how many it rests on; None where `value` is
            averaged.
        better: which way is better; "" for neither.
        judged: whether a judge's verdicts go into it.
        rate: whether each value is 0 or 1.
    """

    name: str
    axis: str
    says: str
    value: Value | None = None
    over_all: Callable[[Sequence[Record]], tuple[float, int] | None] | None = None
    better: Better = "higher"
    judged: bool = False
    rate: bool = False


def measures(records: Sequence[Record]) -> list[Measure]:
    """Every measure, by axis, ready for these records."""
    found = retrieval_values(records)

    def retrieval(name: str) -> Value:
        return lambda record: found.get((record.id, record.variant), {}).get(name)

    axes = (_retrieval(retrieval), _faithfulness(), _citations(), _correctness())
    return [
        *map(_as_asked, chain.from_iterable(axes)),
        *_abstention(),
        *_robustness(records, retrieval("recall@5")),
        *_cost(),
    ]


def _retrieval(of: Callable[[str], Value]) -> list[Measure]:
    return [
        Measure("hit@1", "retrieval", "the first paper is a gold one", metrics.hit_at_1, rate=True),
        *(Measure(name, "retrieval", f"{says} over papers", of(name))
          for name, says in RETRIEVAL.items()),
        Measure("recall_shown", "retrieval", "gold papers that the answer was made from",
                metrics.recall_shown),
    ]  # fmt: skip


def _faithfulness() -> list[Measure]:
    m = metrics
    return [
        Measure("supported", "faithfulness", "statements that the papers shown support (verbatim "
                "answers aside)", m.share_supported, judged=True),
        Measure("contradicted", "faithfulness", "statements that the papers shown contradict",
                m.share_contradicted, better="lower", judged=True),
        Measure("evidence_first", "faithfulness", "a gold sentence is shown first",
                m.evidence_first, rate=True),
        Measure("evidence_shown", "faithfulness", "a gold sentence is shown", m.evidence_shown,
                rate=True),
        Measure("evidence_precision", "faithfulness", "sentences shown that are gold evidence",
                m.evidence_precision),
        Measure("opposed", "faithfulness", "yes/no questions whose first quote opposes the answer",
                m.opposes_gold, better="lower", rate=True),
        Measure("figure_not_found", "faithfulness", "statements with a number of no cited paper",
                m.figure_not_found, better="lower"),
    ]  # fmt: skip


def _citations() -> list[Measure]:
    m = metrics
    return [
        Measure("citation_recall", "citations", "support of statements by what they cite",
                m.citation_recall, judged=True),
        Measure("citation_precision", "citations", "citations that support, or are needed to",
                m.citation_precision, judged=True),
        Measure("uncited", "citations", "statements without a citation", m.share_uncited,
                better="lower"),
        Measure("cited_in_gold", "citations", "cited papers that are gold ones",
                m.share_cited_in_gold),
        Measure("gold_shown", "citations", "a gold paper is cited or among the closest",
                m.gold_shown, rate=True),
        Measure("gold_cited", "citations", "answers that cite a gold paper", m.gold_cited,
                rate=True),
        Measure("invalid_marker", "citations", "answers that show a number of no source",
                m.invalid_marker, better="lower", rate=True),
        Measure("verbatim_quote", "citations", "quotes that stand in the abstract or title",
                m.verbatim_quote),
    ]  # fmt: skip


def _correctness() -> list[Measure]:
    m = metrics
    return [
        Measure("vital_facts", "correctness", "vital facts that the answer holds", m.vital_facts,
                judged=True),
        Measure("facts_partial", "correctness", "all facts, half ones as .5", m.facts_partial,
                judged=True),
        Measure("lexical_recall", "correctness",
                "lexical recall of vital facts (AUC .74 on SciFact)", m.lexical_recall),
        Measure("list_recall", "correctness", "papers of a listing that the answer says fit",
                m.list_recall),
        Measure("list_recall_possible", "correctness", "the same with those that may fit",
                m.list_recall_possible),
        Measure("list_precision", "correctness", "papers said to fit that do", m.list_precision),
    ]  # fmt: skip


def _abstention() -> list[Measure]:
    m = abstention
    return [
        Measure("false_answer", "abstention", "unanswerable questions that are answered",
                m.false_answer, better="lower", rate=True),
        Measure("false_answer_near", "abstention", "of these the near misses", m.false_answer_near,
                better="lower", rate=True),
        Measure("false_answer_absent", "abstention", "of these the subjects that are not there",
                m.false_answer_absent, better="lower", rate=True),
        Measure("false_refusal", "abstention", "answerable questions that are refused",
                m.false_refusal, better="lower", rate=True),
        Measure("abstention_f1", "abstention", "F1 of abstaining", over_all=m.abstention_f1),
        Measure("selective_accuracy", "abstention", "answers that hold every vital fact",
                over_all=m.selective_accuracy, judged=True),
        Measure("risk_coverage_area", "abstention", "mean risk as confidence falls",
                over_all=m.risk_coverage_area, better="lower", judged=True),
    ]  # fmt: skip


def _robustness(records: Sequence[Record], recall: Value) -> list[Measure]:
    def change(value: Value) -> Value:
        changes = paraphrase_change(records, value)
        return lambda r: changes.get(r.id) if r.variant == "paraphrase" else None

    return [
        Measure("paraphrase_recall@5", "robustness", "change of recall@5 when paraphrased",
                change(recall)),
        Measure("paraphrase_evidence", "robustness", "change of evidence_shown when paraphrased",
                change(metrics.evidence_shown)),
        Measure("paraphrase_refusal", "robustness", "change of refusals when paraphrased",
                change(lambda r: float(not r.answered)), better="lower"),
        Measure("answered_without_gold", "robustness", "answered though the gold papers are gone",
                abstention.answers_without_gold, better="lower", rate=True),
    ]  # fmt: skip


def _cost() -> list[Measure]:
    m = metrics
    return [
        Measure("seconds_p50", "cost", "median seconds an answer",
                over_all=quantile(0.5, m.seconds), better="lower"),
        Measure("seconds_p95", "cost", "95th percentile of seconds",
                over_all=quantile(0.95, m.seconds), better="lower"),
        Measure("first_text_p50", "cost", "median seconds until the first text",
                over_all=quantile(0.5, lambda r: r.first_text_s), better="lower"),
        Measure("tokens", "cost", "tokens an answer", m.tokens, better="lower"),
        Measure("judge_tokens", "cost", "tokens a judged question", m.judge_tokens, better=""),
    ]  # fmt: skip


def _as_asked(measure: Measure) -> Measure:
    """Of questions as they stand only: variants have rows of their own."""
    value = measure.value
    if value is None:
        return measure
    return replace(measure, value=lambda r: value(r) if r.variant == "asked" else None)
