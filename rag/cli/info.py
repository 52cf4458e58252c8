"""What `rag info` tells: settings and their sources, places, the library's state, versions."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import TYPE_CHECKING, Any

from rag import __version__
from rag.embedding import make_embedder
from rag.errors import RagError
from rag.library import list_libraries, resolve_index_folder
from rag.llm import Message, make_chat_model
from rag.llm.servers import mask_url, resolve_server
from rag.settings import default_config_path, setting_names, unknown_variables

if TYPE_CHECKING:
    from rag.settings import Settings

_PACKAGES = ("chromadb", "bm25s", "llama-index-core", "onnxruntime", "tokenizers", "tiktoken")


def collect(settings: Settings) -> dict[str, Any]:
    """What `rag info` shows, as plain JSON values; an unusable index is told, not raised."""
    embedder = make_embedder(settings)
    folder = resolve_index_folder(settings, embedder.name)
    found: dict[str, Any] = {
        "settings": {
            name: {
                "value": _plain(name, getattr(settings, name)),
                "from": settings.origin.get(name, "default"),
            }
            for name in setting_names()
        },
        "places": {"index": str(folder), "config": str(default_config_path())},
        "library": _library(settings, folder),
        "libraries": _libraries(settings),
        "embedder": {"name": embedder.name},
        "model": _model(settings),
        "versions": _versions(),
    }
    if unknown := unknown_variables():
        found["ignored variables"] = ", ".join(unknown)
    return found


def check_models(settings: Settings) -> tuple[dict[str, str], list[str]]:
    """Makes one tiny call to each model that the settings name.

    Returns:
        What was found, by kind of model, and the kinds that failed.

    Raises:
        SettingsError: a model cannot be asked with these settings.
    """
    found: dict[str, str] = {}
    failed: list[str] = []
    model = make_chat_model(settings)
    if model is None:
        found["language model"] = "none is set; answers are verbatim sentences"
    else:
        try:
            reply = model.complete([Message("user", "Reply with the word: ready")])
            counts = "its own token figures" if not reply.usage.estimated else "no token figures"
            found["language model"] = f"{model.name} answers, with {counts}"
        except RagError as error:
            found["language model"] = str(error)
            failed.append("language model")
    embedder = make_embedder(settings)
    try:
        vectors = embedder.embed(["ready"])
        found["embedder"] = f"{embedder.name} gives vectors of {vectors.shape[1]} numbers"
    except RagError as error:
        found["embedder"] = str(error)
        failed.append("embedder")
    return found, failed


def _model(settings: Settings) -> dict[str, str]:
    if settings.chat_model:
        server = resolve_server(settings, "chat")
        return {"writer": settings.chat_model, "server": server.host}
    writer = {"writer": "verbatim sentences; no language model is named"}
    if settings.openai_api_key:
        writer["hint"] = "OPENAI_API_KEY is set and unused; --model NAME would use it"
    return writer


def _library(settings: Settings, folder: Any) -> dict[str, Any]:
    from rag.index import Index

    try:
        index = Index.open(folder)
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


def _libraries(settings: Settings) -> dict[str, Any] | str:
    """The libraries in the data folder, in a few words each."""
    found = {each.name: each.summary for each in list_libraries(settings)}
    return found or "none in the data folder yet"


def _versions() -> dict[str, str]:
    found = {"papertrail": __version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def _plain(name: str, value: object) -> object:
    if isinstance(value, str) and name.endswith("_url"):
        return mask_url(value)
    return value if value is None or isinstance(value, str | int | float) else str(value)
