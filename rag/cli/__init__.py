"""The `rag` command, of which `rag --help` lists the parts.

Data goes to standard output, everything else to standard error.
"""

from __future__ import annotations

from importlib import import_module
from typing import Annotated, NoReturn

import typer

from rag.cli.chat import chat
from rag.cli.duplicates import papers_duplicates, papers_merge, papers_separate
from rag.cli.exits import Commands, exit_interrupted, handle_late_interrupts
from rag.cli.information import doctor, info
from rag.cli.libraries import index_command, index_delete, index_list, papers_app
from rag.cli.questions import ask, list_papers, search
from rag.cli.serving import page, serve_mcp, serve_openai, users_app
from rag.cli.setup import setup

app = typer.Typer(
    name="rag",
    cls=Commands,
    help="Ask a library of paper abstracts. You can check every sentence of an answer.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(ask)
app.command("list")(list_papers)
app.command()(chat)
app.command()(search)
app.command("index")(index_command)
app.command("index list")(index_list)  # beside a command that takes any file: see `Commands`
app.command("index delete")(index_delete)
papers_app.command("duplicates")(papers_duplicates)
papers_app.command("merge")(papers_merge)
papers_app.command("separate")(papers_separate)
app.add_typer(papers_app, name="papers")
app.command("mcp")(serve_mcp)
app.command("serve")(serve_openai)
app.command()(setup)
app.command()(info)
app.command()(doctor)
app.command("app")(page)
app.add_typer(users_app, name="app-user")


@app.command("eval", context_settings={"ignore_unknown_options": True, "help_option_names": []})
def evaluate(
    arguments: Annotated[list[str] | None, typer.Argument(help="See `rag eval --help`.")] = None,
) -> None:
    """Score answers on hand-written questions: run, report, compare, gate, judges, retrieval."""
    import_module("eval.__main__").main(arguments or [], name="rag eval")


def _print_version(value: bool) -> None:  # noqa: FBT001 - typer calls it with the flag
    if value:
        from rag import __version__

        typer.echo(f"papertrail {__version__}")
        raise typer.Exit


@app.callback()
def common(
    *,
    _version: Annotated[
        bool,
        typer.Option(
            "--version", callback=_print_version, is_eager=True, help="Print the version."
        ),
    ] = False,
) -> None:
    """Ask a library of paper abstracts. You can check every sentence of an answer."""


def main() -> NoReturn:
    """Run the command."""
    try:
        app()
    except KeyboardInterrupt:  # before the command itself began
        exit_interrupted()
    finally:
        handle_late_interrupts()
    raise AssertionError("typer exits by itself")
