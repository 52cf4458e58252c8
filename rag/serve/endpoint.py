"""The endpoint: models, chat completions and health, over the libraries of a pool."""

from __future__ import annotations

import asyncio
import os
import time
from collections import OrderedDict
from contextlib import aclosing, suppress
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, StreamingResponse
from starlette.routing import Mount, Route

from rag.answer import Answer, Done, Turn
from rag.errors import SettingsError
from rag.generation.job import Job
from rag.serve.api_error import BUSY_S, ApiError, to_api_error
from rag.serve.reply import Reply, stream_reply
from rag.serve.request import (
    FILTERS,
    ChatRequest,
    Message,
    Question,
    is_task,
    parse_body,
    read_body,
    refuse_misspelled,
    validate,
)
from rag.serving.guard import Guard, Refusal
from rag.serving.limits import RateLimit, check_question
from rag.serving.query import PaperQuery
from rag.serving.server import make_lifespan, run_server

if TYPE_CHECKING:
    import socket
    from collections.abc import AsyncGenerator, Generator, Sequence

    from rag.answer import AnswerEvent
    from rag.serving.library_pool import LibraryPool

    Events = asyncio.Queue[AnswerEvent | Exception]

PATH = "/v1"
MODEL = "papertrail"  # the library of the settings; "papertrail/NAME" is a named one
MAX_WAITING = 64  # requests that wait for a free worker; others get status 429
MAX_CONNECTIONS = 1000
_WITH_MODEL = 24  # answers at once; they wait for the language model most of the time
_MOST_TURNS = 50  # of a conversation that are read, the last ones
_MOST_REMEMBERED = 200  # answers whose papers a follow-up may point to
_COMMENT_S = 10.0  # between comments that keep a connection open
# A proxy in front may neither keep nor gather what is streamed.
_STREAM_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
_NO_TASKS = "Papertrail answers questions about its papers and does no other tasks."


class Endpoint:
    """Answers the requests of chat clients over the libraries of a pool."""

    def __init__(self, pool: LibraryPool, rate_limit: RateLimit) -> None:
        self._pool = pool
        self._rate_limit = rate_limit
        self._count = _WITH_MODEL if pool.settings.writer else max(2, os.cpu_count() or 2)
        self._places = asyncio.Semaphore(self._count)
        self._tasks: set[asyncio.Task[None]] = set()  # answers under way or waiting
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
        body = parse_body(await read_body(request))
        chat = validate(ChatRequest, body)
        library = await asyncio.to_thread(self._find_library, chat.model)
        asked, history = self._read_conversation(chat.messages)
        reply = Reply(chat)
        if is_task(asked):
            events = _refuse_task()
        else:
            question = self._check_question(chat, library, asked, history, body)
            events = self._answer(request, *self._start(question), reply)
        if chat.stream:
            parts = stream_reply(events, reply)
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
        refuse_misspelled(body)
        if chat.mode == "model" and not self._pool.settings.writer:
            problem = "This server has no language model. Leave mode out, or send quotes."
            raise ApiError(400, problem, code="invalid_value", param="mode")
        given = {name: body[name] for name in FILTERS if name in body}
        query = validate(PaperQuery, {**given, "question": asked})
        try:
            _ = query.where
        except SettingsError as error:
            raise ApiError(400, str(error), code="invalid_value", param="years") from error
        if len(self._tasks) >= self._count + MAX_WAITING:
            problem = "This server is busy with other questions. Try again in some seconds."
            raise ApiError(429, problem, code="server_busy", wait_s=BUSY_S)
        if problem := self._rate_limit.count_question(None):
            wait_s = self._rate_limit.compute_wait_s(None)
            raise ApiError(429, problem, code="rate_limit_exceeded", wait_s=wait_s)
        return Question(chat, library, query, history)

    def _start(self, question: Question) -> tuple[asyncio.Task[None], Events]:
        """Start to answer a question. Return the task and the queue of its events."""
        queue: Events = asyncio.Queue()
        work = asyncio.create_task(self._work(question, queue))
        self._tasks.add(work)
        work.add_done_callback(self._tasks.discard)
        return work, queue

    async def _answer(
        self, request: Request, work: asyncio.Task[None], queue: Events, reply: Reply
    ) -> AsyncGenerator[str | None, None]:
        """Yield parts of the reply's text, and None where a comment shows what is being done.

        Raises:
            ApiError: there is no answer.
        """
        async with aclosing(_follow(request, work, queue)) as events:
            async for event in events:
                if isinstance(event, Done):
                    self._rate_limit.count_tokens(None, event.answer.usage)
                    for part in reply.finish(event.answer):
                        yield part
                    self._remember(reply.sent, event.answer)
                else:
                    yield reply.add(event)

    async def _work(self, question: Question, queue: Events) -> None:
        """Put the events of an answer into a queue once a worker is free, or why there are none."""
        try:
            async with self._places:
                job = Job(partial(self._open_stream, question))
                job.start()
                async with aclosing(job.iter_events()) as events:
                    async for event in events:
                        queue.put_nowait(event)
        except Exception as error:  # noqa: BLE001 - raised where the queue is read
            queue.put_nowait(to_api_error(error))

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


async def _follow(
    request: Request, work: asyncio.Task[None], queue: Events
) -> AsyncGenerator[AnswerEvent | None, None]:
    """Yield the events of an answer, and None where nothing happens for a while.

    Ending the iteration ends the request to the language model at once, and so does a client
    that hangs up.
    """
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


async def _refuse_task() -> AsyncGenerator[str | None, None]:
    yield _NO_TASKS


async def _watch(request: Request, work: asyncio.Task[None], queue: Events) -> None:
    """End the work when the client hangs up."""
    while (await request.receive())["type"] != "http.disconnect":
        pass
    work.cancel()
    queue.put_nowait(ClientDisconnect())


def _handle_api_error(_request: Request, error: ApiError) -> JSONResponse:
    return error.to_response()


def _handle_bug(_request: Request, error: Exception) -> JSONResponse:
    return to_api_error(error).to_response()


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
    run_server(application, listener, on_signal=pool.stop, most_connections=MAX_CONNECTIONS)
