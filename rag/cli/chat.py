"""`rag chat`: a conversation in the terminal."""

from __future__ import annotations

import sys
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rag.cli.filters import add_filter_options
from rag.cli.forms import CiteStyle, CiteStyleOption
from rag.cli.options import (
    ConfigOption,
    IndexOption,
    ModelOption,
    PapersOption,
    QuietOption,
    UrlOption,
    open_assistant,
    read_settings,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from prompt_toolkit.history import History

    from rag.answer import Answer, AnswerEvent
    from rag.answer.conversation import Conversation
    from rag.assistant import Assistant

HELP = """/sources   the papers cited so far
/save FILE  save the conversation; FILE.md writes it as Markdown, and FILE.bib, FILE.ris and
            FILE.csl.json the papers it cites
/load FILE  open a saved conversation
/new        forget what was said
/help       this list
/quit       leave"""


@add_filter_options
def chat(
    *,
    index: IndexOption = None,
    k: PapersOption = None,
    model: ModelOption = None,
    url: UrlOption = None,
    load: Annotated[
        Path | None, typer.Option("--load", help="Go on with a saved conversation.")
    ] = None,
    cite_style: CiteStyleOption = "numeric",
    quiet: QuietOption = False,
    config: ConfigOption = None,
    make_filter: Any = None,
) -> None:
    """Ask again and again; follow-ups are understood. /help lists what else there is."""
    from rag.cli import show

    settings = read_settings(config, index=index, k=k, chat_model=model, chat_url=url)
    with open_assistant(settings, quiet=quiet) as assistant:
        conversation = assistant.chat(where=make_filter(assistant))
        if load:
            _load(conversation, str(load))
        read = _reader(settings.data_dir)
        if not quiet and sys.stdin is not None and sys.stdin.isatty():
            _greet(assistant)
        while (said := read()) is not None:
            if not said:
                continue
            if said.startswith("/"):
                if not _command(conversation, said, cite_style):
                    break
                continue
            _ask(conversation, said, quiet=quiet)
            show.line("")


def _greet(assistant: Assistant) -> None:
    from rag.index.manifest import read_manifest

    count = read_manifest(assistant.folder).paper_count
    papers = f"{count} papers" if count != 1 else "one paper"
    typer.echo(f"Ask about the {papers} of this library; /help lists commands.", err=True)


def _ask(conversation: Conversation, question: str, *, quiet: bool) -> None:
    """One turn; Ctrl-C ends the answer and not the conversation.

    An answer that is stopped while its statements are checked is kept with the verdicts it has.
    """
    from rag.answer import Turn
    from rag.cli import show
    from rag.errors import RagError

    events = conversation.stream(question)
    seen: list[AnswerEvent] = []
    try:
        show.streamed(_noted(events, seen), quiet=quiet)
    except KeyboardInterrupt:
        events.close()
        kept = _unfinished(question, seen)
        if kept:
            conversation.turns.append(Turn(question, kept))
        what = "; the answer is kept as far as it was checked" if kept else ""
        typer.echo(f"\nrag: stopped{what}; ask on, or /quit.", err=True)
    except RagError as error:
        typer.echo(f"rag: {error}", err=True)


def _noted(events: Iterator[AnswerEvent], seen: list[AnswerEvent]) -> Iterator[AnswerEvent]:
    for event in events:
        seen.append(event)
        yield event


def _unfinished(question: str, seen: Sequence[AnswerEvent]) -> Answer | None:
    """The answer that some events tell; None where no verdict was given, or all was done."""
    from rag.answer import Answer, Done, Status, Text, Verified
    from rag.answer.saved import left_over

    verified = [event.statements for event in seen if isinstance(event, Verified)]
    if not verified or isinstance(seen[-1], Done):
        return None
    text = "".join(event.delta for event in seen if isinstance(event, Text))
    if any(left_over(text[s.start : s.end], [s.text]) is None for s in verified[-1]):
        return None  # what was shown is not what was checked, as when thoughts came with it
    told = [event.text for event in seen if isinstance(event, Status)]
    model = _behind("Writing with ", told)
    return Answer(
        question=question,
        asked=_behind("Understood as: ", told) or question.strip(),
        text=text,
        statements=verified[-1],
        hits=(),
        status="incomplete",
        mode="model" if model else "quotes",
        reason="it was stopped while its statements were being checked",
        model=model,
    )


def _behind(sign: str, lines: Sequence[str]) -> str | None:
    """What stands behind a sign in the first line that begins with it."""
    return next((each.removeprefix(sign) for each in lines if each.startswith(sign)), None)


def _command(conversation: Conversation, said: str, cite_style: CiteStyle) -> bool:
    """Does what a /command says; whether to go on."""
    from rag.cli import show
    from rag.errors import RagError

    name, _, rest = said.partition(" ")
    try:
        if name in ("/quit", "/exit", "/q"):
            return False
        if name == "/sources":
            _sources(conversation)
        elif name == "/new":
            conversation.clear()
            typer.echo("what was said is forgotten", err=True)
        elif name in ("/save", "/load") and not rest.strip():
            typer.echo(f"rag: write {name} FILE.", err=True)
        elif name == "/save":
            _save(conversation, rest.strip(), cite_style)
        elif name == "/load":
            _load(conversation, rest.strip())
        else:
            if name not in ("/help", "/?"):
                typer.echo(f"rag: there is no command {name}; these are:", err=True)
            show.line(HELP)
    except RagError as error:
        typer.echo(f"rag: {error}", err=True)
    return True


def _sources(conversation: Conversation) -> None:
    """The papers cited so far, and which of them the library no longer has as they were."""
    from rag.answer import STANDINGS
    from rag.cli import show

    standings = {c.number: c.standing for turn in conversation.turns for c in turn.answer.citations}
    for number, source in conversation.sources.items():
        standing = STANDINGS.get(standings[number])
        note = f"  ({standing})" if standing else ""
        show.line(f"[{number}] {source.title}  ({source.id}){note}")
    if not conversation.sources:
        typer.echo("no paper is cited yet", err=True)


def _save(conversation: Conversation, named: str, cite_style: CiteStyle) -> None:
    from rag.cli.forms import format_conversation
    from rag.files import write_atomically

    path = _place(named)
    text = format_conversation(conversation, path, cite_style)
    if text is None:
        conversation.save(path)
    else:
        write_atomically(path, text)
    typer.echo(f"saved to {path}", err=True)


def _load(conversation: Conversation, named: str) -> None:
    conversation.load(_place(named))
    for warning in conversation.warnings:
        typer.echo(f"note: {warning}", err=True)
    typer.echo(f"{len(conversation.turns)} turns are open again", err=True)


def _place(named: str) -> Path:
    """The path that a reader means; ~ is the home folder."""
    from rag.errors import CorpusError

    try:
        return Path(named).expanduser()
    except RuntimeError as error:
        raise CorpusError(f"{named} is in no known home folder; write the whole path.") from error


def _reader(folder: Path) -> Callable[[], str | None]:
    """Gives the next line without blanks around it, or None at the end.

    On a terminal a line can be edited and earlier ones come back with the arrow keys.
    """
    if sys.stdin is None:  # it was closed before we began
        return lambda: None
    if not sys.stdin.isatty():
        return lambda: next((line.strip() for line in sys.stdin), None)
    from prompt_toolkit import PromptSession

    session: PromptSession[str] = PromptSession(history=_history(folder))

    def read() -> str | None:
        while True:
            try:
                return session.prompt("? ").strip()
            except KeyboardInterrupt:
                continue
            except EOFError:
                return None

    return read


def _history(folder: Path) -> History:
    """The lines of earlier chats where their file can be used, else of this one only."""
    from prompt_toolkit.history import FileHistory, InMemoryHistory

    class Kept(FileHistory):
        def store_string(self, string: str) -> None:
            with suppress(OSError, UnicodeEncodeError):  # a full disk does not end the chat
                super().store_string(string)

    file = folder / "chat_history"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file.open("a+b").close()  # to be read and written
    except OSError:
        return InMemoryHistory()
    return Kept(str(file))
