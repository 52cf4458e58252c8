"""`rag app`, `rag app-user`, `rag mcp`, `rag serve`: a library for people and programs."""

from __future__ import annotations

import logging
import signal
import sys
from concurrent.futures import wait
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from rag.cli.exits import exit_interrupted
from rag.cli.options import QuietOption, add_options, open_assistant
from rag.cli.printing import print_note, print_status
from rag.errors import SettingsError

if TYPE_CHECKING:
    import socket

    from pydantic import SecretStr

    from rag.mcp import PaperTools
    from rag.serving.library_pool import LibraryPool
    from rag.settings import Settings

MCP_HOST = "127.0.0.1"
MCP_PORT = 8765
SERVE_PORT = 8766

EditOption = Annotated[
    bool,
    typer.Option(
        "--allow-edit",
        help="Let signed-in users change libraries. Without --users you always may.",
    ),
]
QuestionsOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Maximum questions of one user, or of a page without users.",
        show_default="120 with --users, else unlimited",
    ),
]
TokensOption = Annotated[
    int | None,
    typer.Option(
        min=1,
        help="Maximum model tokens of one user, or of a page without users.",
        show_default="500,000 with --users, else unlimited",
    ),
]
TokenFileOption = Annotated[
    Path | None,
    typer.Option(
        "--token-file", help="File with the token that clients must send.", show_default=False
    ),
]
HostNameOption = Annotated[
    list[str] | None,
    typer.Option("--name", help="Another name that clients call this server by; repeatable."),
]
NameArgument = Annotated[str, typer.Argument(help="Name of the user.")]
FileArgument = Annotated[Path, typer.Argument(help="Accounts file.")]

users_app = typer.Typer(help="Manage the accounts of a page that others can reach.")


@add_options(
    "index", "embedder", "k", "sentences", "chat_model", "chat_url", "check_model", "check_url"
)
def page(
    *,
    settings: Settings,
    host: Annotated[
        str, typer.Option(help="Address to listen on. Any but loopback needs --users.")
    ] = "127.0.0.1",
    port: Annotated[
        int | None,
        typer.Option(min=0, max=65535, help="Port.", show_default="7860, or the next free one"),
    ] = None,
    users: Annotated[
        Path | None,
        typer.Option(help="Accounts file. Create it with `rag app-user add NAME FILE`."),
    ] = None,
    allow_edit: EditOption = False,
    questions_per_hour: QuestionsOption = None,
    tokens_per_day: TokensOption = None,
    quiet: QuietOption = False,
) -> None:
    """Open the page to ask, read, check and keep answers."""
    from rag.web import ServerOptions, launch

    options = ServerOptions(
        host=host,
        port=port,
        users=users,
        allow_edit=allow_edit,
        questions_per_hour=questions_per_hour,
        tokens_per_day=tokens_per_day,
    )
    try:
        launch(options, settings=settings, quiet=quiet)
    except KeyboardInterrupt:  # all is closed, but a thread may wait minutes for a model
        exit_interrupted()


@users_app.command("add")
def add_user(name: NameArgument, file: FileArgument) -> None:
    """Add a user or change their password. It asks for the password."""
    from rag.web.auth import add_account

    password = typer.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    add_account(file, name, password)
    typer.echo(f"{name} can sign in with the accounts of {file}.", err=True)


@users_app.command("remove")
def remove_user(name: NameArgument, file: FileArgument) -> None:
    """Remove a user from the accounts."""
    from rag.web.auth import remove_account

    remove_account(file, name)


@add_options("index", "embedder", "k", "chat_model", "chat_url", "check_model", "check_url")
def serve_mcp(
    *,
    settings: Settings,
    http: Annotated[
        bool, typer.Option("--http", help="Serve over HTTP instead of standard input and output.")
    ] = False,
    host: Annotated[
        str | None,
        typer.Option(
            help="Address to listen on. Any but loopback needs a token.", show_default=MCP_HOST
        ),
    ] = None,
    port: Annotated[
        int | None,
        typer.Option(
            min=0, max=65535, help="Port. 0 takes a free one.", show_default=str(MCP_PORT)
        ),
    ] = None,
    token_file: TokenFileOption = None,
    name: HostNameOption = None,
    quiet: QuietOption = False,
) -> None:
    """Serve the tools search_papers and ask_papers to an MCP client."""
    _require_mcp()
    from rag.mcp import PaperTools

    _print_warnings()
    tools = PaperTools(lambda: open_assistant(settings, quiet=quiet))
    if http:
        token = _read_token(token_file, settings.mcp_token, "mcp_token")
        port = MCP_PORT if port is None else port
        _serve_http(tools, host or MCP_HOST, port, token, name or [], quiet=quiet)
    elif host or port is not None or token_file or name:
        raise SettingsError("--host, --port, --token-file and --name need --http. Add it.")
    else:
        _serve_stdio(tools, settings, quiet=quiet)


def _require_mcp() -> None:
    try:
        import mcp.server.mcpserver  # noqa: F401 - version 1 does not have it
    except ImportError as error:
        raise SettingsError(
            "`rag mcp` needs the package mcp, version 2.3 or later. Install it with "
            "`pip install 'papertrail-rag[mcp]'`."
        ) from error


@add_options("index", "embedder", "k", "chat_model", "chat_url", "check_model", "check_url")
def serve_openai(
    *,
    settings: Settings,
    host: Annotated[
        str, typer.Option(help="Address to listen on. Any but loopback needs a token.")
    ] = "127.0.0.1",
    port: Annotated[
        int, typer.Option(min=0, max=65535, help="Port. 0 takes a free one.")
    ] = SERVE_PORT,
    token_file: TokenFileOption = None,
    name: HostNameOption = None,
    questions_per_hour: Annotated[
        int | None, typer.Option(min=1, help="Maximum questions.", show_default="unlimited")
    ] = None,
    tokens_per_day: Annotated[
        int | None, typer.Option(min=1, help="Maximum model tokens.", show_default="unlimited")
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Serve the libraries to chat clients as an OpenAI-compatible endpoint."""
    from rag.serve import PATH, serve
    from rag.serving.library_pool import LibraryPool
    from rag.serving.limits import RateLimit

    _print_warnings()
    names = name or []
    token = _read_token(token_file, settings.serve_token, "serve_token")
    limit = RateLimit(questions=questions_per_hour, tokens=tokens_per_day)
    pool = LibraryPool(settings)
    try:
        with _listen(host, port, token, names, variable="PAPERTRAIL_SERVE_TOKEN") as listener:
            _open_library(pool)
            if not quiet:
                _announce("chat clients", host, listener, PATH, names)
            serve(pool, listener, host, token=token, names=names, rate_limit=limit)
    except KeyboardInterrupt:  # all is closed, but a thread may wait minutes for a model
        exit_interrupted()


def _open_library(pool: LibraryPool) -> None:
    """Open the library of the settings. A terminal shows how far the bundled one is indexed.

    Raises:
        RagError: it cannot be opened.
    """
    opening = pool.open()
    while wait([opening], timeout=0.2).not_done:
        print_status(pool.get_state().text)
    print_status("")
    opening.result()


def _print_warnings() -> None:
    """Print warnings of libraries, such as a refused request, in our form."""
    logging.basicConfig(format="rag: %(message)s", level=logging.WARNING, handlers=[_NoteHandler()])


class _NoteHandler(logging.Handler):
    """Prints warnings of libraries, such as a refused request, without control characters."""

    def emit(self, record: logging.LogRecord) -> None:
        print_note(self.format(record))


def _read_token(file: Path | None, key: SecretStr | None, setting: str) -> str | None:
    """Return the token of the file, else of the setting, else None.

    Raises:
        SettingsError: the file cannot be read, or the setting names nothing.
    """
    from rag.settings import resolve_key

    if file is None:
        return resolve_key(key, setting) or None
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SettingsError(f"Cannot read the token file {file}: {reason}.") from error


def _serve_stdio(tools: PaperTools, settings: Settings, *, quiet: bool) -> None:
    from rag.mcp import make_server, serve_stdio

    if settings.index is not None:  # the bundled library may need an index first; greet at once
        tools.get_assistant()
    if sys.stdin.isatty() and not quiet:
        print_note("Waiting for an MCP client on standard input. Press Ctrl-C to stop.")
    # a thread that waits for the client's next line cannot be interrupted
    signal.signal(signal.SIGINT, lambda _number, _frame: exit_interrupted())
    serve_stdio(make_server(tools))


def _serve_http(
    tools: PaperTools, host: str, port: int, token: str | None, names: list[str], *, quiet: bool
) -> None:
    from rag.mcp import PATH, make_server, serve_http

    with _listen(host, port, token, names, variable="PAPERTRAIL_MCP_TOKEN") as listener:
        tools.get_assistant()
        if not quiet:
            _announce("MCP", host, listener, PATH, names)
        serve_http(make_server(tools), listener, host, token=token, names=names)


def _listen(
    host: str, port: int, token: str | None, names: list[str], *, variable: str
) -> socket.socket:
    """Return a socket that listens on an address that is safe."""
    from rag.serving.address import listen, require_safe_address

    require_safe_address(host, token=token, names=names, variable=variable)
    return listen(host, port)


def _announce(what: str, host: str, listener: socket.socket, path: str, names: list[str]) -> None:
    """Print where the server is, and what to know about it."""
    from rag.serving.address import format_url
    from rag.settings import is_loopback

    url = format_url(host, listener.getsockname()[1], path, names)
    print_note(f"Serving {what} at {url}. Press Ctrl-C to stop.")
    if not is_loopback(host):
        print_note("HTTP is not encrypted, nor is the token. Put a TLS proxy in front.")
