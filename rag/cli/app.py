"""`rag app`: the page."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rag.cli.exits import exit_interrupted
from rag.cli.options import (
    ConfigOption,
    IndexOption,
    ModelOption,
    PapersOption,
    QuietOption,
    UrlOption,
    read_settings,
)

EditOption = Annotated[
    bool,
    typer.Option(
        "--allow-edit",
        help="Let users who sign in change libraries; without --users you may anyway.",
    ),
]
QuestionsOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Most questions of one user, or of a page without users.",
        show_default="120 with --users, else no bound",
    ),
]
TokensOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Most model tokens of one user, or of a page without users.",
        show_default="500,000 with --users, else no bound",
    ),
]

users_app = typer.Typer(help="Keep the accounts of a page that others can reach.")


def page(
    *,
    index: IndexOption = None,
    k: PapersOption = None,
    sentences: Annotated[
        int | None, typer.Option(min=1, max=10, help="Most sentences.", show_default="4")
    ] = None,
    model: ModelOption = None,
    url: UrlOption = None,
    host: Annotated[
        str, typer.Option(help="Address to listen on; another than loopback needs --users.")
    ] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port.", show_default="7860, or the next free one"),
    ] = None,
    users: Annotated[
        Path | None,
        typer.Option(help="File of accounts; `rag app-user add NAME FILE` makes it."),
    ] = None,
    allow_edit: EditOption = False,
    questions_per_hour: QuestionsOption = None,
    tokens_per_day: TokensOption = None,
    quiet: QuietOption = False,
    config: ConfigOption = None,
) -> None:
    """Open the page in which one asks, reads, checks and keeps."""
    from rag.web import ServerOptions, launch

    settings = read_settings(
        config, index=index, k=k, sentences=sentences, chat_model=model, chat_url=url
    )
    options = ServerOptions(
        host=host,
        port=port,
        users=users,
        allow_edit=allow_edit,
        questions_per_hour=questions_per_hour,
        tokens_per_day=tokens_per_day,
    )
    try:
        launch(options, settings=settings, quiet=quiet)
    except KeyboardInterrupt:  # all is closed; a question may wait for a model for minutes still
        exit_interrupted()


NameArgument = Annotated[str, typer.Argument(help="Name of the user.")]
FileArgument = Annotated[Path, typer.Argument(help="File of accounts.")]


@users_app.command("add")
def add_user(name: NameArgument, file: FileArgument) -> None:
    """Add a user, or change their password, which is asked for."""
    from rag.web.accounts import add_account

    password = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    add_account(file, name, password)
    typer.echo(f"{name} can sign in with the accounts of {file}.", err=True)


@users_app.command("remove")
def remove_user(name: NameArgument, file: FileArgument) -> None:
    """Take a user out of the accounts."""
    from rag.web.accounts import remove_account

    remove_account(file, name)
