"""Checks of statements against abstracts: numbers, names, direction, order, wording."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from model_server import ModelServer, Step

from rag import Paper, load_minilm, load_settings, verify
from rag.llm import make_chat_model
from rag.prompts import load_prompt
from rag.text.numbers import missing_numbers
from rag.verification import Claim
from rag.verification.denials import denies
from rag.verification.offline import OfflineVerifier
from rag.verification.order import kept_order, misplaced_number
from rag.verification.reader import ReaderChecker
from rag.verification.words import missing_names, names, turned

ROOT = Path(__file__).parents[1]
MRT5 = Paper(
    "mrt5",
    "MrT5",
    "Byte-level models are slow. MrT5 deletes tokens with a learnt gate after a fixed number of "
    "encoder layers. It reduces sequence lengths by up to 75% with minimal loss. The gate may also "
    "help on 12 languages.",
)


@pytest.mark.parametrize(
    ("statement", "source", "met"),
    [
        ("about a third", "33.4%", True),
        ("14x faster", "14 times faster", True),
        ("1.5 points", "1.5%", True),
        ("7B", "7 billion", True),
        ("1M words", "1 million words", True),
        ("1,000 papers", "1000 papers", True),
        ("two tasks", "2 tasks", True),
        ("three tasks", "two tasks", False),
        ("15.2%", "15.3%", False),
        ("15%", "15.3%", True),
        ("15.3%", "15%", False),
        ("50B tokens", "5B tokens", False),
        ("2.5 times", "2.5x", True),
        ("threefold", "3x", True),
        ("half of it", "50%", True),
        ("twice as fast", "2x", True),
        ("20%", "20x", False),
        ("about 90%", "89.2%", True),
        ("90%", "89.2%", False),
        ("893,000", "893K", True),
        ("nearly 900,000", "893,000", True),
        ("0.9M", "893,000", True),
        ("GPT-4 and T5", "nothing", True),
        ("CIFAR-100", "nothing", True),
        ("in 2019", "in 2018", False),
        ("17 billion tokens", "17.46 billion tokens", True),
        ("18 billion tokens", "17.46 billion tokens", False),
        ("ten to twenty", "10 to 20", True),
        ("roughly a tenth", "10x less", False),
        ("one model", "several models", True),
        ("the third phase", "no rank", True),
        ("a quarter", "25%", True),
        ("10x", "10-fold", True),
        ("300B tokens", "300 billion tokens", True),
        ("1.3x", "30%", False),
        ("over 100 languages", "104 languages", True),
        ("twenty-five layers", "25 layers", True),
        ("12 percent", "12 per cent", True),
        ("0.5", ".5", True),
        ("64 tokens", "46 tokens", False),
        ("a factor of 6.3", "6.3x", True),
        ("88.53%", "88.53% on Split-CIFAR", True),
    ],
)
def test_numbers_are_compared_with_unit_and_rounding(statement, source, met):
    assert (missing_numbers(statement, source) == []) is met


def test_names_are_found_and_missed_in_any_spelling():
    assert names("The ELECTRA paper uses T5 and Wikipedia.") == ["ELECTRA", "T5", "Wikipedia"]
    assert missing_names("ELECTRA beats RoBERTa.", "electra is efficient") == ["RoBERTa"]
    assert missing_names("Code-T5 works.", "CodeT5 is a model") == []
    assert missing_names("LLMs work.", "an LLM works") == []


def test_opposites_denials_and_order():
    assert turned("It increases cost.", "It reduces cost.") == ("increases", "reduces")
    assert turned("It reduces cost.", "It reduces cost.") is None
    assert kept_order("the teacher helps the student", "the student helps the teacher") < 0.8
    cut = "a 14X cut in learnable parameters, 106X less total parameters"
    assert misplaced_number("a 106X cut in learnable parameters", cut) == "106X"
    assert misplaced_number("a 14X cut in learnable parameters", cut) is None
    assert misplaced_number("Accuracy rose 8%.", "Accuracy rose 8%, recall 15%.") is None


@pytest.mark.parametrize(
    ("statement", "denial"),
    [
        ("The abstracts do not state the learning rate.", True),
        ("No paper reports the number of GPUs.", True),
        ("None of the abstracts gives a licence.", True),
        ("I could not find this in the papers.", True),
        ("The library holds nothing on sourdough.", True),
        ("It does not use labels.", False),
        ("Unlike BERT, it does not mask.", False),
        ("No labels are needed for training.", False),
        ("Its size is not stated, but it was trained on 64 GPUs.", False),
        ("Although the abstract does not mention it, MrT5 was trained on 64 TPUs.", False),
        ("MrT5 needs four times the memory, though the abstract does not say so.", False),
        ("Its size is not reported; from the T5 family it has 300M parameters.", False),
        ("The abstracts do not state who made MrT5, which Google released in 2021.", False),
        ("The abstracts do not state the rate; they only describe the architecture.", True),
        ("The papers discuss MrT5, but none of them mentions its licence.", True),
        ("The abstracts do not state which part of the run is best.", True),
        ("Die Abstracts nennen die Zahl der Parameter nicht.", True),
        ("Wie viele Parameter MrT5 hat, geht aus den Abstracts nicht hervor.", True),
        ("MrT5 löscht Bytes, die das Modell nicht braucht, in jeder Schicht.", False),
    ],
)
def test_denials_are_told_from_negated_findings(statement, denial):
    assert denies(statement) is denial


@pytest.mark.parametrize(
    ("statement", "verdict", "reason"),
    [
        ("Byte-level models are slow.", "quoted", "word for word"),
        ("It reduces sequence lengths by up to 75%, with minimal loss.", "supported", ""),
        ("It reduces sequence lengths by up to 57% with minimal loss.", "not", "57%"),
        ("It increases sequence lengths by up to 75% with minimal loss.", "not", "increases"),
        ("MrT5 never deletes tokens with a learnt gate.", "not", "negated"),
        ("LongT5 deletes tokens with a learnt gate after encoder layers.", "not", "LongT5"),
        ("Penguins live in the south and eat fish.", "unsupported", "no sentence"),
        ("The abstract does not state the learning rate.", "partly", "not told"),
    ],
)
def test_verdicts_come_with_their_reason(statement, verdict, reason):
    found = verify(statement, [MRT5])
    assert reason in found.reason
    assert (found.verdict != "supported") if verdict == "not" else (found.verdict == verdict)
    for quote in found.quotes:
        assert MRT5.abstract[quote.start : quote.end] == quote.text


def test_what_cannot_be_checked_has_no_verdict():
    assert verify("It works.", []).verdict == "unchecked"
    assert verify("", [MRT5]).verdict == "unchecked"
    assert verify("It works well.", [Paper("e-1", "Empty", "")]).verdict == "unchecked"
    assert verify("?!", [MRT5]).verdict == "unchecked"
    assert verify("token " * 5000, [MRT5]).verdict in ("partly", "unsupported")


def test_several_papers_support_a_statement_together():
    other = Paper("two", "Two", "Curriculum order speeds up training by 20% on long texts.")
    both = "MrT5 deletes tokens with a learnt gate, and curriculum order speeds up training by 20%."
    found = verify(both, [MRT5, other])
    assert found.verdict != "unsupported"
    assert {quote.paper_id for quote in found.quotes} <= {"mrt5", "two"}


@settings(max_examples=25, deadline=None)
@given(st.text(max_size=80))
def test_any_text_is_only_text(text):
    found = verify(text, [MRT5])
    assert found.verdict in ("unchecked", "quoted", "supported", "partly", "unsupported")
    for quote in found.quotes:
        assert MRT5.abstract[quote.start : quote.end] == quote.text


def test_a_verbatim_statement_loads_nothing_heavy():
    script = (
        "import sys\nfrom rag import Paper, verify\n"
        "p = Paper('a', 'A', 'It works well.')\n"
        "assert verify('It works well.', [p]).verdict == 'quoted'\n"
        "print({'nltk', 'onnxruntime', 'chromadb', 'openai', 'llama_index'} & set(sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert done.stdout.strip() == "set()"


@pytest.mark.parametrize(
    ("statement", "reason"),
    [
        ("It reduces sequence lengths by up to 90% with minimal loss.", "number 90%"),
        ("It reduces sequence lengths by nearly 40% with minimal loss.", "number 40%"),
        ("GPT-4 deletes tokens with a learnt gate.", "name GPT-4"),
        ("It reduces sequence lengths by up to 75% with little loss.", None),
    ],
)
def test_support_by_the_model_is_weak_where_a_number_or_name_is_missing(statement, reason):
    with ModelServer(Step("1. | s3 | supported | ok |")) as server:
        model = make_chat_model(load_settings(chat_model="checker", chat_url=server.url))
        verifier = ReaderChecker(model, load_prompt("verify"), OfflineVerifier(load_minilm))
        (found,) = verifier.check([Claim(statement, (MRT5,))])
    if reason is None:
        assert (found.verdict, found.reason) == ("supported", "ok")
    else:
        assert found.verdict == "partly"
        assert reason in found.reason


def test_a_call_holds_no_more_statements_than_the_window():
    with ModelServer(Step("1 | s1 | supported | ok")) as server:
        given_settings = load_settings(chat_model="checker", chat_url=server.url, chat_window=1200)
        prompt = load_prompt("verify")
        verifier = ReaderChecker(
            make_chat_model(given_settings), prompt, OfflineVerifier(load_minilm), "a question"
        )
        claims = [Claim(f"Gate number {n} is learnt by the model too.", (MRT5,)) for n in range(60)]
        found = verifier.check(claims)
        assert len(found) == 60
        assert "of 60 statements" in verifier.notes[0]
        assert "a question" in server.prompts[0]
        assert "Paper: MrT5" in server.prompts[0]


def test_a_name_that_only_the_title_has_is_not_missing():
    paper = Paper("x", "ZORP: fast gates", "Our gate deletes tokens after three layers.")
    found = verify("The ZORP gate deletes tokens after three layers.", [paper])
    assert "ZORP" not in found.reason


def test_statements_in_other_languages_are_not_judged_by_their_capitals():
    found = verify("MrT5 entfernt Tokens mit einem gelernten Tor nach einigen Schichten.", [MRT5])
    assert (found.verdict, found.reason) == ("partly", "this check reads English only")
