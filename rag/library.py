"""Find, index, update, list and delete libraries.

The bundled library, named libraries and paths all resolve to a folder here. Called by the
assistant, the commands and the page.
"""

from __future__ import annotations

import difflib
import hashlib
import shutil
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cache, partial
from itertools import chain
from pathlib import Path
from secrets import token_hex
from types import MappingProxyType
from typing import TYPE_CHECKING

from rag.errors import (
    CorpusError,
    IndexDamaged,
    IndexMissing,
    IndexStale,
    ModelUnavailable,
    RagError,
    SettingsError,
)
from rag.index import Index, PassageSettings, read_manifest, update_index
from rag.index.build import NO_SOURCES, DecisionChange
from rag.index.changes import Intake, list_removal_keys, plan_changes
from rag.index.lock import LOCK_NAME, writer_lock
from rag.index.manifest import DATA_PREFIXES, FILE_NAME, OLD_FOLDERS, map_disk_errors
from rag.index.rereading import find_rereading, is_within
from rag.papers import Paper
from rag.readers.zotero.address import LINK_START, is_address, parse_address
from rag.settings import Settings, load_settings

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

    from rag.embedding import Embedder
    from rag.index import IndexReport, OnProgress
    from rag.index.manifest import Manifest
    from rag.readers import Record

BUNDLED_SOURCE = Path(__file__).parent / "data" / "library.jsonl"
BUNDLED_WAIT_S = 600.0  # for another process that is indexing the bundled library right now
_FORBIDDEN = set('<>:"|?*\\') | set(map(chr, range(32)))


def resolve_settings(index: str | Path | None, settings: Settings | None) -> Settings:
    """Return settings whose `index` names the library.

    Args:
        index: name or path; None keeps the one in the settings.
        settings: None loads them.

    Raises:
        SettingsError: an argument has another type.
    """
    settings = settings if settings is not None else load_settings()
    if not isinstance(settings, Settings):
        raise SettingsError(
            f"settings takes what load_settings(...) returns, not {type(settings).__name__}."
        )
    if index is None:
        return settings
    if not isinstance(index, str | Path):
        raise SettingsError(f"index takes the name or path of a library, not {index!r:.60}.")
    name = str(index.absolute()) if isinstance(index, Path) else index
    return settings.model_copy(update={"index": name})


def resolve_index_folder(settings: Settings, embedder_name: str) -> Path:
    """Return the folder of the library in the settings.

    Args:
        settings: without `index` the bundled library is meant. An `index` without a slash is a
            library in the user's data folder, anything else a path.
        embedder_name: part of the bundled library's folder, so its index always fits.

    Raises:
        SettingsError: the name is not valid.
    """
    name = settings.index
    if name is None:
        return resolve_bundled_folder(settings, embedder_name)
    if "/" in name or "\\" in name or name in (".", ".."):
        if "\0" in name:
            raise SettingsError(f"{name!r} is not a valid path of a library.")
        return Path(name).expanduser().absolute()  # a bare name would be a library
    if not name.strip() or name.startswith(".") or _FORBIDDEN & set(name):
        raise SettingsError(
            f"{name!r} is not a valid library name. Use letters, digits, '-' and '_', or a path "
            "with a slash."
        )
    return settings.data_dir / "libraries" / name


def require_library(settings: Settings, embedder_name: str) -> Path:
    """Return the folder of the library in the settings, which must exist if it has a name.

    Raises:
        IndexMissing: there is none of that name. The message names the most similar one.
        SettingsError: the name is not valid.
    """
    folder = resolve_index_folder(settings, embedder_name)
    is_named = folder.parent == settings.data_dir / "libraries"
    if not is_named or (folder.is_dir() and _has_content(folder)):
        return folder
    names = {each.name.casefold(): each.name for each in list_libraries(settings)}
    near = difflib.get_close_matches(folder.name.casefold(), names, n=1)
    if near:
        advice = f"Did you mean {names[near[0]]}?"
    elif (Path(folder.name) / FILE_NAME).is_file():
        advice = f"Write ./{folder.name} for the folder here."
    else:
        advice = (
            "`rag index list` shows the ones you have, and "
            f"`rag index SOURCES --index {folder.name}` makes it."
        )
    raise IndexMissing(f"There is no library {folder.name}. {advice}")


def resolve_bundled_folder(settings: Settings, embedder_name: str) -> Path:
    """Return the folder of the bundled library's index.

    It depends on the papers, the embedder and the passage settings.

    Raises:
        ModelUnavailable: the package has no bundled library.
    """
    try:
        content = BUNDLED_SOURCE.read_bytes()
    except OSError as error:
        raise ModelUnavailable(
            f"The bundled library ({BUNDLED_SOURCE.name}) is missing. Install the package again."
        ) from error
    passages = f"{settings.passage_tokens}/{settings.overlap_sentences}"
    digest = hashlib.sha256(b"\0".join([content, embedder_name.encode(), passages.encode()]))
    return settings.cache_dir / "bundled" / digest.hexdigest()[:16]


def update_library(
    records: Iterable[Record],
    *,
    settings: Settings,
    embedder: Embedder,
    sources: Mapping[str, Mapping[str, str]] = NO_SOURCES,
    forget: Collection[str] = (),
    remove: Sequence[str] = (),
    rebuild: bool = False,
    by_title: bool = True,
    decisions: DecisionChange | None = None,
    on_progress: OnProgress | None = None,
    lock_timeout_s: float = 0.0,
    workers: int = 1,
) -> IndexReport:
    """Add papers to the library in the settings, or remove some.

    With several `workers`, as many processes embed, with the embedder of the settings.

    See `rag.index.update_index` for arguments and errors.
    """
    from rag.embedding import make_embedder

    if remove and not rebuild:
        require_library(settings, embedder.name)
    return update_index(
        resolve_index_folder(settings, embedder.name),
        _use_source_paths(records, sources),
        embedder,
        passages=PassageSettings(
            budget_tokens=settings.passage_tokens, overlap_sentences=settings.overlap_sentences
        ),
        sources=sources,
        forget=forget,
        remove=remove,
        rebuild=rebuild,
        by_title=by_title,
        decisions=decisions,
        on_progress=on_progress,
        lock_timeout_s=lock_timeout_s,
        workers=workers,
        make_embedder=partial(make_embedder, settings.model_copy(update={"threads": 1})),
    )


def _use_source_paths(records: Iterable[Record], sources: Iterable[str]) -> Iterator[Record]:
    """Yield the records with absolute paths for files that belong to `sources`.

    Files read again from another working folder are then recognised as the same.
    """
    places = {Path(source) for source in sources if not is_address(source)}

    @cache
    def resolve(name: str) -> str:
        if name.startswith(LINK_START):
            return name
        path = Path(name).absolute()
        return str(path) if path.is_file() and is_within(path, places) else name

    for record in records:
        if isinstance(record, Paper):
            yield replace(record, sources=tuple(map(resolve, record.sources)))
        else:
            yield record


def index_bundled_library(
    settings: Settings, embedder: Embedder, on_progress: OnProgress | None = None
) -> IndexReport:
    """Index the bundled library. Rebuild a damaged index.

    A second process that needs it at the same time waits for the first.
    """
    from rag.readers import iter_papers

    folder = resolve_bundled_folder(settings, embedder.name)
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


def read_sources(settings: Settings, embedder_name: str) -> Mapping[str, Mapping[str, str]]:
    """Return the recorded sources of a library, each with its mapped columns.

    Raises:
        IndexMissing, IndexDamaged: the manifest cannot be read.
        CorpusError: none were recorded.
    """
    folder = resolve_index_folder(settings, embedder_name)
    if folder == resolve_bundled_folder(settings, embedder_name):
        return {str(BUNDLED_SOURCE): {}}
    require_library(settings, embedder_name)
    manifest = read_manifest(folder, any_layout=True)
    if not manifest.sources:
        raise CorpusError(
            f"The library at {folder} has no recorded sources. Name the files to read.", path=folder
        )
    return {source: manifest.columns.get(source, {}) for source in manifest.sources}


_OWN_NAMES = frozenset({FILE_NAME, f"{FILE_NAME}.new", LOCK_NAME, *OLD_FOLDERS})


@dataclass(frozen=True, slots=True)
class Library:
    """Library in the user's data folder.

    Attributes:
        name: name for `--index`.
        folder: folder of its index.
        size_bytes: size of all its files.
        papers: number of papers; 0 if it cannot be used.
        generation: number of writes; 0 if it cannot be used.
        sources: files, folders and Zotero addresses it was read from.
        problem: reason why it cannot be used, else empty.
    """

    name: str
    folder: Path
    size_bytes: int
    papers: int = 0
    generation: int = 0
    sources: tuple[str, ...] = ()
    problem: str = ""

    @property
    def summary(self) -> str:
        """Its size in words, with the problem if there is one."""
        size = f"{self.size_bytes / 1e6:.1f} MB"
        if self.problem:
            return f"{size}; {self.problem}"
        papers = f"{self.papers} paper{'s' * (self.papers != 1)}"
        return f"{papers}, generation {self.generation}, {size}"


@dataclass(frozen=True, slots=True)
class SourceReport:
    """Result of reading the recorded sources again.

    Attributes:
        update: changes of the index.
        missing: sources that no longer exist; their papers are kept.
        vanished: ids of papers that their files no longer hold; they are kept too.
        left_out: ids of papers in the sources that were removed from the library before.
    """

    update: IndexReport
    missing: tuple[str, ...]
    vanished: tuple[str, ...]
    left_out: tuple[str, ...]


def list_libraries(settings: Settings) -> list[Library]:
    """Return the libraries in the user's data folder, by name."""
    try:
        folders = sorted((settings.data_dir / "libraries").iterdir())
    except OSError:
        return []
    return [
        _inspect_library(each)
        for each in folders
        if not each.name.startswith(".") and each.is_dir() and _has_content(each)
    ]


def _has_content(folder: Path) -> bool:
    """Return whether a folder holds more than the lock that a refused build leaves."""
    return any(path.name != LOCK_NAME for path in folder.iterdir())


def _inspect_library(folder: Path) -> Library:
    size = sum(_read_size(path) for path in folder.rglob("*"))
    try:
        manifest = read_manifest(folder)
    except RagError as error:
        return Library(folder.name, folder, size, problem=str(error))
    if not manifest.generation:
        return Library(folder.name, folder, size, problem="Its first indexing was interrupted.")
    return Library(
        folder.name, folder, size, manifest.paper_count, manifest.generation, manifest.sources
    )


def _read_size(path: Path) -> int:
    try:
        return path.lstat().st_size if path.is_file() else 0
    except OSError:  # it was just deleted
        return 0


def reread_sources(
    settings: Settings,
    embedder: Embedder,
    *,
    columns: Mapping[str, str] = MappingProxyType({}),
    on_progress: OnProgress | None = None,
) -> SourceReport:
    """Read the recorded sources of a library again and add new and changed papers.

    No paper of a file is removed, even if the file or its record is gone. Papers that a Zotero
    library no longer has are removed. Papers that the user removed before stay out. A source that
    cannot be read is refused, and the others are read.

    Args:
        settings: their `index` names the library.
        embedder: embedder of the library.
        columns: fields with their columns, instead of the recorded ones; see `iter_papers`.
        on_progress: called after each block of papers.

    Raises:
        CorpusError: no source is recorded, none exists any more, or all are of Zotero and none can
            be read.
        IndexMissing, IndexLocked, IndexStale, IndexDamaged, DiskError: as `update_library`.
    """
    sources = read_sources(settings, embedder.name)
    missing = tuple(filter(_is_missing, sources))
    present = {
        source: columns or recorded for source, recorded in sources.items() if source not in missing
    }
    if not present:
        raise CorpusError(
            f"No source of the library exists any more, such as {missing[0]}. Its papers are kept. "
            "Name the files to read now.",
            path=missing[0],
        )
    left_out: dict[str, None] = {}
    update = update_library(
        _read_again(present, settings, embedder.name, left_out),
        settings=settings,
        embedder=embedder,
        sources=present,
        on_progress=on_progress,
    )
    reasons = {refused.path: refused.reason for refused in update.intake.refused}
    if not update.intake.read and all(is_address(each) and each in reasons for each in present):
        raise CorpusError(next(iter(reasons.values())))
    index = Index.open(resolve_index_folder(settings, embedder.name))
    try:
        vanished = tuple(_find_vanished(index.papers(), update.intake.met, present))
    finally:
        index.close()
    return SourceReport(update, missing, vanished, tuple(left_out))


def forget_sources(
    names: Iterable[str],
    settings: Settings,
    embedder: Embedder,
    *,
    on_progress: OnProgress | None = None,
) -> IndexReport:
    """Stop reading recorded sources of a library.

    Papers of files stay. Those that only a forgotten source of Zotero had are removed, once the
    other recorded parts of its library can be read.

    Raises:
        SettingsError: a source is not recorded. The message names those that are.
        CorpusError: no source is recorded.
        IndexMissing, IndexLocked, IndexStale, IndexDamaged, DiskError: as `update_library`.
    """
    recorded = read_sources(settings, embedder.name)
    forgotten: dict[str, Mapping[str, str]] = {}
    for name in names:
        source = str(parse_address(name)) if is_address(name) else str(Path(name).absolute())
        if source not in recorded:
            raise SettingsError(
                f"{name} is no recorded source of the library. It has {', '.join(recorded)}."
            )
        forgotten[source] = recorded[source]
    earlier, later = _find_companions(forgotten, settings, embedder.name)
    others = {**earlier, **later}
    return update_library(
        _read_again(others, settings, embedder.name, {}),
        settings=settings,
        embedder=embedder,
        sources=others,
        forget=forgotten,
        on_progress=on_progress,
    )


def _is_missing(source: str) -> bool:
    return not is_address(source) and not Path(source).exists()


def read_with_companions(
    named: Mapping[str, Mapping[str, str]],
    settings: Settings,
    embedder_name: str,
    *,
    strict: bool = False,
    rebuild: bool = False,
) -> tuple[Iterator[Record], dict[str, Mapping[str, str]]]:
    """Read sources, and with a Zotero library its other recorded parts, in the recorded order.

    Else the papers of the other parts would be taken for deleted.

    Args:
        named: sources with their columns; may be none.
        settings: their `index` names the library, which may not exist yet.
        embedder_name: embedder of the library.
        strict: raise at the first record of the named sources that cannot be read.
        rebuild: read the named sources only.

    Returns:
        the records, and all sources read, as they are to be recorded.

    Raises:
        CorpusError: a Zotero library cannot be read, or has no such part.
        SettingsError: an address has another form, or the library follows another user's.
    """
    from rag.readers import iter_sources

    recorded: Iterable[str] = ()
    if not rebuild:
        with suppress(IndexMissing, CorpusError):  # a new library has none
            recorded = read_sources(settings, embedder_name)
    _check_users((*recorded, *named))
    named = _pin_addresses(named, settings)
    sources = _resolve_sources(named)
    records = iter_sources(named.items(), strict=strict, settings=settings) if named else iter(())
    if rebuild:
        return _require_zotero(records), sources
    earlier, later = _find_companions(sources, settings, embedder_name)
    if earlier or later:
        read = partial(_read_again, settings=settings, embedder_name=embedder_name, left_out={})
        records = chain(read(earlier), records, read(later))
    return records, {**sources, **earlier, **later}


def _find_companions(
    sources: Collection[str], settings: Settings, embedder_name: str
) -> tuple[dict[str, Mapping[str, str]], dict[str, Mapping[str, str]]]:
    """Return the other recorded parts of Zotero libraries: those before sources and those after."""
    earlier: dict[str, Mapping[str, str]] = {}
    later: dict[str, Mapping[str, str]] = {}
    starts = {parse_address(source).link_start for source in filter(is_address, sources)}
    if not starts:
        return earlier, later
    part = earlier
    with suppress(IndexMissing, CorpusError):  # a new library has none
        for source, columns in read_sources(settings, embedder_name).items():
            if source in sources:
                part = later
            elif is_address(source) and parse_address(source).link_start in starts:
                part[source] = columns
    return earlier, later


def _check_users(sources: Iterable[str]) -> None:
    """Raise for personal libraries of two users: links into Zotero do not tell them apart.

    Raises:
        SettingsError: there are two.
    """
    addresses = map(parse_address, filter(is_address, sources))
    users = dict.fromkeys(
        each.library
        for each in addresses
        if each.library.startswith("users/") and not each.is_local
    )
    if len(users) > 1:
        first, second, *_ = users
        raise SettingsError(
            f"A library follows one personal library of Zotero, here zotero:{first}. Use another "
            f"index for zotero:{second}."
        )


def _require_zotero(records: Iterable[Record]) -> Iterator[Record]:
    """Yield records. A library rebuilt without one from Zotero would lose those papers.

    Raises:
        CorpusError: a Zotero library cannot be read.
    """
    from rag.readers import Refused

    for record in records:
        if isinstance(record, Refused) and is_address(record.path):
            raise CorpusError(str(record))
        yield record


def _pin_addresses(
    sources: Mapping[str, Mapping[str, str]], settings: Settings
) -> dict[str, Mapping[str, str]]:
    """Return sources with collections and searches of Zotero by key, so that they may be renamed.

    Raises:
        CorpusError: a Zotero library cannot be read, or has no such part.
        SettingsError: an address has another form.
    """
    from rag.readers.zotero.parts import pin_address

    return {
        str(pin_address(parse_address(source), settings)) if is_address(source) else source: columns
        for source, columns in sources.items()
    }


def _resolve_sources(sources: Mapping[str, Mapping[str, str]]) -> dict[str, Mapping[str, str]]:
    """Return sources as they are recorded: with absolute paths, and without standard input."""
    from rag.readers import STANDARD_INPUT

    return {
        source if is_address(source) else str(Path(source).absolute()): columns
        for source, columns in sources.items()
        if source != STANDARD_INPUT
    }


@dataclass(frozen=True, slots=True)
class SourceDifferences:
    """How the recorded sources of a library differ from its papers.

    Attributes:
        intake: what an update would change.
        missing: sources that no longer exist.
        vanished: ids of papers that their files no longer hold.
    """

    intake: Intake
    missing: tuple[str, ...]
    vanished: tuple[str, ...]


def compare_sources(
    settings: Settings, embedder: Embedder, manifest: Manifest, papers: Sequence[Paper]
) -> SourceDifferences:
    """Read the recorded sources of a library and return how they differ. Write nothing.

    Args:
        settings: their `index` names the library.
        embedder: embedder of the library.
        manifest: of the library.
        papers: all of the library.
    """
    sources = read_sources(settings, embedder.name) if manifest.sources else {}
    missing = tuple(filter(_is_missing, sources))
    present = {source: known for source, known in sources.items() if source not in missing}
    records = [*_read_again(present, settings, embedder.name, {})]
    intake = plan_changes(
        papers,
        records,
        by_title=True,
        decisions=[decision.load() for decision in manifest.decisions],
        rereading=find_rereading(records, present, manifest.sources),
    )
    return SourceDifferences(intake, missing, tuple(_find_vanished(papers, intake.met, present)))


def _read_again(
    sources: Mapping[str, Mapping[str, str]],
    settings: Settings,
    embedder_name: str,
    left_out: dict[str, None],
) -> Iterator[Record]:
    """Yield the records of sources, skipping removed papers and adding their ids to `left_out`."""
    removed = frozenset(_read_removed_ids(settings, embedder_name))
    for record in read_records(sources, settings):
        if isinstance(record, Paper) and not removed.isdisjoint(list_removal_keys(record)):
            left_out[record.id] = None
        else:
            yield record


def _read_removed_ids(settings: Settings, embedder_name: str) -> tuple[str, ...]:
    try:
        return read_manifest(resolve_index_folder(settings, embedder_name)).removed
    except IndexMissing:  # the bundled library before its first use
        return ()


def read_records(sources: Mapping[str, Mapping[str, str]], settings: Settings) -> Iterator[Record]:
    """Yield the records of all sources. A source that cannot be read gives a refusal."""
    from rag.readers import Refused, iter_sources

    for source, columns in sources.items():
        try:
            records = iter_sources([(source, columns)], settings=settings)
            yield from _use_source_paths(records, sources)
        except (CorpusError, SettingsError) as error:
            yield Refused(source, None, str(error))


def _find_vanished(
    papers: Iterable[Paper], met: frozenset[str], sources: Iterable[str]
) -> Iterator[str]:
    """Yield ids of papers that were not met although all their files were read."""
    places = {Path(source) for source in sources}

    @cache
    def was_read(file: str) -> bool:
        return is_within(Path(file), places)

    for paper in papers:
        if paper.sources and paper.id not in met and all(map(was_read, paper.sources)):
            yield paper.id


def find_deletable_library(settings: Settings, name: str) -> Library:
    """Return the library with a name or path if it may be deleted.

    Raises:
        IndexMissing: there is no library, or the folder holds other files.
        SettingsError: the name is not valid, or means the bundled library.
    """
    folder = require_library(settings.model_copy(update={"index": name}), "")
    if (settings.cache_dir / "bundled").resolve() in folder.resolve().parents:
        raise SettingsError("The bundled library cannot be deleted. It would be indexed again.")
    if not (folder / FILE_NAME).is_file():
        raise IndexMissing(
            f"There is no library at {folder}. `rag index list` shows the ones you have."
        )
    with suppress(IndexStale):  # an older layout may go too
        read_manifest(folder)
    foreign = sorted(
        path.name
        for path in folder.iterdir()
        if path.name not in _OWN_NAMES and not path.name.startswith(DATA_PREFIXES)
    )
    if foreign or folder.is_symlink():
        what = f"holds {foreign[0]}, which is not part of an index" if foreign else "is a link"
        raise IndexMissing(f"{folder} {what}. Nothing was deleted.")
    return _inspect_library(folder)


def delete_library(library: Library) -> None:
    """Delete a library. One rename removes it, then its files are deleted.

    Files left by an interrupted deletion are deleted with the next library of that name.

    Raises:
        IndexLocked: another process is writing to it.
        DiskError: a file cannot be deleted.
    """
    folder = library.folder
    aside = f".{folder.name}.deleted-"
    with writer_lock(folder, 0.0), map_disk_errors(folder):
        folder.rename(folder.with_name(aside + token_hex(4)))
    with map_disk_errors(folder):
        for left in folder.parent.iterdir():
            if left.name.startswith(aside):
                shutil.rmtree(left)
