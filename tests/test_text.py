"""Sentences, token counts and links, on real fragments and on anything at all."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.llm.tokens import count_tokens
from rag.text.links import find_links
from rag.text.sentences import sentence_spans

ROOT = Path(__file__).parent.parent
LIBRARY = [
    json.loads(line)
    for line in (ROOT / "rag/data/library.jsonl").read_text(encoding="utf-8").splitlines()
]
ABSTRACTS = {record["id"]: record["abstract"] for record in LIBRARY}

# --- sentences ----------------------------------------------------------------------------------

SENTENCES = [
    ["Vaswani et al. introduced it.", "Abbe et al. (2023) did not."],
    ["Streams are i.i.d. and labeled.", "Data (e.g. BERT, i.e. text) help vs. none."],
    ["It gains 3.5 points (90.6% vs. 89.8%).", "See Fig. 3 and No. 5."],
    ["We propose models.", "We test them."],
    ["It reaches 95%.", "This is new."],
    ["It is O(n) for sequences of length L.", "The efficiency is high."],
    ["Node.js and torch.Tensor run e.g.The model.", "Code is at https://host.org/a.We/b."],
    ["It was trained on data (books, articles, etc.) and then tuned.", "It runs, etc.", "We stop."],
    ['We call them "soups."', "When tuned, they win."],
    ['"Can it?" asks the paper.', "The answer is no.", "We agree."],
    ["It learns.", "w2v-BERT is a framework."],
    ["1) One aims at text.", "2) Two aims at images."],
]


def sentences(text):
    return [text[start:end] for start, end in sentence_spans(text)]


@pytest.mark.parametrize("expected", SENTENCES)
def test_sentences_end_where_a_reader_ends_them(expected):
    assert sentences(" ".join(expected)) == expected


def test_a_missing_space_after_a_full_stop_is_seen():
    expected = ["We propose models.", "We test them (95%).", "This is new."]
    assert sentences("".join(expected)) == expected
    assert sentences("We count.MAIN RESULTS: They rose.") == [
        "We count.",
        "MAIN RESULTS: They rose.",
    ]


ANY_TEXT = st.one_of(
    st.text(),
    st.lists(
        st.sampled_from(["We", "e.g.", "no.", '?"', "a.We ", " ", "L. The ", "5", "(", ")", "…"])
    ).map("".join),
)


@given(ANY_TEXT)
def test_sentences_cover_everything_but_white_space_in_order(text):
    end_before = 0
    for start, end in sentence_spans(text):
        assert end_before <= start < end <= len(text)
        assert not text[end_before:start].strip()
        assert text[start:end] == text[start:end].strip()
        end_before = end
    assert not text[end_before:].strip()


def test_sentences_of_the_library_are_neither_fragments_nor_heaps():
    counts = [len(sentence_spans(abstract)) for abstract in ABSTRACTS.values()]
    assert sum(counts) == 2326
    assert (min(counts), max(counts)) == (6, 14)
    begins = [
        sentence[:12]
        for abstract in ABSTRACTS.values()
        for sentence in sentences(abstract)
        if not sentence[0].isupper() and not sentence[0].isdigit()
    ]
    # Read by hand: two headings in brackets, a name in lower case, and an author's slip.
    assert sorted(begins) == ["[Method] Ins", "[Results] Ac", "w2v-BERT is ", "we observed "]


# --- tokens and links ---------------------------------------------------------------------------


def test_tokens_are_counted_as_text_even_where_they_spell_a_special_token():
    assert count_tokens("") == 0
    assert count_tokens("Every claim is cited.") == 5
    assert count_tokens("<|endoftext|>") == 7  # the special token itself would be 1
    assert count_tokens("a" * 100_000) == 12_500  # eight to a token


def test_counting_and_splitting_leave_the_process_as_it_was():
    program = """
import os, sys
from rag.llm.tokens import count_tokens
from rag.text.sentences import sentence_spans
before = dict(os.environ)
count_tokens("a"), sentence_spans("A b. C d.")
assert dict(os.environ) == before
import nltk
print(any("_static" in folder for folder in nltk.data.path), "llama_index.core" in sys.modules)
"""
    for given_folder in ({}, {"TIKTOKEN_CACHE_DIR": "/nowhere"}):
        done = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, **given_folder, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            check=True,
        )
        assert done.stdout.split() == ["False", "False"]


@pytest.mark.parametrize(
    ("text", "links"),
    [
        (
            "Code at https://a.org/x. Data: http://b.org/y, too",
            ("https://a.org/x", "http://b.org/y"),
        ),
        ("(https://w.io/R-AMT/).", ("https://w.io/R-AMT/",)),
        ("[wiki](https://w.org/A_(b)); again https://w.org/A_(b)", ("https://w.org/A_(b)",)),
        ("at https: //github.com/salesforce/CodeT5 .", ("https://github.com/salesforce/CodeT5",)),
        ("git https://a.org/x.git. at~https://b.org", ("https://a.org/x.git", "https://b.org")),
        ("https:// and http and www.a.org", ()),
        ("", ()),
    ],
)
def test_links_are_found_without_the_punctuation_around_them(text, links):
    assert find_links(text) == links


def test_the_library_offers_its_62_links_and_the_one_a_space_broke():
    links = [link for abstract in ABSTRACTS.values() for link in find_links(abstract)]
    assert len(links) == 63
    assert sum(re.findall(r"https?://\S", abstract) != [] for abstract in ABSTRACTS.values()) == 62
