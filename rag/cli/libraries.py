"""`rag index list`, `rag index delete` and `rag index --update`: keeping libraries."""

from __future__ import annotations

import sys
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rag.cli.options import ConfigOption, JsonOption, QuietOption, read_settings

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rag.embedding import Embedder
    from rag.library import Library
    from rag.settings import Settings


def index_list(*, as_json: JsonOption = False, config: ConfigOption = None) -> None:
    """List the libraries in your data folder."""
    from rag.cli import show
    from rag.library import list_libraries

    found = list_libraries(read_settings(config))
    if as_json:
        show.json_value([library_values(each) for each in found])
        return
    for each in found:
        show.line(f"{each.name}\t{each.summary}")
        for source in each.sources:
            show.line(f"\t{source}")
    if not found:
        show.note("There is none yet; `rag index SOURCES --index NAME` makes one.")


def index_delete(
    name: Annotated[str, typer.Argument(help="A library's name, or a path with a slash.")],
    *,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    quiet: QuietOption = False,
    config: ConfigOption = None,
) -> None:
    """Delete a library; the files that it was read from stay."""
    from rag.cli import show
    from rag.errors import SettingsError
    from rag.library import delete_library, find_deletable_library

    library = find_deletable_library(read_settings(config), name)
    what = f"{library.folder} ({library.summary})"
    if not yes:
        if not sys.stdin.isatty():
            raise SettingsError(f"Add --yes to delete {what}.")
        if not typer.confirm(f"Delete {what}?", err=True):
            show.note("Nothing was deleted.")
            return
    delete_library(library)
    if not quiet:
        show.note(f"Deleted {what}.")


def update(
    settings: Settings,
    embedder: Embedder,
    columns: Mapping[str, str],
    *,
    as_json: bool,
    quiet: bool,
) -> None:
    """Reads the recorded sources of a library again, with other columns if some are given."""
    from rag.cli import intake, show
    from rag.cli.progress import progress
    from rag.library import reread_sources

    with progress(quiet=quiet) as on_progress:
        found = reread_sources(settings, embedder, columns=columns, on_progress=on_progress)
    if as_json:
        values = intake.report_values(found.update)
        gone = {
            "missing_sources": found.missing,
            "no_longer_in_files": found.vanished,
            "left_out": found.left_out,
        }
        show.json_value({**values, **gone})
        return
    if quiet:
        return
    intake.report(found.update)
    for source in found.missing:
        show.line(f"note: {source} is not there any more; its papers are kept.")
    if found.vanished:
        first, more = found.vanished[0], len(found.vanished) - 1
        show.line(
            f"note: {len(found.vanished)} no longer in their files, and kept: {first}"
            + (f" and {more} more (--json names all)" if more else "")
            + "; `rag papers remove ID` takes one out."
        )
    if found.left_out:
        verbs = ("was", "stays") if len(found.left_out) == 1 else ("were", "stay")
        show.line(
            f"note: {len(found.left_out)} {verbs[0]} removed before, and {verbs[1]} out until "
            "`rag index SOURCE` names the source."
        )


def library_values(library: Library) -> dict[str, Any]:
    """A library as plain JSON values."""
    return {**asdict(library), "folder": str(library.folder), "sources": list(library.sources)}
