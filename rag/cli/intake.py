"""How the command tells what an update of a library did."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from rag.cli.show import line

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rag.index import IndexReport

_SHOWN_PROBLEMS = 10  # refused records and warnings that are printed; --json has all


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
    """Prints what an update did."""
    intake = found.intake
    counts = [
        f"{intake.read} read",
        f"{len(intake.added)} added",
        f"{len(set(intake.changed))} changed",
        f"{len(set(intake.merged))} merged",
        f"{intake.unchanged} unchanged",
        f"{len(intake.removed)} removed",
        f"{len(intake.refused)} refused",
    ]
    line(", ".join(counts) + ".")
    for identity in intake.without_abstract[:_SHOWN_PROBLEMS]:
        line(f"without abstract, found by title only: {identity}")
    problems = [
        *(
            f"refused: {r.path}{f', line {r.line}' if r.line else ''}: {r.reason}"
            for r in intake.refused
        ),
        *(f"note: {warning}" for warning in intake.warnings),
    ]
    for problem in problems[:_SHOWN_PROBLEMS]:
        line(problem)
    if len(problems) > _SHOWN_PROBLEMS:
        line(f"... and {len(problems) - _SHOWN_PROBLEMS} more; --json shows all.")
    line(f"The library has {found.papers} papers in {found.passages} passages.")


def report_values(found: IndexReport) -> dict[str, Any]:
    """A report as plain JSON values."""
    intake = found.intake
    return {
        "papers": found.papers,
        "passages": found.passages,
        "generation": found.generation,
        "read": intake.read,
        "added": list(intake.added),
        "changed": list(intake.changed),
        "merged": list(intake.merged),
        "unchanged": intake.unchanged,
        "removed": list(intake.removed),
        "without_abstract": list(intake.without_abstract),
        "refused": [{"path": r.path, "line": r.line, "reason": r.reason} for r in intake.refused],
        "warnings": list(intake.warnings),
    }
