"""`rag mcp`: the library as tools for programs that speak the Model Context Protocol."""

from __future__ import annotations

import signal
import sys
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from rag.cli.exits import exit_interrupted
from rag.cli.options import (
    ConfigOption,
    IndexOption,
    ModelOption,
    PapersOption,
    QuietOption,
    UrlOption,
    open_assistant,
    read_settings,
)

if TYPE_CHECKING:
    from rag.mcp.tools import Library
    from rag.settings import Settings

DEFAULT_HOST = "127.0.0.1"
DEFAULT_PORT = 8765

HostOption = Annotated[
    str | None,
    typer.Option(
        help="Address to listen on; one that others reach needs a token.",
        show_default=DEFAULT_HOST,
    ),
]
PortOption = Annotated[
    int | None,
    typer.Option(
        min=0, max=65535, help="Port to listen on; 0: a free one.", show_default=str(DEFAULT_PORT)
    ),
]
TokenFileOption = Annotated[
    Path | None,
    typer.Option(help="File with the token that clients must send.", show_default=False),
]
NameOption = Annotated[
    list[str] | None,
    typer.Option(help="Another name that clients call this server by; repeatable."),
]


def mcp(
    *,
    index: IndexOption = None,
    k: PapersOption = None,
    model: ModelOption = None,
    url: UrlOption = None,
    http: Annotated[
        bool, typer.Option("--http", help="Serve over HTTP instead of standard input and output.")
    ] = False,
    host: HostOption = None,
    port: PortOption = None,
    token_file: TokenFileOption = None,
    name: NameOption = None,
    quiet: QuietOption = False,
    config: ConfigOption = None,
) -> None:
    """Serve the tools search_papers and ask_papers to an MCP client."""
    _demand_package()
    from rag.errors import SettingsError

    settings = read_settings(config, index=index, k=k, chat_model=model, chat_url=url)
    _note_warnings()
    if http:
        from rag.mcp.serving import token_of

        given = settings.mcp_token
        _over_http(
            settings,
            token_of(token_file, given.get_secret_value() if given else None),
            host=host or DEFAULT_HOST,
            port=DEFAULT_PORT if port is None else port,
            names=name or [],
            quiet=quiet,
        )
    elif host or port is not None or token_file or name:
        raise SettingsError("--host, --port, --token-file and --name belong to --http; add it.")
    else:
        _over_stdio(settings, quiet=quiet)


def _demand_package() -> None:
    from rag.errors import SettingsError

    try:
        import mcp.server.mcpserver  # noqa: F401 - a package of version 1 lacks it
    except ImportError as error:
        raise SettingsError(
            "`rag mcp` needs the package mcp, version 2.3 or later; install it with "
            "`pip install 'papertrail-rag[mcp]'`."
        ) from error


def _note_warnings() -> None:
    """Warnings of the libraries, such as a refused request, become notes; the rest is not said.

    Without this the package `mcp` would show whatever any library logs.
    """
    import logging

    from rag.cli import show

    class Notes(logging.Handler):
        """Prints without control characters, for a stranger may have sent what is logged."""

        def emit(self, record: logging.LogRecord) -> None:
            show.note(f"rag: {self.format(record)}")

    logging.basicConfig(
        format="%(message)s", level=logging.WARNING, handlers=[Notes(logging.WARNING)]
    )


def _over_stdio(settings: Settings, *, quiet: bool) -> None:
    """Serves the client that started this command.

    Clients give up on a server that is slow to greet, and the bundled library may have to be
    indexed first: that goes on behind the greeting. A library that the user named is there already
    or is told to be missing at once.
    """
    from rag.cli import show
    from rag.mcp.serving import serve_stdio
    from rag.mcp.tools import make_server

    library = _library(settings, quiet=quiet)
    if settings.index is None:
        threading.Thread(target=_warm, args=(library,)).start()
    else:
        library.assistant()
    if sys.stdin.isatty() and not quiet:
        show.note("Waiting for an MCP client on standard input; Ctrl-C ends this.")
    signal.signal(signal.SIGINT, _leave)
    serve_stdio(make_server(library))


def _over_http(
    settings: Settings, token: str | None, *, host: str, port: int, names: list[str], quiet: bool
) -> None:
    """Serves whoever may come, until the user has enough."""
    from rag.cli import show
    from rag.mcp.serving import address_of, listen, serve_http
    from rag.mcp.tools import make_server
    from rag.settings import is_loopback

    library = _library(settings, quiet=quiet)
    with listen(host, port, token=token, names=names) as bound:
        library.assistant()
        if not quiet:
            address = address_of(host, bound.getsockname()[1], names)
            show.note(f"Serving MCP at {address}; Ctrl-C ends it.")
            if not is_loopback(host):
                show.note("HTTP is clear text, the token too: put a proxy with TLS before it.")
        serve_http(make_server(library), bound, host, token=token, names=names)


def _library(settings: Settings, *, quiet: bool) -> Library:
    from rag.mcp.tools import Library

    return Library(lambda: open_assistant(settings, quiet=quiet))


def _warm(library: Library) -> None:
    """Opens the library; a failure is told to the client that asks, and tried again then."""
    from rag.cli import show
    from rag.errors import RagError

    try:
        library.assistant()
    except RagError as error:
        show.note(f"rag: {error}")


def _leave(_number: int, _frame: object) -> NoReturn:
    """Ends at once: a thread that waits for the client's next line cannot be interrupted."""
    exit_interrupted("rag: interrupted.")
