"""`rag info`: what this installation is and where its things lie."""

from __future__ import annotations

from rag.cli.options import (
    ConfigOption,
    IndexOption,
    JsonOption,
    settings_of,
)


def info(
    *,
    index: IndexOption = None,
    as_json: JsonOption = False,
    config: ConfigOption = None,
) -> None:
    """Show the settings and where they come from, where things lie, and the library's state."""
    from rag.cli import show
    from rag.information import collect

    values = collect(settings_of(config, index=index))
    if as_json:
        show.json_value(values)
    else:
        show.information(values)
