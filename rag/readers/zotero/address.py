"""Addresses of Zotero libraries, as sources of papers.

    zotero:local                    the library of the desktop program on this machine
    zotero:local/groups/5           a group in the desktop program
    zotero:users/7, zotero:groups/5 a library of the web API

Behind each of them may stand a part of the library: `/collections/NAME`, `/tags/NAME`, and for the
desktop program `/searches/NAME` (a saved search). A collection is named by its key or by its path
("Thesis/Chapter 2"), and includes the collections below it.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal, TypeAlias

from rag.errors import SettingsError

Part: TypeAlias = Literal["", "collections", "tags", "searches"]

SCHEME = "zotero:"
LINK_START = "zotero://select/"
_ADDRESS = re.compile(
    r"(?i:zotero:)(?P<library>local(?:/groups/[0-9]+)?|(?:users|groups)/[0-9]+)"
    r"(?:/(?P<part>collections|tags|searches)/(?P<name>.*\S.*))?/?",
    re.DOTALL,
)
_PARTS: dict[str | None, Part] = {
    None: "",
    "collections": "collections",
    "tags": "tags",
    "searches": "searches",
}


@dataclass(frozen=True, slots=True)
class ZoteroAddress:
    """Zotero library, or a part of it.

    Attributes:
        is_local: whether the desktop program on this machine has it, else the web API.
        library: path of the library in the API ("users/7", "groups/5"); "users/0" is the library of
            the local user.
        part: which part is read; "" for all of it.
        name: key or name of the collection or search, or the tag; "" for all of the library.
    """

    is_local: bool
    library: str
    part: Part = ""
    name: str = ""

    @property
    def link_start(self) -> str:
        """Start of the links to its items, the same for the desktop program and the web API."""
        place = self.library if self.library.startswith("groups/") else "library"
        return f"{LINK_START}{place}/items/"

    def link(self, key: str) -> str:
        """Return the link that opens an item in Zotero.

        >>> ZoteroAddress(False, "groups/5").link("ABCD2345")
        'zotero://select/groups/5/items/ABCD2345'
        """
        return self.link_start + key

    def __str__(self) -> str:
        library = self.library
        if self.is_local:
            library = "local" if library == "users/0" else f"local/{library}"
        return SCHEME + "/".join(filter(None, [library, self.part, self.name]))


def is_address(source: object) -> bool:
    """Return whether a source of papers is a Zotero library."""
    return isinstance(source, str) and source.lower().startswith(SCHEME)


def parse_address(text: str) -> ZoteroAddress:
    """Parse the address of a Zotero library.

    Raises:
        SettingsError: it has another form.

    >>> parse_address("zotero:local/collections/Thesis/Chapter 2").name
    'Thesis/Chapter 2'
    >>> str(parse_address("zotero:users/7/tags/tea"))
    'zotero:users/7/tags/tea'
    """
    found = _ADDRESS.fullmatch(text.strip())
    library = found["library"] if found else ""
    is_local = library.startswith("local")
    if found and not (found["part"] == "searches" and not is_local):
        path = library.removeprefix("local").lstrip("/") if is_local else library
        return ZoteroAddress(
            is_local, path or "users/0", _PARTS[found["part"]], (found["name"] or "").rstrip("/")
        )
    problem = "Only zotero:local has saved searches" if found else "It is no Zotero library"
    raise SettingsError(
        f"Cannot read {text:.80}. {problem}. Write zotero:local, zotero:users/ID or "
        "zotero:groups/ID, and behind it /collections/NAME or /tags/NAME for a part."
    )
