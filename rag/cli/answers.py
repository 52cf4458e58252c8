"""Print answers as they arrive: prose, quoted sentences, lists, their sources, and the steps."""

from __future__ import annotations

import re
import sys
import textwrap
from typing import TYPE_CHECKING, Any

from rag.cli.printing import (
    make_console,
    print_line,
    print_note,
    print_ranking,
    print_retraction,
    print_status,
    print_styled,
    strip_controls,
)
from rag.cli.tables import IS_OVER, TABLE, build_table
from rag.verification import choose_level

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from rag.answer import Answer, AnswerEvent, Citation, Statement, Step
    from rag.llm import ModelCall
    from rag.papers import Paper
    from rag.verification.verdict import Level, ReaderScore

QUOTES_MODE = "quotes: sentences of abstracts, no language model"
ADD_MODEL = "For written answers, set up a language model: rag setup (docs/models.md)."
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


def print_stream(
    events: Iterable[AnswerEvent],
    *,
    with_question: bool = False,
    quiet: bool = False,
    trace: bool = False,
    show_all: bool = False,
    hint: str = "",
    with_tip: bool = True,
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
        with_tip: whether the last line says how to get written answers, where they are not.
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
                    print_status(event.text)
            elif event.kind == "step":
                print_status("")
                _print_step(event)
            elif event.kind == "done":
                answer = event.answer
                if with_question and not typed.text:
                    print_styled(answer.question, style="bold")
                _print_answer(answer, typed.text, quiet=quiet, show_all=show_all, hint=hint)
                if with_tip and not quiet and _is_unwritten(answer):
                    print_styled(ADD_MODEL, style="dim")
                return answer
    except BaseException:  # the next message starts on a line of its own
        print_status("")
        typed.end()
        raise
    raise AssertionError("a stream ends with Done")


def _is_unwritten(answer: Answer) -> bool:
    """Return whether a model would have written it, and none was named."""
    from rag.generation.compact import NOT_ASKED

    has_model = answer.model_error or NOT_ASKED in answer.warnings
    return answer.mode == "quotes" and answer.kind != "metadata" and not has_model


class _TypedText:
    """Text that a terminal shows while it arrives, its tables when they are whole."""

    def __init__(self) -> None:
        self.text = ""
        self._shown = 0  # offset behind what was printed
        self._is_open = False  # whether its last line has no end yet

    def add(self, delta: str) -> None:
        """Print more text, but no table that may go on."""
        if not self._is_open:
            print_status("")
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
            _write(strip_controls(self.text[self._shown : match.start()]))
            self._shown = match.start()
            if not (is_whole or IS_OVER.match(self.text, match.end())):
                print_status("Writing a table")
                return
            print_status("")
            _write(_render_table(match[0]))
            self._shown = match.end()
        _write(strip_controls(self.text[self._shown :]))
        self._shown = len(self.text)


def _write(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


def _render_table(markdown: str) -> str:
    """Return a table as a terminal shows it, without a newline at its end."""
    markdown = strip_controls(markdown)
    table = build_table(markdown)
    if table is None:
        return markdown
    console = make_console()
    with console.capture() as capture:
        console.print(table)
    return capture.get().rstrip("\n")


def _print_text(text: str) -> None:
    """Print the text of an answer, its tables aligned on a terminal."""
    at = 0
    for match in TABLE.finditer(text) if sys.stdout.isatty() else ():
        if before := text[at : match.start()]:
            print_styled(before.removesuffix("\n"))
        _write(_render_table(match[0]) + "\n")
        at = match.end() + 1
    if rest := text[at:]:
        print_styled(rest)


def _print_reading(answer: Answer, hint: str) -> None:
    """Print how the question was read and which papers were asked, with a hint to change that."""
    asked, question = (set(re.findall(r"\w+", t)) for t in (answer.asked, answer.question))
    is_read = bool(asked - question)  # more than a filter taken out
    lines = [f"understood as: {answer.asked}"] if is_read else []
    lines += [f"only papers {answer.scope}"] if answer.scope else []
    if hint and (is_read or answer.narrowed):
        lines[0] += f"; {hint}"
    for line in lines:
        print_styled(f"({line})", style="dim")


def _print_answer(answer: Answer, typed: str, *, quiet: bool, show_all: bool, hint: str) -> None:
    """Print an answer with its sources. `typed` is what the terminal shows of it already."""
    print_status("")
    if not quiet:
        _print_reading(answer, hint)
    if answer.is_quoted:
        own, quoted = answer.split_quotations()
        if own.text and not typed.strip().startswith(own.text.strip()):
            _print_text(own.text.rstrip())
        _print_quoted(quoted.statements)
    elif answer.kind == "list" and answer.citations:
        print_list(answer, show_all=show_all)
    else:
        if typed.strip() != answer.text.strip():
            if typed:
                print_styled("\nAs checked:", style="bold")
            _print_text(answer.text)
        _print_sources(answer)
    _print_closest(answer)
    if not quiet:
        _print_summary(answer)


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
    print_styled("\n" + " · ".join([*parts, answer.duration]), style="dim")
    if answer.status == "incomplete":
        print_note(f"note: this answer is incomplete: {answer.reason.rstrip('.')}.")
    for warning in answer.warnings:
        if warning[1:] not in answer.text:  # an abstention gives its reason in the text
            print_note(f"note: {warning}")


def _print_quoted(statements: Sequence[Statement]) -> None:
    """Print the heading, then each paper with the sentences quoted from it."""
    from rag.answer.headings import BEST_MATCH, CLOSEST

    heading, *rest = statements
    print_styled(heading.text, style="bold")
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
        print_styled(said, indent=4, label=label, style="bold" if label else "")
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
            print_styled(f"{part.text}\n")
    if left_out := len(entries) - len(shown):
        print_styled(f"{left_out} more are not shown. Use --all, in a chat /all, to see them.\n")
    for part in parts[entries[-1] + 1 :]:
        print_styled(part.text)


def _print_entry(answer: Answer, entry: Statement) -> None:
    citation = entry.citations[0]
    _print_reference(citation.number, citation.paper)
    _print_citation(entry, citation, answer.checker)
    print_line("")


def _print_closest(answer: Answer) -> None:
    if answer.closest:
        print_styled(f"\n{answer.closest_heading}")
        for hit in answer.closest:
            print_styled(f"- {hit.paper.title}", indent=2)
            print_retraction(hit.paper, indent=4)


def _print_sources(answer: Answer) -> None:
    if answer.sources:
        print_styled("\nSources", style="bold")
        for number, source in answer.sources.items():
            _print_source(answer, number, source)
    for statement in answer.statements:
        if statement.verdict == "uncited":
            print_styled(f"uncited: {statement.named_text}", style="yellow")


def _print_reference(number: int, paper: Paper) -> None:
    print_styled(f"[{number}] {paper.title}", style="bold")
    print_retraction(paper, indent=4)
    authors = ", ".join([*paper.authors[:3], *(["et al."] if len(paper.authors) > 3 else [])])
    place = " · ".join(filter(None, [authors, paper.venue, str(paper.year or ""), paper.url]))
    for line in filter(None, (place, paper.zotero_link)):
        print_styled(line, indent=4, style="dim")


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
        print_styled(f"{entry}: {' '.join(quotes)}", indent=4, label=entry, style=style)
    elif label == "quoted":
        print_styled(f"{label}: {' '.join(quotes)}", indent=4, label=label, style=style)
    else:
        said = textwrap.shorten(statement.named_text, _STATEMENT_CHARS, placeholder="…")
        print_styled(f"{label}: {said} ({reason})", indent=4, label=label, style=style)
        for quote in quotes:
            print_styled(quote, indent=8, style="dim")


def _print_step(step: Step) -> None:
    """Print a step of an answer: its result, then the prompts and replies of its calls."""
    print_styled(f"{step.name} · {step.seconds:.2f} s", style="bold")
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
            print_styled(
                f"{name}: {'; '.join(value) if isinstance(value, list) else value}", indent=2
            )
    for call in step.calls:
        _print_call(call)
    print_line("")


def _print_call(call: ModelCall) -> None:
    tokens = f"{call.usage.prompt_tokens} + {call.usage.completion_tokens} tokens"
    print_styled(f"\n--- prompt {call.prompt} to {call.model} · {call.seconds:.2f} s · {tokens}")
    for message in call.messages:
        print_styled(f"--- {message.role}\n{message.text}")
    print_styled(f"--- reply\n{call.reply}")
    if call.error:
        print_styled(f"--- error\n{call.error}")


def _print_statement(statement: Mapping[str, Any]) -> None:
    citations = statement["citations"]
    cited = "".join(f" [{each['number']}]" for each in citations)
    given = [part for each in citations for part in (each["reason"], each["by"]) if part]
    why = "; ".join([*dict.fromkeys(given), *statement["warnings"]])
    verdict = f"{statement['verdict']}: " if statement["verdict"] else ""
    print_styled(f"{verdict}{statement['text']}{cited}{f' ({why})' if why else ''}", indent=2)
