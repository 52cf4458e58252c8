"""A model server on loopback that follows a script: replies, and every way to fail.

It speaks OpenAI's chat completions over HTTP, streaming, one scripted step per request. The last
step is repeated. Requests are kept for the test to look at.
"""

from __future__ import annotations

import contextlib
import json
import re
import socket
import threading
import time
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


@dataclass
class Step:
    """One reply.

    Attributes:
        text: text of the reply, sent in pieces of `size` characters.
        status: any other than 200 sends `text` as an error's message.
        headers: more headers, such as Retry-After.
        cut_after: number of pieces after which the connection is closed.
        finish: finish_reason of the last chunk. None ends without one.
        usage: send token figures.
        raw: bytes of the body, sent instead of a stream.
        content_type: type of the body.
        first_byte_s: seconds before the first byte.
        between_s: seconds between pieces.
        empty_choices: send a chunk without choices first.
        split_bytes: send the stream in pieces of so many bytes, which splits characters.
        reply: function from the request's body to a text, used instead of `text`.
        logprob: of the first token, sent if the request asks for it.
    """

    text: str = ""
    status: int = 200
    headers: dict = field(default_factory=dict)
    size: int = 7
    cut_after: int | None = None
    finish: str | None = "stop"
    usage: bool = True
    raw: bytes | None = None
    content_type: str = "text/event-stream"
    first_byte_s: float = 0.0
    between_s: float = 0.0
    empty_choices: bool = False
    split_bytes: int = 0
    reply: object = None
    logprob: float | None = None


class ModelServer:
    """A running server. Clients take its `url`, tests read its `requests`.

    A step may be a function from the request's body to a `Step`. Calls for a plan are answered by
    `plan` and kept in `plans`: tests of other things need not count them.
    """

    def __init__(self, *steps, plan=None):
        self.steps = list(steps)
        self.plan = plan or repeat_question
        self.requests = []
        self.plans = []
        self.headers = []
        self.lists = {}  # path of a GET -> JSON value
        self.disconnected = threading.Event()
        self._lock = threading.Lock()
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *arguments):
                pass

            def do_GET(self):
                data = json.dumps(owner.lists.get(self.path)).encode()
                self.send_response(200 if self.path in owner.lists else 404)
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                with owner._lock:
                    messages = body.get("messages", [{"content": ""}])
                    if messages[0]["content"].startswith("You plan a search"):
                        owner.plans.append(body)
                        step = owner.plan
                    else:
                        owner.requests.append(body)
                        owner.headers.append(dict(self.headers.items()))
                        step = owner.steps[min(len(owner.requests), len(owner.steps)) - 1]
                with contextlib.suppress(OSError):
                    owner._answer(self, step(body) if callable(step) else step, body)

        class Server(ThreadingHTTPServer):
            request_queue_size = 128

            def handle_error(self, *arguments):
                """Print nothing. Clients hang up in these tests."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.02,), daemon=True
        )

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *exception):
        self._server.shutdown()
        self._server.server_close()

    @property
    def prompts(self):
        """Messages of each request as one text."""
        return ["\n".join(m["content"] for m in body["messages"]) for body in self.requests]

    def _answer(self, handler, step, body):
        handler.connection.settimeout(step.first_byte_s or None)
        with contextlib.suppress(TimeoutError):  # a client sends nothing more unless it hangs up
            if step.first_byte_s and handler.connection.recv(1) == b"":
                self.disconnected.set()
                raise ConnectionAbortedError
        handler.connection.settimeout(None)
        if step.status != 200 or step.raw is not None:
            error = json.dumps({"error": {"message": step.text, "type": "scripted"}}).encode()
            data = step.raw if step.raw is not None else error
            handler.send_response(step.status)
            kind = step.content_type if step.raw is not None else "application/json"
            handler.send_header("Content-Type", kind)
            handler.send_header("Content-Length", str(len(data)))
            for name, value in step.headers.items():
                handler.send_header(name, value)
            handler.end_headers()
            handler.wfile.write(data)
            return
        handler.send_response(200)
        handler.send_header("Content-Type", step.content_type)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        try:
            for number, piece in enumerate(self._pieces(step, body)):
                if number == step.cut_after:
                    handler.connection.shutdown(socket.SHUT_RDWR)
                    return
                handler.wfile.write(b"%x\r\n%s\r\n" % (len(piece), piece))
                handler.wfile.flush()
                time.sleep(step.between_s)
            handler.wfile.write(b"0\r\n\r\n")
        except OSError:
            self.disconnected.set()
            raise

    def _pieces(self, step, body):
        events = b"".join(self._events(step, body)) if step.split_bytes else None
        if events is None:
            yield from self._events(step, body)
            return
        for start in range(0, len(events), step.split_bytes):
            yield events[start : start + step.split_bytes]

    def _events(self, step, body):
        text = step.reply(body) if step.reply else step.text
        if step.empty_choices:
            yield _event({"choices": []})
        yield _event({"choices": [_choice({"role": "assistant", "content": ""}, None)]})
        for start in range(0, len(text), step.size):
            choice = _choice({"content": text[start : start + step.size]}, None)
            if body.get("logprobs") and step.logprob is not None:
                token = {"token": choice["delta"]["content"], "logprob": step.logprob}
                choice["logprobs"] = {"content": [token | {"bytes": None, "top_logprobs": []}]}
            yield _event({"choices": [choice]})
        if step.finish:
            yield _event({"choices": [_choice({}, step.finish)]})
        if step.usage and body.get("stream_options", {}).get("include_usage"):
            counts = {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120}
            yield _event({"choices": [], "usage": counts})
        yield b"data: [DONE]\n\n"


def repeat_question(body):
    """A plan that asks what the reader typed."""
    asked = re.search("<question>\n(.*)\n</question>", body["messages"][-1]["content"], re.DOTALL)
    plan = {"question": asked[1], "alone": True, "kind": "answer"}
    return Step(json.dumps(plan), size=1000)  # every piece takes its reader a while


def complete_follow_up(question):
    """Plans that ask the first question as typed, and this one in place of later ones."""

    def plan(body):
        if "<conversation>" not in body["messages"][-1]["content"]:
            return repeat_question(body)
        return Step(json.dumps({"question": question, "alone": False}), size=1000)

    return plan


def _choice(delta, finish):
    return {"index": 0, "delta": delta, "finish_reason": finish}


def _event(fields):
    whole = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "m", **fields}
    return b"data: " + json.dumps(whole, ensure_ascii=False).encode() + b"\n\n"
