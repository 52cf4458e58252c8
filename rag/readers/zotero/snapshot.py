"""Bring a copy of a whole Zotero library up to date before any of it is used.

A copy is complete or is not used at all, so that no paper looks deleted because a page was lost.
That of a web library is kept between runs, so that an update asks only for what changed. Versions
from Zotero on this machine cannot be relied on, so it is asked for everything each time.
"""

from __future__ import annotations

import gzip
import json
import zlib
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from secrets import token_hex
from typing import TYPE_CHECKING

from rag.files import replace_file
from rag.readers.zotero.api import NO_KEY, LibraryChanged

if TYPE_CHECKING:
    from collections.abc import Container
    from pathlib import Path

    from rag.readers.zotero.address import ZoteroAddress
    from rag.readers.zotero.api import Fields, ZoteroClient

_LAYOUT = 1  # of the kept file
_ROUNDS = 5
_NO_PAPERS = ("attachment", "note", "annotation")


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Copy of a library.

    Attributes:
        version: of the library; 0 if nothing is known of it.
        items: fields of each item that may be a paper, by key, and what is no item (see `Listing`).
        collections: fields of each collection, by key.
    """

    version: int = 0
    items: dict[str, Fields] = field(default_factory=dict)
    collections: dict[str, Fields] = field(default_factory=dict)


def take_snapshot(client: ZoteroClient, address: ZoteroAddress, cache_dir: Path) -> Snapshot:
    """Return the library as it is now.

    Args:
        client: of the library.
        address: of the library.
        cache_dir: folder for copies of web libraries.

    Raises:
        CorpusError: it cannot be read completely.
    """
    if address.is_local:
        items = client.list_objects("items/top", page=0)
        collections = client.list_objects("collections", page=0)
        return Snapshot(0, _update({}, items.objects), _update({}, collections.objects))
    server = sha256(client.server.encode()).hexdigest()[:8]
    path = cache_dir / "zotero" / f"{address.library.replace('/', '-')}-{server}.jsonl.gz"
    before = _load(path)
    for left in reversed(range(_ROUNDS)):
        try:
            now = _fetch_changes(client, before)
        except LibraryChanged:
            if not left:
                raise
        else:
            break
    if now is not before:
        _save(path, now)
    return now


def _fetch_changes(client: ZoteroClient, before: Snapshot) -> Snapshot:
    """Bring a copy up to date. Collections are few, so all of them are read again.

    Raises:
        LibraryChanged: the library changed on the way, so pages may have lost items.
        CorpusError: it cannot be read completely.
    """
    changed = client.list_objects("items/top", since=before.version)
    if changed.version == before.version and not changed.objects:
        return before
    deleted = client.list_deleted(before.version, changed.version) if before.version else set()
    collections = client.list_objects("collections", version=changed.version)
    items = _update(before.items, changed.objects, deleted)
    return Snapshot(changed.version, items, _update({}, collections.objects))


def _update(
    known: dict[str, Fields], objects: dict[str, Fields], deleted: Container[str] = frozenset()
) -> dict[str, Fields]:
    """Return fields by key, without deleted objects and those in the trash."""
    found = {key: known[key] for key in known if key not in deleted and key[:1] != NO_KEY}
    for key, data in objects.items():
        is_child = data.get("itemType") in _NO_PAPERS or data.get("parentItem")
        if is_child or data.get("deleted"):
            found.pop(key, None)
        else:
            found[key] = data
    return found


def _load(path: Path) -> Snapshot:
    """Return a kept copy, or an empty one if there is none or it is damaged."""
    with suppress(OSError, EOFError, ValueError, TypeError, KeyError, zlib.error):
        with gzip.open(path, "rt", encoding="utf-8") as file:
            head, *rows = map(json.loads, file)
        if head["layout"] == _LAYOUT:
            number = head["items"]
            return Snapshot(head["version"], dict(rows[:number]), dict(rows[number:]))
    return Snapshot()


def _save(path: Path, snapshot: Snapshot) -> None:
    """Keep a copy that only its owner can read. Without it the next run asks for everything."""
    head = {"layout": _LAYOUT, "version": snapshot.version, "items": len(snapshot.items)}
    rows = [head, *snapshot.items.items(), *snapshot.collections.items()]
    content = gzip.compress("".join(f"{json.dumps(row)}\n" for row in rows).encode())
    draft = path.with_name(f".papertrail-{token_hex(8)}")
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            draft.touch(mode=0o600)
            replace_file(path, content, draft)
        finally:
            draft.unlink(missing_ok=True)
