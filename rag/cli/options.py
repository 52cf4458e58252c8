"""Options that several commands share, and what they turn into.

Only typer is imported at the top of this package's modules: `rag --help` loads nothing heavy.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rag.settings import Settings

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
ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        help="Language model that writes the answer; none: verbatim sentences.",
        show_default=False,
    ),
]
UrlOption = Annotated[
    str | None,
    typer.Option(
        "--url",
        help="OpenAI-compatible server of the model, such as http://127.0.0.1:11434/v1.",
        show_default=False,
    ),
]


def read_settings(config: Path | None, **arguments: Any) -> Settings:
    """The settings of this command; an argument that is None was not given."""
    from rag.settings import load_settings

    return load_settings(config, **arguments)


def open_assistant(settings: Settings, *, quiet: bool) -> Any:
    """The assistant over the library that the settings name, with progress on standard error."""
    from rag.assistant import Assistant
    from rag.cli.progress import progress

    with progress(quiet=quiet, title="Indexing the bundled library, once") as on_progress:
        return Assistant.open(settings=settings, on_progress=on_progress)


def read_questions(question: str | None, file: Path | None) -> Iterator[str]:
    """The questions asked for, none empty."""
    from rag.errors import CorpusError
    from rag.text.terms import has_words

    if (question is None) == (file is None):
        raise CorpusError("Give one question, or --file with one question a line.")
    if file is not None:
        try:
            lines = file.read_text(encoding="utf-8-sig").splitlines()
        except (OSError, UnicodeDecodeError) as error:
            raise CorpusError(f"The questions in {file} cannot be read: {error}.") from error
        asked = [line.strip() for line in lines if has_words(line)]
    else:
        text = sys.stdin.read() if question == "-" else question or ""
        asked = [text.strip()] if has_words(text) else []
    if not asked:
        raise CorpusError("There is no question; write it after the command.")
    yield from asked
