"""Retrieval's parts on small hand-made cases."""

from __future__ import annotations

import hashlib

import numpy as np

from rag import Assistant, Paper
from rag.retrieval.fusion import fuse, standardise


class HashingEmbedder:
    """Words hashed to directions: real similarity of wording, no token vectors."""

    name = "hashing"
    dim = 64

    def embed(self, texts):
        rows = np.zeros((len(texts), self.dim), np.float32)
        for row, text in enumerate(texts):
            for word in [*text.lower().split(), "#"]:
                rows[row, hashlib.sha256(word.encode()).digest()[0] % self.dim] += 1
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def test_fusion_adds_standardised_scores():
    # (1, 3): mean 2, deviation 1 -> (-1, 1); (5, 5) does not differ -> (0, 0)
    stages = {"a": np.array([1.0, 3.0]), "b": np.array([5.0, 5.0])}
    assert fuse(stages, {"a": 0.5, "b": 2.0}).tolist() == [-0.5, 0.5]
    assert standardise(np.array([2.0, 4.0, 6.0])).round(4).tolist() == [-1.2247, 0.0, 1.2247]


TITLES = {
    "t5+": "CodeT5+: Open Code",
    "t5": "CodeT5: Aware",
    "pre": "PRE: Prompts",
    "primer": "Primer: Search",
    "mdetr": "MDETR -- Modulated Detection",
    "ernie": "ERNIE 3.0: Large-scale Knowledge",
    "few": "Few-shot learning for automated content analysis: Coding",
    "rates": "On the Rates of Decay",
    "bert": "Bidirectional Transformers (BERT)",
    "arxiv:1706.03762": "Attention Is All You Need",
    "arxiv:hep-th/9901001": "Strings",
    "doi:10.1000/x": "Ponds",
}
NAMED = {
    "how does CodeT5+ differ from CodeT5?": {"t5+", "t5"},
    "compare pre-training and fine-tuning, a primer": set(),
    "what does PRE gain over Primer?": {"pre", "primer"},
    "what is primer?": {"primer"},
    "what is primer to the search of fewer rates?": set(),
    "is mdetr better than ERNIE 3.0?": {"ernie"},
    "which few-shot learning works?": set(),
    "what does “on the rates of decay” say?": set(),
    "is BERT deep?": {"bert"},
    "see arXiv:1706.03762v5 and hep-th/9901001.": {"arxiv:1706.03762", "arxiv:hep-th/9901001"},
    "what does doi:10.1000/X claim?": {"doi:10.1000/x"},
}


def test_papers_that_a_question_names_by_coined_name_or_id_come_first(tmp_path):
    papers = [Paper(paper_id, title, "We test it.") for paper_id, title in TITLES.items()]
    with Assistant.build(papers, tmp_path / "library", embedder=HashingEmbedder()) as assistant:
        for question, named in NAMED.items():
            hits = assistant.search(question, k=len(papers))
            assert {hit.paper.id for hit in hits if hit.named} == named, question
            assert {hit.paper.id for hit in hits[: len(named)]} == named, question


def test_the_paper_that_introduces_a_rare_name_comes_first(tmp_path):
    papers = [
        Paper("ahead", "Plans", "We look ahead. The plan does look long."),
        Paper("coins", "Nearest friends", "Ponds are deep and blue. We call our method LOOK."),
        Paper("other", "Blue ponds", "Ponds are blue. Nobody minds."),
    ]
    with Assistant.build(papers, tmp_path / "library", embedder=HashingEmbedder()) as assistant:
        for question in ("What does LOOK stand for?", "I keep reading of LOOK, what is it?"):
            assert assistant.search(question)[0].paper.id == "coins", question


def test_words_are_found_however_they_are_spelled_and_quoted_as_they_stand(tmp_path):
    papers = [
        Paper("pdf", "Uni\ufb01ed so\u00adftware", "A \ufb02oating pre\u2011print uses CO₂\u200b."),
        Paper("other", "Ponds", "Ponds are deep and blue."),
    ]
    with Assistant.build(papers, tmp_path / "library", embedder=HashingEmbedder()) as assistant:
        for question in (
            "unified",
            "software",
            "uni\ufb01ed",
            "floating",
            "preprint",
            "CO2",
            "flo\u00adating",
        ):
            [hit] = [hit for hit in assistant.search(question) if hit.coverage == 1]
            assert (hit.paper.id, hit.sentences[0].text) == ("pdf", papers[0].abstract), question


def test_embedder_without_token_vectors_leaves_those_stages_out(tmp_path):
    papers = [
        Paper("b", "Same words here", "Green tea is warm.", year=2019),
        Paper("a", "Same words here", "Green tea is warm.", year=2020),
        Paper("c", "Other matters", "Blue stones are cold. They do not move."),
    ]
    index = tmp_path / "library"
    with Assistant.build(papers, index, embedder=HashingEmbedder()) as assistant:
        found = assistant.retrieve("green tea")
        assert any("token vectors" in note for note in found.notes)
        assert set(found.hits[0].stages) == {"lexical", "dense"}
        assert [hit.paper.id for hit in found.hits] == ["a", "b", "c"]  # a tie goes by id
        answer = assistant.ask("do blue stones move?")
        assert answer.confidence is None
        assert answer.citations[0].quotes[0].text in papers[2].abstract
        listed = assistant.ask("which papers are about green tea?")
        assert [p.id for p in listed.sources.values()] == ["a", "b"]
        extra = Paper("d", "More", "Red sand is hot.")
        with Assistant.build([extra], index, embedder=HashingEmbedder()) as grown:
            assert grown.search("red sand")[0].paper.id == "d"
