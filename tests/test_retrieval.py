"""Retrieval's parts on small hand-made cases."""

from __future__ import annotations

import hashlib
import shutil

import numpy as np
import pytest

from rag import Assistant, Paper
from rag.errors import IndexDamaged
from rag.retrieval.fusion import fuse, standardise
from rag.retrieval.mentions import NameIndex, extract_system_name, find_ids


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


@pytest.mark.parametrize(
    ("title", "name"),
    [
        ("ELECTRA: Pre-training Text Encoders", "ELECTRA"),
        ("MDETR -- Modulated Detection", "MDETR"),
        ("VIOLET : End-to-End Video", "VIOLET"),
        ("ERNIE 3.0: Large-scale Knowledge", "ERNIE 3.0"),
        ("Few-shot learning for automated content analysis: Coding", None),
        ("Attention Is All You Need", None),
    ],
)
def test_system_name_is_the_short_lead_of_a_title(title, name):
    assert extract_system_name(title) == name


def test_names_are_found_as_names_only():
    names = NameIndex(["CodeT5+: Open Code", "CodeT5: Aware", "PRE: Prompts", "Primer: Search"])
    assert names.find_papers("how does codet5+ differ from CodeT5?") == [0, 1]
    assert names.find_papers("Compare pre-training and fine-tuning, a primer") == []
    assert names.find_papers("What does PRE gain over Primer?") == [2, 3]


def test_a_title_or_an_id_in_a_question_names_its_paper():
    titles = ["On the Rates of Decay", "Bidirectional Transformers (BERT)", "w " * 5000]
    names = NameIndex(titles)
    assert names.find_papers("what does “on the rates of decay” say?") == [0]
    assert names.find_papers("is BERT deep?") == [1]
    assert names.find_papers("w " * 5000) == []
    assert find_ids("see arXiv:1706.03762v5 and hep-th/9901001.") == (
        "arxiv:1706.03762",
        "arxiv:hep-th/9901001",
    )
    assert find_ids("a-" * 20000 + " 10." + "1/" * 20000) == ()


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
        assert set(found.hits[0].stages) == {"lexical", "coverage", "dense"}
        assert [hit.paper.id for hit in found.hits] == ["a", "b", "c"]  # a tie goes by id
        answer = assistant.ask("do blue stones move?")
        assert answer.confidence is None
        assert answer.statements[0].citations[0].quotes[0].text in papers[2].abstract
        listed = assistant.ask("which papers are about green tea?")
        assert [p.id for p in listed.sources.values()] == ["a", "b"]
        extra = Paper("d", "More", "Red sand is hot.")
        with Assistant.build([extra], index, embedder=HashingEmbedder()) as grown:
            assert grown.search("red sand")[0].paper.id == "d"


def test_missing_vectors_of_chroma_are_told(tmp_path):
    # Chroma moves vectors from its database to its own files after a thousand rows
    papers = [Paper(f"n-{n}", f"Paper {n}", f"About subject {n}.") for n in range(1100)]
    Assistant.build(papers, tmp_path / "library", embedder=HashingEmbedder()).close()
    for folder in (tmp_path / "library" / "chroma").iterdir():
        if folder.is_dir():
            shutil.rmtree(folder)
    damaged = Assistant.open(tmp_path / "library", embedder=HashingEmbedder())
    with damaged, pytest.raises(IndexDamaged, match="rag index --rebuild"):
        damaged.search("subject 7")
