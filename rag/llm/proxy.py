"""Find the proxy that the environment names for an address.

httpx would use a proxy for this machine too, and would load every proxy that is named, also those
that NO_PROXY switches off.
"""

from __future__ import annotations

from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from rag.settings import is_loopback


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
