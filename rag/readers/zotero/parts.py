"""Choose the wanted part of a Zotero library and read its items."""

from __future__ import annotations

import re
from contextlib import closing
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING

from rag.errors import CorpusError
from rag.readers import fields
from rag.readers.fields import Note
from rag.readers.zotero.api import ZoteroClient
from rag.readers.zotero.items import list_collections, list_tags, read_item
from rag.readers.zotero.snapshot import take_snapshot
from rag.text.similar import list_similar

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from rag.readers.fields import RawRecord
    from rag.readers.zotero.address import ZoteroAddress
    from rag.readers.zotero.api import Fields
    from rag.readers.zotero.snapshot import Snapshot
    from rag.settings import Settings

_KEY = re.compile(r"[A-Z0-9]{8}")
_SHOWN = 20  # names in a message


def read_items(
    address: ZoteroAddress, settings: Settings
) -> Iterator[tuple[str, RawRecord | Note | str]]:
    """Yield the link of each item with its record or the reason for refusal, in order of addition.

    The whole library is brought up to date before the first of them. Without any there is a note.

    Raises:
        CorpusError: the library cannot be read completely, or has no such part.
        SettingsError: the settings name no usable server or key.
    """
    with closing(ZoteroClient(address, settings)) as client:
        snapshot = take_snapshot(client, address, settings.cache_dir)
        paths = _list_paths(snapshot.collections)
        is_wanted = _choose_part(address, client, snapshot, paths)
    items = sorted(snapshot.items.items(), key=lambda row: (str(row[1].get("dateAdded")), row[0]))
    is_empty = True
    for key, item in items:
        if not _KEY.fullmatch(key):
            reason = "sent what is no item of Zotero, which has a key of 8 letters and digits."
            yield str(address), f"{client.host} {reason}"
        elif is_wanted(key, item):
            link = address.link(key)
            yield link, read_item(item, link, paths)
            is_empty = False
    if is_empty:
        yield str(address), Note(_explain_emptiness(address, snapshot))


def pin_address(address: ZoteroAddress, settings: Settings) -> ZoteroAddress:
    """Return an address that names its collection or search by key, which no renaming changes.

    Raises:
        CorpusError: the library cannot be read, or has no such part.
        SettingsError: the settings name no usable server or key.
    """
    if address.part not in ("collections", "searches"):
        return address
    with closing(ZoteroClient(address, settings)) as client:
        if address.is_local:
            known = client.list_objects(address.part, page=0).objects
        else:
            known = take_snapshot(client, address, settings.cache_dir).collections
    return replace(address, name=_choose_key(address, _list_paths(known)))


def _choose_part(
    address: ZoteroAddress, client: ZoteroClient, snapshot: Snapshot, paths: Mapping[str, str]
) -> Callable[[str, Fields], bool]:
    """Return a function that returns whether an item belongs to the part in the address."""
    if address.part == "collections":
        chosen = _choose_key(address, paths)
        wanted = {key for key in paths if chosen in _list_line(key, snapshot.collections)}
        return lambda _, item: not wanted.isdisjoint(list_collections(item))
    if address.part == "tags":
        tag = address.name.casefold()
        return lambda _, item: tag in map(str.casefold, list_tags(item))
    if address.part == "searches":
        searches = client.list_objects("searches", page=0).objects
        chosen = _choose_key(address, _list_paths(searches))
        found = client.list_objects(f"searches/{chosen}/items", page=0).objects
        keys = {str(data.get("parentItem") or key) for key, data in found.items()}  # also of files
        return lambda key, _: key in keys
    return lambda *_: True


def _explain_emptiness(address: ZoteroAddress, snapshot: Snapshot) -> str:
    if address.part != "tags":
        return "it holds no paper."
    known = map(_clean_name, chain(*map(list_tags, snapshot.items.values())))
    tags = list_similar(address.name, filter(None, known))
    others = f"Others: {', '.join(tags)}." if tags else "None has any."
    return f"no paper has this tag. {others}"


def _choose_key(address: ZoteroAddress, paths: Mapping[str, str]) -> str:
    """Return the key of the collection or search that an address names.

    Raises:
        CorpusError: none has the name, or several have.
    """
    fits = _find_keys(address.name, paths)
    if len(fits) == 1:
        return fits[0]
    problem = "Several have this name" if fits else "There is none of this name"
    shown = sorted(f"{paths[key]} ({key})" for key in fits or paths)
    if len(shown) > _SHOWN:
        shown[_SHOWN:] = [f"and {len(shown) - _SHOWN} more"]
    raise CorpusError(
        f"Cannot read {address}. {problem}. Name one by its path or its key: "
        f"{', '.join(shown) or 'there are none yet'}."
    )


def _find_keys(name: str, paths: Mapping[str, str]) -> list[str]:
    """Return the keys of what has a key, else a path, else the end of a path, in any case."""
    if name in paths:
        return [name]
    end = f"/{name.casefold()}"
    whole = [key for key, path in paths.items() if f"/{path.casefold()}" == end]
    return whole or [key for key, path in paths.items() if path.casefold().endswith(end)]


def _list_paths(collections: Mapping[str, Fields]) -> dict[str, str]:
    """Return the path of each collection with a valid key, such as "Thesis/Chapter 2"."""
    return {
        key: "/".join(
            _clean_name(collections[each].get("name"))
            for each in reversed(_list_line(key, collections))
        )
        for key in collections
        if _KEY.fullmatch(key)
    }


def _clean_name(name: object) -> str:
    """Return a name on one line, without half characters."""
    return fields.collapse_space(str(name).encode("utf-8", "replace").decode())


def _list_line(key: str, collections: Mapping[str, Fields]) -> list[str]:
    """Return the keys of a collection and of those above it."""
    line = [key]
    above = collections[key].get("parentCollection")
    while isinstance(above, str) and above in collections and above not in line:
        line.append(above)
        above = collections[above].get("parentCollection")
    return line
