"""Serve a library as an OpenAI-compatible endpoint, so that chat clients get checked answers.

A request (`request`) is answered by the `endpoint`, which writes a `reply`. Called by `rag serve`.
"""

from rag.serve.endpoint import PATH, Endpoint, make_application, serve
from rag.serve.request import MAX_REQUEST_BYTES

__all__ = ["MAX_REQUEST_BYTES", "PATH", "Endpoint", "make_application", "serve"]
