"""A server on loopback that answers GET and POST by path, as programs that serve models do."""

from __future__ import annotations

import contextlib
import json
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class ListServer:
    """Answers each path with a JSON value, or by a function of the handler and its body.

    Paths without an answer get 404, as `model_server.ModelServer` keeps requests in `requests`:
    (path, headers, body).
    """

    def __init__(self, answers, chat=None):
        self.requests = []
        owner = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *arguments):
                pass

            def do_GET(self):
                self._answer(None)

            def do_POST(self):
                data = self.rfile.read(int(self.headers["Content-Length"]))
                self._answer(json.loads(data))

            def _answer(self, body):
                owner.requests.append((self.path, dict(self.headers), body))
                with contextlib.suppress(OSError):
                    if self.path.endswith("/chat/completions") and chat is not None:
                        chat(self, body)
                        return
                    answer = answers.get(self.path)
                    if callable(answer):
                        answer(self, body)
                    else:
                        send(self, 404 if answer is None else 200, json.dumps(answer).encode())

        class Server(ThreadingHTTPServer):
            def handle_error(self, *arguments):
                """Print nothing. Clients hang up in these tests."""

        self._server = Server(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.port = self._server.server_port
        self.url = f"http://127.0.0.1:{self.port}/v1"
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
    def paths(self):
        """Paths in the order in which they were asked for."""
        return [path for path, _, _ in self.requests]


def send(handler, status, data, **headers):
    """Send one whole reply."""
    handler.send_response(status)
    for name, value in headers.items():
        handler.send_header(name.replace("_", "-"), value)
    handler.send_header("Content-Length", str(len(data)))
    handler.end_headers()
    handler.wfile.write(data)


def trickle(handler, _body):
    """Send a byte now and then, for ever."""
    handler.send_response(200)
    handler.end_headers()
    while True:
        handler.wfile.write(b" ")
        handler.wfile.flush()
        time.sleep(0.1)


def list_of(*names, **fields):
    """The list of OpenAI's protocol."""
    return {"object": "list", "data": [{"id": name, "object": "model", **fields} for name in names]}
