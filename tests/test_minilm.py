"""The bundled embedder against published figures, the raw graph and odd texts."""

from __future__ import annotations

import hashlib
import itertools
import json
import shutil
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag.embedding.encoder import BLOCK_TEXTS, normalize_rows
from rag.embedding.minilm import FOLDER, load_minilm, open_bundled_tokenizer, open_network
from rag.errors import ModelUnavailable

SENTENCE = "Graphs guide the pre-training of vision-language models."
LONG = " ".join(f"Sentence {n} speaks of graph neural networks." for n in range(150))


@pytest.fixture(scope="module")
def model():
    return load_minilm()


def largest_difference(one, other):
    return float(np.abs(one - other).max())


# What the vectors are


def test_similarities_are_those_published_for_the_model(model):
    # Source: https://sbert.net/docs/quickstart.html gives .6660, .1046 and .1411 for these three.
    vectors = model.embed(
        ["The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium."]
    )
    similarities = vectors @ vectors.T
    assert similarities[0, 1] == pytest.approx(0.6660, abs=3e-4)
    assert similarities[0, 2] == pytest.approx(0.1046, abs=3e-4)
    assert similarities[1, 2] == pytest.approx(0.1411, abs=3e-4)


def test_vectors_are_the_mean_of_all_states_and_the_projected_states_of_each_token(model):
    ids = np.array([open_bundled_tokenizer().encode(SENTENCE).ids], np.int64)
    (states,) = open_network()(ids, np.ones_like(ids))
    mean = states.mean(axis=0)
    assert largest_difference(model.embed([SENTENCE])[0], mean / np.linalg.norm(mean)) < 1e-6
    projected = states[1:-1] @ np.load(FOLDER / "projection.npy").astype(np.float32)
    (encoding,) = model.encode([SENTENCE])
    assert encoding.token_ids.tolist() == ids[0, 1:-1].tolist()  # without the special tokens
    assert largest_difference(encoding.tokens, normalize_rows(projected)) < 1e-6


def test_shapes_and_kinds_are_as_documented(model):
    (encoding,) = model.encode([SENTENCE])
    pieces = len(encoding.token_ids)
    assert (model.dim, model.token_dim) == (384, 128)
    assert (encoding.vector.shape, encoding.vector.dtype) == ((384,), np.float32)
    assert (encoding.tokens.shape, encoding.tokens.dtype) == ((pieces, 128), np.float32)
    assert (encoding.offsets.shape, encoding.offsets.dtype) == ((pieces, 2), np.int32)
    assert (encoding.content.shape, encoding.content.dtype) == ((pieces,), np.bool_)
    assert encoding.token_ids.dtype == np.int32


# Order, batches, blocks


def test_vectors_do_not_depend_on_the_other_texts(model):
    texts = [SENTENCE, "A much shorter one.", LONG, SENTENCE * 5, "Word."]
    pooled = model.embed(texts)
    assert largest_difference(pooled, np.concatenate([model.embed([t]) for t in texts])) < 1e-5
    for together, text in zip(model.encode(texts), texts, strict=True):
        (alone,) = model.encode([text])
        assert largest_difference(together.tokens, alone.tokens) < 1e-5


def test_two_runs_give_the_same_bits_whatever_the_number_of_threads(model):
    texts = [SENTENCE * n for n in (4, 1, 3, 2)]
    first = model.embed(texts)
    assert np.array_equal(first, model.embed(texts))
    assert np.array_equal(first, load_minilm(threads=1).embed(texts))
    assert np.array_equal(first, load_minilm(threads=3).embed(texts))


def test_one_model_serves_several_threads_at_once(model):
    texts = [f"{SENTENCE} {n}" for n in range(8)]
    alone = [model.embed([text]) for text in texts]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda text: model.embed([text]), texts))
    assert all(np.array_equal(*pair) for pair in zip(alone, together, strict=True))


def test_encodings_come_in_the_order_of_the_texts_across_blocks(model):
    texts = [f"{'very ' * (n % 7)}number {n}" for n in range(BLOCK_TEXTS + 5)]
    encodings = list(model.encode(texts))
    lengths = [len(open_bundled_tokenizer().encode(text).ids) - 2 for text in texts]
    assert [len(encoding.token_ids) for encoding in encodings] == lengths
    pooled = np.stack([encoding.vector for encoding in encodings])
    assert largest_difference(pooled, model.embed(texts)) < 1e-5


def test_texts_are_read_one_block_ahead_and_no_further(model):
    endless = itertools.count()
    next(model.encode(f"number {n}" for n in endless))
    assert next(endless) == BLOCK_TEXTS


def test_progress_counts_the_texts_encoded_so_far(model):
    seen = []
    list(model.encode(["word"] * (BLOCK_TEXTS + 3), on_progress=seen.append))
    assert seen == [BLOCK_TEXTS, BLOCK_TEXTS + 3]


def test_no_texts_give_no_rows(model):
    assert model.embed([]).shape == (0, 384)
    assert list(model.encode([])) == []


# Any text at all


def test_long_text_is_read_to_its_end(model):
    (encoding,) = model.encode([LONG])
    assert len(encoding.token_ids) > 2 * 510
    assert LONG[slice(*encoding.offsets[-2])] == "networks"
    assert encoding.tokens.shape == (len(encoding.token_ids), 128)
    other_end = model.embed([LONG[: len(LONG) // 2] + " cooking pasta" * 200])[0]
    assert float(other_end @ encoding.vector) < 0.99


def test_text_of_exactly_one_window_is_not_split(model):
    # "graph" is one piece: 510 fill a window, one more makes two windows of 255 and 256.
    ids = np.array([open_bundled_tokenizer().encode("graph " * 510).ids], np.int64)
    assert ids.shape == (1, 512)
    states = open_network()(ids, np.ones_like(ids))
    vectors = model.embed(["graph " * 510, "graph " * 511])
    assert largest_difference(vectors[0], normalize_rows(states.sum(axis=1))[0]) < 1e-6
    assert np.isfinite(vectors).all()


@pytest.mark.parametrize("text", ["", "   ", "\n\t", "\x00", "\u200b"])
def test_empty_text_has_a_unit_vector_and_no_tokens(model, text):
    (encoding,) = model.encode([text])
    assert np.linalg.norm(encoding.vector) == pytest.approx(1.0, abs=1e-6)
    assert encoding.tokens.shape == (0, 128)
    assert encoding.offsets.shape == (0, 2)
    assert largest_difference(encoding.vector, model.embed([""])[0]) < 1e-5


def test_half_a_surrogate_pair_keeps_the_offsets_valid(model):
    text = "a \ud800 graph \udfff"
    (encoding,) = model.encode([text])
    assert [text[start:end] for start, end in encoding.offsets] == ["a", "graph"]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("😀 graph", ["😀", "graph"]),
        ("naïve café", ["naïve", "café"]),
        ("cafe\u0301 x", ["cafe", "x"]),
        ("𝔸bc İstanbul", ["𝔸bc", "İstanbul"]),
        ("神 networks", ["神", "networks"]),
        ("re-rank", ["re", "-", "rank"]),
    ],
)
def test_offsets_count_characters(model, text, parts):
    (encoding,) = model.encode([text])
    assert [text[start:end] for start, end in encoding.offsets] == parts


def test_a_ligature_gives_the_vectors_of_its_letters_and_its_own_offsets(model):
    spelled, joined = model.encode(["a filter set", "a \ufb01l\u00adter set"])
    assert np.array_equal(spelled.tokens, joined.tokens)
    assert joined.offsets.tolist() == [[0, 1], [2, 8], [9, 12]]


def test_special_tokens_in_a_text_are_read_as_text(model):
    (encoding,) = model.encode(["a [SEP] b [PAD] [MASK]"])
    assert not {0, 100, 101, 102, 103} & set(encoding.token_ids.tolist())


@settings(max_examples=40, deadline=None)
@given(text=st.text(st.characters(exclude_categories=()), max_size=80))
def test_every_text_gives_unit_rows_and_offsets_in_order(model, text):
    (encoding,) = model.encode([text])
    assert np.linalg.norm(encoding.vector) == pytest.approx(1.0, abs=1e-5)
    assert np.allclose(np.linalg.norm(encoding.tokens, axis=1), 1.0, atol=1e-5)
    starts, ends = encoding.offsets[:, 0], encoding.offsets[:, 1]
    assert (starts < ends).all()
    assert (np.diff(starts) >= 0).all()
    assert (ends <= len(text)).all()


# Content


def test_stop_words_and_punctuation_are_no_content(model):
    text = "How does the Transformer not forget, e.g. 3 tokens?"
    (encoding,) = model.encode([text])
    pieces = [text[start:end] for start, end in encoding.offsets]
    content = [piece for piece, kept in zip(pieces, encoding.content, strict=True) if kept]
    # The tokenizer knows the word "tokens" as token + ##s.
    assert content == ["Transform", "er", "not", "forget", "3", "token", "s"]


# Files


def test_listing_matches_the_files():
    files = json.loads((FOLDER / "files.json").read_text(encoding="utf-8"))
    assert set(files) == {"model.onnx", "projection.npy", "stop_words.txt", "tokenizer.json"}
    for name, entry in files.items():
        content = (FOLDER / name).read_bytes()
        assert len(content) == entry["bytes"]
        assert hashlib.sha256(content).hexdigest() == entry["sha256"]


@pytest.fixture
def copied(tmp_path):
    """A copy of the bundled folder that a test may damage."""
    shutil.copytree(FOLDER, tmp_path / "minilm")
    return tmp_path / "minilm"


def test_another_projection_gives_another_name(model, copied):
    listing = copied / "files.json"
    files = json.loads(listing.read_text(encoding="utf-8"))
    files["projection.npy"]["sha256"] = "0" * 64
    listing.write_text(json.dumps(files), encoding="utf-8")
    name = load_minilm(folder=copied).name
    assert name != model.name
    assert name.rpartition("/")[0] == model.name.rpartition("/")[0] == "all-MiniLM-L6-v2/512"


@pytest.mark.parametrize(
    "name", ["model.onnx", "projection.npy", "stop_words.txt", "tokenizer.json", "files.json"]
)
def test_missing_file_is_named(copied, name):
    (copied / name).unlink()
    with pytest.raises(ModelUnavailable, match=f"{name} is missing.*Reinstall papertrail-rag"):
        load_minilm(folder=copied)


def test_truncated_file_is_named_with_both_lengths(copied):
    content = (copied / "model.onnx").read_bytes()
    (copied / "model.onnx").write_bytes(content[:1000])
    with pytest.raises(ModelUnavailable, match=r"model\.onnx has 1,000 bytes instead of 45,"):
        load_minilm(folder=copied)


@pytest.mark.parametrize("name", ["model.onnx", "projection.npy", "tokenizer.json"])
def test_file_of_the_right_length_and_wrong_content_is_damaged(copied, name):
    size = (copied / name).stat().st_size
    (copied / name).write_bytes(b"\xff" * size)
    with pytest.raises(ModelUnavailable, match=f"{name} is damaged"):
        load_minilm(folder=copied)


@pytest.mark.parametrize("listing", ["", "[]", '{"model.onnx": 3}', "\\"])
def test_unreadable_listing_is_named(copied, listing):
    (copied / "files.json").write_text(listing, encoding="utf-8")
    with pytest.raises(ModelUnavailable, match=r"files\.json is missing or damaged"):
        load_minilm(folder=copied)


def test_fewer_threads_than_one_are_refused():
    with pytest.raises(ValueError, match="at least 1, not 0"):
        load_minilm(threads=0)
