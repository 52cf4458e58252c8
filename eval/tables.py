"""What `rag eval` prints: tables of figures. Every judged figure stands with its judge's error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from eval.measures import AXES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from rich.table import Table

    from eval.compare import Comparison, Difference
    from eval.judges import Judge
    from eval.pairs import Figure
    from eval.report import Report, Score

_WIDTH = 110  # narrower tables cannot be read
_BY_KIND = ("recall@5", "vital_facts", "evidence_shown", "false_refusal", "citation_recall")


def print_report(folder: Path, labels: Path | None = None) -> Report:
    """Compute, write and print the report of the run in a folder."""
    import typer

    from eval.html import write_report
    from eval.report import make_report
    from eval.run import read_run

    found = make_report(read_run(folder), labels=labels)
    write_report(found, folder)
    report_table(found)
    typer.echo(f"Wrote {folder / 'report.json'} and {folder / 'report.html'}.", err=True)
    return found


def report_table(report: Report) -> None:
    """Print a report: figures by axis, then a few by kind of question."""
    info = report.run.info
    _say(
        f"{report.run.state} run of {info.started}: {len(report.run.records)} records, "
        f"writer {info.identity['model'] or 'quotes'}, judge {info.identity['judge']}"
        + (f", {report.failed} failed" if report.failed else "")
        + (f", {report.unplanned} not planned" if report.unplanned else "")
        + (f", {report.unscored:.1%} unscored" if report.unscored else "")
    )
    _print(_scores_table(report))
    _print(_kinds_table(report))
    _say(f"* judged by {info.identity['judge']}: {info.about['judge']}")
    for name, spent in report.spent.items():
        if spent.usage.calls:
            _say(f"{name}: {spent}")
    if not info.identity["model"]:
        _say(
            "Answers are verbatim sentences, so they are faithful by nature: look at what they "
            "answer (vital_facts, evidence_shown)."
        )


def comparison_table(comparison: Comparison, most: int) -> None:
    """Print a comparison and at most `most` of the questions that flipped."""
    table = _table("n", "before", "after", "difference, 95%", "p", "p (Holm)", "", first="measure")
    for d in comparison.differences:
        adjusted = "" if d.p_adjusted is None else f"{d.p_adjusted:.3f}"
        table.add_row(
            _star(d), str(d.n), f"{d.before:.3f}", f"{d.after:.3f}",
            f"{d.low:+.3f} to {d.high:+.3f}", f"{d.p:.3f}", adjusted, "worse" if d.worse else "",
        )  # fmt: skip
    _print(table)
    if family := [d.name for d in comparison.differences if d.p_adjusted is not None]:
        _say(
            f"p (Holm) is adjusted for the {len(family)} primary measures ({', '.join(family)}), "
            "p for none."
        )
    for note in comparison.notes:
        _say(note)
    for flip in comparison.flips[:most]:
        _say(f"{flip.name} {flip.before:.0f} -> {flip.after:.0f}  {flip.id}: {flip.question}")
    if len(comparison.flips) > most:
        _say(f"... and {len(comparison.flips) - most} more questions flipped (--flips N).")


def judge_table(judge: Judge, figures: Sequence[Figure]) -> None:
    """Print a judge's figures on labelled pairs."""
    _say(f"{judge.name}: {judge.about}")
    table = _table("n", "value", "95% interval", first="on these pairs")
    for figure in figures:
        interval = _interval(figure.low, figure.high)
        table.add_row(figure.name, str(figure.n), f"{figure.value:.3f}", interval)
    _print(table)


def retrieval_table(found: Mapping[str, Mapping[str, float]], queries: int) -> None:
    """Print retrieval figures by system."""
    names = list(next(iter(found.values()), {}))
    table = _table(*names, first=f"{queries} queries")
    for system, means in found.items():
        table.add_row(system, *(f"{means[name]:.3f}" for name in names))
    _print(table)


def _scores_table(report: Report) -> Table:
    table = _table("n", "mean", "95% interval", "", first="measure")
    for axis in AXES:
        table.add_section()
        for score in report.scores:
            if score.axis == axis and score.kind == "all":
                table.add_row(
                    _star(score), str(score.n), f"{score.mean:.3f}",
                    _interval(score.low, score.high), score.says,
                )  # fmt: skip
    return table


def _kinds_table(report: Report) -> Table:
    kinds = list(dict.fromkeys(s.kind for s in report.scores if s.kind != "all"))
    table = _table(*kinds, first="by kind")
    for name in _BY_KIND:
        own = [report.score(name, kind) for kind in kinds]
        if any(own):
            table.add_row(name, *(f"{s.mean:.3f} ({s.n})" if s else "" for s in own))
    return table


def _star(figure: Score | Difference) -> str:
    """Return the name of a measure, with a star if a judge scored it."""
    return f"{figure.name}{'*' if figure.judged else ''}"


def _interval(low: float | None, high: float | None) -> str:
    return "" if low is None else f"{low:.3f} to {high:.3f}"


def _table(*columns: str, first: str) -> Table:
    from rich import box
    from rich.table import Table

    table = Table(box=box.SIMPLE, pad_edge=False)
    table.add_column(first, no_wrap=True)
    for column in columns:
        table.add_column(column, overflow="fold")
    return table


def _print(table: Table) -> None:
    from rich.console import Console

    width = max(Console().width, _WIDTH)
    Console(highlight=False, markup=False, width=width).print(table)


def _say(text: str) -> None:
    import typer

    typer.echo(text)
