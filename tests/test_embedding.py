"""Embedding models of servers and of LlamaIndex, and ours in LlamaIndex."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import httpx
import numpy as np
import pytest
from llama_index.core.base.embeddings.base import BaseEmbedding
from llama_index.core.schema import TextNode
from model_server import ModelServer, Step

from rag import as_llama_index, from_llama_index, load_minilm, load_settings
from rag.embedding import has_token_vectors, make_embedder
from rag.errors import ModelRejected, ModelReplyInvalid, ModelUnavailable

TEXTS = ["Graphs guide pre-training.", "Bread needs time."]


class TableEmbedding(BaseEmbedding):
    """Returns its rows by text. A row that is an error is raised."""

    rows: dict[str, Any]

    def _get_text_embedding(self, text):
        row = self.rows[text]
        if isinstance(row, Exception):
            raise row
        return row

    _get_query_embedding = _get_text_embedding

    async def _aget_query_embedding(self, query):
        return self._get_text_embedding(query)


@pytest.fixture(scope="module")
def minilm():
    return load_minilm()


# Ours in LlamaIndex


def test_llama_index_gets_the_same_vectors_for_texts_questions_and_nodes(minilm):
    adapter = as_llama_index(minilm)
    expected = minilm.embed(TEXTS)
    assert adapter.model_name == minilm.name
    assert np.allclose(adapter.get_text_embedding_batch(TEXTS), expected, atol=1e-6)
    assert np.allclose(adapter.get_query_embedding(TEXTS[0]), expected[0], atol=1e-6)
    row = asyncio.run(adapter.aget_query_embedding(TEXTS[1]))
    assert np.allclose(row, expected[1], atol=1e-6)
    nodes = adapter([TextNode(text=text) for text in TEXTS])
    assert np.allclose([node.embedding for node in nodes], expected, atol=1e-6)


def test_round_trip_through_llama_index_changes_nothing(minilm):
    embedder = from_llama_index(as_llama_index(minilm), name=minilm.name)
    assert (embedder.name, embedder.dim) == (minilm.name, minilm.dim)
    assert np.allclose(embedder.embed(TEXTS), minilm.embed(TEXTS), atol=1e-6)


# LlamaIndex's as ours


def test_rows_are_scaled_to_length_one():
    # (3, 4) has length 5.
    embedder = from_llama_index(TableEmbedding(rows={"a": [3.0, 4.0], "b": [0.0, 2.0]}))
    vectors = embedder.embed(["a", "b"])
    assert vectors.dtype == np.float32
    assert np.allclose(vectors, [[0.6, 0.8], [0.0, 1.0]])


def test_name_consists_of_kind_and_model_unless_given():
    model = TableEmbedding(rows={}, model_name="table-1")
    assert from_llama_index(model).name == f"{model.class_name()}/table-1"
    assert from_llama_index(model, name="mine").name == "mine"


def test_dimension_costs_a_call_only_if_no_vector_was_seen():
    embedder = from_llama_index(TableEmbedding(rows={"a": [1.0, 0.0, 0.0]}))
    embedder.embed(["a"])
    assert embedder.dim == 3  # the table has no other text, so there was no further call
    embedder = from_llama_index(TableEmbedding(rows={"dimension": [1.0, 0.0, 0.0]}))
    assert embedder.dim == 3
    assert embedder.embed([]).shape == (0, 3)


def test_only_an_embedder_that_encodes_has_token_vectors(minilm):
    assert has_token_vectors(minilm)
    assert not has_token_vectors(from_llama_index(TableEmbedding(rows={})))


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ({"a": [1.0, 2.0], "b": [1.0]}, "different lengths"),
        ({"a": [], "b": []}, r"shape \(2, 0\)"),
        ({"a": [0.0, 0.0], "b": [1.0, 0.0]}, "zero or not finite"),
        ({"a": [float("nan"), 0.0], "b": [1.0, 0.0]}, "zero or not finite"),
    ],
)
def test_rows_that_are_not_vectors_are_refused(rows, problem):
    with pytest.raises(ModelReplyInvalid, match=problem):
        from_llama_index(TableEmbedding(rows=rows)).embed(["a", "b"])


def test_dimension_that_changes_is_refused():
    embedder = from_llama_index(TableEmbedding(rows={"a": [1.0, 0.0], "b": [1.0]}))
    embedder.embed(["a"])
    with pytest.raises(ModelReplyInvalid, match="1 dimensions after 2"):
        embedder.embed(["b"])


def test_errors_of_vendors_become_ours():
    vendors = RuntimeError("Connection error.")
    vendors.__cause__ = httpx.ConnectError("refused")
    ours = ModelRejected("no")
    rows = {"a": vendors, "b": ours, "c": RuntimeError("first line\nsecond line")}
    embedder = from_llama_index(TableEmbedding(rows=rows), name="m-1")
    with pytest.raises(ModelUnavailable, match="Cannot reach the model m-1") as caught:
        embedder.embed(["a"])
    assert caught.value.retryable
    assert caught.value.__cause__ is vendors
    with pytest.raises(ModelRejected) as caught:
        embedder.embed(["b"])
    assert caught.value is ours
    with pytest.raises(ModelUnavailable, match=r"RuntimeError: first line\)") as caught:
        embedder.embed(["c"])
    assert not caught.value.retryable


# Models of servers


def body(content):
    return Step(raw=json.dumps(content).encode(), content_type="application/json")


def served(server, **settings):
    return make_embedder(load_settings(embed_model="m-1", embed_url=server.url, **settings))


def test_vectors_of_a_server_come_in_order_and_in_batches():
    def answer(request):
        return body({"data": [{"embedding": [len(text), 1]} for text in request["input"]]})

    with ModelServer(answer) as server:
        embedder = served(server)
        vectors = embedder.embed(["x" * n for n in range(1, 151)])
        embedder.embed(["two\nlines"])
    assert embedder.name == f"m-1 at {server.url.removeprefix('http://').removesuffix('/v1')}"
    assert vectors.shape == (150, 2)
    assert np.allclose(vectors[:, 0] / vectors[:, 1], range(1, 151), rtol=1e-4)
    assert [len(request["input"]) for request in server.requests] == [100, 50, 1]
    assert server.requests[2]["input"] == ["two lines"]


@pytest.mark.parametrize(
    ("status", "kind", "retryable"),
    [
        *[(status, ModelRejected, False) for status in (302, 400, 401, 404)],
        *[(status, ModelUnavailable, True) for status in (408, 429, 500, 503)],
    ],
)
def test_status_decides_which_error_it_is(status, kind, retryable):
    said = rf"m-1.*HTTP {status}: no \*\*\*\)"
    step = Step("no sk-secret", status=status)
    with ModelServer(step) as server, pytest.raises(kind, match=said) as caught:
        served(server, embed_key="sk-secret", chat_retries=0).embed(["x"])
    assert caught.value.retryable is retryable


@pytest.mark.parametrize(
    "content", ["<html>", {}, [], {"data": None}, {"data": [3]}, {"data": [{"embedding": "x"}]}]
)
def test_reply_without_vectors_is_invalid(content):
    with ModelServer(body(content)) as server, pytest.raises(ModelReplyInvalid, match="m-1"):
        served(server).embed(["x"])
