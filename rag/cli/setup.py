"""`rag setup`: find a language model, try it, and write it to the config file after a yes.

Before that nothing is sent but to the ports of this machine on which the usual programs listen.
Questions and notes go to standard error, the result goes to standard output.
"""

from __future__ import annotations

import getpass
import platform
import sys
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any
from urllib.parse import urlsplit

import typer

from rag.cli.options import ConfigOption, JsonOption, QuietOption
from rag.cli.printing import print_json, print_line, print_note, print_styled, strip_controls
from rag.errors import SettingsError

if TYPE_CHECKING:
    from rag.cli.trial import Trial
    from rag.llm.setup import FoundModel, FoundServer
    from rag.settings import Settings

# Settings that name the model. Another choice replaces them, whoever wrote them.
_CHOICE = ("chat_model", "chat_url", "chat_key", "gguf", "llm", "llm_args")
_FOUND_OUT = ("chat_window", "chat_timeout_s", "plan", "compact", "check_with_model")
_CHECKER = ("check_model", "check_url", "check_key")
_MOST_LISTED = 40
_INSTALL = {
    "Linux": "curl -fsSL https://{host}/install.sh | {shell}",
    "Darwin": "curl -fsSL https://{host}/install.sh | {shell}",
    "Windows": "irm https://{host}/install.ps1 | iex",
}
_PROGRAMS = (
    ("Ollama", "ollama.com", "sh", "ollama pull llama3.1"),
    ("LM Studio", "lmstudio.ai", "bash", "lms get qwen/qwen3-4b-2507; lms server start"),
)


@dataclass(frozen=True, slots=True)
class Place:
    """Server to choose a model of.

    Attributes:
        name: of the program or the service.
        url: its address, "" for OpenAI or OPENAI_BASE_URL.
        key: where its key stands, as `env:VARIABLE` or `keyring:NAME`. "" without one.
        models: that it lists. None before it was asked.
        gguf: file to run in this process, where there is no server.
    """

    name: str
    url: str
    key: str = ""
    models: tuple[FoundModel, ...] | None = None
    gguf: Path | None = None

    @property
    def is_here(self) -> bool:
        """Whether it runs on this machine."""
        from rag.settings import is_loopback

        return is_loopback(urlsplit(self.url).hostname or "")

    @property
    def where(self) -> str:
        """Where the model runs, behind its name."""
        return "in this process" if self.gguf else f"at {self.url or self.name}"


def setup(
    *,
    url: Annotated[
        str | None,
        typer.Option(
            help="Server to use, such as http://127.0.0.1:11434/v1. Default: look for one.",
            show_default=False,
        ),
    ] = None,
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="Model to use. Default: ask.", show_default=False),
    ] = None,
    key: Annotated[
        str | None,
        typer.Option(
            help="Where to find the server's key: env:VARIABLE or keyring:NAME.", show_default=False
        ),
    ] = None,
    gguf: Annotated[
        Path | None,
        typer.Option(
            help="GGUF file to run in this process, instead of a server.", show_default=False
        ),
    ] = None,
    yes: Annotated[
        bool, typer.Option("--yes", "-y", help="Take the first model and write it. Ask nothing.")
    ] = False,
    show: Annotated[bool, typer.Option("--show", help="Show the model that is set up.")] = False,
    remove: Annotated[
        bool, typer.Option("--remove", help="Take out what rag setup wrote to the config file.")
    ] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
    config: ConfigOption = None,
) -> None:
    """Find a language model, try it, and write it to the config file.

    It looks for Ollama, LM Studio, llama.cpp, vLLM, Jan and LocalAI on this machine.
    """
    from rag.settings import get_default_config_path, load_settings

    path = config or get_default_config_path()
    if remove:
        _remove(path, as_json=as_json)
        return
    settings = load_settings(config, gguf=gguf)
    if show:
        _show(settings, path, as_json=as_json)
        return
    if gguf and (url or model or key):
        raise SettingsError("--gguf names a file that needs no server. Leave the others out.")
    if not (yes or sys.stdin.isatty()):
        raise SettingsError(
            "rag setup asks questions, and standard input is no terminal. Add --yes to take the "
            "first model, or --yes --model NAME."
        )
    settings = _forget_earlier(settings, path)
    reference = _check_reference(key, may_ask=not yes)
    if gguf:
        place, found = _take_file(gguf)
    else:
        place, found = _choose(url, model, reference, settings, yes=yes)
    if found is None:
        print_note("Nothing was written.")
        return
    chosen, trial = _try(place, found, settings, quiet=quiet)
    if not as_json:
        _print_trial(place, found, trial)
    is_agreed = trial.is_usable if yes else _confirm(chosen, trial, path)
    if is_agreed:
        _write(path, chosen, keeps_key=_keeps_key(place, settings))
    _report(place, chosen, trial, path if is_agreed else None, as_json=as_json)
    if yes and not is_agreed:
        raise typer.Exit(3)


def _forget_earlier(settings: Settings, path: Path) -> Settings:
    """Return the settings without what an earlier `rag setup` found out about another model."""
    from rag.cli.config_file import list_written

    defaults = type(settings).model_fields
    earlier = [
        name
        for name in list_written(path)
        if name in _FOUND_OUT and settings.origin.get(name) == str(path)
    ]
    kept = settings.model_copy(update={name: defaults[name].default for name in earlier})
    kept.model_fields_set.difference_update(earlier)  # as if nobody had set them
    return kept


def _take_file(gguf: Path) -> tuple[Place, FoundModel | None]:
    """Return the model of a file.

    Raises:
        SettingsError: the file is damaged or holds no chat model, or a package is missing.
    """
    from rag.llm.gguf import read_header
    from rag.llm.setup import FoundModel

    path = gguf.absolute()
    found = FoundModel(path.stem, parameters=read_header(path).parameters)
    return Place("this process", "", gguf=path), found


def _check_reference(key: str | None, *, may_ask: bool) -> str:
    """Return where the key stands. Ask for one that the keyring does not have yet.

    Raises:
        SettingsError: it is no reference, or the keyring cannot be used.
    """
    from pydantic import SecretStr

    from rag.settings import get_key_reference, read_keyring, write_keyring

    if not key:
        return ""
    if not get_key_reference(SecretStr(key)):
        raise SettingsError(
            "--key says where the key stands: env:VARIABLE or keyring:NAME. A key on the command "
            "line could be seen by others."
        )
    place, _, name = key.partition(":")
    if place == "keyring" and may_ask and not read_keyring(name):
        print_note(f"The keyring has no key {name} yet. What you type is not shown.")
        if given := getpass.getpass("Key: ").strip():
            write_keyring(name, given)
    return key


def _choose(
    url: str | None, model: str | None, reference: str, settings: Settings, *, yes: bool
) -> tuple[Place, FoundModel | None]:
    """Return a server and its model, None if the user chose none.

    Raises:
        SettingsError: there is no such model or server.
        typer.Exit: no server was found.
    """
    places = [_make_place(url, reference, settings)] if url else _find_places(with_services=not yes)
    if not places:
        _print_installation()
        raise typer.Exit(3)
    here = [(place, found) for place in places for found in place.models or ()]
    services = [place for place in places if place.models is None]
    if yes or model or (url and services):
        if named := [each for each in here if model in (None, each[1].name)]:
            return named[0]
        if not (url and services):
            names = ", ".join(found.name for _, found in here) or "none"
            raise SettingsError(f"No server here has the model {model}. There are: {names}.")
        place = services[0]
    else:
        number = _ask_number(here, services)
        if number is None:
            return places[0], None
        if number < len(here):
            return here[number]
        place = services[number - len(here)]
    if not (yes or _agree_to_send(place)):
        return place, None
    return _choose_remote(place, model, settings, yes=yes)


def _find_places(*, with_services: bool) -> list[Place]:
    from rag.llm.setup import find_local_servers, list_offered_providers

    places = []
    for each in find_local_servers():
        if each.needs_key:
            print_note(
                f"{each.name} at {each.url} asks for a key: rag setup --url {each.url} --key "
                "env:VARIABLE"
            )
        elif each.models:
            places.append(Place(each.name, each.url, models=each.models))
        else:
            print_note(f"{each.name} at {each.url} has no model that writes text yet.")
    for provider in list_offered_providers() if with_services else ():
        is_openai = provider.name == "OpenAI"
        key = "" if is_openai else f"env:{provider.variable}"
        places.append(Place(provider.name, "" if is_openai else provider.url, key))
    return places


def _make_place(url: str, reference: str, settings: Settings) -> Place:
    """Return the server at an address. One on this machine is asked for its models.

    Raises:
        SettingsError: it is no address.
    """
    from rag.llm.servers import OPENAI_URL
    from rag.llm.setup import PROVIDERS
    from rag.settings import has_variable

    url = url.strip().rstrip("/")
    place = Place(urlsplit(url).netloc, url, reference)
    if not (reference or place.is_here):
        own = [each.variable for each in PROVIDERS if each.url == url]
        known = [name for name in (*own, "PAPERTRAIL_CHAT_KEY") if has_variable(name)]
        if url == OPENAI_URL:
            return Place("OpenAI", "" if not settings.openai_base_url else url)
        return replace(place, key=f"env:{known[0]}" if known else "")
    if not place.is_here:
        return place
    found = _describe(place, settings)
    if found is not None and found.needs_key:
        raise SettingsError(f"The server at {url} asks for a key. Add --key env:VARIABLE.")
    if found is None or not found.models:
        return place
    return replace(place, name=found.name, models=found.models)


def _choose_remote(
    place: Place, model: str | None, settings: Settings, *, yes: bool
) -> tuple[Place, FoundModel | None]:
    """Return a model of a service, which is asked for its list.

    Raises:
        SettingsError: a key is missing, or no model is named where nobody can be asked.
    """
    from rag.llm.setup import FoundModel

    found = _describe(place, settings)
    listed = found.models if found else ()
    if model is None and found is None:
        raise SettingsError(
            f"No list of models is {place.where}. Start the server, correct the "
            "address, or name a model with --model."
        )
    if model is None and yes:
        names = ", ".join(each.name for each in listed[:_MOST_LISTED])
        raise SettingsError(f"Name a model with --model. {place.name} lists: {names or 'none'}.")
    if model is None:
        for number, each in enumerate(listed[:_MOST_LISTED], start=1):
            print_note(f"  {number:>2}  {each.name}  {each.description}".rstrip())
        given = _ask("Model (number or name): ")
        if not given:
            return place, None
        is_number = given.isdecimal() and 1 <= int(given) <= len(listed)
        model = listed[int(given) - 1].name if is_number else given
    known = {each.name: each for each in listed}
    return place, known.get(model) or FoundModel(model)


def _describe(place: Place, settings: Settings) -> FoundServer | None:
    from rag.llm.servers import resolve_server
    from rag.llm.setup import describe_server

    server = resolve_server(_point(settings, place, "it"), "chat")
    return describe_server(server, settings, place.name)


def _point(settings: Settings, place: Place, model: str) -> Settings:
    """Return settings that name a model at a place, with the key that belongs there."""
    from pydantic import SecretStr

    kept = settings.chat_key if _keeps_key(place, settings) else None
    return settings.model_copy(
        update={
            **dict.fromkeys(_CHOICE),
            "chat_model": None if place.gguf else model,
            "gguf": place.gguf,
            "chat_url": place.url or None,
            "chat_key": SecretStr(place.key) if place.key else kept,
            "origin": settings.origin | {"chat_url": "--url", "chat_key": "--key"},
        }
    )


def _keeps_key(place: Place, settings: Settings) -> bool:
    """Return whether the key of the settings is for this very server."""
    own = (settings.chat_url or "").strip().rstrip("/")
    return not place.key and bool(own) and own == place.url


def _ask_number(here: list[tuple[Place, FoundModel]], services: list[Place]) -> int | None:
    """Show what was found and return the index of what the user chose, None for nothing."""
    lines = [f"{place.name:<10} {found.name}  {found.description}" for place, found in here]
    lines += [
        f"{place.name:<10} with the key in {place.key.partition(':')[2] or 'OPENAI_API_KEY'}"
        " (nothing is sent before you agree)"
        for place in services
    ]
    print_note("Found:")
    for number, line in enumerate(lines, start=1):
        print_note(f"  {number:>2}  {line}".rstrip())
    while True:
        given = _ask("Which one? [1] ")
        if given is None:
            return None
        if (given or "1").isdecimal() and 1 <= int(given or "1") <= len(lines):
            return int(given or "1") - 1
        print_note(f"Type a number from 1 to {len(lines)}. Ctrl-D ends without a change.")


def _agree_to_send(place: Place) -> bool:
    if place.is_here:
        return True
    where = place.url or "OpenAI (or OPENAI_BASE_URL)"
    given = _ask(f"Send the key and questions on the bundled library to {where}? [y/N] ")
    return (given or "").casefold() in ("y", "yes")


def _ask(text: str) -> str | None:
    """Return the line that the user typed, None at the end of the input."""
    sys.stderr.write(strip_controls(text))
    sys.stderr.flush()
    line = sys.stdin.readline()
    return line.strip() if line else None


def _try(
    place: Place, found: FoundModel, settings: Settings, *, quiet: bool
) -> tuple[dict[str, Any], Trial]:
    """Return the settings to write, and what the model did.

    Raises:
        ModelError: it does not answer.
        SettingsError: its key is missing.
    """
    from rag.cli.trial import ask_ready, be_patient, find_limits, try_model
    from rag.llm import make_chat_model

    pointed = _point(settings, place, found.name)
    model = make_chat_model(be_patient(pointed))
    if not quiet:
        print_note(f"Trying {found.name} {place.where} ...")
    if model:
        ask_ready(model)
        model.close()
    # Only a loaded model has its window.
    loaded = None if place.gguf else _describe(place, settings)
    for each in loaded.models if loaded else ():
        found = each if each.name == found.name else found
    limits, findings = find_limits(found, place.name)
    trial = try_model(pointed.model_copy(update=limits), quiet=quiet)
    trial = replace(trial, findings=(*findings, *trial.findings))
    values = {"chat_model": found.name, "chat_url": place.url, "chat_key": place.key}
    if place.gguf:
        values = {"gguf": str(place.gguf)}
    chosen = {name: value for name, value in values.items() if value}
    return chosen | limits | trial.settings, trial


def _print_trial(place: Place, found: FoundModel, trial: Trial) -> None:
    from rag.cli.trial import count_cited

    answer = trial.answer
    print_styled(f"{found.name} {place.where}", style="bold")
    print_styled(answer.question, indent=2)
    for line in answer.text.splitlines():
        print_styled(line, indent=2)
    cited = f"{count_cited(answer)} of {len(answer.statements)} statements with a citation"
    print_line(f"answer: {cited}, {answer.duration}")
    if trial.score:
        are = "coloured" if trial.score.tested == "passed" else "not coloured"
        right = f"{trial.score.right} of {trial.score.total} right"
        print_line(f"reader's test: {right}; verdicts are {are}")
    for each in trial.findings:
        print_styled(f"{each.problem} {each.follows}", indent=2, label=each.problem, style="yellow")


def _confirm(chosen: dict[str, Any], trial: Trial, path: Path) -> bool:
    from tomlkit import item

    print_note(f"To be written to {path}:")
    for name, value in chosen.items():
        print_note(f"  {name} = {item(value).as_string()}")
    if trial.is_usable:
        given = _ask("Write it? [Y/n] ")
        return given is not None and given.casefold() in ("", "y", "yes")
    return (_ask("Write it all the same? [y/N] ") or "").casefold() in ("y", "yes")


def _write(path: Path, chosen: dict[str, Any], *, keeps_key: bool) -> None:
    from rag.cli.config_file import write_settings
    from rag.settings import has_variable, name_variable

    replaced = dict.fromkeys(name for name in _CHOICE if name != "chat_key" or not keeps_key)
    write_settings(path, replaced | chosen)
    for name in chosen:
        if has_variable(name_variable(name)):
            print_note(f"{name_variable(name)} is set and wins over the config file.")


def _report(
    place: Place, chosen: dict[str, Any], trial: Trial, path: Path | None, *, as_json: bool
) -> None:
    if as_json:
        print_json(
            {
                "server": place.name,
                "settings": chosen,
                "trial": trial.to_dict(),
                "written": str(path) if path else None,
            }
        )
    elif path:
        print_line(f'Written to {path}. Ask: rag ask "{trial.answer.question}"')
    else:
        print_note("Nothing was written.")


def _show(settings: Settings, path: Path, *, as_json: bool) -> None:
    """Print the model that is set up, where each setting comes from, and its test."""
    from rag.cli.information import show_value
    from rag.llm import make_chat_model, make_check_model
    from rag.verification.reader_test import read_score

    values = {
        name: {"value": show_value(name, getattr(settings, name)), "from": settings.origin[name]}
        for name in (*_CHOICE, *_FOUND_OUT, *_CHECKER)
        if name in settings.origin
    }
    model = make_check_model(settings) or make_chat_model(settings)
    tested = read_score(model, settings) if model else None
    score = {"right": tested.right, "total": tested.total} if tested and tested.total else None
    if as_json:
        print_json({"config": str(path), "settings": values, "reader_test": score})
        return
    print_line(f"config: {path}")
    for name, each in values.items():
        print_line(f"{name}: {each['value']}  ({each['from']})")
    if not settings.writer:
        print_line("No language model is set up; answers quote sentences. rag setup finds one.")
    elif tested:
        print_line(f"reader's test: {tested.result}")


def _remove(path: Path, *, as_json: bool) -> None:
    from rag.cli.config_file import remove_settings

    removed = remove_settings(path)
    if as_json:
        print_json({"config": str(path), "removed": removed})
    elif removed:
        print_line(f"Removed from {path}: {', '.join(removed)}.")
    else:
        print_line(f"rag setup wrote nothing to {path}.")


def _print_installation() -> None:
    """Print how to install a server, in two lines for this system."""
    command = _INSTALL.get(platform.system(), _INSTALL["Linux"])
    print_note(
        "No language model was found on this machine. Install one, then run rag setup again:"
    )
    for name, host, shell, rest in _PROGRAMS:
        print_note(f"  {name + ':':<10} {command.format(host=host, shell=shell)}; {rest}")
