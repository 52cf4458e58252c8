"""`rag ask`, `rag list` and `rag search`: questions to a library."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rag.cli.options import (
    CiteStyle,
    CiteStyleOption,
    ConfigOption,
    Format,
    FormatOption,
    IndexOption,
    JsonOption,
    ModelOption,
    PapersOption,
    QuietOption,
    SentencesOption,
    UrlOption,
    add_filter_options,
    open_assistant,
    read_questions,
    read_settings,
    resolve_format,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from rag.answer import Answer
    from rag.retrieval import Hit

TraceOption = Annotated[
    bool, typer.Option("--trace", help="Show the score and rank of each paper in every stage.")
]


@add_filter_options
def ask(
    question: Annotated[
        str | None, typer.Argument(help="The question; - reads it from standard input.")
    ] = None,
    *,
    file: Annotated[
        Path | None, typer.Option("--file", "-f", help="File with one question a line.")
    ] = None,
    index: IndexOption = None,
    k: PapersOption = None,
    sentences: SentencesOption = None,
    model: ModelOption = None,
    url: UrlOption = None,
    trace: TraceOption = False,
    form: FormatOption = None,
    cite_style: CiteStyleOption = "numeric",
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    config: ConfigOption = None,
    make_filter: Any = None,
) -> None:
    """Answer a question from the library, with checked citations, or abstain."""
    from rag.cli.printing import print_line, print_stream, print_trace

    form = resolve_format(form, as_json=as_json, trace=trace)
    settings = read_settings(
        config, index=index, k=k, sentences=sentences, chat_model=model, chat_url=url
    )
    questions = read_questions(question, file)
    with open_assistant(settings, quiet=quiet) as assistant:
        where = make_filter(assistant)
        if form not in ("text", "json"):
            answers = [assistant.ask(text, where=where) for text in questions]
            _print_formatted(answers, form, cite_style, quiet=quiet)
            return
        several = len(questions) > 1
        for number, text in enumerate(questions):
            if form == "json":
                answer = assistant.ask(text, where=where)
                print_line(answer.to_json(indent=None if several else 2))
                continue
            if number:
                print_line("")
            events = assistant.stream(text, where=where)
            answer = print_stream(events, with_question=several, quiet=quiet)
            if trace:
                print_trace(answer.hits)


@add_filter_options
def list_papers(
    subject: Annotated[str, typer.Argument(help="The subject; - reads it from standard input.")],
    *,
    index: IndexOption = None,
    model: ModelOption = None,
    url: UrlOption = None,
    form: FormatOption = None,
    cite_style: CiteStyleOption = "numeric",
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    config: ConfigOption = None,
    make_filter: Any = None,
) -> None:
    """List every paper that fits a subject, with its score and a quoted sentence."""
    from rag.cli.printing import print_line, print_stream

    form = resolve_format(form, as_json=as_json)
    settings = read_settings(config, index=index, chat_model=model, chat_url=url)
    (subject,) = read_questions(subject)
    with open_assistant(settings, quiet=quiet) as assistant:
        where = make_filter(assistant)
        if form == "text":
            print_stream(assistant.stream_list(subject, where=where), quiet=quiet)
        elif form == "json":
            print_line(assistant.list(subject, where=where).to_json(indent=2))
        else:
            _print_formatted([assistant.list(subject, where=where)], form, cite_style, quiet=quiet)


@add_filter_options
def search(
    question: Annotated[str, typer.Argument(help="What to look for; - reads standard input.")],
    *,
    index: IndexOption = None,
    k: PapersOption = None,
    trace: TraceOption = False,
    form: FormatOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    config: ConfigOption = None,
    make_filter: Any = None,
) -> None:
    """List the papers that fit a question best, with their best sentence."""
    from rag.cli.printing import print_hits, print_json, print_text, print_trace
    from rag.exporters import export_papers

    form = resolve_format(form, as_json=as_json)
    settings = read_settings(config, index=index, k=k)
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
    answers: Sequence[Answer], form: Format, cite_style: CiteStyle, *, quiet: bool
) -> None:
    """Print answers as Markdown, or each paper that they cite once as a reference."""
    from rag.cli.printing import print_note, print_text
    from rag.exporters import export_papers

    if form == "markdown":
        print_text("\n---\n\n".join(each.to_markdown(cite_style=cite_style) for each in answers))
    else:
        print_text(export_papers((p for each in answers for p in each.sources.values()), form))
    for warning in () if quiet else (w for each in answers for w in each.warnings):
        print_note(f"note: {warning}")


def _hit_to_dict(hit: Hit) -> dict[str, Any]:
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
