"""Make the object of a LlamaIndex class that a setting names.

Only subclasses of LlamaIndex's own bases are made. To find one, its module is imported, which runs
the module's own code.
"""

from __future__ import annotations

import inspect
from difflib import get_close_matches
from importlib import import_module
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import urlsplit

from pydantic import SecretStr

from rag.errors import SettingsError
from rag.llm.errors import hide_secrets
from rag.settings import find_secrets, hide_keys, is_class_name, show_keys

if TYPE_CHECKING:
    from collections.abc import Mapping

    from rag.settings import Settings

Made = TypeVar("Made")


def list_secrets(component: object) -> tuple[str, ...]:
    """Return the keys that a LlamaIndex object holds, and those in the environment."""
    return find_secrets(
        dict(getattr(component, "__dict__", {})),
        dict(getattr(component, "__pydantic_private__", None) or {}),
    )


def make_component(settings: Settings, setting: str, base: type[Made]) -> Made:
    """Make the object of the LlamaIndex class that a setting names.

    It is told not to retry by itself, and gets room for a reply, where it has such arguments.

    Args:
        settings: hold the dotted name of the class, and its arguments as `<setting>_args`.
        setting: "llm" or "embedder".
        base: class that it must extend.

    Raises:
        SettingsError: the class is none, its package is missing, its arguments are wrong, or a key
            is not where they say.
    """
    path = str(getattr(settings, setting))
    source = f"{setting} = {path!r} (from {settings.origin.get(setting, 'default')})"
    source += ", which is no folder," * (setting == "embedder")
    kind: Any = _find_class(path, base, source)
    given = show_keys(getattr(settings, f"{setting}_args") or {}, f"{setting}_args")
    _check_names(kind, given, setting)
    more = {"max_retries": 0} if "max_retries" in kind.model_fields else {}
    most_tokens = getattr(kind.model_fields.get("max_tokens"), "default", None)
    if isinstance(most_tokens, int) and most_tokens < settings.chat_reserve:
        more["max_tokens"] = settings.chat_reserve
    made: Made = _call(kind, more | given, given, setting)
    _keep_openai_key(made, given, settings, setting)
    return made


def _keep_openai_key(
    made: object, given: Mapping[str, Any], settings: Settings, setting: str
) -> None:
    """Refuse a class that took OPENAI_API_KEY from the environment for another server."""
    texts = [each for each in given.values() if isinstance(each, str)]
    of_openai = ("https://api.openai.com/", settings.openai_base_url or "https://api.openai.com/")
    elsewhere = [each for each in texts if "://" in each and not each.startswith(of_openai)]
    values = [each for each in vars(made).values() if isinstance(each, str | SecretStr)]
    held = [SecretStr(each) if isinstance(each, str) else each for each in values]
    key = settings.openai_api_key
    if elsewhere and key in held and key not in map(SecretStr, texts):
        host = urlsplit(elsewhere[0]).hostname
        raise SettingsError(
            f"{type(made).__name__} would send OPENAI_API_KEY to {host}. "
            f'Give that server\'s "api_key" in {setting}_args, or "none" if it needs none.'
        )


def _find_class(path: str, base: type[Made], source: str) -> type[Made]:
    """Import the class of a dotted name. Nothing of its module is called."""
    if not is_class_name(path):
        raise SettingsError(
            f"{source} is not the dotted name of a class. Write it like "
            "llama_index.llms.anthropic.Anthropic."
        )
    module, _, name = path.rpartition(".")
    found = getattr(_import(module, source), name, None)
    # not issubclass: a class may answer that for itself
    if not isinstance(found, type) or base not in type.mro(found) or inspect.isabstract(found):
        raise SettingsError(
            f"{source} is no class that extends LlamaIndex's {base.__name__}. Name one that does, "
            "as the package's documentation spells it."
        )
    return found


def _import(module: str, source: str) -> Any:
    try:
        return import_module(module)
    except ModuleNotFoundError as error:
        missing = error.name or module
        if missing.startswith("llama_index."):
            package = "-".join(module.split(".")[:3]).replace("_", "-")
            advice = f"Install its package: pip install {package}"
        else:
            advice = f"There is no module {missing}. Install the package that has it."
        raise SettingsError(f"{source} cannot be imported. {advice}") from error
    except (Exception, SystemExit) as error:
        raise SettingsError(
            f"{source} cannot be imported ({type(error).__name__}: {error}). Install its package "
            "again."
        ) from error


def _check_names(kind: Any, given: Mapping[str, Any], setting: str) -> None:
    """Check the names of arguments, because pydantic ignores those that it does not know."""
    own = (
        vars(each)["__init__"]
        for each in kind.__mro__
        if "__init__" in vars(each)
        and not each.__module__.startswith(("builtins", "llama_index.core", "pydantic"))
    )
    parameters = [each for init in own for each in inspect.signature(init).parameters.values()]
    aliases = {field.alias for field in kind.model_fields.values() if field.alias}
    known = {each.name for each in parameters} | set(kind.model_fields) | aliases
    takes_more = any(each.kind is each.VAR_KEYWORD for each in parameters)
    for name in given.keys() - known:
        near = get_close_matches(name, known, n=1, cutoff=0.8 if takes_more else 0.6)
        if near or not takes_more:
            hint = f"Did you mean {near[0]}?" if near else f"Remove it from {setting}_args."
            raise SettingsError(f"{kind.__name__} has no argument {name}. {hint}")


def _call(kind: Any, first: dict[str, Any], given: dict[str, Any], setting: str) -> Any:
    """Make an object with the first arguments, or else with those that are given."""
    from pydantic import ValidationError

    try:
        return kind(**first)
    except Exception as error:  # noqa: BLE001 - raised as ours, without the keys in its values
        if first != given:
            return _call(kind, given, given, setting)
        if isinstance(error, ValidationError):
            problem = error.errors(include_input=False, include_context=False)[0]
            reason = f"{'.'.join(map(str, problem['loc']))}: {problem['msg']}"
        else:
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
        reason = hide_secrets(reason, find_secrets(hide_keys(given))).removesuffix(".")
        raise SettingsError(
            f"{kind.__name__} cannot be made ({reason}). Correct {setting}_args "
            f"(--{setting}-args), or set the variable that holds the provider's key."
        ) from None
