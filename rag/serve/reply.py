"""Replies to chat clients, whole or as a stream.

Text that was sent cannot be withdrawn. So a stream carries statements that are checked, and as long
as there are none, comments that keep the connection open.
"""

from __future__ import annotations

import json
import re
import time
from contextlib import aclosing
from dataclasses import dataclass, field
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from starlette.requests import ClientDisconnect

from rag.answer import Status, Text, Verified
from rag.answer.document import Composer, Document
from rag.answer.markdown import render_markdown
from rag.citations.markers import remove_markers
from rag.serve.api_error import ApiError
from rag.serving.description import CheckedAnswer, describe_answer

if TYPE_CHECKING:
    from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence

    from rag.answer import Answer, AnswerEvent, Statement
    from rag.serve.request import ChatRequest

_DOUBTED = ("unsupported", "contradicted", "uncited", "unchecked")
_CORRECTED = "\n\n---\n\n**As checked:**\n\n"
# Signs that may make the Markdown of a part differ from that of the whole: code and formulas.
_OPEN_ENDED = re.compile(r"[`~$\\]")


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


async def stream_reply(
    events: AsyncGenerator[str | None, None], reply: Reply
) -> AsyncIterator[bytes]:
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


def _write_event(values: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(values, separators=(',', ':'))}\n\n".encode()
