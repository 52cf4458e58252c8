"""Roles of sentences in their abstract, and the form of a question."""

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
