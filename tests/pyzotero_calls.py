"""Read a library with pyzotero and print what it gives. Run by the Python that has pyzotero.

Arguments: address of the server, key, number of the user, a version of the library. Number 0 is the
user of the desktop program.
"""

from __future__ import annotations

import json
import sys


def main():
    from pyzotero import Zotero  # only that Python has it

    endpoint, key, user, version = sys.argv[1:]
    is_local = user == "0"
    zotero = Zotero(user, "user", None if is_local else key, local=is_local)
    zotero.endpoint = endpoint
    found = {
        "top": [each["key"] for each in zotero.everything(zotero.top(limit=100))],
        "collections": [each["data"]["name"] for each in zotero.everything(zotero.collections())],
        "tags": zotero.everything(zotero.tags()),
        "searches": [each["data"]["name"] for each in zotero.searches()],
    }
    if not is_local:
        found |= {
            "changed": [each["key"] for each in zotero.top(since=version)],
            "versions": zotero.item_versions(since=version),
            "version": zotero.last_modified_version(),
            "deleted": zotero.deleted(since=version)["items"],
            "trash": [each["key"] for each in zotero.trash()],
            "item": zotero.item(zotero.top(limit=1)[0]["key"])["data"]["title"],
            "number": zotero.num_items(),
        }
    print(json.dumps(found))


if __name__ == "__main__":
    main()
