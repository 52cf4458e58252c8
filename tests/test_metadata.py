"""Answers from the records of papers: authors, years, venues, DOIs, and which is the oldest."""

from __future__ import annotations

import json

import pytest
from model_server import ModelServer, Step

from rag import Assistant, Filter, Paper, load_settings

PAPERS = [
    Paper("tea-1", "Warm tea and sleep onset",
          "We gave warm tea to forty adults before bed. Warm tea delayed sleep onset.",
          authors=("Jane Doe", "Al Roe"), year=2019, venue="Tea Journal", doi="10.1000/t.1"),
    Paper("cof-2", "Cold coffee and attention",
          "Cold coffee raised attention scores in sixty students.",
          authors=("Richard Roe",), year=2020, venue="Coffee Journal"),
    Paper("gre-3", "Green tea and blood pressure",
          "Green tea lowered systolic blood pressure in a meta-analysis of trials.",
          authors=("Jack Joe",), year=2022, venue="Tea Journal"),
    Paper("kid-4", "KIDNEY-2: Water and stones",
          "Drinking two litres of water a day halved the rate of kidney stones.", year=2017),
    Paper("coc-5", "Cocoa and mood", "Cocoa improved mood in a trial of patients."),
]  # fmt: skip


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    with Assistant.build(PAPERS, tmp_path_factory.mktemp("records") / "tea") as assistant:
        yield assistant


@pytest.fixture
def chat(library):
    conversation = library.chat()
    first = conversation.ask("Does warm tea delay sleep onset?")
    assert [paper.id for paper in first.sources.values()] == ["tea-1"]
    return conversation


@pytest.mark.parametrize(
    ("question", "field", "text"),
    [
        ("who wrote it?", "authors", "was written by Jane Doe and Al Roe. [1]"),
        ("when was it published?", "year", "was published in 2019. [1]"),
        ("Where was this paper published?", "venue", "was published in Tea Journal. [1]"),
        ("its DOI?", "doi", "is 10.1000/t.1. [1]"),
        ("who are the authors of [1]?", "authors", "was written by Jane Doe and Al Roe. [1]"),
    ],
)
def test_a_field_of_the_paper_that_was_cited_is_read_from_its_record(chat, question, field, text):
    answer = chat.ask(question)
    assert answer.text.endswith(text)
    assert "“Warm tea and sleep onset”" in answer.text
    assert (answer.kind, answer.status) == ("metadata", "answered")
    (citation,) = answer.citations
    assert (citation.verdict, citation.by) == ("record", "record")
    assert citation.reason == f"its record: {field}"
    assert answer.verification == "1 read from the records."


@pytest.mark.parametrize(
    "words", ["Thanks!", "ok", "great, thank you", "hm", "Why is the sky blue?"]
)
def test_small_talk_between_two_questions_changes_nothing(chat, words):
    assert chat.ask(words).status == "abstained"
    assert chat.ask("when was it published?").text.endswith("was published in 2019. [1]")
    assert "10.1000/t.1" in chat.ask("What is its DOI?").text


def test_sentences_of_a_follow_up_are_compared_with_its_own_words(chat):
    answer = chat.ask("and how many adults got it?")
    assert answer.citations[0].quotes[0].text == "We gave warm tea to forty adults before bed."
    assert answer.asked == "Does warm tea delay sleep onset? and how many adults got it?"


def test_a_short_question_looks_first_into_the_papers_that_were_cited_last(chat, library):
    question = "Does pressure fall?"
    assert library.ask(question).hits[0].paper.id == "gre-3"
    answer = chat.ask(question)
    assert (answer.hits[0].paper.id, answer.asked) == ("tea-1", question)
    assert "gre-3" in [paper.id for paper in answer.sources.values()]


def test_answers_from_the_records_survive_being_saved_and_opened(chat, library, tmp_path):
    chat.ask("who wrote it?")
    chat.ask("which papers are the oldest?")
    chat.save(tmp_path / "tea.json")
    other = library.chat()
    other.load(tmp_path / "tea.json")
    assert [turn.answer.text for turn in other.turns] == [turn.answer.text for turn in chat.turns]


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("who wrote the paper on green tea?", "“Green tea and blood pressure” was written by Jack"),
        ("when was KIDNEY-2 published?", "“KIDNEY-2: Water and stones” was published in 2017."),
        ("who wrote KIDNEY-2?", "The record of “KIDNEY-2: Water and stones” has no authors."),
        ("what is the DOI of cold coffee and attention?",
         "The record of “Cold coffee and attention” has no DOI."),
    ],
)  # fmt: skip
def test_a_paper_that_a_question_names_is_shown_with_its_title(library, question, text):
    assert library.ask(question).text.startswith(text)


@pytest.mark.parametrize("question", ["who wrote the tea paper?", "who wrote the Linux kernel?"])
def test_a_name_that_means_no_single_paper_gives_the_closest_papers(library, question):
    answer = library.ask(question)
    assert (answer.kind, answer.status) == ("metadata", "abstained")
    assert answer.reason.startswith("No paper is clearly meant by")
    assert len(answer.closest) == 3


def test_a_question_that_refers_to_no_paper_is_told_so(library):
    assert "an earlier answer cites" in library.ask("who wrote it?").reason
    conversation = library.chat()
    conversation.ask("Does warm tea delay sleep onset?")
    answer = conversation.ask("who wrote [7]?")
    assert answer.status == "abstained"
    assert "The conversation has no citation [7]." in answer.warnings


def test_papers_are_put_in_the_order_of_their_years(library):
    answer = library.ask("which is the oldest?")
    assert answer.text.startswith("Of 5 papers, the oldest first: 1 without a year left out.\n\n- ")
    assert [paper.year for paper in answer.sources.values()] == [2017, 2019, 2020, 2022]
    newest = library.ask("the newest paper on tea?")
    assert newest.text.startswith(
        "Of 2 papers that seem to fit “tea”, the newest first:\n\n- “Green"
    )
    assert [paper.id for paper in newest.sources.values()] == ["gre-3", "tea-1"]
    early = library.ask("which is the newest paper?", where=Filter(years=(None, 2019)))
    assert [paper.year for paper in early.sources.values()] == [2019, 2017]


def test_the_oldest_of_several_cited_papers_is_one_of_those(library):
    conversation = library.chat()
    listed = conversation.ask("Which papers are on tea?")
    answer = conversation.ask("which is the oldest?")
    assert len(listed.sources) > 1
    assert set(answer.sources) == set(listed.sources)
    every = conversation.ask("which is the oldest?", as_written=True)
    assert every.text.startswith("Of 5 papers, the oldest first:")


def test_a_library_without_the_field_says_so(tmp_path):
    papers = [Paper("a-1", "On Moths", "Moths fly at night."), Paper("b-2", "On Ants", "Ants dig.")]
    with Assistant.build(papers, tmp_path / "bare") as library:
        answer = library.ask("which is the oldest paper?")
        assert (answer.status, answer.reason) == ("abstained", "Its records have no years.")
        assert library.ask("who wrote On Moths?").reason == "Its records have no authors."
        counted = library.ask("how many papers since 2020?")
    assert counted.reason == "Its papers cannot be filtered as the question asks."
    assert counted.warnings == ("The library has no years, so “since 2020” was not applied.",)


def test_a_plan_for_a_field_that_the_library_lacks_is_not_answered_with_all_papers(tmp_path):
    plan = plan_records(kind="list", from_year=2020)
    Assistant.build([Paper("a-1", "On Moths", "Moths fly at night.")], tmp_path / "bare").close()
    with ModelServer(plan=plan) as server:
        settings = load_settings(chat_model="tester", chat_url=server.url)
        with Assistant.open(tmp_path / "bare", settings=settings) as library:
            answer = library.ask("how many since 2020?")
    assert (answer.kind, answer.status) == ("metadata", "abstained")
    assert answer.reason == "Its papers cannot be filtered as the question asks."


def test_records_of_papers_that_no_answer_cites_are_not_those_of_all_papers(library):
    with ModelServer(plan=plan_records(of_these=True)) as server:
        settings = load_settings(chat_model="tester", chat_url=server.url)
        with Assistant.open(library.folder, settings=settings) as assistant:
            answer = assistant.ask("How many of these are there?")
    assert (answer.status, answer.warnings) == (
        "abstained",
        ("No earlier answer cites a paper.",),
    )


def plan_records(**fields):
    return Step(json.dumps({"question": "q", "kind": "metadata", **fields}))


@pytest.mark.parametrize(
    ("plan", "text"),
    [
        ({"alone": False, "fields": ["authors"]}, "“Warm tea and sleep onset” was written by"),
        ({"subject": "Green tea", "fields": ["venue"]},
         "“Green tea and blood pressure” was published in Tea Journal. [2]"),
        ({"subject": "it", "alone": False, "fields": ["year"]},
         "“Warm tea and sleep onset” was published in 2019. [1]"),
        ({"order": "newest"}, "Of 5 papers, the newest first:"),
        ({"kind": "list", "alone": True, "from_year": 2020},
         "The library has 2 papers from 2020 on."),
    ],
)  # fmt: skip
def test_a_model_plans_what_is_read_from_the_records(library, chat, plan, text):
    with ModelServer(plan=plan_records(**plan)) as server:
        settings = load_settings(chat_model="tester", chat_url=server.url)
        with Assistant.open(library.folder, settings=settings) as assistant:
            answer = assistant.ask("Wann?", history=chat.turns)
    assert (answer.kind, answer.mode) == ("metadata", "quotes")
    assert answer.text.startswith(text)
    assert answer.usage.calls == 1
