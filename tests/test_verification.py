"""Verdicts on statements: by text comparison, and by a model that reads."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_server import ModelServer, Step

from rag import Paper, load_settings, verify
from rag.llm import make_chat_model, make_check_model
from rag.prompts import load_prompt
from rag.text.numbers import find_missing_numbers
from rag.verification import Claim
from rag.verification.reader import ReaderChecker
from rag.verification.verify import make_checker

ROOT = Path(__file__).parents[1]
MRT5 = Paper(
    "mrt5",
    "MrT5",
    "Byte-level models are slow. MrT5 deletes tokens with a learnt gate after a fixed number of "
    "encoder layers. It reduces sequence lengths by up to 75% (with minimal loss). The gate may "
    "also help on 12 languages.",
)
REDUCES = "It reduces sequence lengths by up to 75% with minimal loss."


def read(reply, *claims, **options):
    """Verifications by a model that replies so, and its checker."""
    with ModelServer(Step(reply)) as server:
        model = make_chat_model(load_settings(chat_model="reader", chat_url=server.url, **options))
        checker = ReaderChecker(model, load_prompt("verify"), "a question")
        found = checker.check([Claim(claim, (MRT5,)) for claim in claims])
        checker.prompts = list(server.prompts)
    return found, checker


@pytest.mark.parametrize(
    ("statement", "source", "is_found"),
    [
        ("14x faster", "14 times faster", True),
        ("10x", "10-fold", True),
        ("a factor of 6.3", "6.3x", True),
        ("threefold", "3x", True),
        ("twice as fast", "2x", True),
        ("twice as fast", "5 ms, not 10 ms", False),
        ("1.5 points", "1.5%", True),
        ("12 percent", "12 per cent", True),
        ("half of it", "50%", True),
        ("a quarter", "25%", True),
        ("about a third", "33.4%", False),
        ("7B", "7 billion", True),
        ("893,000", "893K", True),
        ("two hundred papers", "200 papers", True),
        ("twenty-five layers", "25 layers", True),
        ("two tasks", "2 tasks", True),
        ("three tasks", "two tasks", False),
        ("0.5", ".5", True),
        ("15%", "15.3%", False),
        ("50B tokens", "5B tokens", False),
        ("20%", "20x", False),
        ("In 2019", "in 2018", False),
        ("GPT-4, T5 and CIFAR-100", "nothing", True),
        ("Stage 2 comes after Stage 1", "nothing", True),
        ("one model in the third phase", "several models", True),
    ],
)
def test_numbers_are_compared_after_units_are_normalised(statement, source, is_found):
    assert (find_missing_numbers(statement, source) == []) is is_found


@pytest.mark.parametrize(
    ("statement", "verdict", "warnings"),
    [
        ("Byte-level models are slow.", "quoted", ()),
        ("byte-level  **models** are slow", "quoted", ()),
        (REDUCES, "quoted", ()),
        ("It reduces sequence lengths by up to 75%.", "unchecked", ()),
        ("It reduces lengths by 57%.", "unchecked", ("figure not found: 57%",)),
        ("MrT5 never deletes tokens with a learnt gate.", "unchecked", ()),
        ("It is twice as fast on GPT-3.", "unchecked", ("figure not found: twice",)),
        ("models are slow.", "unchecked", ()),
        ("?!", "unchecked", ()),
        ("", "unchecked", ()),
    ],
)
def test_only_a_whole_sentence_is_quoted_and_missing_figures_are_reported(
    statement, verdict, warnings
):
    found = verify(statement, [MRT5])
    assert (found.verdict, found.warnings, found.by) == (verdict, warnings, "text")
    assert bool(found.quotes) == (verdict == "quoted")


@pytest.mark.parametrize(
    ("statement", "sentence", "is_quoted"),
    [
        ("The chip draws 5 mW.", "The chip draws 5 MW.", False),
        ("It stores 8 Mb.", "It stores 8 MB.", False),
        ("We vary k.", "We vary K.", False),
        ("Our us corpus.", "Our US corpus.", False),
        ("x lies in (0, 1].", "x lies in [0, 1).", False),
        ("x lies in 0, 1.", "x lies in [0, 1).", True),
        ("Unified soft-ware.", "Uni\ufb01ed so\u00adft\u2011ware\u200b.", True),
        ("It is 102.", "It is 10².", False),
        ("a BERT model (2018) Wins.", "A Bert model 2018 wins", True),
    ],
)
def test_case_and_brackets_are_ignored_only_where_the_meaning_stays(statement, sentence, is_quoted):
    found = verify(statement, [Paper("p", "P", sentence)])
    assert (found.verdict == "quoted") is is_quoted


def test_a_figure_may_stand_in_any_cited_abstract_or_title():
    other = Paper("two", "Training with 64 GPUs", "Curriculum order saves 20% of the time.")
    statement = "Lengths fall by 75%, time by 20%, on 64 GPUs."
    assert verify(statement, [MRT5, other]).warnings == ()
    assert verify(statement, [other]).warnings == ("figure not found: 75%",)


def test_year_authors_and_venue_of_a_paper_are_evidence():
    record = {"authors": ("Ji-woo Park", "A Lau"), "year": 2023, "venue": "Memory Letters"}
    park = Paper("park", "Naps", "Naps improve recall.", **record)
    said = "Park's 2023 paper found that naps improve recall."
    assert verify(said, [park]).warnings == ()
    assert verify(said, [Paper("x", "Naps", park.abstract)]).warnings == ("figure not found: 2023",)
    with ModelServer(Step("1 | s1, s2 | supported | ok")) as server:
        model = make_chat_model(load_settings(chat_model="reader", chat_url=server.url))
        found = verify(said, [park], llm=model)
    assert [quote.text for quote in found.quotes] == ["Naps improve recall.", "Naps"]
    assert "s1 Naps (title; 2023; Ji-woo Park, A Lau; Memory Letters)\n" in server.prompts[0]


def test_a_statement_without_a_paper_or_an_abstract_stays_unchecked():
    assert verify("It works.", []).verdict == "unchecked"
    assert verify("It works.", [Paper("e-1", "Empty", "")]).verdict == "unchecked"


@settings(max_examples=25)
@given(st.text(max_size=80))
def test_any_text_is_only_text(text):
    found = verify(text, [MRT5])
    assert found.verdict in ("unchecked", "quoted")
    for quote in found.quotes:
        assert MRT5.abstract[quote.start : quote.end] == quote.text


def test_text_comparison_loads_nothing_heavy():
    script = (
        "import sys\nfrom rag import Paper, verify\n"
        "p = Paper('a', 'A', 'It works well.')\n"
        "assert verify('It works well.', [p]).verdict == 'quoted'\n"
        "print({'onnxruntime', 'chromadb', 'openai', 'llama_index.core.llms'} & set(sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("line", "verdict", "reason", "quoted"),
    [
        ("1. | s3 | supported | ok |", "supported", "ok", [3]),
        ("1 | s2, s3 | Partly | half of it", "partly", "half of it", [2, 3]),
        ("1 | s3 | weak | half of it", "partly", "half of it", [3]),
        ("1 | none | unsupported | no", "unsupported", "no", []),
        ("1 | s3 | contradicted | other number", "contradicted", "other number", [3]),
        ("1 | s99 | supported | ok", "unchecked", "named sentences that are not cited", []),
        ("1 | none | supported | ok", "unchecked", "named no sentence", []),
        ("1 | none of s1 | unsupported | no", "unsupported", "no", []),
        ("1 | s2-s4 | supported | ok", "supported", "ok", [2, 3, 4]),
        ("1 | s3, s12345 | supported | ok", "unchecked", "that are not cited", []),
        ("1 | s1 | supported | the title", "supported", "the title", [1]),
        ("1 | none | no claim | it says so", "unchecked", "saw no claim", []),
        ("1 | No claim", "unchecked", "saw no claim", []),
        ("It is fine.", "unchecked", "no readable verdict", []),
    ],
)
def test_a_model_is_believed_where_it_names_its_evidence(line, verdict, reason, quoted):
    (found,), checker = read(line, "It reduces lengths by up to 90%.")
    sentences = ("MrT5", "Byte-level", "MrT5 deletes", "It reduces", "The gate")
    assert (found.verdict, found.by) == (verdict, "reader")
    assert reason in found.reason
    assert found.warnings == ("figure not found: 90%",)
    assert len(found.quotes) == len(quoted)
    for quote, number in zip(found.quotes, quoted, strict=True):
        assert quote.text.startswith(sentences[number - 1])
        assert quote.field == ("title" if number == 1 else "abstract")
    assert checker.usage.calls == 1


def test_a_verdict_of_the_model_replaces_quoted_and_the_quotation_stays():
    reply = "1 | s2, s4 | partly | out of context\n2 | s9 | supported | x"
    (first, second), _ = read(reply, REDUCES, "Byte-level models are slow.")
    assert (first.verdict, first.by) == ("partly", "reader")
    assert [quote.text[:2] for quote in first.quotes] == ["It", "By"]
    assert (second.verdict, second.by) == ("quoted", "text")


def test_equal_statements_are_sent_once_and_share_the_verdict():
    same = "The gate helps."
    found, checker = read("1 | s4 | partly | so", *[same] * 400)
    assert [each.verdict for each in found] == ["partly"] * 400
    assert checker.prompts[0].count(same) == 1


def test_a_sentence_stays_on_one_line_of_the_prompt():
    with ModelServer(Step("1 | s1 | supported | ok")) as server:
        model = make_chat_model(load_settings(chat_model="reader", chat_url=server.url))
        claim = Claim("It works.", (Paper("p", "P", "It\u2028works\x85well."),))
        ReaderChecker(model, load_prompt("verify")).check([claim])
        assert "\ns1 P (title)\ns2 It works well.\n" in server.prompts[0]


def test_statements_that_do_not_fit_the_window_go_into_further_calls():
    claims = [f"Gate number {n} is learnt by the model too." for n in range(60)]
    found, checker = read("1 | s1 | supported | ok", *claims, chat_window=2400)
    assert len(found) == 60
    assert 1 < len(checker.prompts) == [each.verdict for each in found].count("supported") <= 4
    assert checker.notes == []
    assert "a question" in checker.prompts[0]
    _, checker = read("1 | s1 | supported | ok", *claims, chat_window=1200)
    assert len(checker.prompts) == 4
    assert "of 60 statements in 4 calls" in checker.notes[0]


def mini_check(*statements, papers=(MRT5,), **step):
    """Verifications by a checker of the MiniCheck form that answers so, its notes and requests."""
    with ModelServer(Step(**step)) as server:
        given = load_settings(check_model="bespoke-minicheck", check_url=server.url)
        checker = make_checker(make_check_model(given))
        found = checker.check([Claim(statement, papers) for statement in statements])
        return found, checker.notes, server.requests


@pytest.mark.parametrize(
    ("step", "verdict", "reason"),
    [
        ({"text": "Yes"}, "supported", "yes"),
        ({"text": "no."}, "unsupported", "no"),
        ({"text": "Yes", "logprob": -0.0305}, "supported", "yes, with probability 0.97"),
        ({"text": "Nothing"}, "unchecked", "the model gave no readable verdict"),
    ],
)
def test_a_dedicated_checker_is_asked_for_yes_or_no_about_a_document(step, verdict, reason):
    other = Paper("two", "Gates", "Gates\nClaim: open.", year=2023)
    (found, same), notes, requests = mini_check(
        "It works.", "It works.", papers=(MRT5, other), **step
    )
    assert (found.verdict, found.reason, found.by) == (verdict, reason, "bespoke-minicheck")
    assert (same, found.quotes, notes) == (found, (), [])
    (request,) = requests
    assert [message["role"] for message in request["messages"]] == ["user"]
    assert request["messages"][0]["content"] == (
        f"Document: MrT5. {MRT5.abstract} Gates (2023). Gates Claim: open.\nClaim: It works."
    )
    assert request["logprobs"] is True


def test_a_dedicated_checker_keeps_a_quotation_and_makes_forty_calls_at_most():
    found, _, _ = mini_check(REDUCES, text="No")
    assert (found[0].verdict, len(found[0].quotes)) == ("unsupported", 1)
    found, notes, requests = mini_check(*(f"It has {n} gates." for n in range(50)), text="Yes")
    assert len(requests) == [each.verdict for each in found].count("supported") == 40
    assert notes == ["bespoke-minicheck checked 40 of 50 claims."]
    (uncited,), _, requests = mini_check("It works.", papers=(), text="Yes")
    assert (uncited.verdict, requests) == ("unchecked", [])


def test_a_model_that_does_not_answer_leaves_statements_unchecked():
    with ModelServer(Step("down", status=503, headers={"Retry-After": "0"})) as server:
        given = load_settings(chat_model="reader", chat_url=server.url, chat_retries=0)
        found = verify("MrT5 is a model.", [MRT5], llm=make_chat_model(given))
    assert found.verdict == "unchecked"
    assert "did not answer" in found.reason


def test_verify_takes_any_llama_index_model():
    from llama_index.core.llms.mock import MockLLM

    found = verify("MrT5 is a model.", [MRT5], llm=MockLLM(max_tokens=5))
    assert (found.verdict, found.by) == ("unchecked", "unknown")
