"""Libraries: where the bundled one, named ones and paths lie, and how they are brought up to date.

Called by the assistant and the command to turn what a user names into an index.
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from rag.errors import (
    CorpusError,
    IndexDamaged,
    IndexMissing,
    IndexStale,
    ModelUnavailable,
    SettingsError,
)
from rag.index import Index, PassageMark, read_manifest, update_index
from rag.index.writer import NO_SOURCES
from rag.papers import Paper
from rag.settings import load_settings

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from rag.index import IndexReport, OnProgress
    from rag.models import Embedder
    from rag.readers import Refused
    from rag.settings import Settings

BUNDLED_SOURCE = Path(__file__).parent / "data" / "library.jsonl"
BUNDLED_WAIT_S = 600.0  # for another process that is indexing the bundled library right now
_FORBIDDEN = set('<>:"|?*\\') | set(map(chr, range(32)))


def settings_for(index: str | Path | None, settings: Settings | None) -> Settings:
    """The settings that name a library; None reads them, or leaves the library that they name."""
    settings = settings if settings is not None else load_settings()
    if index is None:
        return settings
    named = str(index.absolute()) if isinstance(index, Path) else index
    return settings.model_copy(update={"index": named})


def index_folder(settings: Settings, embedder_name: str) -> Path:
    """The folder of the library that the settings name.

    Args:
        settings: `index` is empty for the bundled library, a name without a slash for a library in
            the user's data folder, anything else a path.
        embedder_name: part of the bundled library's folder, so that its index always fits.

    Raises:
        SettingsError: the name cannot be a folder name.
    """
    named = settings.index
    if named is None:
        return bundled_folder(settings, embedder_name)
    if "/" in named or "\\" in named or named in (".", ".."):
        return Path(named).expanduser().absolute()  # a bare name would be a library
    if not named.strip() or named.startswith(".") or _FORBIDDEN & set(named):
        raise SettingsError(
            f"{named!r} cannot be a library's name; use letters, digits, '-' and '_', "
            "or a path with a slash."
        )
    return settings.data_dir / "libraries" / named


def bundled_folder(settings: Settings, embedder_name: str) -> Path:
    """Where the bundled library's index lies; another library, model or cut gives another folder.

    Raises:
        ModelUnavailable: the package lacks its library.
    """
    try:
        content = BUNDLED_SOURCE.read_bytes()
    except OSError as error:
        raise ModelUnavailable(
            f"The bundled library is missing from this installation ({BUNDLED_SOURCE.name}); "
            "install the package again."
        ) from error
    cut = f"{settings.passage_tokens}/{settings.overlap_sentences}"
    digest = hashlib.sha256(b"\0".join([content, embedder_name.encode(), cut.encode()]))
    return settings.cache_dir / "bundled" / digest.hexdigest()[:16]


def update_library(
    records: Iterable[Paper | Refused],
    *,
    settings: Settings,
    embedder: Embedder,
    sources: Mapping[str, Mapping[str, str]] = NO_SOURCES,
    remove: Sequence[str] = (),
    rebuild: bool = False,
    on_progress: OnProgress | None = None,
    lock_timeout_s: float = 0.0,
) -> IndexReport:
    """Adds papers to the library that the settings name, or takes some out.

    Args and errors: see `rag.index.update_index`.
    """
    return update_index(
        index_folder(settings, embedder.name),
        _placed(records, sources),
        embedder,
        passages=PassageMark(
            budget_tokens=settings.passage_tokens, overlap_sentences=settings.overlap_sentences
        ),
        sources=sources,
        remove=remove,
        rebuild=rebuild,
        on_progress=on_progress,
        lock_timeout_s=lock_timeout_s,
    )


def _placed(
    records: Iterable[Paper | Refused], sources: Iterable[str]
) -> Iterator[Paper | Refused]:
    """The records, whose files are named as `sources` are, however they were named for reading.

    So the same files read again from another folder are known to be the same.
    """
    places = {Path(source) for source in sources}
    names: dict[str, str] = {}
    for record in records:
        if not isinstance(record, Paper):
            yield record
            continue
        for name in record.sources:
            if name not in names:
                path = Path(name).absolute()
                within = path.is_file() and not places.isdisjoint((path, *path.parents))
                names[name] = str(path) if within else name
        yield replace(record, sources=tuple(names[name] for name in record.sources))


def index_bundled(
    settings: Settings, embedder: Embedder, on_progress: OnProgress | None = None
) -> IndexReport:
    """Indexes the bundled library, from nothing where its index is damaged.

    A second process that needs it at the same moment waits for the first.
    """
    from rag.readers import iter_papers

    folder = bundled_folder(settings, embedder.name)
    rebuild = False
    try:
        Index.open(folder).close()
    except IndexMissing:
        pass
    except (IndexDamaged, IndexStale):
        rebuild = True
    return update_library(
        iter_papers(BUNDLED_SOURCE),
        settings=settings.model_copy(update={"index": None}),
        embedder=embedder,
        sources={str(BUNDLED_SOURCE): {}},
        rebuild=rebuild,
        on_progress=on_progress,
        lock_timeout_s=BUNDLED_WAIT_S,
    )


def recorded_sources(settings: Settings, embedder_name: str) -> Mapping[str, Mapping[str, str]]:
    """The files and folders that a library was read from, each with the columns that were mapped.

    Raises:
        IndexMissing, IndexDamaged: the manifest cannot be read; name the sources.
        CorpusError: none were recorded.
    """
    folder = index_folder(settings, embedder_name)
    if folder == bundled_folder(settings, embedder_name):
        return {str(BUNDLED_SOURCE): {}}
    manifest = read_manifest(folder, any_layout=True)
    if not manifest.sources:
        raise CorpusError(
            f"The library at {folder} has no recorded sources; name the files to read.", path=folder
        )
    return {source: manifest.columns.get(source, {}) for source in manifest.sources}
