"""A Zotero server on loopback, written from the public documentation of the API, version 3.

It holds libraries that tests change, and speaks like api.zotero.org or like the desktop program:
https://www.zotero.org/support/dev/web_api/v3/basics, .../syncing and .../local_api.
"""

from __future__ import annotations

import json
import random
import socket
import threading
import time
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, urlencode, urlsplit

KEY = "P9NiFoyLeZu2bZNvvuQPDWsd"
_DIGITS = "23456789ABCDEFGHIJKLMNPQRSTUVWXYZ"


class ZoteroLibrary:
    """Items, collections and searches of a user or a group. Each change raises the version."""

    def __init__(self):
        self.version = 0
        self.items = {}
        self.collections = {}
        self.searches = {}
        self.found = {}  # keys of items by saved search
        self.deleted = {"items": {}, "collections": {}, "searches": {}}
        self._random = random.Random(20)

    def add_item(self, itemType="journalArticle", **fields):  # noqa: N803 - Zotero's name
        """Add an item and return its key."""
        key = fields.pop("key", None) or self._make_key()
        hours, seconds = divmod(self.version, 3600)
        added = f"2024-01-01T{hours:02}:{seconds // 60:02}:{seconds % 60:02}Z"
        item = {"itemType": itemType, "tags": [], "collections": [], "dateAdded": added, **fields}
        self._put(self.items, key, item)
        return key

    def edit_item(self, key, **fields):
        """Change fields of an item."""
        self._put(self.items, key, {**self.items[key], **fields})

    def move_item(self, key, *collections):
        """Put an item into these collections only."""
        self.edit_item(key, collections=list(collections))

    def trash_item(self, key):
        """Move an item into the trash."""
        self.edit_item(key, deleted=1)

    def restore_item(self, key):
        """Take an item out of the trash."""
        item = dict(self.items[key])
        del item["deleted"]
        self._put(self.items, key, item)

    def delete_item(self, key):
        """Delete an item for good."""
        self._delete("items", key)

    def add_collection(self, name, parent=None):
        """Add a collection and return its key."""
        key = self._make_key()
        self._put(self.collections, key, {"name": name, "parentCollection": parent or False})
        return key

    def rename_collection(self, key, name):
        """Rename a collection."""
        self._put(self.collections, key, {**self.collections[key], "name": name})

    def move_collection(self, key, parent=None):
        """Put a collection under another one, or on top."""
        self._put(
            self.collections, key, {**self.collections[key], "parentCollection": parent or False}
        )

    def delete_collection(self, key):
        """Delete a collection. Its items stay."""
        for item, fields in self.items.items():
            if key in fields["collections"]:
                self.move_item(item, *(each for each in fields["collections"] if each != key))
        self._delete("collections", key)

    def add_search(self, name, *items):
        """Add a saved search that finds these items, and return its key."""
        key = self._make_key()
        self.found[key] = list(items)
        self._put(self.searches, key, {"name": name, "conditions": []})
        return key

    def _put(self, objects, key, fields):
        self.version += 1
        objects[key] = {**fields, "key": key, "version": self.version}

    def _delete(self, kind, key):
        self.version += 1
        del getattr(self, kind)[key]
        self.deleted[kind][key] = self.version

    def _make_key(self):
        return "".join(self._random.choices(_DIGITS, k=8))


@dataclass
class Request:
    """A request that the server got.

    Attributes:
        path: without the query.
        query: the first value of each parameter.
        headers: by name in lower case.
        at_s: of the monotonic clock.
    """

    path: str
    query: dict
    headers: dict
    at_s: float = field(default_factory=time.monotonic)


@dataclass
class Reply:
    """What the server answers. A header with None is not sent."""

    body: object = ""
    status: int = 200
    headers: dict = field(default_factory=dict)


class ZoteroServer:
    """A running server. Clients take its `url`, tests change its `libraries`.

    Attributes:
        libraries: by path, such as "users/7". The desktop program has its user's as "users/0".
        requests: all that came, in order.
        replies: sent instead of the next answers.
        lose_after: number of requests after which connections are closed without an answer.
        after_answer: called with each request when its answer is known, to change something then.
        more_headers: sent with each usual answer, such as Backoff.
        is_allowed: the desktop program lets other programs read.
    """

    def __init__(self, *, local=False, key=KEY):
        self.is_local = local
        self.key = key
        self.libraries = {"users/0" if local else "users/7": ZoteroLibrary()}
        self.requests = []
        self.replies = []
        self.lose_after = None
        self.after_answer = lambda request: None
        self.more_headers = {}
        self.is_allowed = True
        self._lock = threading.Lock()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *arguments):
                pass

            def do_GET(self):
                owner._serve(self)

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}{'/api' if local else ''}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exception):
        self._server.shutdown()
        self._server.server_close()

    @property
    def library(self):
        """Library of the user."""
        return next(iter(self.libraries.values()))

    def add_group(self, number):
        """Add a group and return its library."""
        return self.libraries.setdefault(f"groups/{number}", ZoteroLibrary())

    @property
    def settings(self):
        """Settings with which a client reaches the server."""
        name = "zotero_local_url" if self.is_local else "zotero_url"
        return {name: self.url, "zotero_key": self.key}

    def _serve(self, handler):
        parts = urlsplit(handler.path)
        query = {name: values[0] for name, values in parse_qs(parts.query).items()}
        headers = {name.lower(): value for name, value in handler.headers.items()}
        request = Request(parts.path, query, headers)
        with self._lock:
            self.requests.append(request)
            is_lost = self.lose_after is not None and len(self.requests) > self.lose_after
            special = self.replies.pop(0) if self.replies and not is_lost else None
            reply = None if is_lost else special or self._answer(request)
            self.after_answer(request)
        if reply is None:
            handler.close_connection = True
            handler.connection.shutdown(socket.SHUT_RDWR)
            return
        is_text = isinstance(reply.body, str)
        body = (reply.body if is_text else json.dumps(reply.body)).encode()
        kind = "text/plain" if is_text else "application/json"
        usual = {"Zotero-API-Version": 3, "Content-Type": kind, "Content-Length": len(body)}
        handler.send_response(reply.status)
        for name, value in {**usual, **reply.headers}.items():
            if value is not None:
                handler.send_header(name, str(value))
        handler.end_headers()
        if reply.status != 304:
            handler.wfile.write(body)

    def _answer(self, request):
        """Check what all requests have in common."""
        if self.is_local and not self.is_allowed:
            return Reply("Local API is not enabled", 403)
        key = request.headers.get("zotero-api-key")
        key = key or request.headers.get("authorization", "").removeprefix("Bearer ")
        if not self.is_local and self.key and key != self.key:
            return Reply("Invalid key" if key else "Forbidden", 403)
        path = request.path.removeprefix("/api" if self.is_local else "")
        place, rest = "/".join(path.split("/")[1:3]), path.split("/")[3:]
        if place not in self.libraries:
            return Reply("Not found", 404)
        library = self.libraries[place]
        version = 0 if self.is_local else library.version
        known = int(request.headers.get("if-modified-since-version", 0))
        reply = (
            Reply("", 304) if known and version <= known else self._look_up(library, request, rest)
        )
        headers = {"Last-Modified-Version": version, **reply.headers, **self.more_headers}
        return replace(reply, headers=headers)

    def _look_up(self, library, request, rest):
        match rest:
            case ["deleted"] if not self.is_local:
                since = int(request.query["since"])
                gone = {
                    kind: [key for key, version in keys.items() if version > since]
                    for kind, keys in library.deleted.items()
                }
                return Reply({**gone, "tags": [], "settings": []})
            case ["groups"]:
                groups = [name[7:] for name in self.libraries if name.startswith("groups/")]
                return self._cut(request, [{"id": int(each), "data": {}} for each in groups])
            case ["tags"]:
                tags = {tag["tag"] for item in library.items.values() for tag in item["tags"]}
                return self._cut(request, [{"tag": tag, "meta": {}} for tag in sorted(tags)])
            case ["items" | "collections" | "searches" as kind, key] if key in getattr(
                library, kind
            ):
                return Reply(self._show(getattr(library, kind)[key]))
        found = self._find(library, request, rest)
        if found is None:
            return Reply("Not found", 404)
        if since := int(request.query.get("since", 0)):
            found = [each for each in found if self._get_version(each) > since]
        match request.query.get("format"):
            case "versions":
                return Reply({each["key"]: self._get_version(each) for each in found})
            case "keys":
                return Reply("".join(f"{each['key']}\n" for each in found))
        page = self._cut(request, found)
        return replace(page, body=[self._show(each) for each in page.body])

    def _find(self, library, request, rest):
        """Return the objects under a path of a library, or None."""
        match rest:
            case ["collections"]:
                return list(library.collections.values())
            case ["collections", "top"]:
                return [c for c in library.collections.values() if not c["parentCollection"]]
            case ["searches"]:
                return list(library.searches.values())
            case ["searches", key, "items", *top] if self.is_local and key in library.searches:
                found = [library.items[each] for each in library.found[key]]
            case ["collections", key, "items", *top]:
                found = [each for each in library.items.values() if key in each["collections"]]
            case ["items", *top]:
                found = list(library.items.values())
            case _:
                return None
        return _filter_items(found, top, request.query)

    def _get_version(self, data):
        """The desktop program gives no version before it synchronised."""
        return 0 if self.is_local else data["version"]

    def _show(self, data):
        version = self._get_version(data)
        return {
            "key": data["key"],
            "version": version,
            "library": {"type": "user", "id": 7, "name": "made up"},
            "links": {},
            "meta": {},
            "data": {**data, "version": version},
        }

    def _cut(self, request, objects):
        """Return a page of a list, with the link to the next."""
        start = int(request.query.get("start", 0))
        limit = int(request.query.get("limit", 0 if self.is_local else 25)) or len(objects)
        limit = limit if self.is_local else min(limit, 100)
        headers = {"Total-Results": len(objects)}
        if start + limit < len(objects):
            query = urlencode({**request.query, "limit": limit, "start": start + limit})
            address = self.url.removesuffix("/api") + request.path
            headers["Link"] = f'<{address}?{query}>; rel="next"'
        return Reply(objects[start : start + limit], 200, headers)


def _filter_items(items, ending, query):
    """Return the items that belong under the end of a path, as sorted by `dateModified`."""
    if ending == ["trash"]:
        items = [each for each in items if each.get("deleted")]
    elif query.get("includeTrashed") != "1":
        items = [each for each in items if not each.get("deleted")]
    if ending == ["top"]:
        items = [each for each in items if not each.get("parentItem")]
    if keys := query.get("itemKey"):
        items = [each for each in items if each["key"] in keys.split(",")]
    if tag := query.get("tag"):
        items = [each for each in items if {"tag": tag} in each["tags"]]
    return sorted(items, key=lambda each: each["version"], reverse=True)


def add_made_up_items(library, number):
    """Add items with titles, abstracts and authors of made-up words."""
    words = random.Random(number)
    syllables = ("ba", "do", "fi", "gu", "ko", "li", "mo", "nu", "pe", "ri", "su", "ta", "ve", "zo")

    def make_words(count):
        return " ".join("".join(words.choices(syllables, k=3)) for _ in range(count))

    for each in range(number):
        library.add_item(
            title=f"{make_words(5).capitalize()} {each}",
            abstractNote=f"{make_words(12).capitalize()}. {make_words(9).capitalize()}.",
            creators=[
                {
                    "creatorType": "author",
                    "firstName": make_words(1).capitalize(),
                    "lastName": make_words(1).capitalize(),
                }
            ],
            date=str(words.randint(1990, 2025)),
            publicationTitle=f"Journal of {make_words(1)}",
        )
