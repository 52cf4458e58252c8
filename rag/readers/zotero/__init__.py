"""Read papers from Zotero: from the desktop program on this machine, or from the web API."""

from rag.readers.zotero.address import SCHEME, ZoteroAddress, is_address, parse_address

__all__ = ["SCHEME", "ZoteroAddress", "is_address", "parse_address"]
