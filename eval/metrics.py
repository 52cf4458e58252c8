"""What records score: pure functions. docs/evaluation.md defines each figure.

A function of one record gives a value, or None where the question says nothing about it; None is
left out and counted, never taken for 0. Figures over a whole set (areas, F1) take the records
together.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

import numpy as np

from rag.text.terms import lexical_terms

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from eval.records import Judged, Record

_SHARE = {"supported": 1.0, "partly": 0.5, "unsupported": 0.0, "contradicted": 0.0}
_MARKER = re.compile(r"\[(\d{1,6})\]")
RETRIEVAL = {"recall@5": "R@5", "recall@10": "R@10", "recall@20": "R@20", "mrr@10": "RR@10",
             "ndcg@10": "nDCG@10"}  # fmt: skip


def retrieval_values(records: Sequence[Record]) -> dict[tuple[str, str], dict[str, float]]:
    """Return measure -> value for each (id, variant) with gold papers, from `ir_measures`."""
    import ir_measures

    asked = {f"{r.id}\t{r.variant}": r for r in records if r.is_factual}
    qrels, run = [], []
    for key, record in asked.items():
        qrels += [ir_measures.Qrel(key, paper, 1) for paper in record.gold]
        run += [ir_measures.ScoredDoc(key, p, -float(n)) for n, p in enumerate(record.ranked)]
    measures = {ir_measures.parse_measure(text): name for name, text in RETRIEVAL.items()}
    # a question for which nothing was found has no line in the run, and counts as 0
    found: dict[tuple[str, str], dict[str, float]] = {
        (r.id, r.variant): dict.fromkeys(RETRIEVAL, 0.0) for r in asked.values()
    }
    for metric in ir_measures.iter_calc(list(measures), qrels, run) if run else ():
        record = asked[metric.query_id]
        found[record.id, record.variant][measures[metric.measure]] = metric.value
    return found


def hit_at_1(record: Record) -> float | None:
    """Return whether the first paper is a gold one."""
    if not record.is_factual:
        return None
    return float(bool(record.ranked) and record.ranked[0] in record.gold)


def recall_shown(record: Record) -> float | None:
    """Return the share of the gold papers among those that the answer was made from."""
    if not record.is_factual or record.answer is None:
        return None
    shown = {hit["paper"] for hit in record.answer["hits"]}
    return len(shown & set(record.gold)) / len(record.gold)


def share_supported(record: Record) -> float | None:
    """Return the share of statements that the papers shown support. Quotes have none."""
    if not record.is_written:
        return None
    return mean(_shares([s.shown for s in record.statements], strict=True))


def share_contradicted(record: Record) -> float | None:
    """Return the share of statements that the papers shown contradict."""
    if not record.is_written:
        return None
    verdicts = [s.shown.verdict for s in record.statements if s.shown.verdict]
    return mean([float(verdict == "contradicted") for verdict in verdicts])


def citation_recall(record: Record) -> float | None:
    """Return the mean support of statements by the papers they cite: 1, .5 or 0. Uncited is 0.

    Verbatim answers are left out here and below: a quotation supports itself.
    """
    if not record.is_written:
        return None
    shares = []
    for statement in record.statements:
        if statement.cited is None:
            shares.append(0.0)
        elif statement.cited.verdict:
            shares.append(_SHARE[statement.cited.verdict])
    return mean(shares)


def citation_precision(record: Record) -> float | None:
    """Return the share of citations that support alone, or are needed for joint support."""
    if not record.is_written:
        return None
    useful: list[float] = []
    for statement in record.statements:
        alone = [judged.verdict for judged in statement.each.values()]
        joint = statement.cited is not None and statement.cited.verdict == "supported"
        counted = {"supported", "partly"} if joint and "supported" not in alone else {"supported"}
        if None not in alone:
            useful += [float(verdict in counted) for verdict in alone]
    return mean(useful)


def share_uncited(record: Record) -> float | None:
    """Return the share of statements without a citation."""
    if not record.is_written:
        return None
    return mean([float(statement.cited is None) for statement in record.statements])


def invalid_marker(record: Record) -> float | None:
    """Return whether the text shows a number that is no source."""
    if not record.answered or record.answer is None:
        return None
    known = {source["number"] for source in record.answer["sources"]}
    return float(any(int(n) not in known for n in _MARKER.findall(record.answer["text"])))


def share_cited_in_gold(record: Record) -> float | None:
    """Return the share of the cited papers that are gold ones."""
    if not record.is_factual or not record.answered or not record.cited:
        return None
    return mean([float(paper in record.gold) for paper in record.cited])


def gold_cited(record: Record) -> float | None:
    """Return whether an answer cites a gold paper."""
    if not record.is_factual or not record.answered:
        return None
    return float(bool(set(record.cited) & set(record.gold)))


def gold_shown(record: Record) -> float | None:
    """Return whether a gold paper is cited, or named as one of the closest papers."""
    if not record.is_factual or record.answer is None:
        return None
    closest = {hit["paper"] for hit in record.answer.get("closest", ())}
    return float(bool({*record.cited, *closest} & set(record.gold)))


def verbatim_quote(record: Record) -> float | None:
    """Return the share of quotes that stand in their abstract or title as quoted."""
    quotes = [quote for s in record.shown for c in s["citations"] for quote in c["quotes"]]
    return mean([float(quote["verbatim"]) for quote in quotes])


def vital_facts(record: Record) -> float | None:
    """Return the share of vital facts that the answer holds. A refusal holds none."""
    return _facts(record, strict=True, vital=True)


def facts_partial(record: Record) -> float | None:
    """Return the mean over all facts: 1 held, .5 partly, 0 not."""
    return _facts(record, strict=False, vital=False)


def evidence_shown(record: Record) -> float | None:
    """Return whether a gold sentence is shown, in the answer or under it as a quote.

    The closest sentences of an abstention count here and in the next two.
    """
    if not _has_evidence(record):
        return None
    return float(any(_is_gold(text, record.evidence) for text in _list_texts(record)))


def evidence_first(record: Record) -> float | None:
    """Return whether the first sentence shown is a gold sentence."""
    if not _has_evidence(record):
        return None
    return float(any(_is_gold(text, record.evidence) for text in _list_texts(record)[:1]))


def evidence_precision(record: Record) -> float | None:
    """Return the share of the sentences shown that are gold evidence or hold it."""
    if not _has_evidence(record) or not record.answered:
        return None
    quotes = dict.fromkeys(_list_quotes(record))
    return mean([float(_is_gold(quote, record.evidence)) for quote in quotes])


def opposes_gold(record: Record) -> float | None:
    """Return whether the first quote opposes the gold answer, for labelled yes/no questions."""
    if not record.opposing or record.answer is None:
        return None
    return float(any(_is_gold(text, record.opposing) for text in _list_quotes(record)[:1]))


def figure_not_found(record: Record) -> float | None:
    """Return the share of statements with a number that no cited abstract has."""
    claims = [s for s in record.said if s["claim"]]
    return mean([float(any("figure" in w for w in s.get("warnings", ()))) for s in claims])


def lexical_recall(record: Record) -> float | None:
    """Return the lexical recall of vital facts: share of a fact's terms that the answer has.

    The mean over the vital facts. A refused answer has none of them.
    """
    vital = [set(lexical_terms(one.fact.text)) for one in record.facts if one.fact.vital]
    if not record.is_factual or record.failed:
        return None
    if not record.answered or record.answer is None:
        return 0.0
    terms = set(lexical_terms(record.answer["text"]))
    return mean([len(fact & terms) / len(fact) for fact in vital if fact])


def _has_evidence(record: Record) -> bool:
    return record.is_factual and bool(record.evidence)


def _list_quotes(record: Record) -> list[str]:
    """Return the sentences quoted in an answer or an abstention, in order."""
    return [quote["text"] for s in record.shown for c in s["citations"] for quote in c["quotes"]]


def _list_texts(record: Record) -> list[str]:
    """Return each statement with a citation and the sentences quoted for it, in order."""
    found = []
    for statement in record.shown:
        found += [statement["text"]] if statement["citations"] else []
        found += [quote["text"] for c in statement["citations"] for quote in c["quotes"]]
    return found


def _is_gold(text: str, gold: Sequence[str]) -> bool:
    return any(_holds(_squeeze(sentence), _squeeze(text)) for sentence in gold)


def _holds(gold: str, shown: str) -> bool:
    """Return whether a text has the gold sentence, or is more than half of it."""
    return gold in shown or (len(shown) > len(gold) / 2 and shown in gold)


def list_recall(record: Record) -> float | None:
    """Return the share of the papers of a list that the answer says fit."""
    if record.kind != "listing" or record.variant != "asked":
        return None
    return len(_list_fitting(record) & set(record.gold)) / len(record.gold)


def list_recall_possible(record: Record) -> float | None:
    """Return the share of the papers of a list that the answer says fit or may fit."""
    if record.kind != "listing" or record.variant != "asked":
        return None
    return len(set(record.cited) & set(record.gold)) / len(record.gold)


def list_precision(record: Record) -> float | None:
    """Return the share of the papers said to fit that do, without borderline ones. No list is 0."""
    if record.kind != "listing" or record.variant != "asked":
        return None
    listed = _list_fitting(record) - set(record.borderline)
    return mean([float(paper in record.gold) for paper in listed]) or 0.0


def _list_fitting(record: Record) -> set[str]:
    """Return the papers that an answer says fit."""
    return {
        citation["paper"]
        for statement in record.said
        for citation in statement["citations"]
        if statement.get("listed") == "fits" or citation["verdict"] == "supported"
    }


def quantile(
    share: float, value: Callable[[Record], float | None]
) -> Callable[[Sequence[Record]], tuple[float, int] | None]:
    """Return a function that gives a quantile over the questions as asked, and their count."""

    def over(records: Sequence[Record]) -> tuple[float, int] | None:
        asked = [value(r) for r in records if r.variant == "asked"]
        values = [v for v in asked if v is not None]
        return (float(np.quantile(values, share)), len(values)) if values else None

    return over


def seconds(record: Record) -> float | None:
    """Return the seconds from question to answer."""
    return float(record.answer["seconds"]) if record.answer else None


def tokens(record: Record) -> float | None:
    """Return the tokens read and written by the model that answers."""
    if record.answer is None or not record.is_written:
        return None
    usage = record.answer["usage"]
    return float(usage["prompt_tokens"] + usage["completion_tokens"])


def judge_tokens(record: Record) -> float | None:
    """Return the tokens read and written by the judge."""
    used = record.judge_usage
    return float(used.prompt_tokens + used.completion_tokens) if used.calls else None


def _facts(record: Record, *, strict: bool, vital: bool) -> float | None:
    if not record.is_factual or record.failed:
        return None
    if not record.answered:
        return 0.0
    return share_facts(record, strict=strict, vital=vital)


def share_facts(record: Record, *, strict: bool, vital: bool) -> float | None:
    """Return the share of the (vital) facts that an answer holds, None if none is judged."""
    facts = [one.found for one in record.facts if one.fact.vital or not vital]
    return mean(_shares(facts, strict=strict))


def _shares(verdicts: Sequence[Judged], *, strict: bool) -> list[float]:
    shares = [_SHARE[judged.verdict] for judged in verdicts if judged.verdict]
    return [math.floor(share) if strict else share for share in shares]


def mean(values: Sequence[float]) -> float | None:
    """Return the mean, None of nothing."""
    return sum(values) / len(values) if values else None


def _squeeze(text: str) -> str:
    return re.sub(r"\W+", " ", text).strip().casefold()


def paraphrase_change(
    records: Sequence[Record], value: Callable[[Record], float | None]
) -> dict[str, float]:
    """Return question id -> value of the paraphrase minus that of the question as asked."""
    places = {(r.id, r.variant): value(r) for r in records}
    changes = {}
    for (identity, variant), changed in places.items():
        before = places.get((identity, "asked"))
        if variant == "paraphrase" and changed is not None and before is not None:
            changes[identity] = changed - before
    return changes
