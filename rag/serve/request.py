"""Requests of chat clients: read, checked, and refused where they cannot be answered."""

from __future__ import annotations

import asyncio
import difflib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pydantic import BaseModel, Field, ValidationError

from rag.serve.api_error import ApiError
from rag.serving.query import PaperQuery

if TYPE_CHECKING:
    from starlette.requests import Request

    from rag.answer import Turn

Model = TypeVar("Model", bound=BaseModel)

MAX_REQUEST_BYTES = 2_000_000  # a long conversation
_BODY_S = 30.0  # for a request to arrive


class Message(BaseModel):
    """Message of a conversation. Only text counts."""

    role: Literal["system", "developer", "user", "assistant", "tool", "function"]
    content: Any = None

    @property
    def text(self) -> str:
        """Text of the content, a string or a list of parts.

        Raises:
            ApiError: a part is no text.
        """
        parts = self.content if isinstance(self.content, list) else [self.content or ""]
        found = [
            part.get("text") if isinstance(part, dict) and part.get("type") == "text" else part
            for part in parts
        ]
        texts = [text for text in found if isinstance(text, str)]
        if len(texts) < len(found):
            raise ApiError(
                400,
                "A message has content that is no text. Send text only.",
                code="invalid_value",
                param="messages",
            )
        return "\n".join(texts)


class StreamOptions(BaseModel):
    """Options of a stream."""

    include_usage: bool | None = None


class ChatRequest(BaseModel):
    """Body of a request. Fields of OpenAI that mean nothing here, such as temperature, may come."""

    model: str
    messages: list[Message] = Field(min_length=1, max_length=5000)
    stream: bool | None = None
    stream_options: StreamOptions | None = None
    n: Literal[1] | None = None
    draft: bool | None = None
    mode: Literal["model", "quotes"] | None = None
    kind: Literal["list"] | None = None


FILTERS = [name for name in PaperQuery.model_fields if name != "question"]
_FIELDS = [*ChatRequest.model_fields, *FILTERS]


@dataclass(frozen=True, slots=True)
class Question:
    """A request that was understood.

    Attributes:
        request: as it came.
        library: name of the library, None for that of the settings.
        query: the question and its restrictions.
        history: earlier turns, oldest first.
    """

    request: ChatRequest
    library: str | None
    query: PaperQuery
    history: tuple[Turn, ...]


async def read_body(request: Request) -> bytes:
    """Return the body of a request, which may neither be too long nor take too long."""
    body = bytearray()
    try:
        async with asyncio.timeout(_BODY_S):
            async for part in request.stream():
                body += part
                if len(body) > MAX_REQUEST_BYTES:
                    problem = "The request is too large. Send fewer or shorter messages."
                    raise ApiError(413, problem, code="request_too_large")
    except TimeoutError as error:
        raise ApiError(408, "The request took too long.", code="request_timeout") from error
    return bytes(body)


def parse_body(body: bytes) -> dict[str, Any]:
    """Return the JSON object of a body.

    Raises:
        ApiError: it is none.
    """
    try:
        values = json.loads(body)
        json.dumps(values, ensure_ascii=False).encode()  # half a surrogate pair is no text
    except (ValueError, RecursionError) as error:
        raise ApiError(400, "The body is not valid JSON.", code="invalid_json") from error
    if not isinstance(values, dict):
        raise ApiError(400, "The body is not a JSON object.", code="invalid_json")
    return values


def validate(model: type[Model], values: dict[str, Any]) -> Model:
    """Return values as a model.

    Raises:
        ApiError: they are none. The message names the first bad one, and quotes nothing.
    """
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        message = f"Bad value for {place}: {first['msg'].rstrip('.')}."
        raise ApiError(400, message, code="invalid_value", param=place) from error


def refuse_misspelled(body: dict[str, Any]) -> None:
    """Refuse a field that was meant for this server, since ignoring a filter misleads."""
    for name in body:
        near = difflib.get_close_matches(name, _FIELDS, n=1, cutoff=0.85)
        if near and name not in _FIELDS:
            message = f"There is no field {name}. Did you mean {near[0]}?"
            raise ApiError(400, message, code="unknown_parameter", param=name)


def is_task(text: str) -> bool:
    """Return whether a text is a request of Open WebUI for a title, tags or the like."""
    return text.startswith("### Task:") and "<chat_history>" in text
