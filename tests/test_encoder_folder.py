"""Other encoders: folders with an ONNX model and the files of sentence-transformers."""

from __future__ import annotations

import json

import numpy as np
import pytest
from onnx_graph import INT64, Graph
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from rag import Assistant, Paper, load_minilm, load_settings
from rag.embedding import encode_question
from rag.embedding.folder import load_encoder
from rag.embedding.minilm import FOLDER
from rag.errors import IndexStale, SettingsError

WORDS = ["[CLS]", "[SEP]", "the", "moths", "sleep", "ask", ":", "say", "[UNK]"]
# One row a word. The state of a position is the row of its word, whatever stands around it.
TABLE = np.eye(len(WORDS), 4 + len(WORDS), dtype=np.float32)
DIM = TABLE.shape[1]
CLS, SEP, THE, MOTHS, SLEEP, ASK, COLON, SAY, _ = range(len(WORDS))
PAPERS = [
    Paper("m", "Moths", "The moths sleep.", year=2020),
    Paper("s", "Sleep", "Sleep is what they ask for.", year=2021),
]


def make_graph(table=TABLE, outputs=("last_hidden_state",), extra=(), positions=0):
    """Return a model that looks up a row for each id, and can hold only so many positions."""
    graph = Graph()
    table = graph.constant("table", table)
    states = graph.op("Gather", [table, "input_ids"], "rows")
    if positions:
        places = graph.constant("places", np.zeros((1, positions, 1), np.float32))
        bounds = [graph.constant(f"c{n}", np.array([n], np.int64)) for n in (0, 1)]
        length = graph.op("Shape", ["input_ids"], "length", start=1, end=2)
        cut = graph.op("Slice", [places, bounds[0], length, bounds[1]], "cut")
        states = graph.op("Add", [states, cut], "placed")
    shapes = {}
    for name in outputs:
        if name == "sentence_embedding":
            graph.op("ReduceMean", [states], name, axes=[1], keepdims=0)
            shapes[name] = ["batch", DIM]
        else:
            graph.op("Identity", [states], name)
            shapes[name] = ["batch", "pieces", DIM]
    return graph.write(dict.fromkeys(("input_ids", "attention_mask", *extra), INT64), shapes)


@pytest.fixture
def write(tmp_path):
    """Write a folder with a small encoder; returns the folder. A file that is None is left out."""

    def write_folder(**files):
        vocabulary = {word: number for number, word in enumerate(WORDS)}
        tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
        tokenizer.normalizer = normalizers.Lowercase()
        tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
        tokenizer.post_processor = processors.TemplateProcessing(
            single="[CLS] $A [SEP]", special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)]
        )
        contents = {"model.onnx": make_graph(), "tokenizer.json": tokenizer.to_str()} | files
        for name, content in contents.items():
            path = tmp_path / "tiny" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            if isinstance(content, bytes):
                path.write_bytes(content)
            elif content is not None:
                text = content if isinstance(content, str) else json.dumps(content)
                path.write_text(text, encoding="utf-8")
        return tmp_path / "tiny"

    return write_folder


def direct(*rows):
    """Return the direction of the sum of some words."""
    total = TABLE[list(rows)].sum(axis=0)
    return total / np.linalg.norm(total)


# Vectors


def test_bundled_model_as_a_folder_gives_the_same_vectors(tmp_path):
    for name in ("model.onnx", "tokenizer.json", "projection.npy"):
        (tmp_path / name).symlink_to(FOLDER / name)
    bundled, other = load_minilm(), load_encoder(tmp_path)
    assert (other.dim, other.token_dim) == (384, 128)
    texts = ["Graphs guide the pre-training of models.", "", "naïve café " * 400]
    assert np.allclose(other.embed(texts), bundled.embed(texts), atol=1e-4)
    for one, another in zip(other.encode(texts), bundled.encode(texts), strict=True):
        assert np.allclose(one.vector, another.vector, atol=1e-4)
        assert np.allclose(one.tokens, another.tokens, atol=1e-4)
        assert np.array_equal(one.token_ids, another.token_ids)
        assert np.array_equal(one.offsets, another.offsets)
        assert np.array_equal(one.content, another.content)


@pytest.mark.parametrize(
    ("config", "pooled"),
    [
        (None, [CLS, MOTHS, SLEEP, SEP]),
        ({"pooling_mode_mean_tokens": True}, [CLS, MOTHS, SLEEP, SEP]),
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": False}, [CLS]),
        ({"pooling_mode_lasttoken": True}, [SEP]),
        ({"pooling_mode": "cls"}, [CLS]),
    ],
)
def test_pooling_is_the_one_of_the_folder(write, config, pooled):
    model = load_encoder(write(**{"1_Pooling/config.json": config}))
    assert np.allclose(model.embed(["Moths sleep"]), direct(*pooled), atol=1e-6)


def test_tokens_keep_the_full_width_unless_there_is_a_projection(write):
    folder = write()
    (encoding,) = load_encoder(folder).encode(["The moths"])
    assert np.allclose(encoding.tokens, TABLE[[THE, MOTHS]])
    assert encoding.content.tolist() == [False, True]
    assert encoding.offsets.tolist() == [[0, 3], [4, 9]]
    np.save(folder / "projection.npy", np.eye(DIM, 5, dtype=np.float16))
    model = load_encoder(folder)
    (encoding,) = model.encode(["The moths"])
    assert (model.dim, model.token_dim, encoding.tokens.shape) == (DIM, 5, (2, 5))


PROMPTS = {"prompts": {"query": "ask: ", "passage": "say: "}}


def test_prompts_of_questions_and_papers_differ_and_give_no_tokens(write):
    model = load_encoder(write(**{"config_sentence_transformers.json": PROMPTS}))
    (paper,) = model.encode(["moths"])
    question = encode_question(model, "moths")
    assert np.allclose(paper.vector, direct(CLS, SAY, COLON, MOTHS, SEP))
    assert np.allclose(question.vector, direct(CLS, ASK, COLON, MOTHS, SEP))
    for encoding in (paper, question):
        assert encoding.token_ids.tolist() == [MOTHS]
        assert encoding.offsets.tolist() == [[0, 5]]
        assert np.allclose(encoding.tokens, TABLE[[MOTHS]])


def test_prompt_is_left_out_of_the_mean_if_the_model_says_so(write):
    files = {
        "config_sentence_transformers.json": PROMPTS,
        "1_Pooling/config.json": {"pooling_mode_mean_tokens": True, "include_prompt": False},
    }
    model = load_encoder(write(**files))
    assert np.allclose(encode_question(model, "moths").vector, direct(CLS, MOTHS, SEP))


def test_long_text_is_read_in_windows_each_with_the_prompt(write):
    # 7 positions less [CLS], "say", ":" and [SEP] leave 3: four words make two windows of two.
    files = {
        "config_sentence_transformers.json": PROMPTS,
        "sentence_bert_config.json": {"max_seq_length": 7},
        "model.onnx": make_graph(positions=7),
    }
    model = load_encoder(write(**files))
    (encoding,) = model.encode(["moths sleep the moths"])
    frame = [CLS, SAY, COLON, SEP] * 2
    assert np.allclose(encoding.vector, direct(*frame, MOTHS, SLEEP, THE, MOTHS), atol=1e-6)
    assert encoding.token_ids.tolist() == [MOTHS, SLEEP, THE, MOTHS]


def test_offsets_leave_out_the_space_that_some_tokenizers_put_into_a_piece(write):
    vocabulary = {"[UNK]": 0, "▁the": 1, "▁moths": 2, "▁ask:": 3}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace()
    files = {
        "tokenizer.json": tokenizer.to_str(),
        "config_sentence_transformers.json": {"prompts": {"query": "ask: "}},
    }
    encoding = encode_question(load_encoder(write(**files)), "the moths")
    assert encoding.offsets.tolist() == [[0, 3], [4, 9]]
    assert encoding.content.tolist() == [False, True]


def test_folder_of_sentence_transformers_itself_is_read(write):
    files = {
        "model.onnx": None,
        "onnx/model.onnx": make_graph(
            outputs=("token_embeddings", "sentence_embedding"), extra=("token_type_ids",)
        ),
        "modules.json": [
            {"path": "", "type": "sentence_transformers.models.Transformer"},
            {"path": "pool", "type": "sentence_transformers.models.Pooling"},
            {"path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
        ],
        "pool/config.json": {"pooling_mode_cls_token": True},
    }
    assert np.allclose(load_encoder(write(**files)).embed(["moths"]), direct(CLS))


def test_name_changes_with_all_that_changes_the_vectors(write):
    names = {load_encoder(write()).name}
    assert names.pop().startswith("tiny/512/")
    for files in (
        {},
        {"model.onnx": make_graph(TABLE * 2)},
        {"config_sentence_transformers.json": PROMPTS},
        {"sentence_bert_config.json": {"max_seq_length": 256}},
    ):
        names.add(load_encoder(write(**files)).name)
    assert len(names) == 4


# Libraries


def test_library_of_another_encoder_is_searched_by_its_tokens(write, run, tmp_path, monkeypatch):
    folder = str(write(**{"config_sentence_transformers.json": PROMPTS}))
    Assistant.build(PAPERS, tmp_path / "lib", settings=load_settings(embedder=folder)).close()
    found = run("search", "do moths sleep?", "-i", "lib/", "--embedder", folder, "--trace")
    assert found.index("Moths") < found.index("Sleep")
    assert "tokens" in found
    monkeypatch.setenv("PAPERTRAIL_EMBEDDER", folder)
    assert json.loads(run("papers", "list", "-i", "lib/", "--json"))[0]["id"] == "m"
    monkeypatch.delenv("PAPERTRAIL_EMBEDDER")
    stale = run("search", "moths", "-i", "lib/", status=2)
    assert "built with different settings" in stale
    assert "tiny/512/" in stale


def test_index_of_changed_files_is_stale(write, tmp_path):
    settings = load_settings(embedder=write())
    Assistant.build(PAPERS, tmp_path / "lib", settings=settings).close()
    write(**{"model.onnx": make_graph(TABLE * 2)})
    with pytest.raises(IndexStale, match="tiny/512/"):
        Assistant.open(tmp_path / "lib", settings=settings)


# Faults


@pytest.mark.parametrize(
    ("files", "problem"),
    [
        ({"model.onnx": None}, "model.onnx is missing. Export"),
        ({"tokenizer.json": None}, "tokenizer.json is missing"),
        ({"model.onnx": b"version https://git-lfs"}, "cannot read model.onnx"),
        ({"tokenizer.json": "{}"}, "cannot read tokenizer.json"),
        ({"modules.json": "["}, "cannot read modules.json"),
        ({"modules.json": {}}, "modules.json does not hold"),
        ({"modules.json": [3]}, "not those of an encoder"),
        ({"config_sentence_transformers.json": {"prompts": [3]}}, "not those of an encoder"),
        ({"projection.npy": b"no"}, "cannot read projection.npy"),
        ({"model.onnx": make_graph(outputs=("sentence_embedding",))}, "task feature-extraction"),
        ({"model.onnx": make_graph(extra=("pixels",))}, "asks for pixels"),
        ({"model.onnx": make_graph(TABLE[:-1])}, "cannot read piece 8 of tokenizer.json"),
        ({"model.onnx": make_graph(np.full_like(TABLE, np.inf))}, "not finite"),
        ({"modules.json": [{"path": "2_Dense", "type": "x.Dense"}]}, "names 2_Dense"),
        ({"1_Pooling/config.json": {"pooling_mode_max_tokens": True}}, "pooling is max_tokens"),
        ({"sentence_bert_config.json": {"max_seq_length": 2}}, "take 2. Raise max_seq_length"),
    ],
)
def test_fault_of_a_folder_is_one_clear_error(write, run, files, problem):
    folder = write(**files)
    message = run("search", "moths", "--embedder", str(folder), status=2)
    assert f"Cannot use the encoder in {folder}" in message
    assert problem in message.replace("\n", " ")


def test_window_that_is_too_long_for_the_model_is_one_clear_error(write):
    model = load_encoder(write(**{"model.onnx": make_graph(positions=8)}))
    with pytest.raises(SettingsError, match=r"cannot read 12 positions.*Lower max_seq_length"):
        model.embed(["moths " * 10])


def test_projection_of_another_width_is_refused(write):
    folder = write()
    np.save(folder / "projection.npy", np.eye(DIM + 1, dtype=np.float32))
    with pytest.raises(SettingsError, match=rf"width {DIM}"):
        load_encoder(folder)


def test_folder_that_is_not_there_is_a_setting_error(run):
    message = run("search", "moths", "--embedder", "nowhere", status=2)
    assert (
        "Invalid setting embedder = 'nowhere' (from argument): there is no such folder" in message
    )


def test_two_embedders_are_refused(write, run, monkeypatch):
    monkeypatch.setenv("PAPERTRAIL_EMBED_MODEL", "m")
    message = run("info", "--embedder", str(write()), status=2)
    assert "embedder (from argument) and embed_model (from PAPERTRAIL_EMBED_MODEL)" in message
