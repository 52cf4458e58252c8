"""The two named endpoints of the page: `ask` and `search`, for `gradio_client` and plain HTTP."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import gradio as gr

from rag.errors import RagError
from rag.web.limits import check_question

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from rag.retrieval import Hit
    from rag.web.context import AppContext

    Endpoint = Callable[..., Awaitable[dict[str, Any]]]

_MOST_PAPERS = 50
_FAULT = "Papertrail failed to answer because of a bug. The server's log has the details."
_log = logging.getLogger("papertrail.page")


def add_endpoints(context: AppContext) -> None:
    """Add `ask` and `search` to the page that is being laid out."""
    for endpoint, name in ((_make_ask(context), "ask"), (_make_search(context), "search")):
        gr.api(endpoint, api_name=name, concurrency_limit=None)  # type: ignore[attr-defined]


def _make_ask(context: AppContext) -> Endpoint:
    """Return the function behind `ask`. Its docstring is published with the API."""

    async def ask(question: str, request: gr.Request, k: int | None = None) -> dict[str, Any]:
        """Answer a question from the library and check every statement.

        Args:
            question: at most 4,000 characters.
            request: given by the server.
            k: papers to retrieve, from 1 to 50; None takes the setting.

        Returns:
            The answer as `rag ask --json` prints it.
        """
        count = _check_count(k)
        user = _admit(context, question, request)
        settings = context.pool.settings
        if count is not None:
            settings = settings.model_copy(update={"k": count})

        def answer() -> dict[str, Any]:
            found = context.pool.get_assistant().with_settings(settings).ask(question)
            context.chat.rate_limit.count_tokens(user, found.usage)
            return found.to_dict()

        return await _run(context, answer)

    return ask


def _make_search(context: AppContext) -> Endpoint:
    """Return the function behind `search`. Its docstring is published with the API."""

    async def search(question: str, request: gr.Request, k: int | None = None) -> dict[str, Any]:
        """Find the papers that fit a question best.

        Args:
            question: at most 4,000 characters.
            request: given by the server.
            k: papers wanted, from 1 to 50; None takes the setting.

        Returns:
            {"hits": [{"rank", "score", "paper"}]}, best first.
        """
        count = _check_count(k)
        _admit(context, question, request)

        def find() -> dict[str, Any]:
            hits = context.pool.get_assistant().search(question, k=count)
            return {"hits": [_format_hit(hit) for hit in hits]}

        return await _run(context, find)

    return search


def _format_hit(hit: Hit) -> dict[str, Any]:
    return {"rank": hit.rank, "score": round(hit.score, 4), "paper": hit.paper.to_dict()}


def _admit(context: AppContext, question: str, request: gr.Request) -> str | None:
    """Count a question and return its user, or raise the reason why it is refused."""
    user = request.username or None
    if not isinstance(question, str):
        raise _make_error("The question is not text.")
    problem = check_question(question.strip()) or context.chat.rate_limit.count_question(user)
    if problem:
        raise _make_error(problem)
    return user


def _check_count(k: object) -> int | None:
    if k is None:
        return None
    if not isinstance(k, int) or isinstance(k, bool) or not 1 <= k <= _MOST_PAPERS:
        raise _make_error(f"k must be a whole number from 1 to {_MOST_PAPERS}.")
    return k


def _make_error(sentence: str) -> gr.Error:
    """Return an error for the caller. It stays out of the server's log."""
    return gr.Error(sentence, print_exception=False)


async def _run(context: AppContext, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """Return the result of work that waits for a free worker. Errors become one sentence."""
    try:
        values: dict[str, Any] = await asyncio.wrap_future(context.chat.workers.submit(work))
    except RagError as error:
        raise _make_error(str(error)) from error
    except Exception as error:
        _log.exception("a question over the API failed")
        raise _make_error(_FAULT) from error
    return values
