"""`rag info`: what this installation is and where its things lie."""

from __future__ import annotations

from typing import Annotated

import typer

from rag.cli.options import (
    ConfigOption,
    IndexOption,
    JsonOption,
    ModelOption,
    UrlOption,
    read_settings,
)


def info(
    *,
    index: IndexOption = None,
    check: Annotated[
        bool, typer.Option("--check", help="Make one tiny call to each model that is set.")
    ] = False,
    model: ModelOption = None,
    url: UrlOption = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Show the settings and where they come from, where things lie, and the library's state."""
    from rag.cli import show
    from rag.cli.info import check_models, collect

    settings = read_settings(config, index=index, chat_model=model, chat_url=url)
    values = collect(settings)
    failed: list[str] = []
    if check:
        values["check"], failed = check_models(settings)
    if as_json:
        show.json_value(values)
    else:
        show.information(values)
    for kind in failed:
        typer.echo(f"rag: the check failed: {values['check'][kind]}", err=True)
    if failed:
        raise typer.Exit(3)
    if check and not as_json:
        show.line("The check passed.")
