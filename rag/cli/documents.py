"""Options on how answers are written, and the documents and references made of answers."""

from __future__ import annotations

from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from rag.cli.printing import print_note, print_text, print_vault_report
from rag.errors import SettingsError
from rag.files import require_writable, write_atomically

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rag.answer import Bibliography

Form = Literal[
    "text", "markdown", "html", "docx", "latex", "bibtex", "ris", "csl", "json", "obsidian"
]
DOCUMENTS = ("markdown", "html", "docx", "latex")
_DOCUMENTS_NAMED = "markdown, html, docx or latex"
_ENDINGS: dict[str, Form] = {
    ".txt": "text",
    ".md": "markdown",
    ".markdown": "markdown",
    ".html": "html",
    ".htm": "html",
    ".docx": "docx",
    ".tex": "latex",
    ".bib": "bibtex",
    ".ris": "ris",
    ".csl.json": "csl",
    ".json": "json",
}

FormOption = Annotated[
    Form | None,
    typer.Option(
        "--format",
        help="Output format; default: by the ending of --out, else text. bibtex, ris and csl give "
        "only the papers, obsidian writes notes into the folder --out.",
    ),
]
CiteStyleOption = Annotated[
    str | None,
    typer.Option(
        "--cite-style",
        help=r"numeric (\[1]), pandoc (\[@key]), latex (\cite{key}), apa, vancouver, "
        "chicago-author-date, ieee, nature, harvard, or a .csl file. Default: numeric in text and "
        "Markdown, latex in LaTeX, ieee in HTML and Word.",
        show_default=False,
    ),
]
FootnotesOption = Annotated[
    bool,
    typer.Option(
        "--footnotes",
        help="Put quotes into footnotes of a document, except where they are the answer itself.",
    ),
]
OutOption = Annotated[
    Path | None, typer.Option("--out", "-o", help="File to write; default: standard output.")
]


@dataclass(frozen=True, slots=True)
class Output:
    """How answers are written.

    Attributes:
        form: of the text.
        style: of citations, or None for that of the format.
        with_footnotes: whether quotes stand in footnotes.
        path: of a file, or None for standard output.
        quiet: whether to print no note on the file.
    """

    form: Form
    style: str | None = None
    with_footnotes: bool = False
    path: Path | None = None
    quiet: bool = False

    def write(self, answers: Bibliography) -> None:
        """Write answers in a format of documents or references, or as notes."""
        options: dict[str, Any] = {}
        if self.form in DOCUMENTS:
            options["with_footnotes"] = self.with_footnotes
            if self.style:
                options["style"] = self.style
        if self.form == "obsidian" and self.path:
            print_vault_report(answers.save_notes(self.path), as_json=False, quiet=self.quiet)
            return
        if self.form == "docx" and self.path:
            answers.to_docx(self.path, **options)
            self._print_note()
            return
        with self.redirect_print():
            print_text(getattr(answers, f"to_{self.form}")(**options))

    @contextmanager
    def redirect_print(self) -> Iterator[None]:
        """Let what is printed go to the file, whole or not at all, if there is one."""
        if self.path is None:
            yield
            return
        with redirect_stdout(StringIO()) as printed:
            yield
        write_atomically(self.path, printed.getvalue())
        self._print_note()

    def _print_note(self) -> None:
        if not self.quiet:
            print_note(f"Wrote {self.path}.")


def resolve_output(
    form: Form | None,
    out: Path | None = None,
    *,
    style: str | None = None,
    with_footnotes: bool = False,
    as_json: bool = False,
    trace: bool = False,
    quiet: bool = False,
) -> Output:
    """Return how answers are to be written, before anything is asked.

    Raises:
        DiskError: the file cannot be written.
        SettingsError: two options contradict each other, there is no such style, or python-docx is
            not installed.
    """
    path = None if out == Path("-") else out
    form = _resolve_form(form, path, style, as_json=as_json)
    if trace and form not in ("text", "json"):
        raise SettingsError("--trace works only with text and JSON. Leave out the format.")
    if with_footnotes and form not in DOCUMENTS:
        raise SettingsError(f"--footnotes needs --format {_DOCUMENTS_NAMED}, not {form}.")
    if form == "docx":
        _require_word(path)
    if form == "obsidian":
        _check_vault(path)
    elif path:
        require_writable(path)
    return Output(form, _resolve_style(form, style), with_footnotes, path, quiet)


def _resolve_form(
    form: Form | None, path: Path | None, style: str | None, *, as_json: bool
) -> Form:
    if as_json and form not in (None, "json"):
        raise SettingsError(f"--json and --format {form} contradict each other. Leave one out.")
    if as_json or form:
        return form or "json"
    if path is None:
        return _choose_form(style)
    if found := find_form(path):
        return found
    raise SettingsError(
        f"The name {path} does not say which format to write. End it in "
        f"{', '.join(_ENDINGS)}, or give --format."
    )


def _require_word(path: Path | None) -> None:
    from rag.answer.docx import require_docx

    if path is None:
        raise SettingsError("A Word file is no text to print. Name the file with --out.")
    require_docx()


def _check_vault(folder: Path | None) -> None:
    from rag.exporters.vault import check_vault

    if folder is None:
        raise SettingsError("Notes go to a folder. Name that of your vault with --out.")
    check_vault(folder)


def find_form(path: Path) -> Form | None:
    """Return the format that a file's ending means, or None."""
    name = path.name.lower()
    return next((form for ending, form in _ENDINGS.items() if name.endswith(ending)), None)


def require_style(style: str | None) -> None:
    """Check that there is a style of citations.

    Raises:
        SettingsError: there is none.
    """
    if style not in (None, "numeric", "pandoc", "latex"):
        from rag.csl import load_style

        load_style(style)


def _choose_form(style: str | None) -> Form:
    """Return the format that a style of citations alone means."""
    if style in (None, "numeric"):
        return "text"
    return "latex" if style == "latex" else "markdown"


def _resolve_style(form: Form, style: str | None) -> str | None:
    """Return a style that the format can have, or None for its default.

    Raises:
        SettingsError: it cannot have this style, or there is no such style.
    """
    if style is None or (style == "numeric" and form not in DOCUMENTS):
        return None
    is_own = style in ("pandoc", "latex")
    if form not in DOCUMENTS or (is_own and form != _choose_form(style)):
        needed = _choose_form(style) if is_own else _DOCUMENTS_NAMED
        raise SettingsError(f"--cite-style {style} needs --format {needed}, not {form}.")
    require_style(style)
    return None if style == "latex" else style
