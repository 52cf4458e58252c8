"""`rag index` and `rag papers`: making, keeping and listing a library."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from rag.cli.filters import add_filter_options
from rag.cli.forms import ReferenceForm
from rag.cli.options import (
    ConfigOption,
    IndexOption,
    JsonOption,
    QuietOption,
    open_assistant,
    read_settings,
)

papers_app = typer.Typer(help="List the papers of a library, show, export or remove them.")


def index_command(
    sources: Annotated[
        list[str] | None,
        typer.Argument(
            help='Files and folders to read papers from; "-" is standard input.',
            show_default=False,
        ),
    ] = None,
    *,
    index: IndexOption = None,
    remove: Annotated[
        list[str] | None, typer.Option("--remove", help="Id of a paper to take out; repeatable.")
    ] = None,
    rebuild: Annotated[
        bool,
        typer.Option("--rebuild", help="Start from nothing; without SOURCES, from those recorded."),
    ] = False,
    columns: Annotated[
        list[str] | None,
        typer.Option(
            "--map",
            metavar="FIELD=COLUMN",
            help="What a table or JSON calls a field, such as title=Titel; repeatable.",
        ),
    ] = None,
    strict: Annotated[
        bool, typer.Option("--strict", help="Write nothing if any record cannot be read.")
    ] = False,
    update: Annotated[
        bool, typer.Option("--update", help="Read the recorded sources again; made for cron.")
    ] = False,
    passage_tokens: Annotated[
        int | None, typer.Option(help="Token budget of a passage.", show_default="400")
    ] = None,
    overlap_sentences: Annotated[
        int | None, typer.Option(help="Sentences neighbours share.", show_default="1")
    ] = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    config: ConfigOption = None,
) -> None:
    """Add papers to a library, make it, rebuild it, or take papers out."""
    from rag.cli import intake, libraries, show
    from rag.cli.progress import progress
    from rag.embedding import make_embedder
    from rag.errors import SettingsError
    from rag.library import read_sources, update_library
    from rag.readers import STANDARD_INPUT, iter_sources

    settings = read_settings(
        config, index=index, passage_tokens=passage_tokens, overlap_sentences=overlap_sentences
    )
    embedder = make_embedder(settings)
    mapped = intake.mapped(columns)
    if update:
        if sources or remove or rebuild:
            raise SettingsError("--update reads what is recorded; name nothing else with it.")
        libraries.update(settings, embedder, mapped, as_json=as_json, quiet=quiet)
        return
    if settings.index is None and (sources or remove):
        raise SettingsError("Name the library to write with --index NAME or --index PATH/.")
    if not (sources or remove or rebuild):
        raise SettingsError("Nothing to do: name SOURCES, --remove ID, --rebuild or --update.")
    named: dict[str, Mapping[str, str]] = dict.fromkeys(sources or (), mapped)
    if rebuild and not named:
        recorded = read_sources(settings, embedder.name)
        named = {source: mapped or known for source, known in recorded.items()}
    records = iter_sources(named.items(), strict=strict) if named else ()
    with progress(quiet=quiet) as on_progress:
        report = update_library(
            list(records) if strict else records,
            settings=settings,
            embedder=embedder,
            sources={
                str(Path(each).absolute()): known
                for each, known in named.items()
                if each != STANDARD_INPUT
            },
            remove=tuple(remove or ()),
            rebuild=rebuild,
            on_progress=on_progress,
        )
    if as_json:
        show.json_value(intake.report_values(report))
    elif not quiet:
        intake.report(report)


@papers_app.callback(invoke_without_command=True)
def papers_default(
    context: typer.Context,
    *,
    index: IndexOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    config: ConfigOption = None,
) -> None:
    """List the papers of a library, show, export or remove them."""
    if context.invoked_subcommand is None:
        papers_list(index=index, as_json=as_json, quiet=quiet, config=config)
    elif index or as_json or quiet or config:
        raise typer.BadParameter(f"write the options behind {context.invoked_subcommand}.")


@papers_app.command("list")
@add_filter_options
def papers_list(
    *,
    index: IndexOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    config: ConfigOption = None,
    make_filter: Any = None,
) -> None:
    """List the papers, or some of them: id and title."""
    from rag.cli import show

    with open_assistant(read_settings(config, index=index), quiet=quiet) as assistant:
        papers = assistant.papers(where=make_filter(assistant))
    if as_json:
        show.json_value([paper.to_dict() for paper in papers])
    else:
        for paper in papers:
            show.line(f"{paper.id}\t{paper.title}")


@papers_app.command("show")
def papers_show(
    identity: Annotated[
        str, typer.Argument(metavar="ID", help="Id or alias of a paper, or how one begins.")
    ],
    *,
    index: IndexOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    config: ConfigOption = None,
) -> None:
    """Show one paper."""
    from rag.cli import show
    from rag.index.filter import Filter

    with open_assistant(read_settings(config, index=index), quiet=quiet) as assistant:
        found = assistant.papers(where=Filter(ids=assistant.resolve_ids([identity])))
    if as_json:
        show.json_value(found[0].to_dict())
    else:
        show.paper(found[0])


@papers_app.command("remove")
def papers_remove(
    ids: Annotated[list[str], typer.Argument(metavar="ID...", help="Ids or aliases of papers.")],
    *,
    index: IndexOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    config: ConfigOption = None,
) -> None:
    """Take papers out of a library, like `rag index --remove`."""
    index_command(index=index, remove=ids, as_json=as_json, quiet=quiet, config=config)


@papers_app.command("export")
@add_filter_options
def papers_export(
    *,
    form: Annotated[
        ReferenceForm | None,
        typer.Option("--format", help="Default: as the file's ending tells, else bibtex."),
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="File to write; default: standard output.")
    ] = None,
    index: IndexOption = None,
    quiet: QuietOption = False,
    config: ConfigOption = None,
    make_filter: Any = None,
) -> None:
    """Write the papers as references, abstracts included."""
    from rag.cli import forms

    with open_assistant(read_settings(config, index=index), quiet=quiet) as assistant:
        papers = assistant.papers(where=make_filter(assistant))
    forms.export(papers, form, out)
    if not quiet:
        count = f"{len(papers)} paper{'s' * (len(papers) != 1)}"
        typer.echo(f"{count} written" + (f" to {out}." if out else "."), err=True)
