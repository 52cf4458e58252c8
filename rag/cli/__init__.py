"""The `rag` command: ask, chat, search, index, papers, app, app-user, mcp, info, eval.

Data goes to standard output, everything else to standard error. Only typer is imported at the top:
`rag --help` answers before any heavy library is loaded.
"""

from __future__ import annotations

from typing import Annotated, NoReturn

import typer

from rag.cli.app import page, users_app
from rag.cli.ask import ask, search
from rag.cli.chat import chat
from rag.cli.evaluation import evaluate
from rag.cli.exits import Commands, exit_interrupted, handle_late_interrupts
from rag.cli.information import info
from rag.cli.libraries import index_delete, index_list
from rag.cli.library import index_command, papers_app
from rag.cli.mcp import mcp

app = typer.Typer(
    name="rag",
    cls=Commands,
    help="Ask a library of paper abstracts; every sentence of an answer can be checked.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command()(ask)
app.command()(chat)
app.command()(search)
app.command("index")(index_command)
app.command("index list")(index_list)  # beside a command that takes any file: see `Commands`
app.command("index delete")(index_delete)
app.add_typer(papers_app, name="papers")
app.command()(mcp)
app.command()(info)
app.command("app")(page)
app.add_typer(users_app, name="app-user")
app.command(
    "eval",
    context_settings={"ignore_unknown_options": True, "help_option_names": []},
)(evaluate)


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
    """Runs the command."""
    try:
        app()
    except KeyboardInterrupt:  # before the command itself began
        exit_interrupted()
    finally:
        handle_late_interrupts()
    raise AssertionError("typer exits by itself")
