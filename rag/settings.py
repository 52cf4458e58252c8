"""The settings of one run and where each came from; the only reader of the environment.

Order, later wins: defaults < the user's config file < `PAPERTRAIL_*` variables < arguments given by
the caller (the command line). A config file in the working folder is never read: a folder that
somebody else prepared must not change what a command does.
"""

from __future__ import annotations

import difflib
import ipaddress
import os
import tomllib
from pathlib import Path
from typing import Any, Literal

from platformdirs import PlatformDirs
from pydantic import BaseModel, ConfigDict, Field, SecretStr, ValidationError

from rag.errors import SettingsError

PREFIX = "PAPERTRAIL_"
# Variables that other programs read too; they fill settings but choose nothing.
SHARED_VARIABLES = {"openai_api_key": "OPENAI_API_KEY", "openai_base_url": "OPENAI_BASE_URL"}
_FOLDERS = PlatformDirs("papertrail", appauthor=False)


class Settings(BaseModel):
    """What a run may vary. Frozen; build it with `load_settings`.

    `origin` tells where each value that is no default came from: "argument", the name of a variable
    or the path of the config file.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", validate_default=False)

    index: str | None = Field(
        None, description="Library to ask: a name, or a path with a slash. Empty: the bundled one."
    )
    k: int = Field(8, ge=1, le=100, description="Papers that a search returns.")
    candidates: int = Field(
        200, ge=10, le=5000, description="Papers per first stage that late interaction reorders."
    )
    sentences: int = Field(4, ge=1, le=10, description="Most sentences in an answer of quotes.")
    confidence: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Least confidence to answer at; empty: the fitted threshold.",
    )
    passage_tokens: int = Field(
        400, ge=32, le=4000, description="Token budget of a passage (o200k_base)."
    )
    overlap_sentences: int = Field(
        1, ge=0, le=5, description="Sentences that neighbouring passages share."
    )
    threads: int | None = Field(
        None, ge=1, le=64, description="Processor threads of the embedder; empty: up to four."
    )
    chat_model: str | None = Field(
        None, description="Language model that writes answers; empty: verbatim sentences."
    )
    chat_url: str | None = Field(
        None, description="OpenAI-compatible server of the language model, such as .../v1."
    )
    chat_key: SecretStr | None = Field(None, description="Key for the server at chat_url.")
    chat_window: int | None = Field(
        None, ge=1024, description="Tokens the model can read; empty: known ones, else 8192."
    )
    chat_reserve: int = Field(
        1500, ge=100, description="Tokens of the window kept free for the model's reply."
    )
    chat_temperature: float | None = Field(
        0.0, ge=0, le=2, description="Left out for models that refuse it."
    )
    chat_timeout_s: float = Field(
        60.0, gt=0, le=3600, description="Seconds to wait for a model's next bytes."
    )
    chat_retries: int = Field(3, ge=0, le=10, description="More tries after a passing failure.")
    listing_calls: int = Field(
        4, ge=1, le=100, description="Most calls in which a model reads the papers for one list."
    )
    judge_model: str | None = Field(
        None, description="Language model that judges for `rag eval`; empty: the one that writes."
    )
    judge_url: str | None = Field(
        None, description="OpenAI-compatible server of the judge; empty: the writer's."
    )
    judge_key: SecretStr | None = Field(None, description="Key for the server at judge_url.")
    check_with_model: bool = Field(
        default=True, description="Let the model check the statements of its answers too."
    )
    unsupported: Literal["flag", "remove"] = Field(
        "flag", description="What happens to statements of a model that were found unsupported."
    )
    prices: Path | None = Field(
        None, description="TOML file with prices per million tokens, to show costs."
    )
    prompts: Path | None = Field(
        None, description="Folder whose prompt files replace those of the same name."
    )
    embed_model: str | None = Field(
        None, description="Embedding model of a server; empty: the bundled one."
    )
    embed_url: str | None = Field(
        None, description="OpenAI-compatible server of the embedding model."
    )
    embed_key: SecretStr | None = Field(None, description="Key for the server at embed_url.")
    openai_api_key: SecretStr | None = Field(
        None, description="Goes to OpenAI, or to openai_base_url, and nowhere else."
    )
    openai_base_url: str | None = Field(None, description="Where openai_api_key belongs.")
    mcp_token: SecretStr | None = Field(
        None, description="What clients of `rag mcp --http` must send to be let in."
    )
    data_dir: Path = Field(
        default_factory=lambda: _FOLDERS.user_data_path, description="Where named libraries lie."
    )
    cache_dir: Path = Field(
        default_factory=lambda: _FOLDERS.user_cache_path,
        description="Where the bundled library's index lies.",
    )
    origin: dict[str, str] = Field(
        default_factory=dict, exclude=True, description="Field -> where its value came from."
    )


def default_config_path() -> Path:
    """Where the user's config file is looked for when `--config` names none."""
    return _FOLDERS.user_config_path / "config.toml"


def load_settings(config: str | Path | None = None, **arguments: Any) -> Settings:
    """Collects the settings of this run.

    Args:
        config: a TOML file to read instead of the user's own; it must exist.
        arguments: field values that win over every other source; None means "not given". An empty
            text, here or in the file, means the default.

    Raises:
        SettingsError: the file cannot be read, a name is unknown, a value out of range, or a file
            or folder that a setting names is not there.
    """
    values: dict[str, Any] = {}
    origin: dict[str, str] = {}
    given = {name: value for name, value in arguments.items() if value is not None}
    path, from_file = _read_config(config)
    for layer in (
        {name: (value, str(path)) for name, value in from_file.items()},
        _read_environment(),
        {name: (value, "argument") for name, value in given.items()},
    ):
        for name, (value, source) in layer.items():
            values[name], origin[name] = value, source
            if isinstance(value, str) and not value.strip():
                del values[name], origin[name]
    return _validated(values, origin)


def setting_names() -> list[str]:
    """The settings a user can give, in the order of `Settings`."""
    return [name for name in Settings.model_fields if name != "origin"]


def variable_of(name: str) -> str:
    """The environment variable of a setting."""
    return SHARED_VARIABLES.get(name, PREFIX + name.upper())


def unknown_variables() -> list[str]:
    """`PAPERTRAIL_*` variables that name no setting, sorted; they change nothing."""
    known = {variable_of(name) for name in setting_names()}
    return sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known)


def is_loopback(host: str) -> bool:
    """Return whether only this machine can reach the address; brackets of IPv6 are ignored.

    >>> is_loopback("127.0.0.2"), is_loopback("localhost"), is_loopback("[::1]")
    (True, True, True)
    >>> is_loopback("0.0.0.0"), is_loopback("localhost.example.org"), is_loopback("")
    (False, False, False)
    """
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return host == "localhost"


def _validated(values: dict[str, Any], origin: dict[str, str]) -> Settings:
    if "origin" in values:  # a field, but none that is given
        raise SettingsError(_unknown("origin", origin["origin"]))
    try:
        settings = Settings(**values, origin=origin)
    except ValidationError as error:
        problem = error.errors()[0]
        name = str(problem["loc"][0])
        if problem["type"] == "extra_forbidden":
            raise SettingsError(_unknown(name, origin[name])) from error
        shown = "" if name.endswith(("_key", "_token", "_url")) else f" = {values[name]!r}"
        raise SettingsError(
            f"{name}{shown} (from {origin[name]}) cannot be used: {problem['msg']}."
        ) from error
    _require_files(settings)
    return settings


def _require_files(settings: Settings) -> None:
    """Refuses a named file or folder that is not there; it would be passed over in silence."""
    for name, kind, test in (("prompts", "folder", Path.is_dir), ("prices", "file", Path.is_file)):
        path: Path | None = getattr(settings, name)
        try:
            is_there = path is None or test(path)
        except OSError:  # a folder on the way that may not be read, a name that is too long
            is_there = False
        if not is_there:
            raise SettingsError(
                f"{name} = {str(path)!r} (from {settings.origin[name]}) cannot be used: "
                f"there is no such {kind}."
            )


def _unknown(name: str, source: str) -> str:
    near = difflib.get_close_matches(name, setting_names(), n=1)
    hint = f"did you mean {near[0]}?" if near else "`rag info` lists the settings."
    return f"{name} (from {source}) is not a setting; {hint}"


def _read_environment() -> dict[str, tuple[str, str]]:
    found = {}
    for name in setting_names():
        variable = variable_of(name)
        if value := os.environ.get(variable, "").strip():
            found[name] = (value, variable)
    return found


def _read_config(config: str | Path | None) -> tuple[Path, dict[str, Any]]:
    path = Path(config) if config is not None else default_config_path()
    if config is None and not path.is_file():
        return path, {}
    try:
        return path, tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"The config file {path} cannot be read: {error.strerror}.") from error
    except (ValueError, RecursionError) as error:  # of TOML, UTF-8, huge numbers, deep nesting
        raise SettingsError(f"The config file {path} is not valid TOML: {error}.") from error
