"""Filters by collections and libraries of Zotero."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from test_retrieval import HashingEmbedder

from rag import Assistant, Filter, Paper
from rag.errors import SettingsError


def make_paper(name, *collections, library="library"):
    link = f"zotero://select/{library}/items/{name.upper():A<8}"
    return Paper(
        name,
        f"On {name}",
        f"{name} is long.",
        sources=(link,),
        metadata={"collections": [*collections]},
    )


PAPERS = [
    make_paper("tea", "Thesis/Chapter 2", "Drinks"),
    make_paper("sea", "Thesis"),
    make_paper("bee", "Thesis/Chapter 2/Notes", library="groups/5"),
    make_paper("fee", "Money: Essays", library="groups/55"),
]


@pytest.fixture(scope="module")
def assistant(tmp_path_factory):
    folder = tmp_path_factory.mktemp("zotero") / "index"
    with Assistant.build(PAPERS, folder, embedder=HashingEmbedder()) as assistant:
        yield assistant


@pytest.mark.parametrize(
    ("where", "ids"),
    [
        (Filter(collections=("Thesis",)), ["tea", "sea", "bee"]),
        (Filter(collections=("thesis/chapter 2",)), ["tea", "bee"]),
        (Filter(collections=("Chapter 2",)), ["tea", "bee"]),
        (Filter(collections=("Thesis/Notes",)), []),
        (Filter(collections=("Drinks", "Notes")), ["tea", "bee"]),
        (Filter(collections=("money essays",)), ["fee"]),
        (Filter(collections=("Thesis",), sources=("zotero:local",)), ["tea", "sea"]),
        (Filter(sources=("zotero:users/7",)), ["tea", "sea"]),
        (Filter(sources=("zotero:groups/5",)), ["bee"]),
        (Filter(sources=("zotero:local/groups/5", "zotero:groups/55")), ["bee", "fee"]),
        (Filter(sources=("zotero:groups/6",)), []),
    ],
)
def test_filter_finds_collections_with_those_below_and_whole_libraries(assistant, where, ids):
    assert [paper.id for paper in assistant.papers(where=where)] == ids
    assert sorted(hit.paper.id for hit in assistant.search("long", where=where)) == sorted(ids)


def test_command_names_similar_collections_and_tags_where_no_paper_has_one(run):
    papers = [{"title": f"On {each}", "collections": [f"Thesis/{each}"]} for each in ("Tea", "Sea")]
    Path("papers.jsonl").write_text("\n".join(map(json.dumps, papers)))
    run("index", "papers.jsonl", "-i", "mine")
    said = run("ask", "what?", "-i", "mine", "--collection", "Nope", "--out", "a.md", status=2)
    assert said == (
        "rag: The library has no paper in the collection Nope. "
        "Its collections: Thesis/Sea, Thesis/Tea.\n"
    )
    assert not Path("a.md").exists()
    said = run("papers", "list", "-i", "mine", "--tag", "tea", status=2)
    assert said == "rag: The library has no paper with the tag tea. Its tags: none.\n"
    assert run("papers", "list", "-i", "mine", "--collection", "thesis").count("\n") == 2


def test_filter_is_told_in_words():
    where = Filter(collections=("Thesis",), sources=("zotero:groups/5",))
    assert str(where) == "from zotero:groups/5, in the collection Thesis"


@pytest.mark.parametrize("source", ["zotero:groups/5/tags/tea", "zotero:elsewhere"])
def test_source_that_is_no_whole_library_is_refused(source):
    with pytest.raises(SettingsError, match=source):
        Filter(sources=(source,))
