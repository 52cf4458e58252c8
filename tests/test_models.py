"""The two doors to LlamaIndex, and vendors' errors as ours, over a real server on loopback."""

from __future__ import annotations

import asyncio
import json
import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import httpx
import numpy as np
import pytest
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.schema import TextNode

from rag.embedding import as_llama_index, from_llama_index, has_token_vectors
from rag.embedding.minilm import MiniLM, load_minilm
from rag.errors import ModelError, ModelRejected, ModelReplyInvalid, ModelUnavailable
from rag.llm import to_model_error

if TYPE_CHECKING:
    from collections.abc import Iterator

TEXTS = ["Graphs guide pre-training.", "Bread needs time."]


class TableEmbedding(BaseEmbedding):
    """Gives the rows it was made with, by text; a text it does not know is an error."""

    rows: dict[str, Any]

    def _get_text_embedding(self, text: str) -> list[float]:
        return self.rows[text]

    def _get_query_embedding(self, query: str) -> list[float]:
        return self.rows[query]

    async def _aget_query_embedding(self, query: str) -> list[float]:
        return self.rows[query]


class ServedEmbedding(TableEmbedding):
    """Asks a server for each row, as the clients of vendors do."""

    url: str

    def _get_text_embedding(self, text: str) -> list[float]:
        reply = httpx.post(self.url, json={"input": text}, timeout=5, trust_env=False)
        reply.raise_for_status()
        return reply.json()["embedding"]


class Server(HTTPServer):
    """Answers every post with the status and body it was last told."""

    status = 200
    body = json.dumps({"embedding": [3.0, 4.0]})


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(self.server.status)
        self.end_headers()
        self.wfile.write(self.server.body.encode())

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Say nothing."""


@pytest.fixture
def server() -> Iterator[Server]:
    with Server(("127.0.0.1", 0), Handler) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield running
        running.shutdown()
        thread.join()


def served(server: Server) -> ServedEmbedding:
    return ServedEmbedding(
        rows={}, url=f"http://127.0.0.1:{server.server_address[1]}/embed", model_name="m-1"
    )


@pytest.fixture(scope="module")
def minilm() -> MiniLM:
    return load_minilm()


# Ours in LlamaIndex


def test_llama_index_gets_the_same_vectors_for_texts_questions_and_nodes(minilm: MiniLM) -> None:
    adapter = as_llama_index(minilm)
    expected = minilm.embed(TEXTS)
    assert adapter.model_name == minilm.name
    assert np.allclose(adapter.get_text_embedding_batch(TEXTS), expected, atol=1e-6)
    assert np.allclose(adapter.get_query_embedding(TEXTS[0]), expected[0], atol=1e-6)
    nodes = adapter([TextNode(text=text) for text in TEXTS])
    assert np.allclose([node.embedding for node in nodes], expected, atol=1e-6)


def test_llama_index_may_ask_asynchronously(minilm: MiniLM) -> None:
    adapter = as_llama_index(minilm)
    row = asyncio.run(adapter.aget_query_embedding(TEXTS[1]))
    assert np.allclose(row, minilm.embed([TEXTS[1]])[0], atol=1e-6)


def test_a_round_trip_through_llama_index_changes_nothing(minilm: MiniLM) -> None:
    embedder = from_llama_index(as_llama_index(minilm), name=minilm.name)
    assert (embedder.name, embedder.dim) == (minilm.name, minilm.dim)
    assert np.allclose(embedder.embed(TEXTS), minilm.embed(TEXTS), atol=1e-6)


# LlamaIndex's as ours


def test_rows_are_scaled_to_length_one() -> None:
    # (3, 4) has length 5.
    embedder = from_llama_index(TableEmbedding(rows={"a": [3.0, 4.0], "b": [0.0, 2.0]}))
    vectors = embedder.embed(["a", "b"])
    assert vectors.dtype == np.float32
    assert np.allclose(vectors, [[0.6, 0.8], [0.0, 1.0]])


def test_the_name_is_made_of_kind_and_model_unless_given() -> None:
    model = TableEmbedding(rows={}, model_name="table-1")
    assert from_llama_index(model).name == f"{model.class_name()}/table-1"
    assert from_llama_index(model, name="mine").name == "mine"


def test_the_dimension_is_learnt_from_the_first_vectors() -> None:
    embedder = from_llama_index(TableEmbedding(rows={"a": [1.0, 0.0, 0.0]}))
    embedder.embed(["a"])
    assert embedder.dim == 3  # the table knows no other text, so no further call was made


def test_the_dimension_is_asked_for_when_no_vector_was_seen() -> None:
    embedder = from_llama_index(TableEmbedding(rows={"dimension": [1.0, 0.0, 0.0]}))
    assert embedder.dim == 3
    assert embedder.embed([]).shape == (0, 3)


def test_only_an_embedder_that_encodes_gives_tokens(minilm: MiniLM) -> None:
    assert has_token_vectors(minilm)
    assert not has_token_vectors(from_llama_index(TableEmbedding(rows={})))


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        ({"a": [1.0, 2.0], "b": [1.0]}, "different lengths"),
        ({"a": [], "b": []}, r"shape \(2, 0\)"),
        ({"a": [0.0, 0.0], "b": [1.0, 0.0]}, "zero or not finite"),
        ({"a": [float("nan"), 0.0], "b": [1.0, 0.0]}, "zero or not finite"),
    ],
)
def test_rows_that_are_no_vectors_are_refused(rows: dict[str, Any], said: str) -> None:
    with pytest.raises(ModelReplyInvalid, match=said):
        from_llama_index(TableEmbedding(rows=rows)).embed(["a", "b"])


def test_a_dimension_that_changes_is_refused() -> None:
    embedder = from_llama_index(TableEmbedding(rows={"a": [1.0, 0.0], "b": [1.0]}))
    embedder.embed(["a"])
    with pytest.raises(ModelReplyInvalid, match="1 dimensions after 2"):
        embedder.embed(["b"])


# Errors


def test_a_server_that_answers_is_used(server: Server) -> None:
    assert np.allclose(from_llama_index(served(server)).embed(["x"]), [[0.6, 0.8]])


@pytest.mark.parametrize(
    ("status", "kind", "retryable"),
    [
        (400, ModelRejected, False),
        (401, ModelRejected, False),
        (404, ModelRejected, False),
        (408, ModelUnavailable, True),
        (429, ModelUnavailable, True),
        (500, ModelUnavailable, True),
        (503, ModelUnavailable, True),
    ],
)
def test_a_status_says_which_error_it_is(
    server: Server, status: int, kind: type[ModelError], *, retryable: bool
) -> None:
    server.status = status
    with pytest.raises(kind, match=f"m-1.*HTTP {status}") as caught:
        from_llama_index(served(server)).embed(["x"])
    assert caught.value.retryable is retryable
    assert isinstance(caught.value.__cause__, httpx.HTTPStatusError)


def test_a_reply_that_is_no_json_is_invalid(server: Server) -> None:
    server.body = "<html>"
    with pytest.raises(ModelReplyInvalid, match="cannot be read"):
        from_llama_index(served(server)).embed(["x"])


def test_a_reply_without_the_vector_is_invalid(server: Server) -> None:
    server.body = "{}"
    with pytest.raises(ModelReplyInvalid, match="cannot be read"):
        from_llama_index(served(server)).embed(["x"])


def test_a_closed_port_is_unavailable_and_may_be_tried_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        port = closed.getsockname()[1]
    model = ServedEmbedding(rows={}, url=f"http://127.0.0.1:{port}", model_name="m-1")
    with pytest.raises(ModelUnavailable, match="was not reached") as caught:
        from_llama_index(model).embed(["x"])
    assert caught.value.retryable


def test_a_connection_failure_is_found_behind_a_vendors_error() -> None:
    # The clients of vendors raise their own error from the network's.
    vendors = RuntimeError("Connection error.")
    vendors.__cause__ = httpx.ConnectError("refused")
    assert to_model_error(vendors, "m-1").retryable


def test_an_error_of_ours_stays_as_it_is() -> None:
    ours = ModelRejected("no")
    assert to_model_error(ours, "m-1") is ours


def test_an_unknown_error_is_unavailable_for_good_and_quoted_in_one_line() -> None:
    error = to_model_error(RuntimeError("first line\nsecond line"), "m-1")
    assert isinstance(error, ModelUnavailable)
    assert not error.retryable
    assert "RuntimeError: first line" in str(error)
    assert "second line" not in str(error)
