"""`rag eval`: hands over to the package `eval`, which is loaded only then."""

from __future__ import annotations

from typing import Annotated

import typer


def evaluate(
    arguments: Annotated[list[str] | None, typer.Argument(help="See `rag eval --help`.")] = None,
) -> None:
    """Score answers on hand-written questions: run, report, compare, gate, judges, retrieval."""
    from importlib import import_module

    import_module("eval.__main__").main(arguments or [], name="rag eval")
