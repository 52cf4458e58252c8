"""`rag ask`, `rag list` and `rag search`: questions to a library."""

from __future__ import annotations

import json
from dataclasses import asdict
from functools import partial
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rag.cli.answers import print_stream
from rag.cli.documents import (
    CiteStyleOption,
    FootnotesOption,
    FormOption,
    OutOption,
    Output,
    resolve_output,
)
from rag.cli.options import (
    FormatOption,
    JsonOption,
    QuietOption,
    add_options,
    open_assistant,
    read_questions,
    resolve_format,
)
from rag.cli.printing import (
    print_hits,
    print_json,
    print_line,
    print_note,
    print_ranking,
    print_text,
)
from rag.errors import ModelError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rag.answer import AnswerEvent
    from rag.retrieval import Hit
    from rag.settings import Settings

AllOption = Annotated[
    bool, typer.Option("--all", help="Print every paper of a list, not only the first ten.")
]
TraceOption = Annotated[
    bool,
    typer.Option("--trace", help="Show each step: plan, ranked papers, prompts, replies, seconds."),
]


@add_options(
    "index",
    "embedder",
    "k",
    "sentences",
    "chat_model",
    "chat_url",
    "check_model",
    "check_url",
    "listing_workers",
)
def ask(
    question: Annotated[
        str | None, typer.Argument(help="The question; - reads it from standard input.")
    ] = None,
    *,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", help="File with one question a line.")
    ] = None,
    settings: Settings,
    as_written: Annotated[
        bool,
        typer.Option(
            "--as-written",
            help="Search for the question as it stands: read no filter in it, correct no word.",
        ),
    ] = False,
    show_all: AllOption = False,
    trace: TraceOption = False,
    form: FormOption = None,
    out: OutOption = None,
    cite_style: CiteStyleOption = None,
    footnotes: FootnotesOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    make_filter: Any = None,
) -> None:
    """Answer a question from the library, with checked citations, or abstain."""
    output = resolve_output(
        form,
        out,
        style=cite_style,
        with_footnotes=footnotes,
        as_json=as_json,
        trace=trace,
        quiet=quiet,
    )
    questions = read_questions(question, file)
    with open_assistant(settings, quiet=quiet) as assistant:
        where = make_filter(assistant)
        ask_one = partial(assistant.stream, where=where, as_written=as_written, trace=trace)
        several = len(questions) > 1
        if output.form != "text":
            indent = None if several else 2
            _write_answers(map(ask_one, questions), output, quiet=quiet, indent=indent)
            return
        with output.redirect_print():
            for number, text in enumerate(questions):
                if number:
                    print_line("")
                print_stream(
                    ask_one(text),
                    with_question=several,
                    quiet=quiet,
                    trace=trace,
                    show_all=show_all,
                    with_tip=number == len(questions) - 1,
                )


@add_options("index", "embedder", "chat_model", "chat_url", "listing_workers")
def list_papers(
    subject: Annotated[str, typer.Argument(help="The subject; - reads it from standard input.")],
    *,
    settings: Settings,
    show_all: AllOption = False,
    trace: TraceOption = False,
    form: FormOption = None,
    out: OutOption = None,
    cite_style: CiteStyleOption = None,
    footnotes: FootnotesOption = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    make_filter: Any = None,
) -> None:
    """List every paper that fits a subject, with its score and a quoted sentence."""
    output = resolve_output(
        form,
        out,
        style=cite_style,
        with_footnotes=footnotes,
        as_json=as_json,
        trace=trace,
        quiet=quiet,
    )
    (subject,) = read_questions(subject)
    with open_assistant(settings, quiet=quiet) as assistant:
        events = assistant.stream_list(subject, where=make_filter(assistant), trace=trace)
        if output.form != "text":
            _write_answers([events], output, quiet=quiet)
            return
        with output.redirect_print():
            print_stream(events, quiet=quiet, trace=trace, show_all=show_all)


@add_options("index", "embedder", "k")
def search(
    question: Annotated[str, typer.Argument(help="What to look for; - reads standard input.")],
    *,
    settings: Settings,
    trace: TraceOption = False,
    form: FormatOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    make_filter: Any = None,
) -> None:
    """List the papers that fit a question best, with their best sentence."""
    from rag.exporters import export_papers

    form = resolve_format(form, as_json=as_json)
    (question,) = read_questions(question)
    with open_assistant(settings, quiet=quiet) as assistant:
        hits = assistant.search(question, where=make_filter(assistant))
    if form == "json":
        print_json([_hit_to_dict(hit) for hit in hits])
    elif form != "text":
        print_text(export_papers((hit.paper for hit in hits), form))
    else:
        print_hits(hits)
        if trace:
            from rag.generation.trace import describe_hit

            print_ranking([describe_hit(hit) for hit in hits])


def _write_answers(
    streams: Iterable[Iterable[AnswerEvent]], output: Output, *, quiet: bool, indent: int | None = 2
) -> None:
    """Write answers as JSON, as one document, or each paper that they cite as a reference."""
    from rag.answer import Answers

    if output.form == "json":
        with output.redirect_print():
            for events in streams:  # each answer as soon as it is there
                _print_as_json(events, indent)
        return
    done = [event for events in streams for event in events if event.kind == "done"]
    answers = Answers([event.answer for event in done])
    output.write(answers)
    if not quiet:
        for warning in chain.from_iterable(each.warnings for each in answers.answers):
            print_note(f"note: {warning}")


def _print_as_json(events: Iterable[AnswerEvent], indent: int | None) -> None:
    """Print the answer of a stream with its trace, or the trace of one that a model refuses."""
    steps: list[dict[str, Any]] = []
    values: dict[str, Any] = {}
    try:
        for event in events:
            if event.kind == "step":
                steps.append(event.to_dict())
            elif event.kind == "done":
                values = event.answer.to_dict()
    except ModelError as error:
        if steps:
            failed = {"error": str(error), "trace": steps}
            print_line(json.dumps(failed, ensure_ascii=False, indent=indent))
        raise
    values |= {"trace": steps} if steps else {}
    print_line(json.dumps(values, ensure_ascii=False, indent=indent))


def _hit_to_dict(hit: Hit) -> dict[str, Any]:
    return {
        "rank": hit.rank,
        "score": hit.score,
        "named": hit.named,
        "paper": hit.paper.to_dict(),
        "stages": {name: asdict(stage) for name, stage in hit.stages.items()},
        "sentences": [
            {"start": s.start, "end": s.end, "score": s.score, "text": s.text}
            for s in hit.sentences
        ],
    }
