"""Addresses that a server listens on, and by which clients call it."""

from __future__ import annotations

import ipaddress
import re
import socket
from typing import TYPE_CHECKING

from rag.errors import SettingsError
from rag.settings import is_loopback

if TYPE_CHECKING:
    from collections.abc import Sequence


def require_safe_address(
    host: str, *, token: str | None, names: Sequence[str], variable: str
) -> None:
    """Check that nobody can use a server that is not meant for them.

    Args:
        host: to listen on.
        token: that clients must send, if any.
        names: that clients call the server by.
        variable: of the environment, which holds the token.

    Raises:
        SettingsError: the token is weak, or others can reach the host and the token or a name is
            missing.
    """
    if token is None and not is_loopback(host):
        raise SettingsError(
            f"Serving on {host} needs a token because others can reach it. Put one into a file and "
            f"give --token-file, or set {variable}."
        )
    if token is not None and not re.fullmatch(r"[!-~]{24,}", token):  # too long to guess
        raise SettingsError(
            "The token must be one word of at least 24 ASCII characters. Make one with "
            '`python -c "import secrets; print(secrets.token_urlsafe())"`.'
        )
    if is_unspecified(host) and not names:
        raise SettingsError(
            f"{host} stands for every address of this machine. Give the name that clients use with "
            "--name."
        )


def listen(host: str, port: int, *, tries: int = 1) -> socket.socket:
    """Return a socket that listens on the first free one of some ports. Port 0 takes any.

    Raises:
        SettingsError: none of them can be used.
    """
    host = host.strip("[]")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    for attempt in range(tries):
        try:
            return socket.create_server((host, port + attempt), family=family)
        except (OSError, UnicodeError) as error:
            problem = error
    reason = getattr(problem, "strerror", None) or problem
    raise SettingsError(
        f"Cannot listen on {host}:{port} ({reason}). Choose another port with --port."
    ) from problem


def format_url(host: str, port: int, path: str = "", names: Sequence[str] = ()) -> str:
    """Return the URL for clients, by the first name where every address is served.

    >>> format_url("127.0.0.1", 8765, "/mcp"), format_url("::1", 8765)
    ('http://127.0.0.1:8765/mcp', 'http://[::1]:8765')
    >>> format_url("0.0.0.0", 8765, "/mcp", ["papers.example.org"])
    'http://papers.example.org:8765/mcp'
    """
    name = names[0] if names and is_unspecified(host) else host.strip("[]")
    return f"http://{f'[{name}]' if ':' in name else name}:{port}{path}"


def is_unspecified(host: str) -> bool:
    """Return whether the host stands for every address of this machine."""
    try:
        return ipaddress.ip_address(host).is_unspecified
    except ValueError:
        return not host
