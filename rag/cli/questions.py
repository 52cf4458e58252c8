"""`rag ask`, `rag list` and `rag search`: questions to a library."""

from __future__ import annotations

from dataclasses import asdict
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rag.cli.options import (
    CiteStyle,
    CiteStyleOption,
    Format,
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
    print_stream,
    print_text,
    print_trace,
)

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rag.answer import Answer
    from rag.retrieval import Hit
    from rag.settings import Settings

TraceOption = Annotated[
    bool, typer.Option("--trace", help="Show the score and rank of each paper in every stage.")
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
    trace: TraceOption = False,
    form: FormatOption = None,
    cite_style: CiteStyleOption = "numeric",
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    make_filter: Any = None,
) -> None:
    """Answer a question from the library, with checked citations, or abstain."""
    form = resolve_format(form, as_json=as_json, trace=trace)
    questions = read_questions(question, file)
    with open_assistant(settings, quiet=quiet) as assistant:
        where = make_filter(assistant)
        several = len(questions) > 1
        if form != "text":
            answers = (assistant.ask(text, where=where) for text in questions)
            _print_formatted(answers, form, cite_style, quiet=quiet, indent=None if several else 2)
            return
        for number, text in enumerate(questions):
            if number:
                print_line("")
            events = assistant.stream(text, where=where)
            answer = print_stream(events, with_question=several, quiet=quiet)
            if trace:
                print_trace(answer.hits)


@add_options("index", "embedder", "chat_model", "chat_url", "listing_workers")
def list_papers(
    subject: Annotated[str, typer.Argument(help="The subject; - reads it from standard input.")],
    *,
    settings: Settings,
    form: FormatOption = None,
    cite_style: CiteStyleOption = "numeric",
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    make_filter: Any = None,
) -> None:
    """List every paper that fits a subject, with its score and a quoted sentence."""
    form = resolve_format(form, as_json=as_json)
    (subject,) = read_questions(subject)
    with open_assistant(settings, quiet=quiet) as assistant:
        where = make_filter(assistant)
        if form == "text":
            print_stream(assistant.stream_list(subject, where=where), quiet=quiet)
        else:
            _print_formatted([assistant.list(subject, where=where)], form, cite_style, quiet=quiet)


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
            print_trace(hits)


def _print_formatted(
    answers: Iterable[Answer],
    form: Format,
    cite_style: CiteStyle,
    *,
    quiet: bool,
    indent: int | None = 2,
) -> None:
    """Print answers as JSON or Markdown, or each paper that they cite once as a reference."""
    from rag.exporters import export_papers

    if form == "json":
        for answer in answers:  # each as soon as it is there
            print_line(answer.to_json(indent=indent))
        return
    answers = list(answers)
    if form == "markdown":
        print_text("\n---\n\n".join(each.to_markdown(cite_style=cite_style) for each in answers))
    else:
        print_text(
            export_papers(chain.from_iterable(each.sources.values() for each in answers), form)
        )
    if not quiet:
        for warning in chain.from_iterable(each.warnings for each in answers):
            print_note(f"note: {warning}")


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
