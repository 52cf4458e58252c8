"""`rag chat`: a conversation in the terminal."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rag.cli.options import (
    AuthorOption,
    ConfigOption,
    IndexOption,
    ModelOption,
    PaperOption,
    PapersOption,
    QuietOption,
    UrlOption,
    YearOption,
    filter_of,
    opened,
    settings_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from rag.conversation import Conversation

HELP = """/sources   the papers cited so far
/save FILE  save the conversation; FILE.md writes it as Markdown
/load FILE  open a saved conversation
/new        forget what was said
/help       this list
/quit       leave"""


def chat(
    *,
    index: IndexOption = None,
    k: PapersOption = None,
    year: YearOption = None,
    author: AuthorOption = None,
    paper: PaperOption = None,
    model: ModelOption = None,
    url: UrlOption = None,
    load: Annotated[
        Path | None, typer.Option("--load", help="Go on with a saved conversation.")
    ] = None,
    quiet: QuietOption = False,
    config: ConfigOption = None,
) -> None:
    """Ask again and again; follow-ups are understood. /help lists what else there is."""
    from rag.cli import show

    settings = settings_of(config, index=index, k=k, chat_model=model, chat_url=url)
    where = filter_of(year, author, paper)
    with opened(settings, quiet=quiet) as assistant:
        conversation = assistant.chat(where=where)
        if load:
            _load(conversation, str(load))
        read = _reader(settings.data_dir)
        while (said := read()) is not None:
            if not said:
                continue
            if said.startswith("/"):
                if not _command(conversation, said):
                    break
                continue
            _ask(conversation, said, quiet=quiet)
            show.line("")


def _ask(conversation: Conversation, question: str, *, quiet: bool) -> None:
    """One turn; Ctrl-C ends the answer and not the conversation."""
    from rag.cli import show
    from rag.errors import RagError

    events = conversation.stream(question)
    try:
        show.streamed(events, quiet=quiet)
    except KeyboardInterrupt:
        events.close()
        typer.echo("\nrag: stopped; ask on, or /quit.", err=True)
    except RagError as error:
        typer.echo(f"rag: {error}", err=True)


def _command(conversation: Conversation, said: str) -> bool:
    """Does what a /command says; whether to go on."""
    from rag.cli import show
    from rag.errors import RagError

    name, _, rest = said.partition(" ")
    try:
        if name in ("/quit", "/exit", "/q"):
            return False
        if name == "/sources":
            for number, source in conversation.sources.items():
                show.line(f"[{number}] {source.title}  ({source.id})")
        elif name == "/new":
            conversation.clear()
        elif name in ("/save", "/load") and not rest.strip():
            typer.echo(f"rag: write {name} FILE.", err=True)
        elif name == "/save":
            _save(conversation, Path(rest.strip()).expanduser())
        elif name == "/load":
            _load(conversation, rest.strip())
        else:
            show.line(HELP)
    except RagError as error:
        typer.echo(f"rag: {error}", err=True)
    return True


def _save(conversation: Conversation, path: Path) -> None:
    from rag.errors import DiskError

    if path.suffix == ".md":
        try:
            path.write_text(conversation.to_markdown(), encoding="utf-8")
        except OSError as error:
            raise DiskError(f"{path} cannot be written: {error.strerror}.") from error
    else:
        conversation.save(path)
    typer.echo(f"saved to {path}", err=True)


def _load(conversation: Conversation, path: str) -> None:
    conversation.load(Path(path).expanduser())
    for warning in conversation.warnings:
        typer.echo(f"note: {warning}", err=True)
    typer.echo(f"{len(conversation.turns)} turns are open again", err=True)


def _reader(folder: Path) -> Callable[[], str | None]:
    """Gives the next line without blanks around it, or None at the end.

    On a terminal a line can be edited and earlier ones come back with the arrow keys.
    """
    if not sys.stdin.isatty():
        return lambda: next((line.strip() for line in sys.stdin), None)
    from prompt_toolkit import PromptSession
    from prompt_toolkit.history import FileHistory, InMemoryHistory

    try:
        folder.mkdir(parents=True, exist_ok=True)
        past: FileHistory | InMemoryHistory = FileHistory(str(folder / "chat_history"))
    except OSError:
        past = InMemoryHistory()
    session: PromptSession[str] = PromptSession(history=past)

    def read() -> str | None:
        while True:
            try:
                return session.prompt("? ").strip()
            except KeyboardInterrupt:
                continue
            except EOFError:
                return None

    return read
