"""Read lists of items and collections from a server that speaks the API of Zotero, version 3.

The key goes only to the server in the settings. Redirects are not followed. No message shows it.
https://www.zotero.org/support/dev/web_api/v3/basics and .../local_api describe the API.
"""

from __future__ import annotations

import json
import math
import re
import time
from contextlib import suppress
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, TypeAlias

from rag.errors import CorpusError, SettingsError
from rag.settings import is_loopback, resolve_key

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import httpx

    from rag.readers.zotero.address import ZoteroAddress
    from rag.settings import Settings

Fields: TypeAlias = dict[str, Any]

NO_KEY = "#"  # starts what stands for a missing key
_PAGE = 100  # most objects that the web API sends at once
_TRIES = 4
_FIRST_WAIT_S = 0.25  # before the second try; doubled before each further one
_LONGEST_WAIT_S = 300.0
_TIMEOUT_S = 60.0
_LOCAL_TIMEOUT_S = 120.0  # the desktop program takes long to write a large library in one reply
_CONNECT_S = 10.0
_BUSY = 429
_UNCHANGED = 304
_FAILED = 500  # and above: the server's fault
_NUMBER = re.compile(r"[0-9]{1,15}")
_VERSION = "Last-Modified-Version"
# Headers with a number that each list has. A server without them does not speak the API.
_HEADERS = ("Total-Results", _VERSION)
_LOCAL_HEADERS = ("Zotero-API-Version",)
_KEYS_PAGE = "https://www.zotero.org/settings/keys"
_LOCAL_ADVICE = {
    403: 'In Zotero, tick Settings > Advanced > "Allow other applications on this computer to '
    'communicate with Zotero", then try again.',
    404: "It has no such library. Check the group's number, and that Zotero is version 7 or later.",
}
_NO_LIBRARY = f"It has no such library. Your user ID is at {_KEYS_PAGE}, a group's in its address."
_ADVICE = {
    403: "The key in PAPERTRAIL_ZOTERO_KEY is wrong or may not read this library. Check it at "
    f"{_KEYS_PAGE}.",
    404: _NO_LIBRARY,
}
_ADVICE_WITHOUT_KEY = {
    403: f"It wants a key. Make one at {_KEYS_PAGE} and set PAPERTRAIL_ZOTERO_KEY.",
    404: f"{_NO_LIBRARY} If it is private, set PAPERTRAIL_ZOTERO_KEY.",
}


@dataclass(frozen=True, slots=True)
class Listing:
    """Objects of a library at one of its versions.

    Attributes:
        version: of the library when it was asked; 0 from the desktop program.
        objects: fields of each by key. What is no object of Zotero is {} under a key of `NO_KEY`.
    """

    version: int
    objects: dict[str, Fields]


class LibraryChanged(CorpusError):
    """Library that was changed between two requests, so that pages may lack objects."""


class ZoteroClient:
    """Client of one library. Close it after use.

    Raises:
        SettingsError: the settings name no usable server or key.
    """

    def __init__(self, address: ZoteroAddress, settings: Settings) -> None:
        import httpx

        self._address = address
        self._setting = "zotero_local_url" if address.is_local else "zotero_url"
        self._url = _parse_server(str(getattr(settings, self._setting)), self._setting)
        self._has_key = settings.zotero_key is not None and not address.is_local
        headers = {"Zotero-API-Version": "3", "User-Agent": "papertrail"}
        if settings.zotero_key is not None and self._has_key:
            headers["Zotero-API-Key"] = _check_key(resolve_key(settings.zotero_key, "zotero_key"))
        self._ready_at = 0.0
        try:
            self._http = httpx.Client(
                headers=headers,
                timeout=httpx.Timeout(
                    _LOCAL_TIMEOUT_S if address.is_local else _TIMEOUT_S, connect=_CONNECT_S
                ),
                trust_env=not is_loopback(self._url.host),  # for proxies
            )
        except (ImportError, ValueError, httpx.InvalidURL) as error:
            raise SettingsError(
                f"The proxy for {self.host} (HTTPS_PROXY or ALL_PROXY) cannot be used. Correct it, "
                f"or set NO_PROXY={self._url.host}."
            ) from error

    @property
    def host(self) -> str:
        """Host and port of the server, for messages."""
        return self._url.netloc.decode()

    @property
    def server(self) -> str:
        """Address of the server."""
        return str(self._url)

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def list_objects(
        self, path: str, *, since: int = 0, page: int = _PAGE, version: int = 0
    ) -> Listing:
        """Return all objects under a path of the library, also those in the trash.

        Args:
            path: such as "items/top".
            since: version of the library after which they were changed.
            page: objects that are asked for at once; 0 asks for all, without those in the trash.
            version: that the library must have; 0 allows any.

        Raises:
            LibraryChanged: it has another version, or was changed on the way.
            CorpusError: the server cannot be reached or refuses.
        """
        found: dict[str, Fields] = {}
        query = {"includeTrashed": 1, "since": since, "limit": page} if page else {}
        headers = {"If-Modified-Since-Version": str(since)} if since else {}
        total = 1
        while len(found) < total:
            start = len(found)
            reply = self._get(path, {**query, "start": start} if start else query, headers)
            if reply.status_code == _UNCHANGED:
                return Listing(since, found)
            needed = _LOCAL_HEADERS if self._address.is_local else _HEADERS
            objects = self._parse(reply, list, needed)
            found |= (_read_object(each, place) for place, each in enumerate(objects, start))
            total = _read_number(reply, "Total-Results", missing=len(found))
            current = _read_number(reply, _VERSION)
            version = version or current
            if version != current or not min(start + 1, total) <= len(found) <= total:
                raise self._make_change_error()
        return Listing(version, found)

    def list_deleted(self, since: int, version: int) -> set[str]:
        """Return the keys of items that were deleted for good after a version of the library.

        Raises:
            LibraryChanged: the library no longer has the second version.
            CorpusError: the server cannot be reached or refuses.
        """
        reply = self._get("deleted", {"since": since}, {})
        keys = self._parse(reply, dict, [_VERSION]).get("items")
        if _read_number(reply, _VERSION) != version:
            raise self._make_change_error()
        if not isinstance(keys, list):
            raise self._make_reply_error()
        return {key for key in keys if isinstance(key, str)}

    def _get(
        self, path: str, query: Mapping[str, int], headers: Mapping[str, str]
    ) -> httpx.Response:
        """Return a good reply. Wait and try again where the server asks for it."""
        import httpx

        problem = ""
        for attempt in range(_TRIES):
            wait = max(self._ready_at - time.monotonic(), 0)
            time.sleep(max(wait, _FIRST_WAIT_S * 2 ** (attempt - 1) if attempt else 0))
            try:
                reply = self._http.get(
                    f"{self._url}/{self._address.library}/{path}", params=query, headers=headers
                )
            except httpx.ConnectError as error:
                if self._address.is_local:
                    raise CorpusError(
                        f"Zotero does not answer at {self.host}. Start Zotero, then try again."
                    ) from error
                problem = "cannot be reached"
            except httpx.TimeoutException:
                problem = "did not answer"
                if attempt:  # each try takes long
                    break
            except httpx.RequestError:
                problem = "lost the connection"
            else:
                self._keep_away(reply)
                if reply.status_code != _BUSY and reply.status_code < _FAILED:
                    return self._check(reply)
                problem = f"answers with status {reply.status_code}"
        raise CorpusError(
            f"{self.host} {problem}, after {attempt + 1} tries to read {self._address}. "
            "Try again later."
        )

    def _keep_away(self, reply: httpx.Response) -> None:
        """Note how long the server wants no further request.

        Raises:
            CorpusError: it is too long to wait.
        """
        wait = max(_read_number(reply, "Backoff"), _read_pause(reply))
        if wait > _LONGEST_WAIT_S:
            raise CorpusError(f"{self.host} wants no request for {wait} seconds. Try again then.")
        self._ready_at = time.monotonic() + wait

    def _check(self, reply: httpx.Response) -> httpx.Response:
        """Return a reply that is no error.

        Raises:
            CorpusError: it is one. The message says what to do.
        """
        if reply.is_success or reply.status_code == _UNCHANGED:
            return reply
        if reply.is_redirect:
            advice = f"It redirects to another address. Correct the setting {self._setting}."
        elif self._address.is_local:
            advice = _LOCAL_ADVICE.get(reply.status_code, "")
        else:
            advice = (_ADVICE if self._has_key else _ADVICE_WITHOUT_KEY).get(reply.status_code, "")
        advice = advice or f"It answers with status {reply.status_code}."
        raise CorpusError(f"Cannot read {self._address} from {self.host}. {advice}")

    def _parse(self, reply: httpx.Response, kind: type, needed: Sequence[str]) -> Any:
        """Return the JSON of a reply, which must have some headers with a number.

        Numbers are read as floats: no field that counts is a number, and a long one is no error.
        """
        try:
            found = json.loads(reply.content, parse_int=float)
        except (ValueError, RecursionError) as error:
            raise self._make_reply_error() from error
        is_complete = all(_read_number(reply, each, missing=-1) >= 0 for each in needed)
        if not (isinstance(found, kind) and is_complete):
            raise self._make_reply_error()
        return found

    def _make_change_error(self) -> LibraryChanged:
        return LibraryChanged(f"{self._address} changes while it is read. Try again later.")

    def _make_reply_error(self) -> CorpusError:
        return CorpusError(
            f"{self.host} sent what is no reply of Zotero's API. Check the setting {self._setting}."
        )


def _parse_server(url: str, setting: str) -> httpx.URL:
    """Return the address of a server.

    Raises:
        SettingsError: it is none.
    """
    import httpx

    try:
        server = httpx.URL(url.rstrip("/"))
    except httpx.InvalidURL:
        server = httpx.URL()
    has_more = server.userinfo or {*url} & {*"?#"}
    if server.scheme not in {"http", "https"} or not server.host or has_more:
        raise SettingsError(
            f"The setting {setting} is no address of a server. Write one like "
            "https://api.zotero.org, without user name, password, ? and #."
        )
    return server


def _read_number(reply: httpx.Response, header: str, *, missing: int = 0) -> int:
    text = reply.headers.get(header, "").strip()
    return int(text) if _NUMBER.fullmatch(text) else missing


def _read_pause(reply: httpx.Response) -> int:
    """Return the seconds in Retry-After, which has them or the date when they are over."""
    with suppress(ValueError, OverflowError):
        end = parsedate_to_datetime(reply.headers.get("Retry-After", ""))
        return max(0, math.ceil(end.timestamp() - time.time()))
    return _read_number(reply, "Retry-After")


def _read_object(found: object, place: int) -> tuple[str, Fields]:
    """Return the key and the fields of an item, a collection or a search."""
    whole = found if isinstance(found, dict) else {}
    key, data = whole.get("key"), whole.get("data")
    if isinstance(key, str) and isinstance(data, dict):
        return key, data
    return f"{NO_KEY}{place}", {}


def _check_key(key: str) -> str:
    """Return the key without blanks around it.

    Raises:
        SettingsError: it holds what no key does.
    """
    key = key.strip()
    if not (key.isascii() and key.isprintable()):
        raise SettingsError(
            f"PAPERTRAIL_ZOTERO_KEY has characters that no key has. Copy it from {_KEYS_PAGE}."
        )
    return key
