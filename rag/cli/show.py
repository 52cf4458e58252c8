"""How the command prints things. Text of papers is data: it is never read as markup.

On a terminal lines are wrapped and coloured; elsewhere every line is printed as it is, so that
output can be piped.
"""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rag.answer import Answer, AnswerEvent, Citation, Statement
    from rag.papers import Paper
    from rag.retrieval import Hit

QUOTES = "quotes: verbatim sentences, no language model"
_VERDICT_STYLES = {
    "quoted": "green",
    "supported": "green",
    "record": "green",
    "partly": "yellow",
    "unsupported": "red",
    "contradicted": "red",
}
_STATEMENT = 70  # characters of a statement that say which one a verdict is of
# Control characters, and those that turn the direction of writing, could change what a terminal
# shows of the text around them.
_CONTROL = dict.fromkeys(
    code
    for code in (*range(32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A))
    if chr(code) not in "\t\n"
)


def line(text: str) -> None:
    """Prints one line to standard output, without control characters."""
    sys.stdout.write(text.translate(_CONTROL) + "\n")


def note(text: str) -> None:
    """Prints one line to standard error, without control characters."""
    sys.stderr.write(text.translate(_CONTROL) + "\n")


def json_value(value: object) -> None:
    """Prints a value as indented JSON."""
    line(json.dumps(value, ensure_ascii=False, indent=2))


def streamed(
    events: Iterable[AnswerEvent], *, with_question: bool = False, quiet: bool = False
) -> Answer:
    """Prints an answer as it comes, then what each citation rests on; returns it."""
    console = _console()
    typed = ""
    try:
        for event in events:
            if event.kind == "status" and not quiet:
                _status(event.text)
            elif event.kind == "text":
                typed += _typed(event.delta, console, first=not typed)
            elif event.kind == "done":
                _finish(event.answer, typed, console, with_question=with_question, quiet=quiet)
                return event.answer
    except BaseException:  # what is said next begins on a line of its own
        _status("")
        if typed:
            line("")
        raise
    raise AssertionError("a stream ends with Done")


def _typed(delta: str, console: Console, *, first: bool) -> str:
    """Writes text at once where somebody watches; elsewhere the whole answer is written later."""
    if not console.is_terminal:
        return ""
    if first:
        _status("")
    sys.stdout.write(delta.translate(_CONTROL))
    sys.stdout.flush()
    return delta


def _status(text: str) -> None:
    """Shows what is going on in one line that the next one replaces; only on a terminal."""
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K" + text.translate(_CONTROL)[:100])
        sys.stderr.flush()


def _finish(
    found: Answer, typed: str, console: Console, *, with_question: bool, quiet: bool
) -> None:
    _status("")
    if typed:
        line("")
    if with_question and not typed:
        _print(console, found.question, style="bold")
    if not quiet:
        _print_understood(console, found)
    if typed.strip() != found.text.strip():
        if typed:
            _print(console, "\nAs checked:", style="bold")
        _print(console, found.text)
    _print_sources(console, found)
    if quiet:
        return
    mode = QUOTES if found.mode == "quotes" else str(found.model)
    parts = [mode, *_spent(found), found.took]
    if found.statements:
        parts.insert(0, found.verification.rstrip("."))
    _print(console, "\n" + " · ".join(parts), style="dim")
    if found.status == "incomplete":
        _print(
            Console(stderr=True), f"note: this answer is incomplete: {found.reason.rstrip('.')}."
        )
    for warning in _notes(found):
        _print(Console(stderr=True), f"note: {warning}")


def _notes(found: Answer) -> list[str]:
    """The warnings but the one for which an answer abstains: its text says that already."""
    return [warning for warning in found.warnings if warning[1:] not in found.text]


def _print_understood(console: Console, found: Answer) -> None:
    if found.asked != found.question.strip():
        _print(console, f"(understood as: {found.asked})", style="dim")
    if found.scope:
        _print(console, f"(only papers {found.scope})", style="dim")


def _print_sources(console: Console, found: Answer) -> None:
    if found.closest:
        _print(console, "\nClosest papers:")
        for hit in found.closest:
            _print(console, f"- {hit.paper.title}", indent=2)
    all_listed = not any(statement.claim for statement in found.statements)
    if found.sources and not all_listed:  # a list of a whole library has their titles already
        _print(console, "\nSources", style="bold")
        for number, source in found.sources.items():
            _source(console, found, number, source)
    for statement in found.statements:
        if statement.verdict == "uncited":
            _print(console, f"uncited: {statement.text}", style="yellow")


def _spent(found: Answer) -> list[str]:
    """Tokens and, where prices are known, money."""
    usage = found.usage
    if not usage.calls:
        return []
    about = "about " if usage.estimated else ""
    tokens = usage.prompt_tokens + usage.completion_tokens
    calls = f"{usage.calls} call{'s' * (usage.calls != 1)}"
    return [f"{about}{tokens} tokens in {calls}", *([found.cost] if found.cost else [])]


def _source(console: Console, found: Answer, number: int, paper: Paper) -> None:
    _print(console, f"[{number}] {paper.title}", style="bold")
    about = ", ".join([*paper.authors[:3], *(["et al."] if len(paper.authors) > 3 else [])])
    place = " · ".join(filter(None, [about, paper.venue, str(paper.year or ""), paper.url]))
    if place:
        _print(console, place, indent=4, style="dim")
    for statement in found.statements:
        for citation in statement.citations:
            if citation.number == number:
                _citation(console, statement, citation)


def _citation(console: Console, statement: Statement, citation: Citation) -> None:
    """The verdict on one citation, of which statement, and the sentences it rests on."""
    if not statement.claim and citation.verdict is None:  # a list in which nothing was decided
        return
    text = Text(citation.verdict or "unchecked")
    text.stylize(_VERDICT_STYLES.get(citation.verdict or "", "dim"))
    if citation.verdict == "quoted":
        for quote in citation.quotes:
            _print(console, text + Text(f": “{quote.text}”".translate(_CONTROL)), indent=4)
        return
    if statement.names_paper:  # a list: the sentence says why it stands in it
        by = "" if citation.by in citation.reason else f"; {citation.by}"
        text.append(f" ({citation.reason}{by})".translate(_CONTROL), style="default")
        for quote in citation.quotes:
            text.append(f": “{quote.text}”".translate(_CONTROL), style="default")
        _print(console, text, indent=4)
        return
    said = (
        statement.text if len(statement.text) <= _STATEMENT else f"{statement.text[:_STATEMENT]}…"
    )
    text.append(f": {said} ({citation.reason}; {citation.by})".translate(_CONTROL), style="default")
    _print(console, text, indent=4)
    for quote in citation.quotes:
        _print(console, f"“{quote.text}”", indent=8, style="dim")


def hits(found: Sequence[Hit]) -> None:
    """Prints a ranked list of papers with the best sentence of each."""
    console = _console()
    if not found:
        _print(console, "Nothing was found.")
    for hit in found:
        _print(console, f"{hit.rank}. {hit.paper.title}", style="bold")
        _print(console, f"{hit.paper.id}  score {hit.score:.2f}", indent=3, style="dim")
        if hit.sentences:
            _print(console, hit.sentences[0].text, indent=3)


def hit_values(hit: Hit) -> dict[str, Any]:
    """A hit as plain JSON values."""
    return {
        "rank": hit.rank,
        "score": hit.score,
        "named": hit.named,
        "paper": hit.paper.to_dict(),
        "stages": {
            name: {"score": stage.score, "rank": stage.rank} for name, stage in hit.stages.items()
        },
        "sentences": [
            {"start": s.start, "end": s.end, "score": s.score, "text": s.text}
            for s in hit.sentences
        ],
    }


def trace(found: Sequence[Hit]) -> None:
    """Prints every hit's score and rank in each stage."""
    names = list(found[0].stages) if found else []
    table = Table("rank", "fused", *names, "paper", box=None, pad_edge=False)
    for hit in found:
        cells = [f"{hit.stages[name].score:.3f} #{hit.stages[name].rank}" for name in names]
        title = Text(hit.paper.title.translate(_CONTROL), overflow="ellipsis", no_wrap=True)
        mark = " (named)" if hit.named else ""
        table.add_row(f"{hit.rank}{mark}", f"{hit.score:.2f}", *cells, title)
    console = _console()
    console.print()
    console.print(table, width=None if console.is_terminal else 160)


def paper(found: Paper) -> None:
    """Prints one paper."""
    console = _console()
    _print(console, found.title, style="bold")
    values = found.to_dict()
    further: Any = values.pop("metadata", {})
    for name, value in {**values, **further}.items():
        if name in ("title", "abstract"):
            continue
        shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        _print(console, f"{name}: {shown}", style="dim")
    for link in found.links:
        _print(console, f"link in the abstract: {link}", style="dim")
    _print(console, "\n" + (found.abstract or "(no abstract)"))


def information(values: Mapping[str, Any]) -> None:
    """Prints what `rag info` collected."""
    for section, entries in values.items():
        line(f"{section}:")
        if not isinstance(entries, dict):
            line(f"  {entries}")
            continue
        for name, value in entries.items():
            shown = f"{value['value']}  ({value['from']})" if isinstance(value, dict) else value
            line(f"  {name}: {shown}")


def _console() -> Console:
    return Console(soft_wrap=not sys.stdout.isatty(), highlight=False)


def _print(console: Console, text: str | Text, *, indent: int = 0, style: str = "") -> None:
    shown = text if isinstance(text, Text) else Text(text.translate(_CONTROL), style=style)
    if console.is_terminal:
        console.print(Padding(shown, (0, 0, 0, indent)))
    else:
        console.print(" " * indent + shown.plain, markup=False, soft_wrap=True)
