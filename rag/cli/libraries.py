"""`rag index` and `rag papers`: make, update, list, export and delete libraries."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from dataclasses import asdict
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from rag.cli.options import (
    ConfigOption,
    EmbedderOption,
    IndexOption,
    JsonOption,
    QuietOption,
    add_options,
    open_assistant,
)
from rag.cli.printing import (
    print_json,
    print_line,
    print_note,
    print_paper,
    print_papers,
    print_text,
    print_vault_report,
)
from rag.cli.progress import show_progress, track_reading
from rag.errors import SettingsError
from rag.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from rag.embedding import Embedder
    from rag.index import IndexReport
    from rag.library import SourceReport
    from rag.papers import Paper
    from rag.settings import Settings

Order = Literal[
    "added", "year", "author", "title", "-added", "-year", "-author", "-title"
]  # a minus turns it round
ReferenceFormat = Literal["bibtex", "ris", "csl", "jsonl", "markdown", "obsidian"]
_NAMES = "Id, DOI, citation key, id prefix or words of the title."
_MAX_LINES = 10  # of one kind of record; --json has all

papers_app = typer.Typer(help="List, show, export or remove the papers of a library.")


@add_options("index", "embedder", "passage_tokens", "overlap_sentences")
def index_command(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            help="Files, folders and Zotero libraries (zotero:local) to read papers from; "
            '"-" is standard input.',
            show_default=False,
        ),
    ] = None,
    *,
    settings: Settings,
    remove: Annotated[
        list[str] | None,
        typer.Option(
            "--remove", help="Paper to remove, named as in `rag papers show`; repeatable."
        ),
    ] = None,
    forget: Annotated[
        list[str] | None,
        typer.Option(
            "--forget", help="Recorded file, folder or Zotero address to read no more; repeatable."
        ),
    ] = None,
    rebuild: Annotated[
        bool,
        typer.Option(
            "--rebuild", help="Start from nothing. Without SOURCES, from the recorded ones."
        ),
    ] = False,
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="FIELD=COLUMN",
            help="Column of a table or JSON key for a field, such as title=Titel; repeatable.",
        ),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Write nothing if any record cannot be read.")
    ] = False,
    update: Annotated[
        bool, typer.Option("--update", help="Read the recorded sources again; made for cron.")
    ] = False,
    workers: Annotated[
        int, typer.Option(min=1, max=64, help="Processes that embed, for many papers and cores.")
    ] = 1,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Add papers to a library, make it, rebuild it, or remove papers."""
    from rag.embedding import make_embedder
    from rag.library import forget_sources, reread_sources

    embedder = make_embedder(settings)
    sources, remove, mapped = sources or [], remove or [], _parse_columns(columns)
    changes = [*sources, *remove]
    _check_actions(settings, changes, forget or [], rebuild=rebuild, update=update)
    again = None
    with show_progress(quiet=quiet) as on_progress:
        if forget:
            report = forget_sources(forget, settings, embedder, on_progress=on_progress)
        elif update:
            again = reread_sources(settings, embedder, columns=mapped, on_progress=on_progress)
            report = again.update
        else:
            report = _add_papers(
                dict.fromkeys(sources, mapped),
                settings,
                embedder,
                mapped,
                strict=strict,
                quiet=quiet,
                remove=remove,
                rebuild=rebuild,
                on_progress=on_progress,
                workers=workers,
            )
    _print_report(report, again, as_json=as_json, quiet=quiet)


def _add_papers(
    named: Mapping[str, Mapping[str, str]],
    settings: Settings,
    embedder: Embedder,
    mapped: Mapping[str, str],
    *,
    strict: bool,
    quiet: bool,
    rebuild: bool,
    **options: Any,
) -> IndexReport:
    """Add the papers of sources, of the recorded ones to rebuild a library without sources."""
    from rag.library import read_sources, read_with_companions, update_library

    if rebuild and not named:
        recorded = read_sources(settings, embedder.name)
        named = {source: mapped or known for source, known in recorded.items()}
    records, read = read_with_companions(
        named, settings, embedder.name, strict=strict, rebuild=rebuild
    )
    return update_library(
        list(records) if strict else track_reading(records, quiet=quiet),
        settings=settings,
        embedder=embedder,
        sources=read,
        rebuild=rebuild,
        **options,
    )


def _check_actions(
    settings: Settings,
    changes: Sequence[str],
    forget: Sequence[str],
    *,
    rebuild: bool,
    update: bool,
) -> None:
    if forget and (changes or rebuild or update):
        raise SettingsError("--forget changes the recorded sources. Name nothing else with it.")
    if update and (changes or rebuild):
        raise SettingsError("--update reads the recorded sources. Name nothing else with it.")
    if (changes or forget) and settings.index is None:
        raise SettingsError("Name the library to write with --index NAME or --index PATH/.")
    if not (changes or forget or rebuild or update):
        raise SettingsError(
            "Nothing to do. Name SOURCES, --remove ID, --forget SOURCE, --rebuild or --update."
        )


def _print_differences(report: SourceReport) -> None:
    """Print which sources and papers an update did not find, and which it left out."""
    for source in report.missing:
        print_line(f"note: {source} no longer exists. Its papers are kept.")
    if report.vanished:
        more = len(report.vanished) - 1
        others = f" and {more} more (--json lists all)" if more else ""
        print_line(
            f"note: {len(report.vanished)} no longer in their files, and kept: "
            f"{report.vanished[0]}{others}. Remove a paper with `rag papers remove ID`."
        )
    if report.left_out:
        print_line(
            f"note: {len(report.left_out)} removed before, and still left out. Add them again with "
            "`rag index SOURCE`."
        )


def _parse_columns(columns: Sequence[str] | None) -> dict[str, str]:
    """Return field -> column from texts such as "title=Titel".

    Raises:
        SettingsError: a text has another form, or a field comes twice.
    """
    parsed: dict[str, str] = {}
    for each in columns or ():
        field, _, column = (part.strip() for part in each.partition("="))
        if not field or not column or field in parsed:
            raise SettingsError(f"Cannot use --map {each}. Write each field once, as FIELD=COLUMN.")
        parsed[field] = column
    return parsed


def _print_report(
    report: IndexReport, again: SourceReport | None = None, *, as_json: bool, quiet: bool
) -> None:
    """Print an update, and what reading the recorded sources again did not find."""
    if as_json:
        print_json(_report_to_dict(report, again))
    elif not quiet:
        _print_changes(report)
        if again:
            _print_differences(again)


def _print_changes(report: IndexReport) -> None:
    """Print the counts of an update, then the records that were not simply added."""
    intake = report.intake
    print_line(", ".join(_count_records(report)) + ".")
    papers = {paper.id: paper for paper in intake.papers}
    _print_some(
        f"merged: {count} record{'s' * (count != 1)} into {_format_paper(papers[each])}, from "
        f"{', '.join(papers[each].sources)}"
        for each, count in intake.merged.items()
    )
    _print_some(f"removed: {each}" for each in (*intake.removed, *map(_format_paper, intake.gone)))
    _print_some(
        f"without abstract, found by title only: {_format_paper(papers[each])}"
        for each in intake.without_abstract
    )
    _print_some(f"refused: {refused}" for refused in intake.refused)
    _print_some(
        f"note: Removals of papers from its Zotero library wait until {each} can be read. If it is "
        f"gone for good, run `rag index --forget {shlex.quote(each)}` with your --index."
        for each in intake.unread
    )
    if pairs := intake.duplicates:
        print_line(
            f"possible duplicates: {len(pairs)}, such as {_format_paper(pairs[0].first)} and "
            f"{_format_paper(pairs[0].second)}. See `rag papers duplicates`."
        )
    _print_some(f"note: {warning}" for warning in intake.warnings)
    if intake.fresh or intake.removed or intake.gone:
        print_line(
            f"The library has {report.papers} paper{'s' * (report.papers != 1)} in "
            f"{report.passages} passage{'s' * (report.passages != 1)}."
        )


def _count_records(report: IndexReport) -> list[str]:
    intake = report.intake
    count = len(intake.removed) + len(intake.gone)
    removed = [f"{count} removed"] if count else []
    if removed and not (intake.read or intake.refused):  # no record was read
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


def _print_some(lines: Iterable[str]) -> None:
    """Print the first lines and the number of the others."""
    remaining = iter(lines)
    for each in islice(remaining, _MAX_LINES):
        print_line(each)
    if more := sum(1 for _ in remaining):
        print_line(f"... and {more} more like this; --json shows all.")


def _format_paper(paper: Paper) -> str:
    return f'"{paper.title}" ({paper.id})'


def _report_to_dict(report: IndexReport, again: SourceReport | None) -> dict[str, Any]:
    intake = report.intake
    papers = {paper.id: paper for paper in intake.papers}
    values = {
        "papers": report.papers,
        "passages": report.passages,
        "generation": report.generation,
        "read": intake.read,
        "added": intake.added,
        "changed": intake.changed,
        "merged": [
            {"id": i, "title": papers[i].title, "records": count, "sources": papers[i].sources}
            for i, count in intake.merged.items()
        ],
        "unchanged": intake.unchanged,
        "removed": (*intake.removed, *(paper.id for paper in intake.gone)),
        "without_abstract": intake.without_abstract,
        "refused": [{"path": r.path, "line": r.line, "reason": r.reason} for r in intake.refused],
        "possible_duplicates": [[pair.first.id, pair.second.id] for pair in intake.duplicates],
        "warnings": intake.warnings,
        "removals_wait_for": intake.unread,
    }
    if again:
        values["missing_sources"] = again.missing
        values["no_longer_in_files"] = again.vanished
        values["left_out"] = again.left_out
    return values


@add_options()
def index_list(*, settings: Settings, as_json: JsonOption = False) -> None:
    """List the libraries in your data folder."""
    from rag.library import list_libraries

    libraries = list_libraries(settings)
    if as_json:
        print_json([asdict(each) | {"folder": str(each.folder)} for each in libraries])
        return
    for library in libraries:
        print_line(f"{library.name}\t{library.summary}")
        for source in library.sources:
            print_line(f"\t{source}")
    if not libraries:
        print_note("There is no library yet. Make one with `rag index SOURCES --index NAME`.")


@add_options()
def index_delete(
    name: Annotated[str, typer.Argument(help="Name of a library, or a path with a slash.")],
    *,
    settings: Settings,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    quiet: QuietOption = False,
) -> None:
    """Delete a library. The files that it was read from stay."""
    from rag.library import delete_library, find_deletable_library

    library = find_deletable_library(settings, name)
    described = f"{library.folder} ({library.summary})"
    if not yes and not sys.stdin.isatty():
        raise SettingsError(f"Add --yes to delete {described}.")
    if not yes and not typer.confirm(f"Delete {described}?", err=True):
        print_note("Nothing was deleted.")
        return
    delete_library(library)
    if not quiet:
        print_note(f"Deleted {described}.")


@papers_app.callback(invoke_without_command=True)
def papers_default(
    context: typer.Context,
    *,
    index: IndexOption = None,
    embedder: EmbedderOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    config: ConfigOption = None,
) -> None:
    """List, show, export or remove the papers of a library."""
    if context.invoked_subcommand is None:
        papers_list(index=index, embedder=embedder, as_json=as_json, quiet=quiet, config=config)
    elif index or embedder or as_json or quiet or config:
        raise typer.BadParameter(f"write the options after {context.invoked_subcommand}.")


@papers_app.command("list")
@add_options("index", "embedder")
def papers_list(
    *,
    settings: Settings,
    order: Annotated[
        Order, typer.Option("--sort", help="Order of the papers; -year has the newest first.")
    ] = "added",
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    make_filter: Any = None,
) -> None:
    """List the papers, or some of them: id, authors, year, venue and title."""
    with open_assistant(settings, quiet=quiet) as assistant:
        papers = sort_papers(assistant.papers(where=make_filter(assistant)), order)
    if as_json:
        print_json([paper.to_dict() for paper in papers])
    else:
        print_papers(papers)


def sort_papers(papers: Sequence[Paper], order: Order) -> list[Paper]:
    """Return papers in order. Those without the field to sort by come last."""
    from rag.papers.names import find_family_name
    from rag.papers.paper import normalise_title

    keys: dict[str, Callable[[Paper], Any]] = {
        "year": lambda paper: paper.year,
        "author": lambda paper: find_family_name(paper.authors[0]) if paper.authors else None,
        "title": lambda paper: normalise_title(paper.title),
    }
    is_reversed = order.startswith("-")
    key = keys.get(order.removeprefix("-"))
    if key is None:
        return [*reversed(papers)] if is_reversed else [*papers]
    keyed = [(key(paper), paper) for paper in papers]
    known = [pair for pair in keyed if pair[0] is not None]
    known.sort(key=lambda pair: pair[0], reverse=is_reversed)
    return [paper for _, paper in known] + [paper for value, paper in keyed if value is None]


@papers_app.command("show")
@add_options("index", "embedder")
def papers_show(
    identity: Annotated[str, typer.Argument(metavar="ID", help=_NAMES)],
    *,
    settings: Settings,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Show one paper."""
    from rag.index.filter import Filter

    with open_assistant(settings, quiet=quiet) as assistant:
        (paper,) = assistant.papers(where=Filter(ids=assistant.resolve_ids([identity])))
    if as_json:
        print_json(paper.to_dict())
    else:
        print_paper(paper)


@papers_app.command("remove")
def papers_remove(
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help=_NAMES)],
    *,
    index: IndexOption = None,
    embedder: EmbedderOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    config: ConfigOption = None,
) -> None:
    """Remove papers from a library, like `rag index --remove`."""
    index_command(
        index=index, embedder=embedder, remove=ids, as_json=as_json, quiet=quiet, config=config
    )


@papers_app.command("export")
@add_options("index", "embedder")
def papers_export(
    *,
    form: Annotated[
        ReferenceFormat | None,
        typer.Option("--format", help="Default: by the ending of the file, else bibtex."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", "-o", help="File to write, or folder of notes; default: standard output."
        ),
    ] = None,
    restore: Annotated[
        bool, typer.Option("--restore", help="Of obsidian: make notes again that you deleted.")
    ] = False,
    settings: Settings,
    as_json: Annotated[
        bool, typer.Option("--json", help="Of obsidian: print the report as JSON.")
    ] = False,
    quiet: QuietOption = False,
    make_filter: Any = None,
) -> None:
    """Export the papers as references, abstracts included, or as notes of Obsidian."""
    from rag.exporters import export_papers
    from rag.exporters.obsidian import export_notes

    out = None if out == Path("-") else out
    resolved = _resolve_format(form, out, for_notes=restore or as_json)
    with open_assistant(settings, quiet=quiet) as assistant:
        where = make_filter(assistant)
        papers = assistant.papers(where=where)
    if resolved == "obsidian" and out:
        report = export_notes(papers, out, is_whole=where is None, restore=restore)
        print_vault_report(report, as_json=as_json, quiet=quiet)
        return
    text = export_papers(papers, resolved)
    if out:
        write_atomically(out, text)
    else:
        print_text(text)
    if not quiet:
        target = f" to {out}" if out else ""
        print_note(f"Wrote {len(papers)} paper{'s' * (len(papers) != 1)}{target}.")


def _resolve_format(form: ReferenceFormat | None, out: Path | None, *, for_notes: bool) -> str:
    """Return the format of an export.

    Raises:
        SettingsError: it is not known, or the options do not fit it.
    """
    from rag.exporters import FORMATS, detect_format

    resolved = form or (detect_format(out) if out else "bibtex")
    if resolved is None:
        raise SettingsError(
            f"The name {out} does not say which format to write. End it in .bib, .ris, .json, "
            f".jsonl or .md, or give --format with one of {', '.join(FORMATS)} or obsidian."
        )
    if resolved != "obsidian" and for_notes:
        raise SettingsError("--restore and --json are for --format obsidian. Leave them out.")
    if resolved == "obsidian" and out is None:
        raise SettingsError("Notes go to a folder. Name that of your vault with --out.")
    return resolved
