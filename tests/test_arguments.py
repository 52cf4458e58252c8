"""A wrong argument is one sentence that says what to do."""

from __future__ import annotations

import pytest

from rag import (
    Assistant,
    Filter,
    Paper,
    RagError,
    iter_papers,
    load_settings,
    read_papers,
    split_paper,
    verify,
)

PAPER = Paper("pond", "On Ponds", "We drain ponds. Frogs leave.")


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    with Assistant.build([PAPER], tmp_path_factory.mktemp("arguments") / "library") as assistant:
        yield assistant


def refuse(call, said):
    """Check that a call is refused with bad input as the reason, in one line."""
    with pytest.raises(RagError) as raised:
        call()
    assert raised.value.exit_code == 2
    assert said in str(raised.value)
    assert "\n" not in str(raised.value)


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"authors": "Moss"}, "Write Filter(authors=('Moss',))."),
        ({"ids": "pond"}, "Write Filter(ids=('pond',))."),
        ({"venues": None}, "takes a tuple of texts"),
        ({"tags": (1,)}, "takes a tuple of texts"),
        ({"years": 2020}, "years=(2021, 2021) for one year"),
        ({"years": ("2020", None)}, "takes the first and the last year"),
        ({"years": (True, None)}, "takes the first and the last year"),
        ({"years": (2020, 2021, 2022)}, "takes the first and the last year"),
        ({"years": (10**30, None)}, "takes the first and the last year"),
        ({"years": (2021, 2020)}, "Put the earlier year first."),
        ({"retracted": "yes"}, "takes True, False or None"),
    ],
)
def test_wrong_part_of_a_filter(parts, said):
    refuse(lambda: Filter(**parts), said)


def test_lists_are_taken_where_tuples_are_wanted(library):
    where = Filter(years=[2020, None], ids=["pond"])
    assert where == Filter(years=(2020, None), ids=("pond",))
    assert Paper("a", "A", "", authors=["Ada Moss"]).authors == ("Ada Moss",)
    assert library.resolve_ids(["pond"]) == library.resolve_ids(("pond",)) == ("pond",)


@pytest.mark.parametrize("k", [0, -1, True, 2.5, "3", 10**30])
def test_number_of_papers_that_is_none(library, k):
    calls = (library.ask, library.search, library.stream, library.retrieve)
    for call in calls:
        refuse(lambda call=call: call("ponds", k=k), "is no number of papers")
    refuse(lambda: library.as_retriever(k=k), "is no number of papers")
    refuse(lambda: library.retrieve("ponds", candidates=k), "is no number of papers")


@pytest.mark.parametrize("question", ["", " \n", None, 5])
def test_question_that_is_none(library, question):
    said = "is empty" if isinstance(question, str) else "takes a text"
    for call in (library.ask, library.stream, library.list, library.chat().ask):
        refuse(lambda call=call: call(question), said)


def test_filter_or_history_of_another_type(library):
    for where in ("Moss", {"authors": ["Moss"]}, [PAPER]):
        for call in (library.ask, library.search, library.list):
            refuse(lambda call=call, where=where: call("ponds", where=where), "takes a Filter")
        refuse(lambda where=where: library.papers(where=where), "takes a Filter")
        refuse(lambda where=where: library.chat(where=where), "takes a Filter")
    for history in ("before", [("question", "answer")], None, library.chat()):
        refuse(lambda h=history: library.ask("ponds", history=h), "conversation.turns")
    refuse(lambda: library.resolve_ids("pond"), "takes a list")
    refuse(lambda: library.with_settings({}), "load_settings(...) returns")


@pytest.mark.parametrize(
    ("papers", "said"),
    [
        ([{"title": "On Ponds"}], "not dict"),
        ("ponds.bib", "read a file with read_papers(path)"),
        (["ponds.bib"], "not str"),
        (PAPER, "Put the one into a list"),
        ([None], "not NoneType"),
        (None, "not NoneType"),
    ],
)
def test_papers_that_are_none(papers, said, tmp_path):
    refuse(lambda: Assistant.build(papers, tmp_path / "library"), said)
    refuse(lambda: verify("Ponds are wet.", papers), said)
    assert not (tmp_path / "library").exists()


def test_other_arguments_of_a_library(tmp_path):
    refuse(lambda: Assistant.build([PAPER], None), "Give the library a name, or a path.")
    refuse(lambda: Assistant.build([PAPER], 5), "takes the name or path of a library")
    refuse(lambda: Assistant.open(5), "takes the name or path of a library")
    refuse(lambda: Assistant.open("a/\0"), "is not a valid path")
    refuse(lambda: Assistant.open(settings={}), "load_settings(...) returns")
    refuse(lambda: Assistant.build([PAPER], tmp_path, embedder="mini"), "takes an Embedder")
    refuse(lambda: Assistant.build([PAPER], tmp_path, llm="gpt"), "is not a LlamaIndex LLM")
    refuse(lambda: Assistant.build_from([PAPER], tmp_path), "is no source of papers")


@pytest.mark.parametrize("source", [5, None, "", b"x", {"title": "On Ponds"}, PAPER, [PAPER]])
def test_source_that_is_none(source):
    refuse(lambda: iter_papers(source), "is no source of papers")
    refuse(lambda: read_papers(source), "is no source of papers")


@pytest.mark.parametrize(
    "values",
    [
        {"title": None},
        {"authors": "Ada Moss"},
        {"authors": [1]},
        {"year": "2020"},
        {"year": True},
        {"venue": float("nan")},
        {"metadata": ["x"]},
        {"retraction": True},
    ],
)
def test_field_of_a_paper_that_is_of_another_type(values):
    refuse(lambda: Paper(**{"id": "a", "title": "A", "abstract": "", **values}), " takes a")


def test_values_of_another_type(library, tmp_path):
    refuse(lambda: Paper.from_dict({"title": "A"}), "needs 'id'")
    refuse(lambda: split_paper("On Ponds"), "not str")
    refuse(lambda: verify(None, [PAPER]), "takes a text")
    refuse(lambda: read_papers(tmp_path, columns="title=A"), "takes fields with their columns")
    refuse(lambda: load_settings(5), "takes the path of a TOML file")
    refuse(lambda: load_settings(k=True), "Invalid setting k = True")
    refuse(lambda: library.chat().load(5), "takes the path of a file")
    refuse(lambda: library.chat().save(None), "takes the path of a file")


def test_closed_library_says_so(tmp_path):
    assistant = Assistant.build([PAPER], tmp_path / "library")
    chat, copied = assistant.chat(), assistant.with_settings(assistant.settings)
    assistant.close()
    assistant.close()
    for call in (
        lambda: assistant.ask("ponds"),
        lambda: assistant.stream("ponds"),
        lambda: assistant.list("ponds"),
        lambda: assistant.search("ponds"),
        lambda: assistant.as_retriever().retrieve("ponds"),
        assistant.papers,
        lambda: assistant.paper_count,
        lambda: assistant.generation,
        lambda: chat.ask("ponds"),
        lambda: copied.ask("ponds"),
    ):
        refuse(call, "This library is closed. Open it again")
