"""Settings of a run, and where each value came from. Only this module reads the environment.

Later wins: defaults < the user's config file < `PAPERTRAIL_*` variables < arguments of the caller
(the command line). A config file in the working folder is never read: a folder that somebody else
prepared must not change what a command does.
"""

from __future__ import annotations

import difflib
import ipaddress
import json
import os
import re
import tomllib
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

from platformdirs import PlatformDirs
from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    SecretStr,
    ValidationError,
    field_validator,
)

from rag.errors import SettingsError

if TYPE_CHECKING:
    from collections.abc import Iterator

PREFIX = "PAPERTRAIL_"
# Other programs read these variables too. They fill settings but do not choose a model.
SHARED_VARIABLES = {"openai_api_key": "OPENAI_API_KEY", "openai_base_url": "OPENAI_BASE_URL"}
# A value in a later layer ends these of earlier ones.
_ENDS: dict[str, tuple[str, ...]] = {
    "llm": ("chat_model", "llm_args", "gguf"),
    "chat_model": ("llm", "llm_args", "gguf"),
    "gguf": ("chat_model", "llm", "llm_args"),
    "embedder": ("embedder_args",),
}
# What the config file says of one server does not hold for another that a later layer names.
_TIED = {
    "chat_url": ("chat_key", "chat_window"),
    "check_url": ("check_key",),
    "judge_url": ("judge_key",),
    "embed_url": ("embed_key",),
}
_SECRET_NAME = re.compile(r"key|token(?!i[sz])|secret|passw|authorization|header", re.IGNORECASE)
_SHORTEST_SECRET = 8  # characters; shorter ones are placeholders such as "none"
KEYRING_SERVICE = "papertrail"  # as in `keyring set papertrail NAME`
_SIZE = re.compile(r"(?<![\d.])(?:\d+(?:\.\d+)?b|\d{2,}m)(?![a-z0-9])", re.IGNORECASE)
_SMALL = 4.0  # billions of parameters, at most
_FOLDERS = PlatformDirs("papertrail", appauthor=False)
# Value of a key that stands elsewhere: in a variable, or in the system's keyring.
_REFERENCE = re.compile(r"(env|keyring):(.*)", re.DOTALL)
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,99}")


class Settings(BaseModel):
    """Settings of a run. Frozen; build them with `load_settings`.

    `origin` maps each field without its default value to the source of the value: "argument", the
    name of a variable or the path of the config file.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=False, hide_input_in_errors=True
    )

    index: str | None = Field(
        None, description="Library: a name, or a path with a slash. Default: the bundled one."
    )
    k: int | None = Field(
        None,
        ge=1,
        le=100,
        description="Papers to retrieve. Default: 8. For a model 12 with a plan, 16 without.",
    )
    candidates: int = Field(
        100, ge=10, le=5000, description="Papers per first stage that are reranked."
    )
    sentences: int = Field(4, ge=1, le=10, description="Maximum sentences of a quoted answer.")
    confidence: float | None = Field(
        None, ge=0, le=1, description="Minimum confidence to answer. Default: fitted."
    )
    passage_tokens: int = Field(
        400, ge=32, le=4000, description="Token budget of a passage (o200k_base)."
    )
    overlap_sentences: int = Field(1, ge=0, le=5, description="Sentences shared by neighbours.")
    threads: int | None = Field(
        None,
        ge=1,
        le=64,
        description="CPU threads. Default: up to four for the embedder, all for a GGUF file.",
    )
    chat_model: str | None = Field(
        None, description="Model that writes answers. Default: none, they quote."
    )
    chat_url: str | None = Field(None, description="OpenAI-compatible server of the model.")
    chat_key: SecretStr | None = Field(
        None, description="Key for the server at chat_url, or env:VARIABLE, or keyring:NAME."
    )
    llm: str | None = Field(
        None, description="LlamaIndex class of the model that writes, instead of chat_model."
    )
    llm_args: dict[str, Any] | None = Field(None, description="Arguments of llm, as a JSON object.")
    gguf: Path | None = Field(
        None, description="GGUF file of the model that writes, run in this process."
    )
    chat_window: int | None = Field(
        None, ge=1024, description="Context window in tokens. Default: by name or file, else 8192."
    )
    chat_reserve: int = Field(
        1500,
        ge=100,
        description="Tokens of the window kept for a reply, at most half. Thoughts may add more.",
    )
    chat_temperature: float | None = Field(
        0.0, ge=0, le=2, description="Sampling temperature, if the model takes one."
    )
    chat_timeout_s: float = Field(
        60.0, gt=0, le=3600, description="Seconds to wait for the next bytes of a model."
    )
    compact: bool | None = Field(
        None, description="Short prompts for a small model. Default: by name, up to 4B parameters."
    )
    chat_retries: int = Field(3, ge=0, le=10, description="Retries after a temporary failure.")
    listing_calls: int = Field(
        4, ge=1, le=100, description="Maximum model calls to read the papers for one list."
    )
    listing_workers: int = Field(
        4, ge=1, le=100, description="Calls of one list that are made at the same time."
    )
    judge_model: str | None = Field(
        None, description="Model that judges for `rag eval`. Default: the writer."
    )
    judge_url: str | None = Field(None, description="Server of the judge. Default: the writer's.")
    judge_key: SecretStr | None = Field(None, description="Key for the server at judge_url.")
    plan: Literal["always", "never"] = Field(
        "always", description="Let the model plan the search before it answers."
    )
    check_with_model: bool = Field(default=True, description="Let the model check its answers.")
    check_model: str | None = Field(
        None, description="Model that checks answers. Default: the writer."
    )
    check_url: str | None = Field(None, description="Server of check_model. Default: the writer's.")
    check_key: SecretStr | None = Field(None, description="Key for the server at check_url.")
    repair: bool = Field(
        default=True, description="Let the model correct, once, what its check found wrong."
    )
    unsupported: Literal["flag", "remove"] = Field(
        "flag", description="Flag or remove unsupported statements."
    )
    prices: Path | None = Field(None, description="TOML file with prices per million tokens.")
    prompts: Path | None = Field(
        None, description="Folder with prompt files that replace bundled ones."
    )
    embedder: Path | None = Field(
        None,
        description="Folder of an ONNX sentence encoder, or a LlamaIndex class. Default: bundled.",
    )
    embedder_args: dict[str, Any] | None = Field(
        None, description="Arguments of the LlamaIndex class, as a JSON object."
    )
    embed_model: str | None = Field(None, description="Embedding model. Default: the bundled one.")
    embed_url: str | None = Field(None, description="Server of the embedding model.")
    embed_key: SecretStr | None = Field(None, description="Key for the server at embed_url.")
    openai_api_key: SecretStr | None = Field(
        None, description="Sent only to OpenAI or openai_base_url."
    )
    openai_base_url: str | None = Field(None, description="Server for openai_api_key.")
    zotero_key: SecretStr | None = Field(None, description="Key for the server at zotero_url.")
    zotero_url: str = Field(
        "https://api.zotero.org", description="Web API that zotero:users/ID and groups/ID read."
    )
    zotero_local_url: str = Field(
        "http://127.0.0.1:23119/api", description="Desktop program that zotero:local reads."
    )
    serve_token: SecretStr | None = Field(None, description="Token for clients of `rag serve`.")
    mcp_token: SecretStr | None = Field(None, description="Token for clients of `rag mcp --http`.")
    data_dir: Path = Field(
        default_factory=lambda: _FOLDERS.user_data_path, description="Folder of named libraries."
    )
    cache_dir: Path = Field(
        default_factory=lambda: _FOLDERS.user_cache_path,
        description="Folder of the bundled library's index and of copies from Zotero.",
    )
    origin: dict[str, str] = Field(
        default_factory=dict, exclude=True, description="Field -> source of its value."
    )

    @field_validator("llm_args", "embedder_args", mode="before")
    @classmethod
    def _parse_arguments(cls, value: Any) -> Any:
        try:
            value = json.loads(value if isinstance(value, str) else json.dumps(value))
        except (ValueError, TypeError, RecursionError) as error:
            raise ValueError(f"it is not valid JSON ({error})") from None
        if not isinstance(value, dict):
            raise ValueError('it is not a JSON object such as {"model": "NAME"}')  # noqa: TRY004
        return value

    @field_validator("llm_args", "embedder_args")
    @classmethod
    def _hide_keys(cls, value: dict[str, Any]) -> Any:
        return hide_keys(value)

    @property
    def writer(self) -> str | None:
        """Name of the model that writes answers, or None."""
        if self.gguf:
            return self.gguf.stem
        return self.chat_model or (self.llm and str((self.llm_args or {}).get("model", self.llm)))

    def get_k(self, *, with_model: bool = False, with_plan: bool = False) -> int:
        """Return how many papers to retrieve, for a search or for a model to read."""
        is_short = self.compact or not with_model
        return self.k or (8 if is_short else 12 if with_plan else 16)

    def fit_to_model(self, name: str | None) -> Settings:
        """Return settings with `compact` decided. A small model neither plans nor repairs.

        Args:
            name: of the model that writes, None without one.
        """
        is_small = is_small_model(name or "") if self.compact is None else self.compact
        values: dict[str, Any] = {"plan": "never", "repair": False} if is_small else {}
        given = self.model_fields_set
        values = {field: value for field, value in values.items() if field not in given}
        return self.model_copy(update={**values, "compact": is_small})


def get_default_config_path() -> Path:
    """Return the path of the user's config file, read unless `--config` names another."""
    return _FOLDERS.user_config_path / "config.toml"


def load_settings(config: str | Path | None = None, **arguments: Any) -> Settings:
    """Load the settings of this run.

    Args:
        config: TOML file to read instead of the user's own; it must exist.
        arguments: field values that win over every other source. None means "not given". An empty
            string, here or in the file, means the default.

    Raises:
        SettingsError: the file cannot be read, a name is unknown, a value is out of range, or a
            file or folder that a setting names does not exist.
    """
    values: dict[str, Any] = {}
    origin: dict[str, str] = {}
    path, from_file = _read_config(config)
    for layer in (
        {name: (value, str(path)) for name, value in from_file.items()},
        _read_environment(),
        {n: (value, "argument") for n, value in arguments.items() if value is not None},
    ):
        given = {n: v for n, (v, _) in layer.items() if not isinstance(v, str) or v.strip()}
        ended = {other for name in given for other in _ENDS.get(name, ())}
        moved = (n for n in _TIED.keys() & given.keys() if from_file.get(n, given[n]) != given[n])
        ended |= {tied for n in moved for tied in _TIED[n] if origin.get(tied) == str(path)}
        for name in (layer.keys() - given.keys()) | ended:
            values.pop(name, None)
        values |= given
        origin |= {name: source for name, (_, source) in layer.items()}
    return _make_settings(values, {name: origin[name] for name in values})


def list_setting_names() -> list[str]:
    """Return the names of all settings, in the order of `Settings`."""
    return [name for name in Settings.model_fields if name != "origin"]


def name_variable(setting: str) -> str:
    """Return the environment variable of a setting."""
    return SHARED_VARIABLES.get(setting, PREFIX + setting.upper())


def resolve_key(key: SecretStr | None, setting: str) -> str:
    """Return a key. Read it where it stands if the value is `env:VARIABLE` or `keyring:NAME`.

    Args:
        key: value of the setting. None gives "".
        setting: its name, for messages.

    Raises:
        SettingsError: there is no such variable or entry, or it may not be used here.
    """
    text = key.get_secret_value() if key else ""
    reference = _REFERENCE.fullmatch(text)
    if reference is None:
        return text
    place, name = reference.groups()
    if not _NAME.fullmatch(name):
        raise SettingsError(
            f"{setting} names no {'variable' if place == 'env' else 'entry of the keyring'}. Use "
            "env:VARIABLE or keyring:NAME, with letters, digits and underscores."
        )
    if name == SHARED_VARIABLES["openai_api_key"]:
        raise SettingsError(
            f"{name} is sent only to OpenAI or OPENAI_BASE_URL. Leave {setting} out, or name "
            "another variable."
        )
    found = os.environ.get(name, "").strip() if place == "env" else read_keyring(name)
    if not found:
        raise SettingsError(
            f"{setting} names {text}, which is not set. Set it, or run rag setup again."
        )
    return found


def get_key_reference(key: SecretStr | None) -> str:
    """Return `env:VARIABLE` or `keyring:NAME` if a key stands elsewhere, else "". No secret."""
    text = key.get_secret_value() if key else ""
    reference = _REFERENCE.fullmatch(text)
    return text if reference and _NAME.fullmatch(reference[2]) else ""


def read_keyring(name: str) -> str:
    """Return an entry of the system's keyring, "" if there is none.

    Raises:
        SettingsError: the keyring cannot be read.
    """
    with _using_keyring() as keyring:
        return (keyring.get_password(KEYRING_SERVICE, name) or "").strip()


def write_keyring(name: str, key: str) -> None:
    """Store a key in the system's keyring.

    Raises:
        SettingsError: the keyring cannot be written.
    """
    with _using_keyring() as keyring:
        keyring.set_password(KEYRING_SERVICE, name, key)


@contextmanager
def _using_keyring() -> Iterator[Any]:
    try:
        import keyring
        from keyring.errors import KeyringError
    except ImportError as error:
        raise SettingsError(
            "Keys in the keyring need the package keyring. Run pip install "
            "'papertrail-rag[keyring]', or keep the key in a variable (env:VARIABLE)."
        ) from error
    try:
        yield keyring
    except KeyringError as error:
        raise SettingsError(
            f"The system's keyring cannot be used ({type(error).__name__}). Unlock it, or keep the "
            "key in a variable (env:VARIABLE)."
        ) from error


def list_unknown_variables() -> list[str]:
    """Return `PAPERTRAIL_*` variables that name no setting, sorted. They are ignored."""
    known = {name_variable(name) for name in list_setting_names()}
    return sorted(name for name in os.environ if name.startswith(PREFIX) and name not in known)


def is_class_name(text: object) -> bool:
    """Return whether a text is the dotted name of a Python class, such as "package.module.Class".

    >>> is_class_name("llama_index.embeddings.fastembed.FastEmbedEmbedding")
    True
    >>> is_class_name("models/e5.onnx"), is_class_name("models")
    (False, False)
    """
    return re.fullmatch(r"[A-Za-z_]\w*(\.[A-Za-z_]\w*)+", str(text), re.ASCII) is not None


def hide_keys(value: Any, name: str = "") -> Any:
    """Return JSON values in which texts named like a key, token or password are `SecretStr`.

    All headers are hidden, too, because any of them may carry a key.

    >>> hide_keys({"model": "m", "headers": {"x-team": "k"}})
    {'model': 'm', 'headers': {'x-team': SecretStr('**********')}}
    """
    if isinstance(value, dict):
        return {key: hide_keys(each, f"{name}.{key}") for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [hide_keys(each, name) for each in value]
    return SecretStr(value) if isinstance(value, str) and _SECRET_NAME.search(name) else value


def show_keys(value: Any, setting: str) -> Any:
    """Return JSON values with the texts that `hide_keys` hid, read where they stand.

    Raises:
        SettingsError: as `resolve_key`.
    """
    if isinstance(value, dict):
        return {key: show_keys(each, setting) for key, each in value.items()}
    if isinstance(value, list):
        return [show_keys(each, setting) for each in value]
    return resolve_key(value, setting) if isinstance(value, SecretStr) else value


def find_secrets(*values: Any) -> tuple[str, ...]:
    """Return the keys in JSON values, and in variables whose names say that they hold one."""

    def find(value: Any) -> Iterator[str]:
        if isinstance(value, SecretStr):
            yield value.get_secret_value()
        elif isinstance(value, dict | list):
            for each in value.values() if isinstance(value, dict) else value:
                yield from find(each)

    found = set(find([hide_keys(each) for each in (*values, dict(os.environ))]))
    return tuple(sorted(each for each in found if len(each) >= _SHORTEST_SECRET))


def has_variable(name: str) -> bool:
    """Return whether an environment variable holds something."""
    return bool(os.environ.get(name, "").strip())


def is_small_model(name: str) -> bool:
    """Return whether the name of a model says that it has 4B parameters or fewer.

    >>> [is_small_model(name) for name in ("qwen2.5-coder-1.5b", "llama3.2:1b", "smollm2:360m")]
    [True, True, True]
    >>> [is_small_model(name) for name in ("qwen3-30b-a3b", "gpt-4.1-mini", "mixtral-8x7b")]
    [False, False, False]
    """
    sizes = _SIZE.findall(name)
    return bool(sizes) and max(map(_read_size, sizes)) <= _SMALL


def _read_size(size: str) -> float:
    """Return the parameters that a size such as "1.5b" or "360m" names, in billions."""
    return float(size[:-1]) / (1 if size[-1] in "bB" else 1000)


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


def _make_settings(values: dict[str, Any], origin: dict[str, str]) -> Settings:
    if "origin" in values:  # a field, but not a setting
        raise SettingsError(_describe_unknown("origin", origin["origin"]))
    for name, value in values.items():
        field = Settings.model_fields.get(name)
        kinds = (field.annotation, *get_args(field.annotation)) if field else (bool,)
        if isinstance(value, bool) and bool not in kinds:
            raise SettingsError(
                f"Invalid setting {name} = {value} (from {origin[name]}): it is no switch."
            )
    try:
        settings = Settings(**values, origin=origin)
    except ValidationError as error:
        problem = error.errors()[0]
        name = str(problem["loc"][0])
        if problem["type"] == "extra_forbidden":
            raise SettingsError(_describe_unknown(name, origin[name])) from error
        is_hidden = name.endswith(("_key", "_token", "_url", "_args"))
        shown = "" if is_hidden else f" = {values[name]!r}"
        reason = problem["msg"].removeprefix("Value error, ")
        reason = reason if is_hidden else reason.partition(",")[0]
        reason = reason.replace("Input should", "it should")
        raise SettingsError(
            f"Invalid setting {name}{shown} (from {origin[name]}): {reason}."
        ) from error
    _require_files(settings)
    return settings


def _require_files(settings: Settings) -> None:
    """Check that files and folders in the settings exist. Later they would be ignored silently."""
    for name, kind, test in (
        ("prompts", "folder", Path.is_dir),
        ("prices", "file", Path.is_file),
        ("gguf", "file", Path.is_file),
        ("embedder", "folder", Path.is_dir),
    ):
        path: Path | None = getattr(settings, name)
        try:
            is_there = path is None or test(path) or (name == "embedder" and is_class_name(path))
        except OSError:  # a folder without permission, a name that is too long
            is_there = False
        if not is_there:
            raise SettingsError(
                f"Invalid setting {name} = {str(path)!r} (from {settings.origin[name]}): "
                f"there is no such {kind}."
            )


def _describe_unknown(name: str, source: str) -> str:
    near = difflib.get_close_matches(name, list_setting_names(), n=1)
    hint = f"Did you mean {near[0]}?" if near else "`rag info` lists the settings."
    return f"{name} (from {source}) is not a setting. {hint}"


def _read_environment() -> dict[str, tuple[str, str]]:
    found = {}
    for name in list_setting_names():
        variable = name_variable(name)
        if value := os.environ.get(variable, "").strip():
            found[name] = (value, variable)
    return found


def _read_config(config: str | Path | None) -> tuple[Path, dict[str, Any]]:
    if not isinstance(config, str | Path | None):
        raise SettingsError(f"config takes the path of a TOML file, not {config!r:.60}.")
    path = Path(config) if config is not None else get_default_config_path()
    if config is None and not path.is_file():
        return path, {}
    try:
        return path, tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SettingsError(f"Cannot read the config file {path}: {error.strerror}.") from error
    except (
        ValueError,
        RecursionError,
    ) as error:  # TOML or UTF-8 errors, huge numbers, deep nesting
        raise SettingsError(f"The config file {path} is not valid TOML: {error}.") from error
