"""Serve a library as an OpenAI-compatible endpoint, so that chat clients get checked answers.

Text that was sent cannot be withdrawn. So a stream carries statements that are checked, and as long
as there are none, comments that keep the connection open. Called by `rag serve`.
"""

from __future__ import annotations

import asyncio
import difflib
import json
import logging
import math
import os
import re
import time
from collections import OrderedDict
from contextlib import aclosing, contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import pairwise
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Literal, TypeVar

from pydantic import BaseModel, Field, ValidationError
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Mount, Route

from rag.answer import Answer, Done, Status, Text, Turn, Verified
from rag.answer.document import Composer, Document
from rag.answer.markdown import render_markdown
from rag.citations.markers import remove_markers
from rag.errors import (
    CorpusError,
    IndexLocked,
    ModelRejected,
    ModelUnavailable,
    RagError,
    SettingsError,
)
from rag.generation.job import Job
from rag.serving.description import CheckedAnswer, describe_answer
from rag.serving.guard import Guard, Refusal
from rag.serving.limits import RateLimit, check_question
from rag.serving.query import PaperQuery
from rag.serving.server import make_lifespan, run_server

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncGenerator, AsyncIterator, Generator, Iterator, Sequence

    from rag.answer import AnswerEvent, Statement
    from rag.serving.library_pool import LibraryPool

Model = TypeVar("Model", bound=BaseModel)

PATH = "/v1"
MODEL = "papertrail"  # the library of the settings; "papertrail/NAME" is a named one
MAX_REQUEST_BYTES = 2_000_000  # a long conversation
MAX_WAITING = 64  # requests that wait for a free worker
_WITH_MODEL = 24  # answers at once; they wait for the language model most of the time
_MOST_TURNS = 50  # of a conversation that are read, the last ones
_MOST_REMEMBERED = 200  # answers whose papers a follow-up may point to
_COMMENT_S = 10.0  # between comments that keep a connection open
_BODY_S = 30.0  # for a request to arrive
_BUSY_S = 5  # after which a refused client may try again
_DOUBTED = ("unsupported", "contradicted", "uncited", "unchecked")
_RETRYABLE = (429, 500, 503)
_ERROR_TYPES = {429: "rate_limit_error", **dict.fromkeys((500, 502, 503), "server_error")}
# A proxy in front may neither keep nor gather what is streamed.
_STREAM_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_CORRECTED = "\n\n---\n\n**As checked:**\n\n"
_NO_TASKS = "Papertrail answers questions about its papers and does no other tasks."
_BUG = "Something went wrong on the server. Its log has the details."
# Signs that may make the Markdown of a part differ from that of the whole: code and formulas.
_OPEN_ENDED = re.compile(r"[`~$\\]")
_log = logging.getLogger("papertrail.serve")


class ApiError(Exception):
    """A refusal or failure in the form of OpenAI's API."""

    def __init__(
        self, status: int, message: str, *, code: str, param: str = "", wait_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.wait_s = wait_s
        self._error = {
            "message": message,
            "type": _ERROR_TYPES.get(status, "invalid_request_error"),
            "param": param or None,
            "code": code,
        }

    @property
    def body(self) -> dict[str, Any]:
        """Return the JSON that clients expect."""
        return {"error": self._error}

    def to_response(self, headers: dict[str, str] | None = None) -> JSONResponse:
        """Return the response. A client is told whether to try again."""
        sent = {"x-should-retry": str(self.status in _RETRYABLE).lower(), **(headers or {})}
        if self.wait_s is not None:
            sent["Retry-After"] = str(max(1, math.ceil(self.wait_s)))
        return JSONResponse(self.body, self.status, sent)


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


_FILTERS = [name for name in PaperQuery.model_fields if name != "question"]
_FIELDS = [*ChatRequest.model_fields, *_FILTERS]


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


class Endpoint:
    """Answers the requests of chat clients over the libraries of a pool."""

    def __init__(self, pool: LibraryPool, rate_limit: RateLimit) -> None:
        self._pool = pool
        self._rate_limit = rate_limit
        self._count = _WITH_MODEL if pool.settings.writer else max(2, os.cpu_count() or 2)
        self._places = asyncio.Semaphore(self._count)
        self._under_way = 0
        self._memory: OrderedDict[str, Answer] = OrderedDict()
        self._started = int(time.time())

    async def list_models(self, _request: Request) -> JSONResponse:
        """List the libraries as models."""
        names = await asyncio.to_thread(self._pool.list_names)
        models = [self._describe_model(each) for each in (MODEL, *(f"{MODEL}/{n}" for n in names))]
        return JSONResponse({"object": "list", "data": models})

    async def get_model(self, request: Request) -> JSONResponse:
        """Describe one library as a model."""
        model = request.path_params["model"]
        await asyncio.to_thread(self._find_library, model)
        return JSONResponse(self._describe_model(model))

    async def complete(self, request: Request) -> JSONResponse | StreamingResponse:
        """Answer the last question of a conversation."""
        body = _parse_body(await _read_body(request))
        chat = _validate(ChatRequest, body)
        library = await asyncio.to_thread(self._find_library, chat.model)
        asked, history = self._read_conversation(chat.messages)
        reply = Reply(chat)
        if _is_task(asked):
            events = _refuse_task()
        else:
            question = self._check_question(chat, library, asked, history, body)
            events = self._answer(request, question, reply)
        if chat.stream:
            parts = _stream(events, reply)
            return StreamingResponse(parts, 200, _STREAM_HEADERS, "text/event-stream")
        try:
            async with aclosing(events):
                text = "".join([part async for part in events if part])
        except ClientDisconnect:
            return JSONResponse({}, 499)  # nobody reads it
        return JSONResponse(reply.whole(text))

    def _check_question(
        self,
        chat: ChatRequest,
        library: str | None,
        asked: str,
        history: tuple[Turn, ...],
        body: dict[str, Any],
    ) -> Question:
        """Return the question if it may be asked now."""
        if problem := check_question(asked):
            raise ApiError(400, problem, code="invalid_value", param="messages")
        _refuse_misspelled(body)
        if chat.mode == "model" and not self._pool.settings.writer:
            problem = "This server has no language model. Leave mode out, or send quotes."
            raise ApiError(400, problem, code="invalid_value", param="mode")
        given = {name: body[name] for name in _FILTERS if name in body}
        query = _validate(PaperQuery, {**given, "question": asked})
        try:
            _ = query.where
        except SettingsError as error:
            raise ApiError(400, str(error), code="invalid_value", param="years") from error
        if self._under_way >= self._count + MAX_WAITING:
            problem = "This server is busy with other questions. Try again in some seconds."
            raise ApiError(429, problem, code="server_busy", wait_s=_BUSY_S)
        if problem := self._rate_limit.count_question(None):
            wait_s = self._rate_limit.compute_wait_s(None)
            raise ApiError(429, problem, code="rate_limit_exceeded", wait_s=wait_s)
        return Question(chat, library, query, history)

    async def _answer(
        self, request: Request, question: Question, reply: Reply
    ) -> AsyncGenerator[str | None, None]:
        """Yield parts of the reply's text, and None where a comment shows what is being done.

        Raises:
            ApiError: there is no answer.
        """
        async with aclosing(self._follow(request, question)) as events:
            async for event in events:
                if isinstance(event, Done):
                    self._rate_limit.count_tokens(None, event.answer.usage)
                    for part in reply.finish(event.answer):
                        yield part
                    self._remember(reply.sent, event.answer)
                else:
                    yield reply.add(event)

    async def _follow(
        self, request: Request, question: Question
    ) -> AsyncGenerator[AnswerEvent | None, None]:
        """Yield the events of an answer, and None where nothing happens for a while.

        Ending the iteration ends the request to the language model at once, and so does a client
        that hangs up.
        """
        queue: asyncio.Queue[AnswerEvent | Exception] = asyncio.Queue()
        work = asyncio.create_task(self._work(question, queue))
        watch = asyncio.create_task(_watch(request, work, queue))
        try:
            event: AnswerEvent | Exception | None = None
            while not isinstance(event, Done):
                event = None
                with suppress(TimeoutError):
                    event = await asyncio.wait_for(queue.get(), _COMMENT_S)
                if isinstance(event, Exception):
                    raise event
                yield event
        finally:
            work.cancel()
            watch.cancel()

    async def _work(
        self, question: Question, queue: asyncio.Queue[AnswerEvent | Exception]
    ) -> None:
        """Put the events of an answer into a queue once a worker is free, or why there are none."""
        with self._count_work():
            try:
                async with self._places:
                    job = Job(partial(self._open_stream, question))
                    job.start()
                    async with aclosing(job.iter_events()) as events:
                        async for event in events:
                            queue.put_nowait(event)
            except Exception as error:  # noqa: BLE001 - raised where the queue is read
                queue.put_nowait(_to_api_error(error))

    @contextmanager
    def _count_work(self) -> Iterator[None]:
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1

    def _open_stream(self, question: Question) -> Generator[AnswerEvent, None, None]:
        query, chat = question.query, question.request
        assistant = self._pool.get_assistant(question.library)
        if chat.mode == "quotes":
            assistant = assistant.with_settings(assistant.settings, with_model=False)
        if chat.kind == "list":
            yield from assistant.stream_list(query.question, where=query.where)
            return
        yield from assistant.stream(
            query.question, history=question.history, k=query.k, where=query.where
        )

    def _find_library(self, model: str) -> str | None:
        """Return the name of the library that a model's name stands for."""
        start, _, name = model.partition("/")
        if start == MODEL and (model == MODEL or name in self._pool.list_names()):
            return name or None
        message = f"There is no model {model[:100]!r}. GET {PATH}/models lists them."
        raise ApiError(404, message, code="model_not_found", param="model")

    def _describe_model(self, name: str) -> dict[str, Any]:
        fields = {"object": "model", "created": self._started, "owned_by": "papertrail"}
        return {"id": name, **fields}

    def _read_conversation(self, messages: Sequence[Message]) -> tuple[str, tuple[Turn, ...]]:
        """Return the last question and the turns before it.

        Instructions of a system and results of tools are left out: answers follow the papers and
        the prompts of this program.
        """
        said = [(each.role, each.text.strip()) for each in messages]
        users = [place for place, (role, _) in enumerate(said) if role == "user"]
        if not users:
            problem = "No message has the role user. Send a question."
            raise ApiError(400, problem, code="invalid_value", param="messages")
        turns = []
        for place, following in pairwise(users):
            replies = [text for role, text in said[place:following] if role == "assistant"]
            if replies:
                turns.append(self._recall(said[place][1], "\n\n".join(replies)))
        return said[users[-1]][1], tuple(turns[-_MOST_TURNS:])

    def _recall(self, question: str, text: str) -> Turn:
        """Return an earlier turn, with its papers if this server wrote the text and remembers."""
        answer = self._memory.get(text)
        if answer is None:
            answer = Answer(question, question, text, (), (), "answered", "model")
        return Turn(question, answer)

    def _remember(self, text: str, answer: Answer) -> None:
        self._memory[text.strip()] = answer
        if len(self._memory) > _MOST_REMEMBERED:
            self._memory.popitem(last=False)


@dataclass(slots=True)
class Reply:
    """One reply while it is made.

    Attributes:
        chat: the request.
        sent: text so far.
        comment: what is being done, for a comment of the stream.
        described: the whole answer, once there is one.
    """

    chat: ChatRequest
    sent: str = ""
    comment: str = "waiting"
    described: CheckedAnswer | None = None
    _written: str = ""  # by the model, unchecked
    _finish: str = "stop"
    _tokens: tuple[int, int] = (0, 0)
    _id: str = field(default_factory=lambda: f"chatcmpl-{token_hex(12)}")
    _created: int = field(default_factory=lambda: int(time.time()))

    def add(self, event: AnswerEvent | None) -> str | None:
        """Return the text that an event adds, or None for a new comment."""
        if event is None or isinstance(event, Status):
            self.comment = " ".join(event.text.split()) if event else self.comment
            return None
        if isinstance(event, Text):
            self._written += event.delta
            if self.chat.draft:  # a word is whole when a space follows it
                return self._extend(_render(self._written[: self._written.rfind(" ") + 1], ()))
        elif isinstance(event, Verified) and not self.chat.draft:
            settled = _find_settled(event, self._written)
            end = settled[-1].end if settled else 0
            return self._extend(_render(self._written[:end], settled))
        return ""

    def finish(self, answer: Answer) -> Iterator[str]:
        """Yield the rest of the text by paragraphs."""
        self.described = describe_answer(answer)
        self._finish = "length" if answer.status == "incomplete" else "stop"
        self._tokens = (answer.usage.prompt_tokens, answer.usage.completion_tokens)
        whole = answer.to_reply()
        if not whole.startswith(self.sent):  # a draft that was corrected
            whole = f"{self.sent}{_CORRECTED}{whole}"
        rest = re.findall(r".+?(?:\n\n+|\Z)", whole[len(self.sent) :], re.DOTALL)
        self.sent = whole
        yield from rest

    def chunk(self, delta: dict[str, Any], finish: str | None = None) -> bytes:
        """Return one event of a stream."""
        choice = {"index": 0, "delta": delta, "logprobs": None, "finish_reason": finish}
        return _write_event(self._frame("chat.completion.chunk", [choice]))

    def end(self) -> bytes:
        """Return the last events of a stream."""
        events = self.chunk({}, self._finish)
        if self.chat.stream_options and self.chat.stream_options.include_usage:
            usage = {"usage": self._usage}
            events += _write_event(self._frame("chat.completion.chunk", []) | usage)
        return events + b"data: [DONE]\n\n"

    def whole(self, text: str) -> dict[str, Any]:
        """Return the reply to a request without a stream."""
        message = {"role": "assistant", "content": text, "refusal": None, **self.extra}
        choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": self._finish}
        return self._frame("chat.completion", [choice]) | {"usage": self._usage}

    @property
    def extra(self) -> dict[str, Any]:
        """Field with the whole answer, if there is one."""
        return {"papertrail": self.described} if self.described else {}

    @property
    def _usage(self) -> dict[str, int]:
        prompt, completion = self._tokens
        return {
            "prompt_tokens": prompt,
            "completion_tokens": completion,
            "total_tokens": prompt + completion,
        }

    def _frame(self, kind: str, choices: list[dict[str, Any]]) -> dict[str, Any]:
        fields = {"id": self._id, "object": kind, "created": self._created}
        return {**fields, "model": self.chat.model, "choices": choices}

    def _extend(self, text: str) -> str:
        """Return what a text adds to what was sent, "" if it changes that."""
        new = text[len(self.sent) :] if text.startswith(self.sent) else ""
        self.sent += new
        return new


def _find_settled(event: Verified, written: str) -> Sequence[Statement]:
    """Return the first statements of a model's text that no later step changes.

    A reader has judged each of them, and doubts none. A repair rewrites only what is in doubt, and
    numbers follow the order of first use. There are none where the text of the whole may be read in
    another way than that of a part, or where none cites a paper: that would be an abstention.
    """
    if event.text or not event.checker or _OPEN_ENDED.search(written) or written[:1].isspace():
        return ()
    settled: list[Statement] = []
    for statement in event.statements:
        cited = statement.citations
        is_judged = all(each.by == event.checker.name for each in cited)
        is_doubted = statement.verdict in _DOUBTED
        shown = remove_markers(written[statement.start : statement.end])
        is_prose = not (statement.context or statement.listed)
        is_as_written = is_prose and shown.split() == statement.text.split()
        if is_doubted or not is_judged or not is_as_written:
            break
        settled.append(statement)
    numbers = dict.fromkeys(c.number for each in settled for c in each.citations)
    if not numbers or list(numbers) != list(range(1, len(numbers) + 1)):
        return ()
    return settled


def _render(text: str, statements: Sequence[Statement]) -> str:
    """Return a model's text as the whole reply has it."""
    sources = {c.number: c.paper for statement in statements for c in statement.citations}
    composer = Composer("numeric", [], sources, is_document=False)
    prose = composer.write_prose(text.lstrip(), ())
    return render_markdown(Document("", prose, composer.asides))


async def _stream(events: AsyncGenerator[str | None, None], reply: Reply) -> AsyncIterator[bytes]:
    """Yield a reply as server-sent events. Failures become an event, since a status was sent."""
    yield reply.chunk({"role": "assistant", "content": ""})
    try:
        async with aclosing(events) as parts:
            async for part in parts:
                if part is None:
                    yield f": {reply.comment}\n\n".encode()
                elif part:
                    yield reply.chunk({"content": part})
        yield reply.chunk({"content": "", **reply.extra})
        yield reply.end()
    except ApiError as error:
        yield _write_event(error.body)
        yield b"data: [DONE]\n\n"
    except ClientDisconnect:
        return


async def _refuse_task() -> AsyncGenerator[str | None, None]:
    yield _NO_TASKS


async def _watch(
    request: Request, work: asyncio.Task[None], queue: asyncio.Queue[AnswerEvent | Exception]
) -> None:
    """End the work when the client hangs up."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    work.cancel()
    queue.put_nowait(ClientDisconnect())


async def _read_body(request: Request) -> bytes:
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


def _parse_body(body: bytes) -> dict[str, Any]:
    try:
        values = json.loads(body)
        json.dumps(values, ensure_ascii=False).encode()  # half a surrogate pair is no text
    except (ValueError, RecursionError) as error:
        raise ApiError(400, "The body is not valid JSON.", code="invalid_json") from error
    if not isinstance(values, dict):
        raise ApiError(400, "The body is not a JSON object.", code="invalid_json")
    return values


def _validate(model: type[Model], values: dict[str, Any]) -> Model:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        place = ".".join(map(str, first["loc"]))
        message = f"Bad value for {place}: {first['msg'].rstrip('.')}."
        raise ApiError(400, message, code="invalid_value", param=place) from error


def _refuse_misspelled(body: dict[str, Any]) -> None:
    """Refuse a field that was meant for this server, since ignoring a filter misleads."""
    for name in body:
        near = difflib.get_close_matches(name, _FIELDS, n=1, cutoff=0.85)
        if near and name not in _FIELDS:
            message = f"There is no field {name}. Did you mean {near[0]}?"
            raise ApiError(400, message, code="unknown_parameter", param=name)


def _is_task(text: str) -> bool:
    """Return whether a text is a request of Open WebUI for a title, tags or the like."""
    return text.startswith("### Task:") and "<chat_history>" in text


def _to_api_error(error: Exception) -> ApiError:
    """Return the error of the API for what ended an answer."""
    if isinstance(error, SettingsError | CorpusError):
        return ApiError(400, str(error), code="invalid_value")
    if isinstance(error, ModelRejected):
        return ApiError(502, str(error), code="model_rejected")
    if isinstance(error, ModelUnavailable | IndexLocked):
        return ApiError(503, str(error), code="unavailable", wait_s=_BUSY_S)
    if isinstance(error, RagError):
        return ApiError(502, str(error), code="library_failed")
    _log.error("a question failed", exc_info=error)
    return ApiError(500, _BUG, code="internal_error")


def _write_event(values: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(values, separators=(',', ':'))}\n\n".encode()


def _handle_api_error(_request: Request, error: ApiError) -> JSONResponse:
    return error.to_response()


def _handle_bug(_request: Request, error: Exception) -> JSONResponse:
    return _to_api_error(error).to_response()


def _handle_http_error(_request: Request, error: HTTPException) -> JSONResponse:
    message = f"There is no such address or method. This server has {PATH}/chat/completions."
    failed = ApiError(error.status_code, message, code="not_found")
    return failed.to_response(dict(error.headers or {}))


def _respond(refusal: Refusal) -> JSONResponse:
    code = "invalid_api_key" if refusal.status == 401 else "forbidden"
    return ApiError(refusal.status, refusal.sentence, code=code).to_response(refusal.headers)


def make_application(
    pool: LibraryPool,
    rate_limit: RateLimit,
    *,
    host: str,
    port: int,
    names: Sequence[str] = (),
    token: str | None = None,
) -> Starlette:
    """Return the application. Everybody may ask for its health, the guard is before the rest."""
    endpoint = Endpoint(pool, rate_limit)
    paths = [
        Route("/models", endpoint.list_models),
        Route("/models/{model:path}", endpoint.get_model),
        Route("/chat/completions", endpoint.complete, methods=["POST"]),
    ]
    handlers: dict[Any, Any] = {
        ApiError: _handle_api_error,
        HTTPException: _handle_http_error,
        Exception: _handle_bug,
    }
    api = Starlette(routes=paths, exception_handlers=handlers)
    api.router.redirect_slashes = False
    health = Route("/healthz", lambda _request: JSONResponse({"status": "ok"}))
    guard = Guard(api, host=host, port=port, names=names, token=token, respond=_respond)
    routes = [health, Mount(PATH, guard)]
    application = Starlette(routes=routes, exception_handlers=handlers)
    application.router.redirect_slashes = False
    return application


def serve(
    pool: LibraryPool,
    listener: socket.socket,
    host: str,
    *,
    token: str | None = None,
    names: Sequence[str] = (),
    rate_limit: RateLimit,
) -> None:
    """Serve the libraries of a pool until the process is interrupted.

    Raises:
        KeyboardInterrupt: the process was interrupted.
    """
    port = listener.getsockname()[1]
    application = make_application(pool, rate_limit, host=host, port=port, names=names, token=token)
    lifespan = application.router.lifespan_context
    application.router.lifespan_context = make_lifespan(lifespan, lambda: None, pool.close)
    run_server(application, listener, on_signal=pool.stop)
