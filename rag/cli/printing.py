"""Print answers, papers and notes. Text of papers is data and is never read as markup.

On a terminal lines are wrapped and coloured, and tables are aligned. Elsewhere every line is
printed as it is, so output can be piped.
"""

from __future__ import annotations

import json
import re
import sys
import textwrap
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from rag.cli.tables import IS_OVER, TABLE, build_table
from rag.verification import choose_level

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rag.answer import Answer, AnswerEvent, Citation, Statement, Step
    from rag.llm import ModelCall
    from rag.papers import Paper
    from rag.retrieval import Hit
    from rag.verification.verdict import Level, ReaderScore

QUOTES_MODE = "quotes: sentences of abstracts, no language model"
ADD_MODEL = "For written answers, name a language model: --model NAME --url URL (docs/models.md)."
RECORDS_MODE = "records: fields of the papers, read by no language model"
_LEVEL_STYLES: dict[Level, str] = {
    "good": "green",
    "fact": "green",
    "weak": "yellow",
    "bad": "red",
    "open": "dim",
}
MOST_LISTED = 10  # papers of a list, without --all
_MOST_RANKED = 30  # papers of a trace, of up to 400 in a list
_STATEMENT_CHARS = 70  # enough to recognise the statement that a verdict belongs to
# Control characters, and those that change the direction of writing, could change how a terminal
# shows the text around them.
_CONTROL = dict.fromkeys(
    code
    for code in (*range(32), *range(127, 160), *range(0x202A, 0x202F), *range(0x2066, 0x206A))
    if chr(code) not in "\t\n"
)


def print_line(text: str) -> None:
    """Print one line to standard output, without control characters."""
    sys.stdout.write(text.translate(_CONTROL) + "\n")


def print_note(text: str) -> None:
    """Print one line to standard error, without control characters."""
    sys.stderr.write(text.translate(_CONTROL) + "\n")


def print_json(value: object) -> None:
    """Print a value as indented JSON."""
    print_line(json.dumps(value, ensure_ascii=False, indent=2))


def print_text(text: str) -> None:
    """Print text unchanged where it is piped, without control characters on a terminal."""
    if sys.stdout.isatty():
        print_line(text.rstrip("\n"))
    else:
        sys.stdout.write(text)


def print_stream(
    events: Iterable[AnswerEvent],
    *,
    with_question: bool = False,
    quiet: bool = False,
    trace: bool = False,
    show_all: bool = False,
    hint: str = "",
) -> Answer:
    """Print an answer, that of a model while it arrives. Return it.

    With a trace, its steps are printed as they end, and the answer behind them.

    Args:
        events: of the answer.
        with_question: whether the question stands above it.
        quiet: print neither progress nor notes.
        trace: whether the events have steps.
        show_all: print every paper of a list.
        hint: how to ask a question as written, beside how it was understood.
    """
    is_typed = False
    typed = _TypedText()
    try:
        for event in events:
            if event.kind == "text" and is_typed:  # else the whole answer comes later
                typed.add(event.delta)
                continue
            typed.end()
            if event.kind == "status":
                is_written = event.text.startswith("Writing with ")
                is_typed = is_written and sys.stdout.isatty() and not trace
                if not quiet:
                    _print_status(event.text)
            elif event.kind == "step":
                _print_status("")
                _print_step(event)
            elif event.kind == "done":
                answer = event.answer
                if with_question and not typed.text:
                    _print(answer.question, style="bold")
                _print_answer(answer, typed.text, quiet=quiet, show_all=show_all, hint=hint)
                return answer
    except BaseException:  # the next message starts on a line of its own
        _print_status("")
        typed.end()
        raise
    raise AssertionError("a stream ends with Done")


class _TypedText:
    """Text that a terminal shows while it arrives, its tables when they are whole."""

    def __init__(self) -> None:
        self.text = ""
        self._shown = 0  # offset behind what was printed
        self._is_open = False  # whether its last line has no end yet

    def add(self, delta: str) -> None:
        """Print more text, but no table that may go on."""
        if not self._is_open:
            _print_status("")
        self._is_open = True
        self.text += delta
        self._print(is_whole=False)

    def end(self) -> None:
        """Print what is left, and end its line."""
        if self._is_open:
            self._print(is_whole=True)
            print_line("")
        self._is_open = False

    def _print(self, *, is_whole: bool) -> None:
        for match in TABLE.finditer(self.text, self._shown):
            _write(self.text[self._shown : match.start()].translate(_CONTROL))
            self._shown = match.start()
            if not (is_whole or IS_OVER.match(self.text, match.end())):
                _print_status("Writing a table")
                return
            _print_status("")
            _write(_render_table(match[0]))
            self._shown = match.end()
        _write(self.text[self._shown :].translate(_CONTROL))
        self._shown = len(self.text)


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _render_table(markdown: str) -> str:
    """Return a table as a terminal shows it, without a newline at its end."""
    markdown = markdown.translate(_CONTROL)
    table = build_table(markdown)
    if table is None:
        return markdown
    console = _make_console()
    with console.capture() as capture:
        console.print(table)
    return capture.get().rstrip("\n")


def _print_text(text: str) -> None:
    """Print the text of an answer, its tables aligned on a terminal."""
    at = 0
    for match in TABLE.finditer(text) if sys.stdout.isatty() else ():
        if before := text[at : match.start()]:
            _print(before.removesuffix("\n"))
        _write(_render_table(match[0]) + "\n")
        at = match.end() + 1
    if rest := text[at:]:
        _print(rest)


def _print_reading(answer: Answer, hint: str) -> None:
    """Print how the question was read and which papers were asked, with a hint to change that."""
    asked, question = (set(re.findall(r"\w+", t)) for t in (answer.asked, answer.question))
    is_read = bool(asked - question)  # more than a filter taken out
    lines = [f"understood as: {answer.asked}"] if is_read else []
    lines += [f"only papers {answer.scope}"] if answer.scope else []
    if hint and (is_read or answer.narrowed):
        lines[0] += f"; {hint}"
    for line in lines:
        _print(f"({line})", style="dim")


def _print_answer(answer: Answer, typed: str, *, quiet: bool, show_all: bool, hint: str) -> None:
    """Print an answer with its sources. `typed` is what the terminal shows of it already."""
    _print_status("")
    if not quiet:
        _print_reading(answer, hint)
    if answer.is_quoted:
        _print_quoted(answer)
    elif answer.kind == "list" and answer.citations:
        print_list(answer, show_all=show_all)
    else:
        if typed.strip() != answer.text.strip():
            if typed:
                _print("\nAs checked:", style="bold")
            _print_text(answer.text)
        _print_sources(answer)
    _print_closest(answer)
    if not quiet:
        _print_summary(answer)


def _print_status(text: str) -> None:
    """Show progress in a line that the next one replaces, only on a terminal."""
    if sys.stderr.isatty():
        sys.stderr.write("\r\x1b[K" + text.translate(_CONTROL)[:100])
        sys.stderr.flush()


def _print_summary(answer: Answer) -> None:
    parts = [answer.verification.rstrip(".")] if answer.statements else []
    copied = RECORDS_MODE if answer.kind == "metadata" else QUOTES_MODE
    parts.append(str(answer.model) if answer.mode == "model" else copied)
    if answer.usage.calls:
        tokens = answer.usage.prompt_tokens + answer.usage.completion_tokens
        about = "about " if answer.usage.estimated else ""
        calls = f"{answer.usage.calls} call{'s' * (answer.usage.calls != 1)}"
        parts.append(f"{about}{tokens} tokens in {calls}")
    parts += [answer.cost] if answer.cost else []
    _print("\n" + " · ".join([*parts, answer.duration]), style="dim")
    if answer.mode == "quotes" and answer.kind != "metadata" and not answer.model_error:
        _print(ADD_MODEL, style="dim")
    if answer.status == "incomplete":
        print_note(f"note: this answer is incomplete: {answer.reason.rstrip('.')}.")
    for warning in answer.warnings:
        if warning[1:] not in answer.text:  # an abstention gives its reason in the text
            print_note(f"note: {warning}")


def _print_quoted(answer: Answer) -> None:
    """Print the heading, then each paper with the sentences quoted from it."""
    from rag.answer.headings import BEST_MATCH, CLOSEST

    heading, *rest = answer.statements
    _print(heading.text, style="bold")
    label, number = "", 0
    for statement in rest:
        if not statement.citations:
            label = statement.text if statement.text in (BEST_MATCH, CLOSEST) else ""
            continue
        citation = statement.citations[0]
        if citation.number != number:
            print_line("")
            _print_reference(citation.number, citation.paper)
        said = f"{label} “{statement.text}”".lstrip()
        _print(said, indent=4, label=label, style="bold" if label else "")
        label, number = "", citation.number


def print_list(answer: Answer, *, show_all: bool = False) -> None:
    """Print a list: its count, then each paper with its score and sentence.

    Args:
        answer: of kind "list".
        show_all: print more than the first papers.
    """
    parts = answer.statements
    entries = [place for place, part in enumerate(parts) if part.citations]
    shown = entries if show_all else entries[:MOST_LISTED]
    for part in parts[: shown[-1] + 1]:
        if part.citations:
            _print_entry(answer, part)
        else:
            _print(f"{part.text}\n")
    if left_out := len(entries) - len(shown):
        _print(f"{left_out} more are not shown. Use --all, in a chat /all, to see them.\n")
    for part in parts[entries[-1] + 1 :]:
        _print(part.text)


def _print_entry(answer: Answer, entry: Statement) -> None:
    citation = entry.citations[0]
    _print_reference(citation.number, citation.paper)
    _print_citation(entry, citation, answer.checker)
    print_line("")


def _print_closest(answer: Answer) -> None:
    if further := answer.further_papers:
        _print(f"\n{answer.closest_heading}")
        for paper in further:
            _print(f"- {paper.title}", indent=2)


def _print_sources(answer: Answer) -> None:
    if answer.sources:
        _print("\nSources", style="bold")
        for number, source in answer.sources.items():
            _print_source(answer, number, source)
    for statement in answer.statements:
        if statement.verdict == "uncited":
            _print(f"uncited: {statement.named_text}", style="yellow")


def _print_reference(number: int, paper: Paper) -> None:
    _print(f"[{number}] {paper.title}", style="bold")
    authors = ", ".join([*paper.authors[:3], *(["et al."] if len(paper.authors) > 3 else [])])
    place = " · ".join(filter(None, [authors, paper.venue, str(paper.year or ""), paper.url]))
    if place:
        _print(place, indent=4, style="dim")


def _print_source(answer: Answer, number: int, paper: Paper) -> None:
    _print_reference(number, paper)
    for statement in answer.statements if answer.kind != "metadata" else ():
        for citation in statement.citations:
            if citation.number == number:
                _print_citation(statement, citation, answer.checker)


def _print_citation(statement: Statement, citation: Citation, checker: ReaderScore | None) -> None:
    """Print the verdict on a citation, its statement, and the quotes."""
    label = statement.describe_verdict(citation)
    level = choose_level(statement.choose_verdict(citation) or "unchecked", checker)
    style = _LEVEL_STYLES[level]
    quotes = [f"“{quote.text}”" for quote in citation.quotes]
    reason = "; ".join([citation.reason, citation.by, *citation.warnings])
    if statement.listed:
        is_ranked = citation.by == "text" and citation.score is not None
        entry = f"{citation.score:.2f}" if is_ranked else f"{label} ({reason})"
        _print(f"{entry}: {' '.join(quotes)}", indent=4, label=entry, style=style)
    elif label == "quoted":
        _print(f"{label}: {' '.join(quotes)}", indent=4, label=label, style=style)
    else:
        said = textwrap.shorten(statement.named_text, _STATEMENT_CHARS, placeholder="…")
        _print(f"{label}: {said} ({reason})", indent=4, label=label, style=style)
        for quote in quotes:
            _print(quote, indent=8, style="dim")


def print_hits(hits: Sequence[Hit]) -> None:
    """Print a ranked list of papers with the best sentence of each."""
    if not hits:
        _print("Nothing was found.")
    for hit in hits:
        _print(f"{hit.rank}. {hit.paper.title}", style="bold")
        _print(f"{hit.paper.id}  score {hit.score:.2f}", indent=3, style="dim")
        if hit.sentences:
            _print(hit.sentences[0].text, indent=3)


def _print_step(step: Step) -> None:
    """Print a step of an answer: its result, then the prompts and replies of its calls."""
    _print(f"{step.name} · {step.seconds:.2f} s", style="bold")
    for name, value in step.result.items():
        if name == "papers":
            print_ranking(value[:_MOST_RANKED])
            left_out = len(value) - _MOST_RANKED
            if left_out > 0:
                print_line(f"and {left_out} more")
        elif name == "statements":
            for statement in value:
                _print_statement(statement)
        elif value:
            _print(f"{name}: {'; '.join(value) if isinstance(value, list) else value}", indent=2)
    for call in step.calls:
        _print_call(call)
    print_line("")


def _print_call(call: ModelCall) -> None:
    tokens = f"{call.usage.prompt_tokens} + {call.usage.completion_tokens} tokens"
    _print(f"\n--- prompt {call.prompt} to {call.model} · {call.seconds:.2f} s · {tokens}")
    for message in call.messages:
        _print(f"--- {message.role}\n{message.text}")
    _print(f"--- reply\n{call.reply}")
    if call.error:
        _print(f"--- error\n{call.error}")


def _print_statement(statement: Mapping[str, Any]) -> None:
    citations = statement["citations"]
    cited = "".join(f" [{each['number']}]" for each in citations)
    given = [part for each in citations for part in (each["reason"], each["by"]) if part]
    why = "; ".join([*dict.fromkeys(given), *statement["warnings"]])
    verdict = f"{statement['verdict']}: " if statement["verdict"] else ""
    _print(f"{verdict}{statement['text']}{cited}{f' ({why})' if why else ''}", indent=2)


def print_ranking(papers: Sequence[Mapping[str, Any]]) -> None:
    """Print the score and rank of each paper in every stage, and the query that found it."""
    names = list(papers[0]["stages"]) if papers else []
    table = Table("rank", "fused", *names, "paper", box=None, pad_edge=False, padding=(0, 1, 0, 0))
    for paper in papers:
        stages = (paper["stages"][name] for name in names)
        cells = [f"{stage['score']:.3f} #{stage['rank']}" for stage in stages]
        title = Text(paper["title"].translate(_CONTROL), overflow="ellipsis", no_wrap=True)
        mark = " (named)" if paper["named"] else ""
        table.add_row(f"{paper['rank']}{mark}", f"{paper['score']:.2f}", *cells, title)
    console = _make_console()
    console.print()
    console.print(table, width=None if console.is_terminal else 80)
    for paper in papers:
        if paper["query"]:
            print_line(f"{paper['rank']} was found by the query “{paper['query']}”")


def print_paper(paper: Paper) -> None:
    """Print one paper with all its fields."""
    _print(paper.title, style="bold")
    values = paper.to_dict()
    further: Any = values.pop("metadata", {})
    for name, value in {**values, **further}.items():
        if name in ("title", "abstract"):
            continue
        shown = ", ".join(map(str, value)) if isinstance(value, list) else str(value)
        _print(f"{name}: {shown}", style="dim")
    for link in paper.links:
        _print(f"link in the abstract: {link}", style="dim")
    _print("\n" + (paper.abstract or "(no abstract)"))


def _make_console() -> Console:
    return Console(soft_wrap=not sys.stdout.isatty(), highlight=False)


def _print(text: str, *, indent: int = 0, style: str = "", label: str = "") -> None:
    """Print text; the style applies to the label at its start, or to all of it without one."""
    console = _make_console()
    text = text.translate(_CONTROL)
    if console.is_terminal:
        shown = Text(text) if label else Text(text, style=style)
        shown.stylize(style, 0, len(label))
        for line in shown.wrap(console, console.width - indent):
            line.rstrip()
            line.pad_left(indent)
            console.print(line, soft_wrap=True)
    else:
        console.print(" " * indent + text, markup=False, soft_wrap=True)
