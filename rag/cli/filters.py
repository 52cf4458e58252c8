"""The options that choose papers, for every command that looks at some of a library."""

from __future__ import annotations

import functools
import inspect
import re
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

if TYPE_CHECKING:
    from collections.abc import Callable

_OPTIONS: dict[str, tuple[Any, str]] = {
    "year": (str | None, "Only papers of these years: 2021, 2019..2021, ..2020 or 2022.."),
    "author": (list[str] | None, "Only papers by this author: Clark, or Kevin Clark; repeatable."),
    "venue": (list[str] | None, "Only papers of this journal or conference; repeatable."),
    "source": (list[str] | None, "Only papers read from this file; repeatable."),
    "tag": (list[str] | None, "Only papers with this tag or keyword; repeatable."),
    "paper": (list[str] | None, "Only the paper with this id, or one that begins so; repeatable."),
}


def add_filter_options(command: Callable[..., None]) -> Callable[..., None]:
    """Gives a command the options that choose papers.

    Args:
        command: its `make_filter` turns an open assistant into a filter, or None without options.
    """
    hints = get_type_hints(command, include_extras=True)
    own = {
        name: parameter.replace(annotation=hints[name])
        for name, parameter in inspect.signature(command).parameters.items()
        if name != "make_filter"
    }
    for name, (kind, text) in _OPTIONS.items():
        option: Any = Annotated[kind, typer.Option(f"--{name}", help=text, show_default=False)]
        own[name] = inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=option
        )

    @functools.wraps(command)
    def with_options(**arguments: Any) -> None:
        given = {name: arguments.pop(name, None) for name in _OPTIONS}
        command(**arguments, make_filter=functools.partial(_filter, given))

    with_options.__signature__ = inspect.Signature(list(own.values()))  # type: ignore[attr-defined]
    with_options.__annotations__ = {name: each.annotation for name, each in own.items()}
    return with_options


def _filter(given: dict[str, Any], assistant: Any) -> Any:
    """The filter that the options ask for, or None.

    Raises:
        SettingsError: a year cannot be read.
        CorpusError: no paper, or several, have an id that begins as one given.
    """
    from rag.index.filter import Filter

    if all(value is None for value in given.values()):
        return None
    return Filter(
        years=None if given["year"] is None else _years(given["year"]),
        authors=tuple(given["author"] or ()),
        venues=tuple(given["venue"] or ()),
        sources=tuple(given["source"] or ()),
        ids=assistant.resolve_ids(given["paper"]) if given["paper"] else None,
        tags=tuple(given["tag"] or ()),
    )


def _years(text: str) -> tuple[int | None, int | None]:
    from rag.errors import SettingsError

    first, dots, last = text.strip().partition("..")
    is_span = all(re.fullmatch(r"\d{0,4}", each, re.ASCII) for each in (first, last))
    if not is_span or not (first or last):
        raise SettingsError(f"--year {text[:40]!r} is no year or range such as 2019..2021.")
    years = (int(first) if first else None, int(last) if last else None)
    return years if dots else (years[0], years[0])
