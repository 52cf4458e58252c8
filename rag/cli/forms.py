"""The forms in which the command hands papers and answers on, and where to.

`rag ask`, `rag search`, `rag chat` and `rag papers export` share them.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from rag.answer import Answer
    from rag.answer.conversation import Conversation
    from rag.papers import Paper

Form = Literal["text", "markdown", "bibtex", "ris", "csl", "json"]
ReferenceForm = Literal["bibtex", "ris", "csl", "jsonl", "markdown"]
CiteStyle = Literal["numeric", "pandoc"]

FormOption = Annotated[
    Form | None,
    typer.Option("--format", help="How to print it; bibtex, ris and csl list the papers only."),
]
CiteStyleOption = Annotated[
    CiteStyle,
    typer.Option("--cite-style", help="Markers in Markdown: [1], or @key in brackets for pandoc."),
]


def resolve_format(form: Form | None, *, as_json: bool, trace: bool = False) -> Form:
    """The form asked for.

    Raises:
        SettingsError: two options contradict each other.
    """
    from rag.errors import SettingsError

    if as_json and form not in (None, "json"):
        raise SettingsError(f"--json and --format {form} contradict each other; leave one out.")
    chosen: Form = "json" if as_json else form or "text"
    if trace and chosen != "text":
        raise SettingsError("--trace shows its table below the text only; leave out the format.")
    return chosen


def format_answers(answers: Iterable[Answer], form: Form, cite_style: CiteStyle) -> str:
    """Answers as Markdown, or the papers that they cite as references, each once."""
    if form == "markdown":
        return "\n---\n\n".join(answer.to_markdown(cite_style=cite_style) for answer in answers)
    return format_papers((paper for each in answers for paper in each.sources.values()), form)


def format_papers(papers: Iterable[Paper], form: str) -> str:
    """Papers as references."""
    from rag.exporters import export_papers

    return export_papers(papers, form)


def format_conversation(
    conversation: Conversation, path: Path, cite_style: CiteStyle
) -> str | None:
    """The text of a conversation in the format of a file's ending; None for a saved conversation.

    A file that ends in .json or .jsonl, or in nothing known, is a saved conversation.
    """
    from rag.exporters import detect_format, export_papers

    form = detect_format(path)
    if path.suffix.lower() in (".json", ".jsonl") and not path.name.lower().endswith(".csl.json"):
        return None
    if form == "markdown":
        return conversation.to_markdown(cite_style=cite_style)
    return None if form is None else export_papers(conversation.sources.values(), form)


def export(papers: Sequence[Paper], form: ReferenceForm | None, out: Path | None) -> None:
    """Writes papers to a file, whole or not at all, or to standard output.

    Raises:
        SettingsError: no format is given and the file's ending tells none.
        DiskError: the file cannot be written.
    """
    from rag.errors import SettingsError
    from rag.exporters import FORMATS, detect_format
    from rag.files import write_atomically

    to_output = out is None or str(out) == "-"
    chosen = form or ("bibtex" if to_output or out is None else detect_format(out))
    if chosen is None:
        raise SettingsError(
            f"The name {out} tells no format; end it in .bib, .ris, .json, .jsonl or .md, or give "
            f"--format with one of {', '.join(FORMATS)}."
        )
    text = format_papers(papers, chosen)
    if to_output or out is None:
        print_text(text)
    else:
        write_atomically(out, text)


def print_text(text: str) -> None:
    """Prints text as it is where it is piped, without control characters on a terminal."""
    from rag.cli.show import line

    if sys.stdout.isatty():
        line(text.rstrip("\n"))
    else:
        sys.stdout.write(text)
