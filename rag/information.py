"""What `rag info` tells: settings and their sources, places, the library's state, versions."""

from __future__ import annotations

import platform
from importlib import metadata
from typing import TYPE_CHECKING, Any

from rag import __version__
from rag.errors import RagError
from rag.libraries import index_folder
from rag.settings import default_config_path, setting_names, unknown_variables

if TYPE_CHECKING:
    from rag.settings import Settings

_PACKAGES = ("chromadb", "bm25s", "llama-index-core", "onnxruntime", "tokenizers", "tiktoken")


def collect(settings: Settings) -> dict[str, Any]:
    """What `rag info` shows, as plain JSON values; an unusable index is told, not raised."""
    from rag.minilm import load_minilm

    embedder = load_minilm(threads=settings.threads)
    folder = index_folder(settings, embedder.name)
    found: dict[str, Any] = {
        "settings": {
            name: {
                "value": _plain(getattr(settings, name)),
                "from": settings.origin.get(name, "default"),
            }
            for name in setting_names()
        },
        "places": {"index": str(folder), "config": str(default_config_path())},
        "library": _library(settings, folder),
        "embedder": {"name": embedder.name, "dim": embedder.dim},
        "versions": _versions(),
    }
    if unknown := unknown_variables():
        found["ignored variables"] = ", ".join(unknown)
    return found


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


def _versions() -> dict[str, str]:
    found = {"papertrail": __version__, "python": platform.python_version()}
    for name in _PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "not installed"
    return found


def _plain(value: object) -> object:
    return value if value is None or isinstance(value, str | int | float) else str(value)
