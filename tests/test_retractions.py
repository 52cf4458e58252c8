"""A retracted paper says so wherever it is shown."""

from __future__ import annotations

import json

import pytest

from rag import Assistant, Filter, Paper
from rag.answer.conversation import Conversation
from rag.generation.llm import render_paper
from rag.web.cards import render_section
from rag.web.render import render_turn
from rag.web.table import TableState, parse_filter, render_filters, render_table, select_papers

NOTICE = "Broth J. 2014;2:9. PMID: 55555555"
PAPERS = [
    Paper(
        "broth",
        "Cold broth mends ankles",
        "Cold broth mended ankles in nine of ten runners. No runner limped after a week.",
        authors=("Rue, Ida",),
        year=2011,
        retraction=f"Retraction in: {NOTICE}",
    ),
    Paper("salt", "Salt baths soothe wrists", "Salt baths soothed wrists of pianists.", year=2012),
]
QUESTION = "does cold broth mend ankles of runners?"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("retractions") / "library"
    Assistant.build(PAPERS, folder).close()
    return folder


@pytest.fixture(scope="module")
def library(folder):
    with Assistant.open(folder) as assistant:
        yield assistant


@pytest.mark.parametrize("word", ["ask", "list"])
def test_answers_mark_a_retracted_source_in_every_form(library, word):
    answer = library.ask(QUESTION) if word == "ask" else library.list("cold broth")
    assert "broth" in [paper.id for paper in answer.sources.values()]
    assert "Cold broth mends ankles (Rue, Ida, 2011, retracted)" in str(answer)
    assert f"*(retracted: {NOTICE})*" in answer.to_markdown().replace("\\", "")
    values = answer.to_dict()
    sources = {source["id"]: source.get("retraction") for source in values["sources"]}
    cited = {c["paper"]: c.get("retraction") for s in values["statements"] for c in s["citations"]}
    hits = {hit["paper"]: hit.get("retraction") for hit in values["hits"]}
    for marks in (sources, cited, hits):
        assert marks.pop("broth") == f"Retraction in: {NOTICE}"
        assert set(marks.values()) <= {None}


def test_page_marks_a_retracted_source_in_answer_card_and_table(library):
    answer = library.ask(QUESTION)
    turn = render_turn(QUESTION, answer, 1)
    assert 'aria-label="Source 1, retracted, ' in turn
    assert f'<p class="retracted"><bdi>retracted: {NOTICE}</bdi></p>' in render_section(answer, 1)
    columns = ["Title", "Retracted"]
    table = render_table(PAPERS, TableState(), columns, ())
    assert f'<td class="retracted"><bdi>retracted: {NOTICE}</bdi></td>' in table
    assert table.count("<bdi>retracted") == 1
    first = select_papers(PAPERS, TableState(column="Retracted", descending=True))[0]
    assert first.id == "broth"
    assert parse_filter({"retracted": "yes"}) == Filter(retracted=True)
    assert 'data-filter="retracted"' in render_filters(PAPERS, Filter())
    assert "retracted" not in render_filters(PAPERS[1:], Filter())


def test_saved_citation_keeps_the_mark_of_a_paper_that_is_gone(library, tmp_path):
    talk = library.chat()
    talk.ask(QUESTION)
    talk.save(tmp_path / "talk.json")

    class Emptied:
        def papers(self):
            return []

    loaded = Conversation(Emptied())
    loaded.load(tmp_path / "talk.json")
    assert loaded.sources[1].retraction == f"Retraction in: {NOTICE}"


def test_model_is_told_that_a_paper_was_retracted(library):
    (hit,) = library.search(QUESTION, where=Filter(ids=("broth",)))
    text, _ = render_paper(hit, 1, 1000)
    assert f"\nRetracted: Retraction in: {NOTICE}\n" in text


def test_papers_are_filtered_by_their_retraction(library):
    found = {value: library.papers(where=Filter(retracted=value)) for value in (True, False, None)}
    assert {value: [p.id for p in papers] for value, papers in found.items()} == {
        True: ["broth"],
        False: ["salt"],
        None: ["broth", "salt"],
    }
    answer = library.ask(QUESTION, where=Filter(retracted=False, years=(2000, None)))
    assert "broth" not in [hit.paper.id for hit in answer.hits]
    assert answer.scope == "from 2000 on, not marked as retracted"
    both = Filter(retracted=False).and_also(Filter(retracted=True, ids=("salt",)))
    assert both == Filter(retracted=False, ids=("salt",))


def test_commands_mark_and_filter_retracted_papers(folder, run):
    at = ("-i", f"{folder}/")
    mark = f"retracted: {NOTICE}"
    for words in (("ask", QUESTION), ("search", QUESTION), ("list", "cold broth")):
        assert run(*words, *at).count(mark) == 1
    assert mark in run("chat", *at, text=f"{QUESTION}\n/sources\n").partition("[1]")[2]
    assert run("papers", "show", "broth", *at).splitlines()[1] == mark
    line = "broth\tRue\t2011\t-\t[retracted] Cold broth mends ankles"
    assert run("papers", "list", *at).splitlines()[0] == line
    assert run("papers", "list", "--retracted", *at).splitlines() == [line]
    papers = json.loads(run("papers", "list", "--not-retracted", "--json", *at))
    assert [paper["id"] for paper in papers] == ["salt"]
