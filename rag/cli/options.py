"""Options that several commands share, and functions that turn them into values.

Modules of this package import only light modules at the top, so `rag --help` loads nothing heavy.
"""

from __future__ import annotations

import functools
import inspect
import re
import sys
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, get_type_hints

import typer

from rag.cli.progress import show_progress
from rag.errors import CorpusError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rag.settings import Settings

Format = Literal["text", "markdown", "bibtex", "ris", "csl", "json"]
_Texts = list[str] | None

IndexOption = Annotated[
    str | None,
    typer.Option(
        "--index",
        "-i",
        help="Library: a name, or a path with a slash. Default: the bundled library.",
        show_default=False,
    ),
]
EmbedderOption = Annotated[
    Path | None,
    typer.Option(
        "--embedder",
        help="Folder of an ONNX sentence encoder, or a LlamaIndex class. Default: the bundled one.",
        show_default=False,
    ),
]
ConfigOption = Annotated[
    Path | None,
    typer.Option("--config", help="TOML file with settings.", show_default=False),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="Print no progress and no notes.")]
FormatOption = Annotated[
    Format | None,
    typer.Option("--format", help="Output format. bibtex, ris and csl give only the papers."),
]
_SETTINGS_OPTIONS: dict[str, Any] = {  # by the name of the setting
    "index": IndexOption,
    "embedder": EmbedderOption,
    "k": Annotated[
        int | None,
        typer.Option(
            "--k",
            "-k",
            min=1,
            max=100,
            help="Papers to retrieve.",
            show_default="8 for quotes, 12 for a model, 16 for a model that does not plan",
        ),
    ],
    "sentences": Annotated[
        int | None,
        typer.Option(min=1, max=10, help="Maximum sentences of quoted answers.", show_default="4"),
    ],
    "chat_model": Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="Language model that writes answers. Default: none, answers quote sentences.",
            show_default=False,
        ),
    ],
    "chat_url": Annotated[
        str | None,
        typer.Option(
            "--url",
            help="OpenAI-compatible server of the model, such as http://127.0.0.1:11434/v1.",
            show_default=False,
        ),
    ],
    "gguf": Annotated[
        Path | None,
        typer.Option(
            "--gguf",
            help="GGUF file of the model, run in this process. It needs the extra `local`.",
            show_default=False,
        ),
    ],
    "llm": Annotated[
        str | None,
        typer.Option(
            "--llm",
            help="LlamaIndex class of the model, such as llama_index.llms.anthropic.Anthropic.",
            show_default=False,
        ),
    ],
    "llm_args": Annotated[
        str | None,
        typer.Option(help='Arguments of --llm, such as \'{"model": "NAME"}\'.', show_default=False),
    ],
    "embedder_args": Annotated[
        str | None,
        typer.Option(
            help="Arguments of a LlamaIndex class of --embedder, as a JSON object.",
            show_default=False,
        ),
    ],
    "check_model": Annotated[
        str | None,
        typer.Option(help="Model that checks answers; default: the one that writes them."),
    ],
    "check_url": Annotated[
        str | None,
        typer.Option(
            help="Server of --check-model; default: the one of --url. Its key is "
            "PAPERTRAIL_CHECK_KEY."
        ),
    ],
    "listing_workers": Annotated[
        int | None,
        typer.Option(
            "--workers",
            min=1,
            max=100,
            help="Model calls of one list that are made at the same time.",
            show_default="4",
        ),
    ],
    "judge_model": Annotated[
        str | None, typer.Option(help="Model of the judge; default: the one that --model names.")
    ],
    "judge_url": Annotated[
        str | None,
        typer.Option(
            help="Server of the judge; default: the one of --url. Its key is PAPERTRAIL_JUDGE_KEY."
        ),
    ],
    "passage_tokens": Annotated[
        int | None, typer.Option(help="Token budget of a passage.", show_default="400")
    ],
    "overlap_sentences": Annotated[
        int | None, typer.Option(help="Sentences shared by neighbours.", show_default="1")
    ],
}
_WITH = {"chat_model": ("gguf", "llm", "llm_args"), "embedder": ("embedder_args",)}
_FILTER_OPTIONS: dict[str, Any] = {
    name: Annotated[kind, typer.Option(f"--{name}", help=text, show_default=False)]
    for name, kind, text in (
        ("year", str | None, "Only papers from these years: 2021, 2019..2021, ..2020 or 2022.."),
        ("author", _Texts, "Only papers by this author: Clark or Kevin Clark; repeatable."),
        ("venue", _Texts, "Only papers from this journal or conference; repeatable."),
        ("source", _Texts, "Only papers read from this file or Zotero library; repeatable."),
        ("tag", _Texts, "Only papers with this tag or keyword; repeatable."),
        ("collection", _Texts, "Only papers in this collection of Zotero; repeatable."),
        ("paper", _Texts, "Only this paper, named as in `rag papers show`; repeatable."),
    )
}
_FILTER_OPTIONS["retracted"] = Annotated[
    bool | None,
    typer.Option(
        "--retracted/--not-retracted",
        help="Only papers that their source marks as retracted, or only the others.",
        show_default=False,
    ),
]


def add_options(*names: str) -> Callable[[Callable[..., None]], Callable[..., None]]:
    """Add the options that select settings and papers to a command.

    The options stand where the command's argument `settings` stands, --config and those of the
    filter at the end. An argument `make_filter` takes an open assistant and returns a filter or
    None.

    Args:
        names: settings that the command has options for. A model's brings its file and class.
    """
    names = tuple(chain.from_iterable((name, *_WITH.get(name, ())) for name in names))

    def decorate(command: Callable[..., None]) -> Callable[..., None]:
        hints = get_type_hints(command, localns={"Settings": object}, include_extras=True)
        at_end = {"config": ConfigOption} | (_FILTER_OPTIONS if "make_filter" in hints else {})
        parameters: list[inspect.Parameter] = []
        for parameter in inspect.signature(command).parameters.values():
            if parameter.name == "settings":
                parameters += _make_parameters({name: _SETTINGS_OPTIONS[name] for name in names})
            elif parameter.name != "make_filter":
                parameters.append(parameter.replace(annotation=hints[parameter.name]))
        parameters += _make_parameters(at_end)

        @functools.wraps(command)
        def with_options(**arguments: Any) -> None:
            from rag.settings import load_settings

            given = {name: arguments.pop(name, None) for name in names}
            arguments["settings"] = load_settings(arguments.pop("config", None), **given)
            if "make_filter" in hints:
                wanted = {name: arguments.pop(name, None) for name in _FILTER_OPTIONS}
                if wanted["year"] is not None:  # a bad year fails before a library is opened
                    wanted["year"] = _parse_years(wanted["year"])
                arguments["make_filter"] = functools.partial(_make_filter, wanted)
            command(**arguments)

        with_options.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
        with_options.__annotations__ = {each.name: each.annotation for each in parameters}
        return with_options

    return decorate


def _make_parameters(options: dict[str, Any]) -> list[inspect.Parameter]:
    make = functools.partial(inspect.Parameter, kind=inspect.Parameter.KEYWORD_ONLY, default=None)
    return [make(name, annotation=option) for name, option in options.items()]


def _make_filter(given: dict[str, Any], assistant: Any) -> Any:
    """Return the filter for the given options, or None without options.

    Raises:
        CorpusError: the library has no such paper, collection or tag.
    """
    from rag.index.filter import Filter

    if all(value is None for value in given.values()):
        return None
    where = Filter(
        years=given["year"],
        authors=tuple(given["author"] or ()),
        venues=tuple(given["venue"] or ()),
        sources=tuple(given["source"] or ()),
        ids=assistant.resolve_ids(given["paper"]) if given["paper"] else None,
        tags=tuple(given["tag"] or ()),
        retracted=given["retracted"],
        collections=tuple(given["collection"] or ()),
    )
    assistant.require_names(where)
    return where


def _parse_years(text: str) -> tuple[int | None, int | None]:
    first, dots, last = text.strip().partition("..")
    is_range = all(re.fullmatch(r"\d{0,4}", each, re.ASCII) for each in (first, last))
    if not is_range or not (first or last):
        raise SettingsError(
            f"--year {text[:40]!r} is not a year. Use 2021, or a range such as 2019..2021."
        )
    years = (int(first) if first else None, int(last) if last else None)
    return years if dots else (years[0], years[0])


def open_assistant(settings: Settings, *, quiet: bool) -> Any:
    """Return an assistant over the library in the settings. Progress goes to standard error."""
    from rag.assistant import Assistant

    with show_progress(quiet=quiet, title="Indexing the bundled library, once") as on_progress:
        return Assistant.open(settings=settings, on_progress=on_progress)


def read_questions(question: str | None, file: Path | None = None) -> list[str]:
    """Return the question, or those of a file with one a line. "-" is standard input.

    Raises:
        CorpusError: the file cannot be read, or there is no question.
    """
    from rag.text.terms import has_words

    if (question is None) == (file is None):
        raise CorpusError("Give one question, or --file with one question a line.")
    try:
        if file is not None:
            texts = file.read_text(encoding="utf-8-sig").splitlines()
        else:
            texts = [sys.stdin.read() if question == "-" else question or ""]
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not UTF-8 text"
        raise CorpusError(f"Cannot read the questions in {file}: {reason}.") from error
    questions = [text.strip() for text in texts if has_words(text)]
    if not questions:
        raise CorpusError("There is no question. Write it after the command.")
    return questions


def resolve_format(form: Format | None, *, as_json: bool) -> Format:
    """Return the output format.

    Raises:
        SettingsError: two options contradict each other.
    """
    if as_json and form not in (None, "json"):
        raise SettingsError(f"--json and --format {form} contradict each other. Leave one out.")
    return "json" if as_json else form or "text"
