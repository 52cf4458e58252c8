"""How the command tells what an update of a library did."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any

from rag.cli.show import line

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rag.index import IndexReport
    from rag.index.changes import Intake
    from rag.papers import Paper

_SHOWN = 10  # of the records of one kind; --json has all


def mapped(columns: Sequence[str] | None) -> dict[str, str]:
    """What `--map FIELD=COLUMN` says, by field.

    Raises:
        SettingsError: one is not written so, or names a field twice.
    """
    from rag.errors import SettingsError

    known: dict[str, str] = {}
    for each in columns or ():
        field, _, column = (part.strip() for part in each.partition("="))
        if not field or not column or field in known:
            raise SettingsError(
                f"--map {each} cannot be used; write each field once, as FIELD=COLUMN."
            )
        known[field] = column
    return known


def report(found: IndexReport) -> None:
    """Prints what an update did: the counts, then the records that were not simply added."""
    intake = found.intake
    line(", ".join(_counts(intake)) + ".")
    papers = {paper.id: paper for paper in intake.papers}
    _some(
        f"merged: {_records(count)} into {_named(papers[each])}, from "
        f"{', '.join(papers[each].sources)}"
        for each, count in intake.merged.items()
    )
    _some(f"removed: {each}" for each in intake.removed)
    _some(
        f"without abstract, found by title only: {_named(papers[each])}"
        for each in intake.without_abstract
    )
    _some(f"refused: {refused}" for refused in intake.refused)
    _some(f"note: {warning}" for warning in intake.warnings)
    line(
        f"The library has {found.papers} paper{'s' * (found.papers != 1)} in "
        f"{found.passages} passage{'s' * (found.passages != 1)}."
    )


def _counts(intake: Intake) -> list[str]:
    """What was counted; of papers only taken out, nothing about records that were read."""
    removed = [f"{len(intake.removed)} removed"] if intake.removed else []
    if removed and not (intake.read or intake.refused):
        return removed
    return [
        f"{intake.read} read",
        f"{len(intake.added)} added",
        f"{len(set(intake.changed))} changed",
        f"{sum(intake.merged.values())} merged",
        f"{intake.unchanged} unchanged",
        *removed,
        f"{len(intake.without_abstract)} without abstract",
        f"{len(intake.refused)} refused",
    ]


def _some(lines: Iterable[str]) -> None:
    """Prints the first lines, and how many there are besides."""
    remaining = iter(lines)
    for each in islice(remaining, _SHOWN):
        line(each)
    if rest := sum(1 for _ in remaining):
        line(f"... and {rest} more like this; --json shows all.")


def _named(paper: Paper) -> str:
    return f'"{paper.title}" ({paper.id})'


def _records(count: int) -> str:
    return f"{count} record" if count == 1 else f"{count} records"


def report_values(found: IndexReport) -> dict[str, Any]:
    """A report as plain JSON values."""
    intake = found.intake
    papers = {paper.id: paper for paper in intake.papers}
    return {
        "papers": found.papers,
        "passages": found.passages,
        "generation": found.generation,
        "read": intake.read,
        "added": list(intake.added),
        "changed": list(intake.changed),
        "merged": [
            {
                "id": each,
                "title": papers[each].title,
                "records": count,
                "sources": list(papers[each].sources),
            }
            for each, count in intake.merged.items()
        ],
        "unchanged": intake.unchanged,
        "removed": list(intake.removed),
        "without_abstract": list(intake.without_abstract),
        "refused": [{"path": r.path, "line": r.line, "reason": r.reason} for r in intake.refused],
        "warnings": list(intake.warnings),
    }
