"""The two named endpoints of the page: `ask` and `search`, for `gradio_client` and plain HTTP."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any

import gradio as gr

from rag.errors import RagError
from rag.serving.limits import check_question

if TYPE_CHECKING:
    from collections.abc import Callable

    from rag.assistant import Assistant
    from rag.web.context import AppContext

_MOST_PAPERS = 50
_FAULT = "Papertrail failed to answer because of a bug. The server's log has the details."
_log = logging.getLogger("papertrail.page")


class Endpoints:
    """Functions that anyone may call by name. Their docstrings are published with the API."""

    def __init__(self, context: AppContext) -> None:
        """Add the endpoints to the page that is being laid out."""
        self._context = context
        for endpoint in (self.ask, self.search):
            gr.api(endpoint, api_name=endpoint.__name__, concurrency_limit=None)  # type: ignore[attr-defined]

    async def ask(self, question: str, request: gr.Request, k: int | None = None) -> dict[str, Any]:
        """Answer a question from the library and check every statement.

        Args:
            question: at most 4,000 characters.
            request: given by the server.
            k: papers to retrieve, from 1 to 50; None takes the setting.

        Returns:
            The answer as `rag ask --json` prints it.
        """

        def answer(assistant: Assistant) -> dict[str, Any]:
            settings = assistant.settings.model_copy(update={} if k is None else {"k": k})
            found = assistant.with_settings(settings).ask(question)
            self._context.chat.rate_limit.count_tokens(request.username or None, found.usage)
            return found.to_dict()

        return await self._run(answer, question, request, k)

    async def search(
        self, question: str, request: gr.Request, k: int | None = None
    ) -> dict[str, Any]:
        """Find the papers that fit a question best.

        Args:
            question: at most 4,000 characters.
            request: given by the server.
            k: papers wanted, from 1 to 50; None takes the setting.

        Returns:
            {"hits": [{"rank", "score", "paper"}]}, best first.
        """

        def find(assistant: Assistant) -> dict[str, Any]:
            hits = assistant.search(question, k=k)
            return {
                "hits": [
                    {"rank": h.rank, "score": round(h.score, 4), "paper": h.paper.to_dict()}
                    for h in hits
                ]
            }

        return await self._run(find, question, request, k)

    async def _run(
        self,
        work: Callable[[Assistant], dict[str, Any]],
        question: Any,
        request: gr.Request,
        k: Any,
    ) -> dict[str, Any]:
        """Return the result of work that waits for a free worker. Errors become one sentence."""
        chat, user = self._context.chat, request.username or None
        if problem := _check_call(question, k) or chat.rate_limit.count_question(user):
            raise _make_error(problem)
        try:
            values: dict[str, Any] = await asyncio.wrap_future(
                chat.workers.submit(lambda: work(self._context.pool.get_assistant()))
            )
        except RagError as error:
            raise _make_error(str(error)) from error
        except Exception as error:
            _log.exception("a question over the API failed")
            raise _make_error(_FAULT) from error
        return values


def _check_call(question: object, k: object) -> str:
    """Return why a call is refused, or ""."""
    if not isinstance(question, str):
        return "The question is not text."
    if k is not None and (type(k) is not int or not 1 <= k <= _MOST_PAPERS):
        return f"k must be a whole number from 1 to {_MOST_PAPERS}."
    return check_question(question.strip())


def _make_error(sentence: str) -> gr.Error:
    """Return an error for the caller. It stays out of the server's log."""
    return gr.Error(sentence, print_exception=False)
