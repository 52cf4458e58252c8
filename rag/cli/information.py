"""`rag info`: settings, folders, versions and the library's state. `rag doctor`: its problems."""

from __future__ import annotations

import json
import platform
from dataclasses import asdict
from importlib import metadata
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rag.cli.options import JsonOption, QuietOption, add_options, open_assistant
from rag.cli.printing import print_json, print_line, print_note
from rag.errors import RagError, SettingsError

if TYPE_CHECKING:
    from collections.abc import Callable

    from rag.settings import Settings

_PACKAGES = ("chromadb", "tantivy", "llama-index-core", "onnxruntime", "tokenizers", "tiktoken")


@add_options("index", "embedder", "chat_model", "chat_url", "check_model", "check_url")
def info(
    *,
    settings: Settings,
    check: Annotated[
        bool,
        typer.Option(
            "--check", help="Call each model that is set, and test the one that checks answers."
        ),
    ] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Show settings and where they come from, folders, and the state of the library.

    With --check, show the models and the result.
    """
    values = _collect_information(settings)
    failed: list[str] = []
    if check:
        values["check"], failed = _check_models(settings, quiet=quiet)
    if as_json:
        print_json(values)
    else:
        shown = ("model", "check") if check else tuple(values)
        _print_sections({name: values[name] for name in shown})
    for kind in failed:
        print_note(f"rag: the check failed: {values['check'][kind]}")
    if failed:
        raise typer.Exit(3)
    if check and not as_json:
        print_line("Each of them answered.")


@add_options("index", "embedder")
def doctor(
    library: Annotated[
        str | None,
        typer.Argument(
            metavar="INDEX", help="Library, as for --index: a name or a path.", show_default=False
        ),
    ] = None,
    *,
    settings: Settings,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Show what is wrong with a library, and the command that fixes it. Change nothing."""
    from rag.doctor import examine_library
    from rag.embedding import make_embedder
    from rag.library import resolve_settings

    if library is not None and settings.origin.get("index") == "argument":
        raise SettingsError("Name the library once, as INDEX or with --index.")
    settings = resolve_settings(library, settings)
    if settings.index is None:  # it is indexed at its first use
        open_assistant(settings, quiet=quiet).close()
    if not quiet:
        print_note("Comparing the papers with their sources ...")
    result = examine_library(settings, make_embedder(settings))
    if as_json:
        findings = [asdict(each) | {"count": len(each.items)} for each in result.findings]
        print_json({"index": str(result.folder), "papers": result.papers, "findings": findings})
        return
    _print_sections({"library": {"index": str(result.folder), "papers": result.papers}})
    for each in result.findings:
        examples = {"such as": "; ".join(each.examples)} if each.examples else {}
        _print_sections({each.kind: {"found": each.message, **examples, "fix": each.fix}})
    if not result.findings:
        print_line("Nothing is wrong with it.")


def _print_sections(values: dict[str, Any]) -> None:
    for section, entries in values.items():
        print_line(f"{section}:")
        if not isinstance(entries, dict):
            print_line(f"  {entries}")
            continue
        for name, value in entries.items():
            shown = value
            if isinstance(value, dict):
                text = "not set" if value["value"] is None else value["value"]
                shown = f"{text}  ({value['from']})"
            print_line(f"  {name}: {shown}")


def _collect_information(settings: Settings) -> dict[str, Any]:
    """Return what `rag info` shows, as plain JSON values. An unusable index is no error."""
    from rag.embedding import make_embedder
    from rag.library import list_libraries, resolve_index_folder
    from rag.settings import get_default_config_path, list_setting_names, list_unknown_variables

    embedder = make_embedder(settings)
    folder = resolve_index_folder(settings, embedder.name)
    values: dict[str, Any] = {
        "settings": {
            name: {
                "value": show_value(name, getattr(settings, name)),
                "from": settings.origin.get(name, "default"),
            }
            for name in list_setting_names()
        },
        "places": {"index": str(folder), "config": str(get_default_config_path())},
        "library": _describe_library(settings, embedder.name),
        "libraries": {each.name: each.summary for each in list_libraries(settings)}
        or "none in the data folder yet",
        "embedder": {"name": embedder.name},
        "model": _describe_model(settings),
        "versions": _read_versions(),
    }
    if unknown := list_unknown_variables():
        values["ignored variables"] = ", ".join(unknown)
    return values


def _check_models(settings: Settings, *, quiet: bool) -> tuple[dict[str, str], list[str]]:
    """Call each model, and test the one that checks. Return findings, and the kinds that failed."""
    from rag.cli.trial import ask_ready
    from rag.embedding import make_embedder
    from rag.llm import make_chat_model

    model, embedder = make_chat_model(settings), make_embedder(settings)

    def check_model() -> str:
        return ask_ready(model) if model else "none is set; answers quote sentences"

    def check_embedder() -> str:
        vectors = embedder.embed(["ready"])
        return f"{embedder.name} returns vectors with {vectors.shape[1]} numbers"

    findings: dict[str, str] = {}
    failed: list[str] = []
    checks: dict[str, Callable[[], str]] = {
        "language model": check_model,
        "embedder": check_embedder,
        "reader's test": lambda: _test_reader(settings),
    }
    for kind, check in checks.items():
        if not quiet:
            print_note(f"Checking the {kind} ...")
        try:
            findings[kind] = check()
        except RagError as error:
            findings[kind] = str(error)
            failed.append(kind)
    return findings, failed


def _test_reader(settings: Settings) -> str:
    from rag.cli.trial import run_test

    score = run_test(settings)
    if score is None:
        return "no language model is set; nothing to test"
    are = "coloured" if score.tested == "passed" else "not used, statements stay unchecked"
    return f"{score.name}: {score.right} of {score.total} right; verdicts are {are}"


def _describe_model(settings: Settings) -> dict[str, str]:
    from rag.llm.servers import resolve_server

    if settings.writer:
        model = {"writer": settings.writer}
        if settings.llm:
            model["class"] = settings.llm
        elif settings.gguf:
            model["file"] = str(settings.gguf)
        else:
            model["server"] = resolve_server(settings, "chat").host
        if settings.check_model:
            server = resolve_server(settings, "check").host
            model |= {"checker": settings.check_model, "server of the checker": server}
        return model
    writer = {"writer": "quotes; no language model is set"}
    if settings.openai_api_key:
        writer["hint"] = "OPENAI_API_KEY is set but not used; --model NAME would use it"
    return writer


def _describe_library(settings: Settings, embedder_name: str) -> dict[str, Any]:
    from rag.index import Index
    from rag.library import require_library

    try:
        index = Index.open(require_library(settings, embedder_name))
    except RagError as error:
        bundled = settings.index is None
        return {"state": "not indexed yet; the first question does it" if bundled else str(error)}
    manifest = index.manifest
    index.close()
    return {
        "state": "ready",
        "papers": manifest.paper_count,
        "passages": manifest.row_count,
        "generation": manifest.generation,
        "sources": ", ".join(manifest.sources),
    }


def _read_versions() -> dict[str, str]:
    from rag import __version__

    versions = {"papertrail": __version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            versions[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            versions[name] = "not installed"
    return versions


def show_value(name: str, value: object) -> object:
    """Return a setting as a JSON value, without passwords and keys."""
    from pydantic import SecretStr

    from rag.llm.servers import mask_url
    from rag.settings import get_key_reference

    if isinstance(value, SecretStr):
        return get_key_reference(value) or str(value)
    if isinstance(value, dict):
        return json.dumps(value, default=lambda _: "***")
    if isinstance(value, str) and name.endswith("_url"):
        return mask_url(value)
    return value if value is None or isinstance(value, str | int | float) else str(value)
