"""Cleaning, sentences, token counts and links, on real fragments and on anything at all."""

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
from rag.text.markup import clean_markup
from rag.text.sentences import sentence_spans

ROOT = Path(__file__).parent.parent
LIBRARY = [
    json.loads(line)
    for line in (ROOT / "rag/data/library.jsonl").read_text(encoding="utf-8").splitlines()
]
ABSTRACTS = {record["id"]: record["abstract"] for record in LIBRARY}
# For every abstract of the library that cleaning changed: each fragment before and after.
CLEANED = json.loads((ROOT / "tests/fixtures/cleaned_abstracts.json").read_text(encoding="utf-8"))

MENDED = [
    (r"by 87\%, 131\%", "by 87%, 131%"),
    (r"R\&D, \$20, \#1, a\_b", "R&D, $20, #1, a_b"),
    (r"One For All (\textsc{Ofa}), which", "One For All (Ofa), which"),
    (r"\emph{scan and \textbf{snap}} dynamics", "scan and snap dynamics"),
    (r"the matrix \( A \), this", "the matrix A, this"),
    (r"\( x'(t) = Ax(t) + Bu(t) \), and", "x'(t) = Ax(t) + Bu(t), and"),
    (r"in \(\mathcal{O}(n^2) \leq \alpha\)", "in O(n^2) ≤ α"),
    (r"na\"ively, na{\"\i}ve, G\"odel, Erd\H{o}s", "naïvely, naïve, Gödel, Erdős"),
    (r"Universit\'{e}, Gar\c{c}on, Stra{\ss}e, S\o{}ren", "Université, Garçon, Straße, Søren"),
    (r"process, \eg, from; \ie. this", "process, e.g., from; i.e. this"),
    ("``reverse thinking'' -- prompting", '"reverse thinking" -- prompting'),
    ("a mild ''informative'' condition", 'a mild "informative" condition'),
    ("(or \"unlearn'') a skill", '(or "unlearn") a skill'),
    ("favouring `quality over quantity'.", "favouring 'quality over quantity'."),
    ("tasks~(the MLM) wav2vec~2.0 by~30%", "tasks (the MLM) wav2vec 2.0 by 30%"),
    ("available at~https://host.org/x", "available at https://host.org/x"),
    ("reconstruction~-- that of", "reconstruction -- that of"),
    ("from scratchx2013even for", "from scratch–even for"),
    ("Llama-2 (7B)x2014a model", "Llama-2 (7B)—a model"),
    ("6400times6400 images, 60times faster", "6400×6400 images, 60× faster"),
    ("a 6.5times reduction and 3-4times faster", "a 6.5× reduction and 3-4× faster"),
    (r"$6400\times6400$ and $\times$", "6400×6400 and ×"),
    ("from $1.5%$ to $20 %$ and $<5%$", "from 1.5% to 20 % and <5%"),
    ("a merely sim0.6 point, by sim3x.", "a merely ~0.6 point, by ~3x."),
    ("two\n lines\tand\u00a0more \x00 ", "two lines and more"),
]

LEFT_ALONE = [
    "at $5% and 6%$, for $1.5% of $2",
    "gains of 36% over BERT. Next, R&D at $20 and #1.",
    "an excess risk of mathcal{O}(mathcal{C_Phi/m} + 1/n)",
    "just 187 and \\800 each",
    "very slow and large (~billion parameters), ~3x",
    r"it\'s \"quoted\" and don\'t, C:\new\alpha, \foo{x}, \\emph{x}",
    "https://people.edu/~name/a~b",
    "10~20 tokens, x~N(0,1), ~/.cache",
    "sim2real with sim10k, simple, similarly",
    "sometimes two times four, timestamps",
    "matrix2013 0x2013ab",
    "f''(x) of 5'' and 'so'",
    "use `ls` of `the models' x`",
    "O(L^{{4}/{3}}) and k^{th}-order",
    "BERT_BASE -- 5 < 6",
    "",
]


@pytest.mark.parametrize(("before", "after"), MENDED)
def test_certain_residue_is_mended(before: str, after: str) -> None:
    assert clean_markup(before) == after


@pytest.mark.parametrize("text", LEFT_ALONE)
def test_what_is_unclear_stays_as_it_is(text: str) -> None:
    assert clean_markup(text) == text


def test_every_cleaned_abstract_of_the_library_is_listed_before_and_after() -> None:
    assert len(LIBRARY) == 251
    assert len(CLEANED) == 25
    for paper, fragments in CLEANED.items():
        raw = ABSTRACTS[paper]
        for before, after in fragments:
            assert clean_markup(before) == after
            assert raw.count(after) == 1
            raw = raw.replace(after, before)
        assert clean_markup(raw) == ABSTRACTS[paper]


def test_cleaning_the_library_again_changes_nothing() -> None:
    for record in LIBRARY:
        assert clean_markup(record["title"]) == record["title"]
        assert clean_markup(record["abstract"]) == record["abstract"]


WORDS = st.from_regex(r"[A-Za-zÀ-ÿ0-9]{1,12}", fullmatch=True).filter(
    lambda word: not re.search(r"\dtimes|^sim\d|x201[34]", word)
)
MARKS = st.sampled_from(
    [
        " ",
        ", ",
        ". ",
        " % ",
        "% ",
        " $",
        " & ",
        " #",
        "\\% ",
        " ~",
        "\n",
        " ``",
        "'' ",
        " (",
        ") ",
        '"',
    ]
)


@given(st.lists(st.tuples(WORDS, MARKS), max_size=30))
def test_words_outside_the_residue_always_survive(pieces: list[tuple[str, str]]) -> None:
    text = "".join(word + mark for word, mark in pieces)
    assert re.findall(r"\w+", clean_markup(text)) == re.findall(r"\w+", text)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\\~`'\"")))
def test_text_without_marks_of_tex_keeps_every_character(text: str) -> None:
    if not re.search(r"x201[34]|\dtimes|sim\d", text):
        assert clean_markup(text) == re.sub(r"[\s\x00-\x1f\x7f-\x9f]+", " ", text).strip()


@given(st.text(alphabet="abE3. ~\\%{}()`'\"$emphtisx2014"))
def test_cleaning_never_fails_and_never_grows_a_text(text: str) -> None:
    assert len(clean_markup(text)) <= len(text) + text.count("\\")


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


def sentences(text: str) -> list[str]:
    return [text[start:end] for start, end in sentence_spans(text)]


@pytest.mark.parametrize("expected", SENTENCES)
def test_sentences_end_where_a_reader_ends_them(expected: list[str]) -> None:
    assert sentences(" ".join(expected)) == expected


def test_a_missing_space_after_a_full_stop_is_seen() -> None:
    assert sentences("We propose models.We test them (95%).This is new.") == [
        "We propose models.",
        "We test them (95%).",
        "This is new.",
    ]


def test_blank_text_has_no_sentence() -> None:
    assert sentence_spans("") == sentence_spans(" \n\u00a0") == ()


ANY_TEXT = st.one_of(
    st.text(),
    st.lists(
        st.sampled_from(["We", "e.g.", "no.", '?"', "a.We ", " ", "L. The ", "5", "(", ")", "…"])
    ).map("".join),
)


@given(ANY_TEXT)
def test_sentences_cover_everything_but_white_space_in_order(text: str) -> None:
    end_before = 0
    for start, end in sentence_spans(text):
        assert end_before <= start < end <= len(text)
        assert not text[end_before:start].strip()
        assert text[start:end] == text[start:end].strip()
        end_before = end
    assert not text[end_before:].strip()


def test_sentences_of_the_library_are_neither_fragments_nor_heaps() -> None:
    counts = [len(sentence_spans(abstract)) for abstract in ABSTRACTS.values()]
    assert sum(counts) == 2326
    assert (min(counts), max(counts)) == (6, 14)


def test_every_sentence_of_the_library_begins_like_one() -> None:
    begins = [
        sentence[:12]
        for abstract in ABSTRACTS.values()
        for sentence in sentences(abstract)
        if not sentence[0].isupper() and not sentence[0].isdigit()
    ]
    # Read by hand: two headings in brackets, a name in lower case, and an author's slip.
    assert sorted(begins) == [
        "[Method] Ins",
        "[Results] Ac",
        "w2v-BERT is ",
        "we observed ",
    ]


# --- tokens and links ---------------------------------------------------------------------------


def test_tokens_are_counted_as_text_even_where_they_spell_a_special_token() -> None:
    assert count_tokens("") == 0
    assert count_tokens("Every claim is cited.") == 5
    assert count_tokens("<|endoftext|>") == 7  # the special token itself would be 1


def test_a_hundred_thousand_equal_characters_are_counted() -> None:
    assert count_tokens("a" * 100_000) == 12_500  # eight to a token


def test_counting_and_splitting_leave_the_process_as_it_was() -> None:
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
def test_links_are_found_without_the_punctuation_around_them(
    text: str, links: tuple[str, ...]
) -> None:
    assert find_links(text) == links


def test_the_library_offers_its_62_links_and_the_one_a_space_broke() -> None:
    links = [link for abstract in ABSTRACTS.values() for link in find_links(abstract)]
    assert len(links) == 63
    assert sum(re.findall(r"https?://\S", abstract) != [] for abstract in ABSTRACTS.values()) == 62
