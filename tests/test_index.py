"""Index on disk: what a kill, a full disk, another layout or another process cannot break."""

from __future__ import annotations

import json
import shutil
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag import Assistant, Filter, Paper
from rag.embedding import make_embedder
from rag.errors import IndexDamaged, IndexLocked
from rag.index import Index, PassageSettings, read_manifest, update_index
from rag.index.build import DecisionChange
from rag.index.token_vectors import (
    WINDOW_STEP,
    WINDOW_TOKENS,
    RecordShape,
    RowVectors,
    SegmentReader,
    SegmentWriter,
    quantise,
)
from rag.papers.merge import Decision
from rag.readers import read_papers
from rag.retrieval.late_interaction import QuestionTokens, score_rows
from rag.settings import load_settings

OLD_INDEX = Path(__file__).parent / "fixtures" / "index_layout_3.zip"
DIM = 8


class UnusedForPapers:
    """The bundled embedder, which refuses to embed the papers of the old index again."""

    def __init__(self):
        self._model = make_embedder(load_settings())
        self.name, self.dim = self._model.name, self._model.dim
        self.token_dim = self._model.token_dim

    def embed(self, texts):
        return self._model.embed(texts)

    def encode(self, texts, **options):
        several = list(texts)
        assert not any("ZORP" in text for text in several if "?" not in text)
        return self._model.encode(several, **options)


@pytest.fixture
def old_index(tmp_path):
    """Return the folder of an index of layout 3 with five papers."""
    with zipfile.ZipFile(OLD_INDEX) as archive:
        archive.extractall(tmp_path / "old")
    return tmp_path / "old"


def test_index_of_layout_3_opens_as_it_is(old_index):
    before = (old_index / "manifest.json").read_bytes()
    with Assistant.open(old_index) as assistant:
        assert [paper.id for paper in assistant.papers()] == ["a-1", "b-2", "c-3", "d-4", "e-5"]
        zorp = assistant.search("what attends to few tokens?")[0]
        assert (zorp.paper.id, zorp.paper.year, zorp.paper.venue) == ("a-1", 2019, "ACL 2019")
        assert assistant.resolve_ids(["b-old"]) == ("b-old",)
        by_clark = assistant.search("units", where=Filter(authors=("Clark",), years=(2015, None)))
        assert [hit.paper.id for hit in by_clark] == ["a-1"]
        assert len(assistant.search("quokkas smile")[0].passages) == 2
    assert (old_index / "manifest.json").read_bytes() == before


def test_index_of_layout_3_is_converted_by_the_next_update_without_embedding_again(old_index):
    new = Paper("f-6", "Six", "Koalas sleep.")
    with Assistant.build([new], old_index, embedder=UnusedForPapers()) as assistant:
        assert [paper.id for paper in assistant.papers()][-2:] == ["e-5", "f-6"]
        assert assistant.search("what attends to few tokens?")[0].paper.id == "a-1"
        assert assistant.search("koalas sleep?")[0].paper.id == "f-6"
    assert json.loads((old_index / "manifest.json").read_text())["schema_version"] == 4
    assert not (old_index / "lexical").exists()


def test_many_small_updates_leave_few_segments_and_every_paper(tmp_path):
    folder = tmp_path / "index"
    for n in range(9):
        Assistant.build([Paper(f"n-{n}", f"Title {n}", f"Subject {n} is new.")], folder).close()
    assert len(list(folder.glob("data-*/vectors/*"))) <= 2
    with Assistant.open(folder) as assistant:
        assert [paper.id for paper in assistant.papers()] == [f"n-{n}" for n in range(9)]
        assert assistant.search("Subject 3 is new.")[0].paper.id == "n-3"


def test_changed_paper_keeps_its_place_and_loses_its_old_words(tmp_path):
    folder = tmp_path / "index"
    papers = [Paper(f"n-{n}", f"Title {n}", "Wombats dig.", sources=("a",)) for n in range(3)]
    Assistant.build(papers, folder).close()
    changed = Paper("n-1", "Title 1", "Quokkas smile.", sources=("a",))
    with Assistant.build([changed], folder) as assistant:
        assert [paper.abstract for paper in assistant.papers()][1] == "Quokkas smile."
        found = {hit.paper.id: hit.stages["lexical"].score for hit in assistant.search("wombats")}
        assert found["n-1"] == 0 < found["n-0"]
    index = Index.open(folder)
    assert index.lexical.row_count == len(index.lexical.find_all(["titl"])) == 3
    index.close()


def test_old_library_gets_family_names_without_embedding_again(tmp_path):
    source = tmp_path / "tea.ris"
    fields = ["TY  - JOUR", "TI  - ZORP", "AU  - Chang, Ming Wei", "AB  - ZORP rests.", "ER  - "]
    source.write_text("\n".join(fields))
    (paper,) = read_papers(source)
    assert paper.metadata == {"family_names": {"Ming Wei Chang": "Chang"}}
    Assistant.build([replace(paper, metadata={})], tmp_path / "index").close()
    with Assistant.build([paper], tmp_path / "index", embedder=UnusedForPapers()) as assistant:
        assert [*assistant.papers()] == [paper]


def test_paper_whose_text_stays_the_same_is_not_embedded_again(tmp_path):
    abstract = " ".join(f"ZORP attends to {number} tokens at most." for number in range(60))
    before = [Paper("z-1", "ZORP", abstract), Paper("t-2", "Tea", "Tea helps.")]
    after = [replace(before[0], year=2021, metadata={"tags": ["model"]}), before[1]]
    Assistant.build(before, tmp_path / "index").close()
    found = []
    for folder, embedder in (("index", UnusedForPapers()), ("fresh", None)):
        with Assistant.build(after, tmp_path / folder, embedder=embedder) as assistant:
            hits = assistant.search("what attends to 41 tokens?")
            found.append(
                [
                    (hit.paper, hit.passages, hit.stages["tokens"], hit.stages["window"])
                    for hit in hits
                ]
            )
    assert [paper for paper, *_ in found[0]] == after
    assert len(found[0][0][1]) > 1
    assert found[0] == found[1]


def test_decision_does_not_overwrite_one_that_another_process_made(tmp_path):
    papers = [Paper(name, f"{name} tea", f"{name} tea is warm.") for name in ("black", "green")]
    Assistant.build(papers, tmp_path / "index").close()
    passages = read_manifest(tmp_path / "index").passages
    embedder = make_embedder(load_settings())
    decide = partial(update_index, tmp_path / "index", [], embedder, passages=passages)
    first, second = Decision(False, tuple(papers)), Decision(True, tuple(papers))
    decide(decisions=DecisionChange((), (first,)))
    with pytest.raises(IndexLocked, match="meanwhile"):
        decide(decisions=DecisionChange((), (second,)))
    assert [each.load() for each in read_manifest(tmp_path / "index").decisions] == [first]


def test_words_that_look_like_a_query_are_searched_as_words(tmp_path):
    papers = [Paper("a", "Alpha", "row:1 OR words:beta^9"), Paper("b", "Beta", "Gamma rays.")]
    with Assistant.build(papers, tmp_path / "index") as assistant:
        for question in ('row:1" OR (', "words:* AND NOT gamma", "+gamma -beta ~2"):
            assert len(assistant.search(question)) == 2


@pytest.mark.parametrize("part", ["records.sqlite3", "words", "vectors/1.vectors", "pieces-1.npy"])
def test_missing_part_of_an_index_is_told_when_it_is_opened(tmp_path, part):
    folder = tmp_path / "index"
    Assistant.build([Paper("a", "Alpha", "Wombats dig.")], folder).close()
    path = folder / "data-1" / part
    shutil.rmtree(path) if path.is_dir() else path.unlink()
    with pytest.raises(IndexDamaged, match="rag index --rebuild"):
        Assistant.open(folder)
    with pytest.raises(IndexDamaged, match="rag index --rebuild"):  # and not made anew, empty
        Assistant.build([Paper("b", "Beta", "Quokkas smile.")], folder)


def test_damaged_header_of_the_word_pieces_is_told(tmp_path):
    Assistant.build([Paper("a", "Alpha", "Wombats dig.")], tmp_path / "index").close()
    path = tmp_path / "index" / "data-1" / "pieces-1.npy"
    content = bytearray(path.read_bytes())
    content[30:90] = bytes(byte ^ 0x5A for byte in content[30:90])
    path.write_bytes(content)
    with pytest.raises(IndexDamaged, match="pieces-1"):
        Assistant.open(tmp_path / "index")


def test_index_without_its_manifest_is_rebuilt_by_the_command_that_it_names(tmp_path):
    folder, papers = tmp_path / "index", [Paper("a", "Alpha", "Wombats dig.")]
    Assistant.build(papers, folder).close()
    (folder / "manifest.json").unlink()
    for use in (Assistant.open, partial(Assistant.build, papers)):
        with pytest.raises(IndexDamaged, match="rag index SOURCES --rebuild"):
            use(folder)
    embedder = make_embedder(load_settings())
    passages = PassageSettings(budget_tokens=400, overlap_sentences=1)
    update_index(folder, papers, embedder, passages=passages, rebuild=True)
    with Assistant.open(folder) as assistant:
        assert [paper.id for paper in assistant.papers()] == ["a"]
    assert len(list(folder.glob("data-*"))) == 1


def _score_plainly(question, rows):
    """Return MaxSim and the best window of each row, by their definitions."""
    whole = question.weights @ question.vectors
    whole = whole / max(np.linalg.norm(whole), 1e-9)
    tokens, windows = [], []
    for row in rows:
        unit = row.astype(np.float64)
        unit /= np.maximum(np.linalg.norm(unit, axis=1, keepdims=True), 1e-9)
        if not len(unit):
            tokens.append(-1.0)
            windows.append(-1.0)
            continue
        tokens.append(sum(w * (unit @ v).max() for w, v in zip(*_parts(question), strict=True)))
        cosines = []
        for start in range(0, max(1, len(unit) - WINDOW_TOKENS // 2), WINDOW_STEP):
            total = unit[start : start + WINDOW_TOKENS].sum(axis=0)
            cosines.append(total @ whole / max(np.linalg.norm(total), 1e-9))
        windows.append(max(cosines))
    return tokens, windows


def _parts(question):
    return question.weights, question.vectors


@given(st.integers(0, 2**32 - 1), st.lists(st.integers(0, 70), min_size=1, max_size=6))
@settings(max_examples=40)
def test_late_interaction_equals_its_definitions(tmp_path_factory, seed, counts):
    random = np.random.default_rng(seed)
    folder = tmp_path_factory.mktemp("vectors")
    question = QuestionTokens(
        random.standard_normal((5, DIM)).astype(np.float32), np.full(5, 0.2, np.float32)
    )
    rows = [quantise(random.standard_normal((n, DIM)).astype(np.float32)) for n in counts]
    pooled = random.standard_normal((len(rows), DIM)).astype(np.float32)
    writer = SegmentWriter(folder, 1, 0)
    records = [
        RowVectors(of_row, row, np.arange(len(row), dtype=np.uint32), ()).to_bytes()
        for of_row, row in zip(pooled, rows, strict=True)
    ]
    offsets = writer.append(records)
    writer.close()
    reader = SegmentReader(folder, RecordShape(DIM, DIM))
    stored = [
        reader.parse(reader.read_record(1, offset, count), count)
        for offset, count in zip(offsets, counts, strict=True)
    ]
    reader.close()
    scores = score_rows(question, stored)
    tokens, windows = _score_plainly(question, rows)
    assert np.allclose(scores.tokens, tokens, atol=1e-6)
    assert np.allclose(scores.window, windows, atol=1e-6)
    assert np.array_equal(np.array([row.pooled for row in stored]), pooled)
    assert [row.pieces.tolist() for row in stored] == [list(range(n)) for n in counts]


def test_several_processes_write_what_one_writes(run, tmp_path):
    papers = [{"title": f"Title {n}", "abstract": f"Subject {n} is new."} for n in range(40)]
    (tmp_path / "a.jsonl").write_text("\n".join(map(json.dumps, papers)), encoding="utf-8")
    found = []
    for name, options in (("one", ()), ("two", ("--workers", "2"))):
        run("index", "a.jsonl", "-i", name, "-q", *options)
        hits = json.loads(run("search", "Subject 7 is new", "-i", name, "--json"))
        found.append([(hit["paper"]["title"], round(hit["score"], 4)) for hit in hits])
    assert found[0] == found[1]
    assert found[0][0][0] == "Title 7"


def test_filter_that_keeps_few_or_many_papers_reaches_every_stage(tmp_path):
    papers = [
        Paper(f"n-{n:02}", f"Title {n}", "Wombats dig.", year=2000 + n, authors=("Ada Lovelace",))
        for n in range(30)
    ]
    with Assistant.build(papers, tmp_path / "index") as assistant:
        for where, wanted in (
            (Filter(years=(2004, 2005)), {"n-04", "n-05"}),
            (Filter(ids=tuple(f"n-{n:02}" for n in range(0, 30, 2))), set(range(0, 30, 2))),
            (Filter(authors=("Lovelace",), years=(None, 2028)), set(range(29))),
            (Filter(ids=()), set()),
        ):
            ids = {each if isinstance(each, str) else f"n-{each:02}" for each in wanted}
            assert {hit.paper.id for hit in assistant.search("wombats", k=30, where=where)} == ids


def test_library_that_was_deleted_and_made_again_is_noticed(tmp_path):
    folder = tmp_path / "index"
    Assistant.build([Paper("a", "Alpha", "Wombats dig.")], folder).close()
    with Assistant.open(folder) as assistant:
        assert assistant.search("wombats dig")[0].paper.id == "a"
        shutil.rmtree(folder)
        Assistant.build([Paper("b", "Beta", "Quokkas smile.")], folder).close()
        assert [paper.id for paper in assistant.papers()] == ["b"]
        assert assistant.search("quokkas smile")[0].paper.id == "b"


def test_filter_for_no_paper_stays_one_when_another_is_added():
    both = Filter(ids=()).and_also(Filter(years=(2020, None), ids=("a",)))
    assert both == Filter(ids=(), years=(2020, None))


@pytest.mark.skipif(not Path("/proc/self/fd").is_dir(), reason="needs /proc")
def test_threads_that_end_leave_no_file_open(tmp_path):
    papers = [Paper("a", "Alpha", "Wombats dig.")]
    with Assistant.build(papers, tmp_path / "index") as assistant:
        for _ in range(20):
            with ThreadPoolExecutor(1) as pool:
                assert pool.submit(assistant.search, "wombats").result()
        opened = [path.readlink() for path in Path("/proc/self/fd").glob("*") if path.exists()]
        assert sum(target.name == "records.sqlite3" for target in opened) <= 2
