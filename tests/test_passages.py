"""Passages: whole sentences, exact offsets, nothing lost."""

from __future__ import annotations

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from rag import Paper, split_paper
from rag.llm.tokens import count_tokens
from rag.text.sentences import sentence_spans

SENTENCES = st.lists(
    st.sampled_from(
        [
            "We train a model.",
            "It gains 3.5 points, i.e. more than Smith et al. report!",
            "Why 🙂?",
            "The code is at https://example.org/a.b .",
            "数字 are data.",
            "A much longer sentence " + "with many words " * 20 + "ends here.",
        ]
    ),
    max_size=25,
)


@given(SENTENCES, st.integers(32, 200), st.integers(0, 3))
@settings(max_examples=60, deadline=None)
def test_passages_are_exact_whole_and_within_the_budget(sentences, budget, overlap):
    paper = Paper("p", "T", " ".join(sentences))
    passages = split_paper(paper, budget_tokens=budget, overlap_sentences=overlap)
    spans = sentence_spans(paper.abstract)
    covered = [span for passage in passages for span in passage.sentences]
    assert sorted(set(covered)) == list(spans)
    assert [passage.number for passage in passages] == list(range(len(passages)))
    for passage in passages:
        assert paper.abstract[passage.start : passage.end] == passage.text
        costs = [count_tokens(paper.abstract[start:end]) for start, end in passage.sentences]
        assert len(costs) <= 1 or sum(costs) <= budget
    for before, after in pairwise(passages):
        shared = set(before.sentences) & set(after.sentences)
        assert len(shared) <= overlap
        assert after.sentences[-1] > before.sentences[-1]


def test_ordinary_abstract_is_one_passage_and_a_long_one_several():
    text = "We train a model on text. " * 10
    assert len(split_paper(Paper("p", "T", text.strip()))) == 1
    assert len(split_paper(Paper("p", "T", (text * 20).strip()))) > 2


def test_paper_without_abstract_is_one_empty_passage():
    (passage,) = split_paper(Paper("p", "Only a title", ""))
    assert (passage.start, passage.end, passage.text, passage.sentences) == (0, 0, "", ())
