"""Find the proxy that the environment names for an address.

httpx would use a proxy for this machine too, and would load every proxy that is named, also those
that NO_PROXY switches off.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from rag.settings import is_loopback

if TYPE_CHECKING:
    from collections.abc import Iterator


def find_proxy(url: str) -> str | None:
    """Return the address of the proxy for a server, or None.

    HTTPS_PROXY, HTTP_PROXY, ALL_PROXY and NO_PROXY count, also in lower case. This machine is never
    reached through a proxy.
    """
    parts = urlsplit(url)
    host = parts.hostname or ""
    if is_loopback(host) or proxy_bypass(parts.netloc.rpartition("@")[2]):
        return None
    proxies = getproxies()
    proxy = proxies.get(parts.scheme) or proxies.get("all")
    return proxy if proxy is None or "://" in proxy else f"http://{proxy}"


@contextmanager
def hide_proxies() -> Iterator[None]:
    """Hide the proxies from a library that makes clients as it is loaded and never uses them."""
    hidden = {name: os.environ.pop(name) for name in list(os.environ) if _is_proxy(name)}
    try:
        yield
    finally:
        os.environ |= hidden


def _is_proxy(variable: str) -> bool:
    return variable.casefold() in {"http_proxy", "https_proxy", "all_proxy"}
