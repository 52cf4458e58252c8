"""Roles of sentences in their abstract, and the form of a question."""

import re
from contextlib import closing

import pytest

from rag import Assistant, Paper
from rag.index import Index
from rag.query.rules import read_form
from rag.retrieval.roles import judge_roles

STUDY = Paper(
    "study-1",
    "Warm milk and sleep",
    "Many people drink warm milk at bedtime. We aimed to test whether warm milk shortens the time "
    "to fall asleep. Sixty adults were randomised to warm milk or water for two weeks. Time to "
    "fall asleep was 14 minutes with milk and 15 minutes with water, which did not differ. Warm "
    "milk does not help adults to fall asleep.",
)


def test_findings_are_told_from_aims_and_methods(tmp_path):
    with (
        Assistant.build([STUDY], tmp_path / "milk") as library,
        closing(Index.open(library.folder)) as index,
    ):
        found = judge_roles(index, library.embedder.name, [STUDY.id, "unknown"])
        assert judge_roles(index, "another embedder", [STUDY.id]) == {}
    assert [key[0] for key in found] == [STUDY.id] * 5
    assert all(sum(roles.values()) == pytest.approx(1) for roles in found.values())
    finding = [found[key]["result"] + found[key]["conclusion"] for key in sorted(found)]
    assert max(finding[:3]) < 0.5 < min(finding[3:])


def test_lines_about_rights_funding_and_registration_are_never_quoted(tmp_path):
    soup = (
        "Soup is eaten in many homes. We followed 1,204 eaters of soup for six years. Soup lowered "
        "the blood pressure by 2 mmHg. "
    )
    papers = [
        Paper(
            "soup-1",
            "Soup and pressure",
            f"{soup}Copyright © 2023 Soup Press Ltd. All rights reserved.",
        ),
        Paper("soup-2", "Soup in winter", f"{soup}FUNDING: The Soup Council."),
        Paper(
            "soup-3", "Soup in spring", f"{soup}TRIAL REGISTRATION: ClinicalTrials.gov NCT09876543."
        ),
        Paper("soup-4", "Soup at night", "No abstract is available for this article."),
    ]
    with Assistant.build(papers, tmp_path / "soup") as library:
        shown = [
            quote.text
            for question in (
                "In which year did Soup Press follow eaters of soup?",
                "What does the Soup Council say about soup?",
                "What is the number of the soup trial?",
            )
            for citation in library.ask(question, k=4).citations
            for quote in citation.quotes
        ]
    assert set(shown) <= set({sentence.strip() for sentence in re.findall(r"[^.]+\.", soup)})


def test_research_on_funding_and_open_code_is_quoted(tmp_path):
    papers = [
        Paper(
            "money-1",
            "Who pays for trials",
            "Trials are paid for by firms or by the state. We read 300 trials of drugs. Funding by "
            "industry was associated with favourable conclusions in 71% of the trials.",
        ),
        Paper(
            "code-2",
            "Nutcracker",
            "Small models write poor programs. We release Nutcracker, a 7B model of code, and show "
            "that it beats models of twice its size on three benchmarks.",
        ),
    ]
    with Assistant.build(papers, tmp_path / "money") as library:
        funding = library.ask("Is funding by industry associated with favourable conclusions?")
        code = library.ask("Which models are beaten by the Nutcracker model of code?")
    assert "71%" in funding.text
    assert "twice its size" in code.text


def test_an_offer_of_code_does_not_make_a_paper_one_about_code(tmp_path):
    about = Paper(
        "code-1",
        "Programs from words",
        "We train a model that writes source code from a description. Its code passes more tests.",
    )
    others = [
        Paper(
            f"{animal}-1",
            f"{animal.capitalize()} calls",
            f"We record {animal}s at night and count their calls. A network finds nine of ten. "
            f"Our source code is available at https://github.com/{animal}/calls.",
        )
        for animal in ("owl", "frog", "fox", "bat", "cricket")
    ]
    with Assistant.build([about, *others], tmp_path / "code") as library:
        listed = library.list("source code")
    assert [paper.id for paper in listed.sources.values()] == [about.id]


def test_an_embedder_without_roles_is_quoted_by_relevance(tmp_path):
    from test_retrieval import HashingEmbedder

    with Assistant.build([STUDY], tmp_path / "milk", embedder=HashingEmbedder()) as library:
        answer = library.ask("Does warm milk help you to fall asleep?")
    assert answer.statements


@pytest.mark.parametrize(
    ("question", "form"),
    [
        ("Does it help?", "yes/no"),
        ("In small models, is it useful when data are few?", "yes/no"),
        ("Can I train faster?", "yes/no"),
        ("If so, how does it learn?", "other"),
        ("Which tasks is UNITER trained with?", "other"),
        ("How fast is BERT?", "other"),
        ("why?", "other"),
        ("What's ELECTRA", "name"),
        ("GPT-3?", "name"),
        ("What does LST stand for?", "name"),
        ("what is distillation", "name"),
    ],
)
def test_the_form_of_a_question_is_read(question, form):
    assert read_form(question) == form
