"""A run's figures, with intervals: as values, as JSON, as a table in the terminal."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from eval.cost import sum_spending
from eval.intervals import interval_over_all, mean_interval, wilson_interval
from eval.measures import AXES, Measure, measures
from eval.questions import read_lines
from rag.errors import JudgeFailed, QuestionError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eval.cost import Spent
    from eval.records import Judged, JudgedStatement, Record
    from eval.run import Run

MOST_UNSCORED = 0.02  # share of verdicts that a judge may leave open
LEAST_LABELS = 100


@dataclass(frozen=True, slots=True)
class Score:
    """One figure.

    Attributes:
        name: of the measure.
        axis: it belongs to.
        kind: of question, or "all".
        n: values it rests on.
        mean: or the figure over all of them.
        low: end of the 95% interval, None where there is none.
        high: the other end.
        better: "higher", "lower" or "".
        judged: whether it rests on a judge.
        says: what it is.
    """

    name: str
    axis: str
    kind: str
    n: int
    mean: float
    low: float | None
    high: float | None
    better: str
    judged: bool
    says: str


@dataclass(frozen=True)
class Report:
    """All figures of a run.

    Attributes:
        run: with its records.
        scores: by axis and measure, first over all, then by kind.
        unscored: share of verdicts that the judge left open, in [0, 1].
        failed: questions without an answer because the model failed.
        unplanned: questions answered without a plan because the model failed.
    """

    run: Run
    scores: tuple[Score, ...]
    unscored: float
    failed: int
    unplanned: int

    @property
    def spent(self) -> dict[str, Spent]:
        """What "writer" and "judge" cost, in calls, tokens and, where prices are known, money."""
        return sum_spending(self.run.records)

    def score(self, name: str, kind: str = "all") -> Score | None:
        """One figure, or None where no question speaks of it."""
        return next((s for s in self.scores if s.name == name and s.kind == kind), None)

    def to_dict(self) -> dict[str, Any]:
        """Provenance and figures as plain JSON values; the records are not in it."""
        return {
            "state": self.run.state,
            **self.run.info.model_dump(mode="json"),
            "records": len(self.run.records),
            "failed": self.failed,
            "unplanned": self.unplanned,
            "unscored": self.unscored,
            "spent": {name: asdict(spent) for name, spent in self.spent.items()},
            "scores": [asdict(score) for score in self.scores],
        }


def make_report(run: Run, *, labels: str | Path | None = None, seed: int = 0) -> Report:
    """Compute every figure of a run.

    Args:
        run: complete or partial.
        labels: a file with hand-labelled statements of its answers; with at least 100 of them the
            supported share is corrected by the judge's error on these.
        seed: of the intervals.

    Raises:
        QuestionError: the labels cannot be read, or too few of them are of this run.
    """
    scores: list[Score] = []
    has_judge = run.info.identity["judge"] != "none"
    for measure in measures(run.records):
        if measure.judged and not has_judge:
            continue
        scores += _scores(measure, run.records, seed)
    if labels is not None:
        scores.append(_correct(run.records, _read_labels(Path(labels)), seed))
    verdicts = [j for r in run.records for j in _judgements(r)] if has_judge else []
    unscored = sum(judged.verdict is None for judged in verdicts) / max(1, len(verdicts))
    failed = sum(bool(record.failed) for record in run.records)
    scores.sort(key=lambda score: AXES.index(score.axis))
    unplanned = sum(record.is_unplanned for record in run.records)
    return Report(run, tuple(scores), round(unscored, 4), failed, unplanned)


def refuse_unscored(report: Report) -> None:
    """Refuse a run whose judge left too much open for its figures to decide anything.

    Raises:
        JudgeFailed: more than 2% of the verdicts are open.
    """
    if report.unscored > MOST_UNSCORED:
        raise JudgeFailed(
            f"The judge {report.run.info.identity['judge']} left {report.unscored:.1%} of its "
            f"verdicts open, more than {MOST_UNSCORED:.0%}, so the run in {report.run.folder} "
            "decides nothing; report.html there says why, question by question."
        )


def _scores(measure: Measure, records: Sequence[Record], seed: int) -> list[Score]:
    kinds = ["all", *dict.fromkeys(record.kind for record in records)]
    found = []
    for kind in kinds:
        chosen = [record for record in records if kind in ("all", record.kind)]
        if score := _score(measure, chosen, kind, seed):
            found.append(score)
    # one kind alone says the same as all of them
    return found[:1] if len(found) == 2 and found[0].n == found[1].n else found


def _score(measure: Measure, records: Sequence[Record], kind: str, seed: int) -> Score | None:
    given = (measure.better, measure.judged, measure.says)
    if measure.value is None:
        return _score_all(measure, records, seed) if kind == "all" else None
    pairs = [(v, r.cluster) for r in records if (v := measure.value(r)) is not None]
    if not pairs:
        return None
    values = [value for value, _ in pairs]
    if measure.rate:
        low, high = wilson_interval(round(sum(values)), len(values))
    else:
        low, high = mean_interval(values, [cluster for _, cluster in pairs], seed)
    mean = sum(values) / len(values)
    return Score(measure.name, measure.axis, kind, len(values), mean, low, high, *given)


def _score_all(measure: Measure, records: Sequence[Record], seed: int) -> Score | None:
    """Return a figure over all records, such as a quantile."""
    figure = measure.over_all(records) if measure.over_all else None
    if measure.over_all is None or figure is None:
        return None
    low, high = interval_over_all(records, measure.over_all, seed) or (None, None)
    given = (measure.better, measure.judged, measure.says)
    return Score(measure.name, measure.axis, "all", figure[1], figure[0], low, high, *given)


def _judgements(record: Record) -> list[Judged]:
    """Return the verdicts that a judge was asked for. Quotations need none."""
    found = [fact.found for fact in record.facts]
    if not record.is_written:
        return found
    for statement in record.statements:
        found += [statement.shown, *([statement.cited] if statement.cited else [])]
    return found


def _read_labels(path: Path) -> dict[tuple[str, str], bool]:
    """Return (question id, statement) -> whether a person says that the papers support it."""
    found = {}
    for number, line in read_lines(path):
        try:
            row = json.loads(line)
            found[str(row["id"]), str(row["statement"])] = _truth(row["supported"])
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise QuestionError(
                f"{path}, line {number} needs id, statement, and supported as true or false.",
                path=path,
                line=number,
            ) from error
    return found


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise TypeError("true or false is needed")
    return value


def _correct(records: Sequence[Record], labels: dict[tuple[str, str], bool], seed: int) -> Score:
    """Return the supported share, corrected by the judge's error on hand-labelled statements.

    Prediction-powered: the judge's mean over all statements plus the mean difference between hand
    and judge where both spoke (Angelopoulos et al. 2023). Every statement weighs the same here,
    every answer in `supported`.
    """
    judged = [(r, s) for r in records if r.variant == "asked" for s in _list_judged(r)]
    by_judge = [float(statement.shown.verdict == "supported") for _, statement in judged]
    by_hand = [labels.get((record.id, statement.text)) for record, statement in judged]
    known = len(judged) - by_hand.count(None)
    if known < LEAST_LABELS:
        raise QuestionError(
            f"{known} of the labels are of statements in this run; a corrected score needs "
            f"{LEAST_LABELS}."
        )
    values = _correct_values(by_judge, by_hand, len(judged) / known)
    low, high = mean_interval(values, [record.cluster for record, _ in judged], seed)
    says = f"supported statements, corrected by {known} hand-labelled ones"
    mean = sum(values) / len(values)
    return Score(
        "supported_corrected", "faithfulness", "all", len(values), mean, low, high, "higher",
        judged=True, says=says,
    )  # fmt: skip


def _list_judged(record: Record) -> list[JudgedStatement]:
    """Return the statements of a model's answer on which the judge has a verdict."""
    return [s for s in record.statements if s.shown.verdict and record.is_written]


def _correct_values(
    by_judge: Sequence[float], by_hand: Sequence[bool | None], weight: float
) -> list[float]:
    """Return the corrected values: each labelled one carries its difference `weight` times."""
    return [
        said if label is None else said + weight * (label - said)
        for said, label in zip(by_judge, by_hand, strict=True)
    ]
