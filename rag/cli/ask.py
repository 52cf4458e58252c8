"""`rag ask` and `rag search`: questions to a library."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from rag.cli.filters import add_filter_options
from rag.cli.forms import CiteStyleOption, FormOption
from rag.cli.options import (
    ConfigOption,
    IndexOption,
    JsonOption,
    ModelOption,
    PapersOption,
    QuietOption,
    UrlOption,
    open_assistant,
    read_questions,
    read_settings,
)


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
    sentences: Annotated[
        int | None, typer.Option(min=1, max=10, help="Most sentences.", show_default="4")
    ] = None,
    model: ModelOption = None,
    url: UrlOption = None,
    trace: Annotated[
        bool, typer.Option("--trace", help="Show each candidate's score and rank in every stage.")
    ] = False,
    form: FormOption = None,
    cite_style: CiteStyleOption = "numeric",
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    config: ConfigOption = None,
    make_filter: Any = None,
) -> None:
    """Answer a question from the library, with checked citations, or say that it cannot."""
    from rag.cli import forms, show

    wanted = forms.resolve_format(form, as_json=as_json, trace=trace)
    settings = read_settings(
        config, index=index, k=k, sentences=sentences, chat_model=model, chat_url=url
    )
    questions = list(read_questions(question, file))
    with open_assistant(settings, quiet=quiet) as assistant:
        where = make_filter(assistant)
        if wanted not in ("text", "json"):
            answers = [assistant.ask(text, where=where) for text in questions]
            forms.print_text(forms.format_answers(answers, wanted, cite_style))
            for warning in () if quiet else (w for each in answers for w in each.warnings):
                show.note(f"note: {warning}")
            return
        for number, text in enumerate(questions):
            if wanted == "json":
                answer = assistant.ask(text, where=where)
                show.line(answer.to_json(indent=None if len(questions) > 1 else 2))
                continue
            if number:
                show.line("")
            events = assistant.stream(text, where=where)
            answer = show.streamed(events, with_question=len(questions) > 1, quiet=quiet)
            if trace:
                show.trace(answer.hits)


@add_filter_options
def search(
    question: Annotated[str, typer.Argument(help="What to look for; - reads standard input.")],
    *,
    index: IndexOption = None,
    k: PapersOption = None,
    trace: Annotated[
        bool, typer.Option("--trace", help="Show each paper's score and rank in every stage.")
    ] = False,
    form: FormOption = None,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    config: ConfigOption = None,
    make_filter: Any = None,
) -> None:
    """List the papers that fit a question best, with their best sentence."""
    from rag.cli import forms, show

    wanted = forms.resolve_format(form, as_json=as_json)
    settings = read_settings(config, index=index, k=k)
    (text,) = read_questions(question, None)
    with open_assistant(settings, quiet=quiet) as assistant:
        hits = assistant.search(text, where=make_filter(assistant))
    if wanted == "json":
        show.json_value([show.hit_values(hit) for hit in hits])
    elif wanted != "text":
        forms.print_text(forms.format_papers((hit.paper for hit in hits), wanted))
    else:
        show.hits(hits)
        if trace:
            show.trace(hits)
