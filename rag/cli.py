"""The `rag` command: ask, search, index, papers, info.

Data goes to standard output, everything else to standard error. Only typer is imported at the top:
`rag --help` answers before any heavy library is loaded.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rag.settings import Settings

app = typer.Typer(
    name="rag",
    help="Ask a library of paper abstracts; every sentence of an answer can be checked.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
papers_app = typer.Typer(help="List the papers of a library, or show one.")
app.add_typer(papers_app, name="papers")

IndexOption = Annotated[
    str | None,
    typer.Option(
        "--index",
        "-i",
        help="Library: a name, or a path with a slash. Default: the bundled library.",
        show_default=False,
    ),
]
ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", help="TOML file to read settings from.", show_default=False),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print no progress and no notes.")]
PapersOption = Annotated[
    int | None,
    typer.Option("--k", "-k", min=1, max=100, help="Papers to retrieve.", show_default="8"),
]
YearOption = Annotated[
    str | None,
    typer.Option("--year", help="Only papers of these years: 2021, 2019..2021, ..2020 or 2022.."),
]
AuthorOption = Annotated[
    list[str] | None, typer.Option("--author", help="Only papers by this author; repeatable.")
]
PaperOption = Annotated[
    list[str] | None, typer.Option("--paper", help="Only the paper with this id; repeatable.")
]


@app.command()
def ask(
    question: Annotated[
        str | None, typer.Argument(help="The question; - reads it from standard input.")
    ] = None,
    *,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", help="File with one question a line.")
    ] = None,
    index: IndexOption = None,
    k: PapersOption = None,
    year: YearOption = None,
    author: AuthorOption = None,
    paper: PaperOption = None,
    sentences: Annotated[
        int | None, typer.Option(min=1, max=10, help="Most sentences.", show_default="4")
    ] = None,
    trace: Annotated[
        bool, typer.Option("--trace", help="Show each candidate's score and rank in every stage.")
    ] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    config: ConfigOption = None,
) -> None:
    """Answer a question from the library, with checked citations, or say that it cannot."""
    from rag import show

    settings = _settings(config, index=index, k=k, sentences=sentences)
    questions = list(_questions(question, file))
    where = _filter(year, author, paper)
    with _open(settings, quiet=quiet) as assistant:
        for number, text in enumerate(questions):
            answer = assistant.ask(text, where=where)
            if as_json:
                show.line(answer.to_json(indent=None if len(questions) > 1 else 2))
                continue
            if number:
                show.line("")
            show.answer(answer, with_question=len(questions) > 1, quiet=quiet)
            if trace:
                show.trace(answer.hits)


@app.command()
def search(
    question: Annotated[str, typer.Argument(help="What to look for; - reads standard input.")],
    *,
    index: IndexOption = None,
    k: PapersOption = None,
    year: YearOption = None,
    author: AuthorOption = None,
    paper: PaperOption = None,
    trace: Annotated[
        bool, typer.Option("--trace", help="Show each paper's score and rank in every stage.")
    ] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    config: ConfigOption = None,
) -> None:
    """List the papers that fit a question best, with their best sentence."""
    from rag import show

    settings = _settings(config, index=index, k=k)
    (text,) = _questions(question, None)
    with _open(settings, quiet=quiet) as assistant:
        hits = assistant.search(text, where=_filter(year, author, paper))
    if as_json:
        show.json_value([show.hit_values(hit) for hit in hits])
    else:
        show.hits(hits)
        if trace:
            show.trace(hits)


@app.command(name="index")
def index_command(
    sources: Annotated[
        list[str] | None,
        typer.Argument(help="Files and folders to read papers from.", show_default=False),
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
    from rag import show
    from rag.errors import SettingsError
    from rag.libraries import recorded_sources, update_library
    from rag.minilm import load_minilm
    from rag.readers import iter_papers

    settings = _settings(
        config, index=index, passage_tokens=passage_tokens, overlap_sentences=overlap_sentences
    )
    embedder = load_minilm(threads=settings.threads)
    if settings.index is None and (sources or remove):
        raise SettingsError("Name the library to write with --index NAME or --index PATH/.")
    if not (sources or remove or rebuild):
        raise SettingsError("Nothing to do: name SOURCES, --remove ID or --rebuild.")
    named = tuple(sources or ())
    if rebuild and not named:
        named = recorded_sources(settings, embedder.name)
    with show.progress(quiet=quiet) as on_progress:
        report = update_library(
            iter_papers(named) if named else (),
            settings=settings,
            embedder=embedder,
            sources=[str(Path(source).absolute()) for source in named],
            remove=tuple(remove or ()),
            rebuild=rebuild,
            on_progress=on_progress,
        )
    if as_json:
        show.json_value(show.report_values(report))
    elif not quiet:
        show.report(report)


@papers_app.callback(invoke_without_command=True)
def papers_default(context: typer.Context) -> None:
    """List the papers of a library, or show one."""
    if context.invoked_subcommand is None:
        papers_list()


@papers_app.command("list")
def papers_list(
    *,
    index: IndexOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    config: ConfigOption = None,
) -> None:
    """List the papers: id and title."""
    from rag import show

    with _open(_settings(config, index=index), quiet=quiet) as assistant:
        papers = assistant.papers()
    if as_json:
        show.json_value([paper.to_dict() for paper in papers])
    else:
        for paper in papers:
            show.line(f"{paper.id}\t{paper.title}")


@papers_app.command("show")
def papers_show(
    identity: Annotated[str, typer.Argument(metavar="ID", help="Id or alias of a paper.")],
    *,
    index: IndexOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    config: ConfigOption = None,
) -> None:
    """Show one paper."""
    from rag import show
    from rag.errors import CorpusError

    with _open(_settings(config, index=index), quiet=quiet) as assistant:
        found = [p for p in assistant.papers() if identity in (p.id, *p.aliases)]
    if not found:
        raise CorpusError(f"No paper has the id {identity}; `rag papers list` shows the ids.")
    if as_json:
        show.json_value(found[0].to_dict())
    else:
        show.paper(found[0])


@app.command()
def info(
    *,
    index: IndexOption = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Show the settings and where they come from, where things lie, and the library's state."""
    from rag import show
    from rag.information import collect

    values = collect(_settings(config, index=index))
    if as_json:
        show.json_value(values)
    else:
        show.information(values)


def _version(value: bool) -> None:  # noqa: FBT001 - typer calls it with the flag
    if value:
        from rag import __version__

        typer.echo(f"papertrail {__version__}")
        raise typer.Exit


@app.callback()
def common(
    *,
    _version_flag: Annotated[
        bool,
        typer.Option("--version", callback=_version, is_eager=True, help="Print the version."),
    ] = False,
) -> None:
    """Ask a library of paper abstracts; every sentence of an answer can be checked."""


def main() -> NoReturn:
    """Runs the command; errors are one line on standard error and an exit status.

    0 success (an abstention too), 2 bad input, 3 failure, 130 interrupted.
    """
    from rag.errors import RagError

    try:
        app()
    except RagError as error:
        typer.echo(f"rag: {error}", err=True)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        typer.echo("rag: interrupted; nothing that was finished is lost.", err=True)
        sys.exit(130)
    except BrokenPipeError:  # whoever read our output has read enough
        sys.stderr.close()
        sys.exit(0)
    raise AssertionError("typer exits by itself")


def _settings(config: Path | None, **arguments: Any) -> Settings:
    from rag.settings import load_settings

    return load_settings(config, **arguments)


def _open(settings: Settings, *, quiet: bool) -> Any:
    from rag import show
    from rag.assistant import Assistant

    with show.progress(quiet=quiet, title="Indexing the bundled library, once") as on_progress:
        return Assistant.open(settings=settings, on_progress=on_progress)


def _questions(question: str | None, file: Path | None) -> Iterator[str]:
    """The questions asked for, none empty."""
    from rag.errors import CorpusError

    if (question is None) == (file is None):
        raise CorpusError("Give one question, or --file with one question a line.")
    if file is not None:
        try:
            lines = file.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise CorpusError(f"The questions in {file} cannot be read: {error}.") from error
        asked = [line.strip() for line in lines if line.strip()]
    else:
        text = sys.stdin.read() if question == "-" else question or ""
        asked = [text.strip()] if text.strip() else []
    if not asked:
        raise CorpusError("There is no question; write it after the command.")
    yield from asked


def _filter(year: str | None, author: list[str] | None, paper: list[str] | None) -> Any:
    from rag.errors import SettingsError
    from rag.index.filters import Filter

    if not (year or author or paper):
        return None
    years = None
    if year:
        first, dots, last = year.partition("..")
        try:
            years = (int(first) if first else None, int(last) if last else None)
        except ValueError:
            raise SettingsError(f"--year {year} is no year or range such as 2019..2021.") from None
        if not dots:
            years = (years[0], years[0])
    return Filter(years=years, authors=tuple(author or ()), ids=tuple(paper or ()))
