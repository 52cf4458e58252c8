"""Two runs of the same questions, compared pair by pair; and the gate a run must pass."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from eval.intervals import holm, mean_interval, permutation_p
from eval.measures import PRIMARY, measures
from eval.report import make_report, refuse_unscored
from rag.errors import RunMismatch, SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from eval.measures import Measure
    from eval.records import Record
    from eval.report import Report
    from eval.run import Run

# What no run may do, whatever else is asked of it.
ALWAYS_AT_MOST = {"invalid_marker": 0.0}
ALWAYS_AT_LEAST = {"verbatim_quote": 1.0}


@dataclass(frozen=True, slots=True)
class Difference:
    """How one measure changed from the first run to the second.

    Attributes:
        name: of the measure.
        n: questions that both runs have a value for.
        before: mean of the first run over these.
        after: of the second.
        low: end of the 95% interval of the mean difference.
        high: the other end.
        p: of a difference as large by chance, of this measure alone.
        better: which way is better.
        judged: whether it rests on a judge.
        p_adjusted: for the number of primary measures compared (Holm); None for any other.
    """

    name: str
    n: int
    before: float
    after: float
    low: float
    high: float
    p: float
    better: str
    judged: bool
    p_adjusted: float | None = None

    @property
    def worse(self) -> bool:
        """Whether the second run is worse beyond the interval."""
        if self.better == "higher":
            return self.high < 0
        return self.better == "lower" and self.low > 0


@dataclass(frozen=True, slots=True)
class Flip:
    """A question whose yes-or-no figure changed."""

    id: str
    question: str
    name: str
    before: float
    after: float


@dataclass(frozen=True)
class Comparison:
    """Every measure that both runs have, the questions that flipped, and what was left out."""

    differences: tuple[Difference, ...]
    flips: tuple[Flip, ...]
    notes: tuple[str, ...] = ()


def compare(before: Run, after: Run, *, seed: int = 0) -> Comparison:
    """Compare two runs question by question.

    Raises:
        RunMismatch: they asked other questions.
    """
    if before.info.identity["questions"] != after.info.identity["questions"]:
        raise RunMismatch(
            f"{before.folder} and {after.folder} asked different questions; only runs of the same "
            "ones can be compared."
        )
    judged = _same(before, after, "judge_sha256") and after.info.identity["judge"] != "none"
    left = {measure.name: measure for measure in measures(before.records)}
    found: list[Difference] = []
    flips: list[Flip] = []
    for measure in measures(after.records):
        if judged or not measure.judged:
            pairs = _pairs(before, left[measure.name], after, measure)
            found += [_difference(measure, pairs, seed)] if pairs else []
            flips += _flips(measure, pairs)
    return Comparison(_adjust(found), tuple(flips), tuple(_note_doubts(before, after)))


def _adjust(found: Sequence[Difference]) -> tuple[Difference, ...]:
    """Return the differences with p values adjusted for the number of primary measures."""
    adjusted = holm({d.name: d.p for d in found if d.name in PRIMARY})
    return tuple(replace(d, p_adjusted=adjusted.get(d.name)) for d in found)


def _note_doubts(before: Run, after: Run) -> Iterator[str]:
    """Yield what limits the comparison of two runs."""
    for run in (before, after):
        if run.state == "partial":
            yield f"{run.folder} is partial."
    if not _same(before, after, "judge_sha256"):
        judges = " and ".join(run.info.identity["judge"] for run in (before, after))
        yield f"The runs have different judges ({judges}): judged measures are left out."
    if not _same(before, after, "papers"):
        yield "The runs asked different libraries."


def _pairs(
    before: Run, old: Measure, after: Run, new: Measure
) -> list[tuple[Record, float, float]]:
    """Return records of the second run with both values. Figures over all have none."""
    if old.value is None or new.value is None:
        return []
    was = {(r.id, r.variant): v for r in before.records if (v := old.value(r)) is not None}
    return [
        (record, was[record.id, record.variant], value)
        for record in after.records
        if (record.id, record.variant) in was and (value := new.value(record)) is not None
    ]


def _difference(
    measure: Measure, pairs: Sequence[tuple[Record, float, float]], seed: int
) -> Difference:
    changes = [new - was for _, was, new in pairs]
    clusters = [record.cluster for record, _, _ in pairs]
    low, high = mean_interval(changes, clusters, seed)
    return Difference(
        measure.name, len(pairs), _mean([was for _, was, _ in pairs]),
        _mean([new for _, _, new in pairs]), low, high, permutation_p(changes, clusters, seed),
        measure.better, measure.judged,
    )  # fmt: skip


def _flips(measure: Measure, pairs: Sequence[tuple[Record, float, float]]) -> list[Flip]:
    return [
        Flip(record.id, record.question, measure.name, was, new)
        for record, was, new in pairs
        if measure.rate and was != new
    ]


def gate(
    run: Run,
    *,
    at_least: Mapping[str, float],
    at_most: Mapping[str, float],
    baseline: Run | None = None,
) -> list[str]:
    """Return the conditions that a run fails, one sentence each.

    Args:
        run: complete.
        at_least: measure -> floor.
        at_most: measure -> ceiling.
        baseline: an earlier run that none of the measures named may fall behind, beyond the paired
            interval.

    Raises:
        RunMismatch: the run is partial, or the baseline is of other questions, or of another judge
            where measures named are judged.
        JudgeFailed: the judge left more than 2% unscored.
        SettingsError: there is no such measure, or it has no value in this run.
    """
    for each in filter(None, (run, baseline)):
        if each.state != "complete":
            raise RunMismatch(
                f"The run in {each.folder} is partial ({len(each.records)} of {each.info.planned} "
                f"records{', limited' if each.info.limited else ''}); only complete ones are gated."
            )
    report = make_report(run)
    refuse_unscored(report)
    found = [
        *_find_violations(report, at_least, ALWAYS_AT_LEAST, are_floors=True),
        *_find_violations(report, at_most, ALWAYS_AT_MOST, are_floors=False),
    ]
    if baseline is not None:
        named = {*at_least, *at_most}
        _refuse_other_judge(run, baseline, report, named)
        found += _find_regressions(compare(baseline, run), named)
    return found


def _same(before: Run, after: Run, name: str) -> bool:
    return bool(before.info.identity[name] == after.info.identity[name])


def _refuse_other_judge(run: Run, baseline: Run, report: Report, named: set[str]) -> None:
    """Refuse to gate judged measures against a baseline that another judge scored."""
    if _same(baseline, run, "judge_sha256"):
        return
    judged = [s.name for s in report.scores if s.judged and (s.name in named or not named)]
    if judged:
        raise RunMismatch(
            f"{baseline.folder} and {run.folder} have different judges, so {judged[0]} cannot be "
            "paired; name measures that no judge scores, or judge both by one."
        )


def _find_regressions(comparison: Comparison, named: set[str]) -> list[str]:
    """Return named measures (without names: all) that are worse beyond the interval."""
    compared = {d.name: d for d in comparison.differences}
    if missing := sorted(named - set(compared)):
        raise SettingsError(
            f"{missing[0]} has no value for each question, so it cannot be paired with a baseline; "
            "gate it without one."
        )
    return [
        f"{d.name} went from {d.before:.3f} to {d.after:.3f} "
        f"(difference {d.low:+.3f} to {d.high:+.3f}, p {d.p:.3f})"
        for d in compared.values()
        if d.worse and (d.name in named or not named)
    ]


def _find_violations(
    report: Report, bounds: Mapping[str, float], always: Mapping[str, float], *, are_floors: bool
) -> Iterator[str]:
    """Yield the floors or ceilings that the run breaks."""
    said = "under its floor" if are_floors else "over its ceiling"
    for name, bound in {**bounds, **always}.items():
        score = report.score(name)
        if score is None and name not in bounds:
            continue  # nothing was cited, so nothing can be wrong with it
        if score is None:
            known = ", ".join(dict.fromkeys(s.name for s in report.scores))
            raise SettingsError(f"This run has no figure {name}; it has {known}.")
        if score.mean < bound if are_floors else score.mean > bound:
            yield f"{name} is {score.mean:.3f}, {said} of {bound:g} (n = {score.n})"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)
