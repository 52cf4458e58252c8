"""The two named endpoints of the page: `ask` and `search`, for `gradio_client` and plain HTTP."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Any

import gradio as gr

from rag.errors import RagError
from rag.page.ask import LONGEST_QUESTION

if TYPE_CHECKING:
    from rag.page.application import Rooms

_MOST_PAPERS = 50


def name_endpoints(rooms: Rooms) -> None:
    """Adds `ask` and `search` to the page being laid out."""

    async def ask(question: str, request: gr.Request, k: int = 8) -> dict[str, Any]:
        """Answers a question from the library, with every statement checked.

        Args:
            question: at most 2,000 characters.
            request: given by the server.
            k: papers to retrieve, from 1 to 50.

        Returns:
            The answer as `rag ask --json` prints it.
        """
        user = _admitted(rooms, question, request)
        settings = rooms.shelf.settings.model_copy(update={"k": _count(k)})

        def answered() -> dict[str, Any]:
            answer = rooms.shelf.assistant().varied(settings).ask(question)
            rooms.desk.bounds.spend(user, answer.usage)
            return answer.to_dict()

        values: dict[str, Any] = await _in_place(rooms, answered)
        return values

    async def search(question: str, request: gr.Request, k: int = 8) -> dict[str, Any]:
        """Finds the papers that fit a question best.

        Args:
            question: at most 2,000 characters.
            request: given by the server.
            k: papers wanted, from 1 to 50.

        Returns:
            {"hits": [{"rank", "score", "paper"}]}, best first.
        """
        _admitted(rooms, question, request)

        def found() -> dict[str, Any]:
            hits = rooms.shelf.assistant().search(question, k=_count(k))
            values = [
                {"rank": hit.rank, "score": round(hit.score, 4), "paper": hit.paper.to_dict()}
                for hit in hits
            ]
            return {"hits": values}

        values: dict[str, Any] = await _in_place(rooms, found)
        return values

    for endpoint, name in ((ask, "ask"), (search, "search")):
        gr.api(endpoint, api_name=name, concurrency_limit=None)  # type: ignore[attr-defined]


def _admitted(rooms: Rooms, question: str, request: gr.Request) -> str | None:
    user = request.username or None
    if not isinstance(question, str) or len(question) > LONGEST_QUESTION:
        raise gr.Error(f"The question is no text of at most {LONGEST_QUESTION:,} characters.")
    if refusal := rooms.desk.bounds.take(user):
        raise gr.Error(refusal)
    return user


def _count(k: object) -> int:
    if not isinstance(k, int) or not 1 <= k <= _MOST_PAPERS:
        raise gr.Error(f"k is a whole number from 1 to {_MOST_PAPERS}.")
    return k


async def _in_place(rooms: Rooms, work: Any) -> Any:
    """What some work gives, done when a worker is free; errors as their one sentence."""
    try:
        return await asyncio.wrap_future(rooms.desk.workers.submit(work))
    except RagError as error:
        raise gr.Error(str(error), print_exception=False) from error
