"""Replies written in earnest to the prompts as sent, replayed: 40 questions, bundled library.

Each record holds the question, the papers in the order of the prompt, the reply, the reply to the
check, and what came of it. A capable reader played the model; nothing was tuned to the parser.
"""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from model_server import ModelServer, Step

from rag import Paper, load_settings
from rag.citations.resolve import (
    MarkerResolver,
    Numbering,
    check_statements,
    resolve_statements,
)
from rag.generation.draft import Draft
from rag.generation.llm import settle_status
from rag.llm import make_chat_model
from rag.prompts import load_prompt
from rag.verification.reader import ReaderChecker

ROOT = Path(__file__).parents[1]
RECORDS = [
    json.loads(line)
    for line in (Path(__file__).parent / "fixtures" / "recorded_replies.jsonl")
    .read_text(encoding="utf-8")
    .splitlines()
]


@pytest.fixture(scope="module")
def library():
    lines = (ROOT / "rag" / "data" / "library.jsonl").read_text(encoding="utf-8").splitlines()
    rows = map(json.loads, lines)
    return {row["id"]: Paper(row["id"], row["title"], row["abstract"]) for row in rows}


def resolved(record, library):
    papers = [library[identity] for identity in record["papers"]]
    numbering = Numbering()
    resolver = MarkerResolver(papers, numbering)
    text = "".join(resolver.feed(letter) for letter in record["reply"]) + resolver.finish()
    shown = {numbering.numbers[p.id]: p for p in papers if p.id in numbering.numbers}
    return text, resolver, shown


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record["question"][:40])
def test_a_recorded_reply_gives_the_same_answer_again(record, library):
    text, resolver, shown = resolved(record, library)
    assert resolver.unknown == []
    with ModelServer(Step(record["check"] or "none")) as server:
        model = make_chat_model(load_settings(chat_model="recorded", chat_url=server.url))
        checker = ReaderChecker(model, load_prompt("verify"))
        final, statements = resolve_statements(resolver.pieces, shown)
        statements = check_statements(statements, checker)
    assert final.strip() == text.strip()
    answer = settle_status(Draft(text, statements, mode="model"))
    assert answer.status == record["status"]
    citations = [citation for statement in statements for citation in statement.citations]
    sources = dict(sorted((c.number, c.paper.id) for c in citations))
    assert list(sources.values()) == record["sources"]
    assert [statement.verdict for statement in answer.statements] == record["verdicts"]
    for citation in citations:
        for quote in citation.quotes:
            assert quote.stands_in(citation.paper)


def test_recorded_answers_cite_the_right_paper_and_refuse_what_is_not_there():
    assert len(RECORDS) >= 40
    unanswerable = [record for record in RECORDS if record["kind"] == "unanswerable"]
    assert all(record["status"] == "abstained" for record in unanswerable)
    answered = [r for r in RECORDS if r["gold"] and r["status"] == "answered"]
    assert all(set(record["gold"]) & set(record["sources"]) for record in answered)
    assert len(answered) >= 23
