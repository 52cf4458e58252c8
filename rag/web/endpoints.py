"""The two named endpoints of the page: `ask` and `search`, for `gradio_client` and plain HTTP."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import gradio as gr

from rag.errors import RagError
from rag.web.limits import unfit

if TYPE_CHECKING:
    from collections.abc import Callable

    from rag.retrieval import Hit
    from rag.web.context import AppContext

_MOST_PAPERS = 50
_FAULT = (
    "The question could not be answered because of a fault in Papertrail; the server's log tells "
    "more."
)
_log = logging.getLogger("papertrail.page")


def name_endpoints(context: AppContext) -> None:
    """Adds `ask` and `search` to the page being laid out."""

    async def ask(question: str, request: gr.Request, k: int | None = None) -> dict[str, Any]:
        """Answers a question from the library, with every statement checked.

        Args:
            question: at most 4,000 characters.
            request: given by the server.
            k: papers to retrieve, from 1 to 50; None takes the setting.

        Returns:
            The answer as `rag ask --json` prints it.
        """
        wanted = _count(k)
        user = _admitted(context, question, request)
        settings = context.pool.settings
        if wanted is not None:
            settings = settings.model_copy(update={"k": wanted})

        def answered() -> dict[str, Any]:
            answer = context.pool.assistant().with_settings(settings).ask(question)
            context.chat.bounds.spend(user, answer.usage)
            return answer.to_dict()

        return await _in_place(context, answered)

    async def search(question: str, request: gr.Request, k: int | None = None) -> dict[str, Any]:
        """Finds the papers that fit a question best.

        Args:
            question: at most 4,000 characters.
            request: given by the server.
            k: papers wanted, from 1 to 50; None takes the setting.

        Returns:
            {"hits": [{"rank", "score", "paper"}]}, best first.
        """
        wanted = _count(k)
        _admitted(context, question, request)

        def found() -> dict[str, Any]:
            hits = context.pool.assistant().search(question, k=wanted)
            return {"hits": [_values(hit) for hit in hits]}

        return await _in_place(context, found)

    for endpoint, name in ((ask, "ask"), (search, "search")):
        gr.api(endpoint, api_name=name, concurrency_limit=None)  # type: ignore[attr-defined]


def _values(hit: Hit) -> dict[str, Any]:
    return {"rank": hit.rank, "score": round(hit.score, 4), "paper": hit.paper.to_dict()}


def _admitted(context: AppContext, question: str, request: gr.Request) -> str | None:
    user = request.username or None
    if not isinstance(question, str):
        raise _refused("The question is no text.")
    if refusal := unfit(question.strip()) or context.chat.bounds.take(user):
        raise _refused(refusal)
    return user


def _count(k: object) -> int | None:
    if k is None:
        return None
    if not isinstance(k, int) or isinstance(k, bool) or not 1 <= k <= _MOST_PAPERS:
        raise _refused(f"k is a whole number from 1 to {_MOST_PAPERS}.")
    return k


def _refused(sentence: str) -> gr.Error:
    """An error for the caller alone: it is no matter for the server's log."""
    return gr.Error(sentence, print_exception=False)


async def _in_place(context: AppContext, work: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What some work gives, done when a worker is free; errors as their one sentence."""
    try:
        values: dict[str, Any] = await asyncio.wrap_future(context.chat.workers.submit(work))
    except RagError as error:
        raise _refused(str(error)) from error
    except Exception as error:
        _log.exception("a question over the API failed")
        raise _refused(_FAULT) from error
    return values
