"""Retrieval measured on datasets in BEIR form."""

from __future__ import annotations

import json
import re

import pytest
from evaluation import command, library

from rag import Assistant


def test_retrieval_is_measured_on_a_dataset_in_beir_form(tmp_path):
    papers = list(library().values())[:30]
    (tmp_path / "qrels").mkdir()
    (tmp_path / "corpus.jsonl").write_text(
        "\n".join(json.dumps({"_id": p.id, "title": p.title, "text": p.abstract}) for p in papers),
        encoding="utf-8",
    )
    (tmp_path / "queries.jsonl").write_text(
        "\n".join(json.dumps({"_id": f"q{n}", "text": p.title}) for n, p in enumerate(papers[:5])),
        encoding="utf-8",
    )
    grades = "query-id\tcorpus-id\tscore\n" + "".join(
        f"q{n}\t{p.id}\t1\n" for n, p in enumerate(papers[:5])
    )
    (tmp_path / "qrels" / "test.tsv").write_text(grades, encoding="utf-8")
    text = command("retrieval", "--beir", tmp_path)
    assert re.search(r"the product\s+1\.000", text)
    assert re.search(r"lexical \(BM25\)\s+1\.000", text)
    (tmp_path / "qrels" / "train.tsv").write_text(grades, encoding="utf-8")
    assert "Name one with --split" in command("retrieval", "--beir", tmp_path, status=2)
    (tmp_path / "qrels" / "test.tsv").write_text("q\nq0\tp\tmuch", encoding="utf-8")
    assert "line 2" in command("retrieval", "--beir", tmp_path, "--split", "test", status=2)


@pytest.mark.parametrize("title", [{}, {"title": None}, {"title": "Editorial"}])
def test_documents_of_a_dataset_stay_apart_whatever_their_titles(title, tmp_path):
    rows = [{"_id": f"d{n}", "text": f"Pond {n} is cold.", **title} for n in range(10)]
    (tmp_path / "corpus.jsonl").write_text("\n".join(map(json.dumps, rows)))
    (tmp_path / "queries.jsonl").write_text('{"_id": "q", "text": "pond 7"}')
    (tmp_path / "qrels").mkdir()
    (tmp_path / "qrels" / "test.tsv").write_text("q\tc\ts\nq\td7\t1\n")
    for _ in range(2):
        text = command("retrieval", "--beir", tmp_path, "--index", tmp_path / "index")
        assert re.search(r"lexical \(BM25\)\s+1\.000", text)
        with Assistant.open(tmp_path / "index") as assistant:
            assert [paper.id for paper in assistant.papers()] == [row["_id"] for row in rows]
            assert assistant.generation == 1


def test_an_index_of_other_papers_is_not_measured(asked_library, tmp_path):
    (tmp_path / "qrels").mkdir()
    (tmp_path / "corpus.jsonl").write_text('{"_id": "d", "title": "Dogs", "text": "Dogs bark."}')
    (tmp_path / "queries.jsonl").write_text('{"_id": "q", "text": "dogs"}')
    (tmp_path / "qrels" / "test.tsv").write_text("q\tc\ts\nq\td\t1\n")
    text = command("retrieval", "--beir", tmp_path, "--index", asked_library, status=2)
    assert "other papers" in text
    (tmp_path / "qrels" / "test.tsv").write_text("q\tc\ts\nz\td\t1\n")
    assert "grades no query" in command("retrieval", "--beir", tmp_path, status=2)
    (tmp_path / "qrels" / "test.tsv").unlink()
    assert "no qrels" in command("retrieval", "--beir", tmp_path, status=2)
