"""Misspelled words of a question, which are tried as words of the library."""

from __future__ import annotations

import json

import pytest

from rag import Assistant, Paper

PAPERS = [
    Paper("seg-1", "Image segmentation with attention", "Attention makes segmentation sharper."),
    Paper("ban-2", "Banners on the page", "Readers ignore banners. A connection was not found."),
    Paper("foo-3", "FOOBERT", "FOOBERT reads long texts. Its tokenizer is fast."),
]  # fmt: skip


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    with Assistant.build(PAPERS, tmp_path_factory.mktemp("spelling") / "papers") as assistant:
        yield assistant


@pytest.mark.parametrize(
    ("question", "asked"),
    [
        ("Does segmentaton use attenton?", "Does segmentation use attention?"),
        ("Tokenzier speed?", "tokenizer speed?"),
        ("how long are texts for foobrt?", "how long are texts for FOOBERT?"),
    ],
)
def test_a_word_that_one_edit_makes_a_word_of_the_library_is_tried_as_that(
    library, question, asked
):
    answer = library.ask(question)
    assert answer.asked == asked
    assert answer.warnings[0].startswith("Showing results for “")
    as_it_stands = library.ask(question, as_written=True)
    assert (as_it_stands.asked, as_it_stands.warnings) == (question, ())


@pytest.mark.parametrize(
    "question",
    [
        "Are bananas healthy?",  # ordinary words that the library lacks
        "Do bankers read?",
        "Is there a reconnection?",
        "Does FOOBRT read long texts?",  # names and numbers
        "Does Segmentaton ask Attenton?",
        "What is segmentaton-1a2b3c or foo.segmentaton?",
        "What is a pgae?",  # a short word
        "Does segmentatoin1 help?",
        "Does xylophonics help?",  # near to no word
    ],
)
def test_other_words_are_left_alone(library, question):
    answer = library.ask(question)
    assert answer.asked == question
    assert not any("Showing" in each for each in answer.warnings)


def test_a_list_is_of_the_corrected_subject(library, run, tmp_path):
    note = "Showing results for “segmentation”."
    for answer in (library.list("segmentaton"), library.ask("which papers use segmentaton?")):
        assert "fits “segmentation”" in answer.text
        assert answer.warnings[0] == note
    shown = json.loads(run("list", "segmentaton", "-i", str(library.folder), "--json"))
    assert note in shown["warnings"]


def test_a_follow_up_is_corrected_too(library):
    chat = library.chat()
    chat.ask("What makes segmentation sharper?")
    assert chat.ask("does it use attenton?").asked.endswith("does it use attention?")
