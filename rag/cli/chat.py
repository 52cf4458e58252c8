"""`rag chat`: a conversation in the terminal."""

from __future__ import annotations

import sys
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rag.cli.answers import print_list, print_stream
from rag.cli.documents import (
    DOCUMENTS,
    CiteStyleOption,
    FootnotesOption,
    Output,
    find_form,
    require_style,
)
from rag.cli.options import QuietOption, add_options, open_assistant
from rag.cli.printing import print_line, print_note
from rag.errors import CorpusError, RagError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from prompt_toolkit.history import History

    from rag.answer import Answer, AnswerEvent
    from rag.answer.conversation import Conversation
    from rag.settings import Settings

HELP = """/sources    list the papers cited so far
/all        print every paper of the last list
/as-written ask the last question again as you wrote it
/save FILE  save the conversation; FILE.md, FILE.html, FILE.docx and FILE.tex write a document,
            and FILE.bib, FILE.ris and FILE.csl.json the cited papers
/load FILE  open a saved conversation
/new        start a new conversation
/help       show this list
/quit       leave"""
AS_WRITTEN = "/as-written asks it as you wrote it"


@add_options(
    "index",
    "embedder",
    "k",
    "chat_model",
    "chat_url",
    "check_model",
    "check_url",
    "listing_workers",
)
def chat(
    *,
    settings: Settings,
    load: Annotated[
        Path | None, typer.Option("--load", help="Continue a saved conversation.")
    ] = None,
    cite_style: CiteStyleOption = None,
    footnotes: FootnotesOption = False,
    quiet: QuietOption = False,
    make_filter: Any = None,
) -> None:
    """Ask questions and follow-ups. /help lists the other commands."""
    require_style(cite_style)
    with open_assistant(settings, quiet=quiet) as assistant:
        conversation = assistant.chat(where=make_filter(assistant))
        if load:
            _load(conversation, str(load))
        read_line = _make_reader(settings.data_dir)
        if not quiet and sys.stdin is not None and sys.stdin.isatty():
            count = assistant.paper_count
            papers = f"{count} papers" if count != 1 else "one paper"
            print_note(f"Ask about the {papers} of this library. /help lists commands.")
        while (line := read_line()) is not None:
            if line == "/as-written":
                _ask_as_written(conversation, quiet=quiet)
                print_line("")
            elif line.startswith("/"):
                if not _run_command(conversation, line, cite_style, footnotes=footnotes):
                    break
            elif line:
                _ask(conversation, line, quiet=quiet)
                print_line("")


def _ask(
    conversation: Conversation, question: str, *, quiet: bool, as_written: bool = False
) -> None:
    """Answer one question. Ctrl-C stops the answer, not the conversation.

    An answer that is stopped while it is checked is kept with the verdicts it has.
    """
    from rag.answer import Turn

    events = conversation.stream(question, as_written=as_written)
    seen: list[AnswerEvent] = []
    try:
        print_stream(
            _record_events(events, seen),
            quiet=quiet,
            hint=AS_WRITTEN,
            with_tip=not conversation.turns,
        )
    except KeyboardInterrupt:
        events.close()
        answer = _recover_answer(question, seen)
        if answer:
            conversation.turns.append(Turn(question, answer))
        kept = " The answer is kept as far as it was checked." if answer else ""
        print_note(f"\nrag: stopped.{kept} Ask on, or /quit.")
    except RagError as error:
        print_note(f"rag: {error}")


def _ask_as_written(conversation: Conversation, *, quiet: bool) -> None:
    """Ask the last question again as it stands. The new answer, if there is one, replaces its."""
    if not conversation.turns:
        print_note("There is no question to ask again.")
        return
    last = conversation.turns.pop()
    count = len(conversation.turns)
    _ask(conversation, last.question, quiet=quiet, as_written=True)
    if len(conversation.turns) == count:
        conversation.turns.append(last)


def _record_events(events: Iterator[AnswerEvent], seen: list[AnswerEvent]) -> Iterator[AnswerEvent]:
    for event in events:
        seen.append(event)
        yield event


def _recover_answer(question: str, seen: Sequence[AnswerEvent]) -> Answer | None:
    """Return the answer so far, or None if there is no verdict yet or nothing is missing."""
    from rag.answer import Answer
    from rag.answer.contradictions import shows_statement

    verified = [event for event in seen if event.kind == "verified"]
    if not verified or seen[-1].kind == "done":
        return None
    streamed = "".join(event.delta for event in seen if event.kind == "text")
    text = verified[-1].text or streamed
    if not all(map(partial(shows_statement, text), verified[-1].statements)):
        return None  # the text on screen is a model's thoughts, not what was checked
    model = _find_stage("Writing with ", seen)
    return Answer(
        question=question,
        asked=_find_stage("Understood as: ", seen) or question.strip(),
        text=text,
        statements=verified[-1].statements,
        hits=(),
        status="incomplete",
        mode="model" if model else "quotes",
        reason="it was stopped while its statements were being checked",
        model=model,
        checker=verified[-1].checker,
    )


def _find_stage(prefix: str, seen: Sequence[AnswerEvent]) -> str | None:
    stages = (event.text for event in seen if event.kind == "status")
    return next((text.removeprefix(prefix) for text in stages if text.startswith(prefix)), None)


def _run_command(
    conversation: Conversation, line: str, style: str | None, *, footnotes: bool
) -> bool:
    """Run a /command. Return whether the conversation continues."""
    name, _, argument = line.partition(" ")
    argument = argument.strip()
    try:
        if name in ("/quit", "/exit", "/q"):
            return False
        if name == "/sources":
            _print_sources(conversation)
        elif name == "/all":
            _print_last_list(conversation)
        elif name == "/new":
            conversation.clear()
            print_note("New conversation.")
        elif name in ("/save", "/load") and not argument:
            print_note(f"rag: write {name} FILE.")
        elif name == "/save":
            _save(conversation, argument, style, footnotes=footnotes)
        elif name == "/load":
            _load(conversation, argument)
        else:
            if name not in ("/help", "/?"):
                print_note(f"rag: there is no command {name}. The commands are:")
            print_line(HELP)
    except RagError as error:
        print_note(f"rag: {error}")
    return True


def _print_last_list(conversation: Conversation) -> None:
    lists = [turn.answer for turn in conversation.turns if turn.answer.kind == "list"]
    shown = [answer for answer in lists if answer.citations]
    if shown:
        print_list(shown[-1], show_all=True)
    else:
        print_note("No answer is a list yet.")


def _print_sources(conversation: Conversation) -> None:
    """Print the papers cited so far. A note marks those retracted, lost or changed."""
    from rag.answer import STANDINGS

    standings = {c.number: c.standing for turn in conversation.turns for c in turn.answer.citations}
    for number, source in conversation.sources.items():
        marks = filter(None, [source.retraction_mark, STANDINGS.get(standings[number])])
        notes = "".join(f"  ({mark})" for mark in marks)
        print_line(f"[{number}] {source.title}  ({source.id}){notes}")
    if not conversation.sources:
        print_note("No paper is cited yet.")


def _save(conversation: Conversation, name: str, style: str | None, *, footnotes: bool) -> None:
    """Save the conversation, or a document or its papers, in the format of the file's ending.

    A file that ends in .json, .txt or in no known format is a saved conversation.
    """
    path = _expand_path(name)
    form = find_form(path)
    if form in (None, "text", "json"):
        conversation.save(path)
    else:
        if form == "latex" and style in ("pandoc", "latex"):
            style = None  # either one means the user's own keys
        elif form in DOCUMENTS and style == "latex":
            raise SettingsError("For LaTeX, end the name in .tex, as in `/save talk.tex`.")
        Output(form, style, footnotes, path, quiet=True).write(conversation)
    print_note(f"Saved to {path}.")


def _load(conversation: Conversation, name: str) -> None:
    conversation.load(_expand_path(name))
    for warning in conversation.warnings:
        print_note(f"note: {warning}")
    count = len(conversation.turns)
    print_note(f"Loaded {count} turn{'s' * (count != 1)}.")


def _expand_path(name: str) -> Path:
    try:
        return Path(name).expanduser()
    except RuntimeError as error:
        raise CorpusError(f"{name} has no known home folder. Write the whole path.") from error


def _make_reader(folder: Path) -> Callable[[], str | None]:
    """Return a function that reads the next line, stripped, or None at the end.

    On a terminal you can edit a line, and the arrow keys bring back earlier ones.
    """
    if sys.stdin is None:  # it was closed before we began
        return lambda: None
    if not sys.stdin.isatty():
        return lambda: next((line.strip() for line in sys.stdin), None)
    from prompt_toolkit import PromptSession

    session: PromptSession[str] = PromptSession(history=_open_history(folder))

    def read_line() -> str | None:
        while True:
            try:
                return session.prompt("? ").strip()
            except KeyboardInterrupt:
                continue
            except EOFError:
                return None

    return read_line


def _open_history(folder: Path) -> History:
    """Return the history of all chats, or of this one only if its file cannot be used."""
    from prompt_toolkit.history import FileHistory, InMemoryHistory

    class SafeHistory(FileHistory):
        def store_string(self, string: str) -> None:
            with suppress(OSError, UnicodeEncodeError):  # a full disk does not end the chat
                super().store_string(string)

    file = folder / "chat_history"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        file.open("a+b").close()  # check that it can be read and written
    except OSError:
        return InMemoryHistory()
    return SafeHistory(str(file))
