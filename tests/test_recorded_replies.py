"""Replies written in earnest to the program's prompts, replayed through the whole pipeline.

A capable reader answered the prompts as sent, and nothing was tuned to the parsers: 36 questions
and conversations, some without an answer, with a false premise or in another language. The fixture
holds a record for each: its turns, what the reader replied to each prompt, and what came of it.

Replies name papers as `[@paper-id]` and sentences as `@paper-id#3`, where #0 is the title. The
server below puts the numbers of the prompt at hand in their place, so a replay does not depend on
how papers are ranked or how prompts are worded. It does depend on their tags and numbered lines.
A paper that the reader did not see among the candidates of a list counts as one that does not fit.
"""

from __future__ import annotations

import html
import json
import re
import zipfile
from pathlib import Path

import pytest
from model_server import ModelServer, Step

from rag import Assistant, load_settings, read_papers
from rag.answer import Answer, Answers, Turn
from rag.library import BUNDLED_SOURCE
from rag.prompts import neutral

EXCHANGE = Path(__file__).parent / "fixtures" / "recorded_exchange.jsonl"
RECORDS = [json.loads(line) for line in EXCHANGE.read_text(encoding="utf-8").splitlines()]
PROMPTS = {  # name -> what only this prompt holds
    "repair": "<doubts>",
    "verify": "<statements>",
    "answer": '<paper number="1">',
    "select_papers": "<papers>\nPaper 1:",
    "plan": "<question>",
}
MARKER, SENTENCE = r"\[@([\w-]+)\]", r"@([\w-]+)#(\d+)"
NOT_READ = {"l-223": {"accelerating-auto-regressive-text-to-86b7ae"}}  # no prompt held it then


def select(group, replayed):
    """Return the conversations of the records of a group."""
    return [replayed[record["id"]][0] for record in RECORDS if record["group"] == group]


class Replay:
    """Answers each prompt as recorded for the turn at hand, in the numbers of the prompt.

    Attributes:
        problems: sentences on what of the turn cannot be replayed.
    """

    def __init__(self, papers):
        self._ids = {neutral(paper.title): paper.id for paper in papers}
        self.begin([])

    def begin(self, replies):
        """Take the replies to the prompts of one turn."""
        self._replies = {each["prompt"]: each["reply"] for each in replies}
        self._asked = set()
        self._selected = set()
        self.problems = []

    def end(self):
        """Return the problems of the turn, with what was recorded for it and not asked for."""
        fits = {line["paper"] for line in self._replies.get("select_papers", ())}
        never = [f"The prompt {name} was not sent." for name in self._replies.keys() - self._asked]
        return self.problems + never + list(map(explain_missing, fits - self._selected))

    def __call__(self, body):
        prompt = body["messages"][-1]["content"]
        name = next(name for name, mark in PROMPTS.items() if mark in prompt)
        self._asked.add(name)
        if name not in self._replies:
            self.problems.append(f"The prompt {name} was sent and has no recorded reply.")
            return Step("none")
        text = getattr(self, f"_reply_to_{name}")(prompt, self._replies[name])
        return Step(text, size=13 if name == "answer" else 400)  # cuts some markers in two

    def _reply_to_plan(self, prompt, reply):
        return json.dumps(reply)

    def _reply_to_answer(self, prompt, reply):
        papers = re.findall(r'<paper number="(\d+)">\nTitle: (.*)', prompt)
        numbers = {self._ids[title]: int(number) for number, title in papers}
        return re.sub(MARKER, lambda m: f"[{self._find(m[1], numbers)}]", reply)

    def _reply_to_verify(self, prompt, reply):
        titles = self._number_titles(prompt)
        papers = {number: paper for paper, number in titles.items()}
        recorded = {(neutral(r["statement"]), *r["cites"]): r["says"] for r in reply}
        lines = []
        for number, cited, statement in re.findall(r"(?m)^(\d+) \(cites (.*?)\): (.*)", prompt):
            key = (statement, *(papers[int(n)] for n in re.findall(r"s(\d+) to", cited)))
            if key in recorded:
                lines.append(f"{number} | {self._number_sentences(recorded[key], titles)}")
            else:
                self.problems.append(f"No verdict is recorded for this statement: {key}")
        return "\n".join(lines)

    def _reply_to_select_papers(self, prompt, reply):
        titles = self._number_titles(prompt)
        papers = re.findall(r"(?m)^Paper (\d+):\ns\d+ (.*) \(title\)$", prompt)
        numbers = {self._ids[title]: number for number, title in papers}
        here = [line for line in reply if line["paper"] in numbers]  # of this batch
        self._selected |= {line["paper"] for line in here}
        lines = [
            f"{numbers[line['paper']]} | {self._number_sentences(line['says'], titles)}"
            for line in here
        ]
        return "\n".join(["also asked: nothing", *(lines or ["none"])])

    def _number_titles(self, prompt):
        """Return paper id -> number of its title among the sentences of a prompt."""
        titles = re.findall(r"(?m)^s(\d+) (.*) \(title\)$", prompt)
        return {self._ids[title]: int(number) for number, title in titles}

    def _number_sentences(self, text, titles):
        return re.sub(SENTENCE, lambda m: f"s{self._find(m[1], titles) + int(m[2])}", text)

    def _find(self, paper, numbers):
        if paper not in numbers:
            self.problems.append(explain_missing(paper))
        return numbers.get(paper, 0)


def explain_missing(paper):
    return f"The paper {paper} was not retrieved, but a recorded reply cites it."


@pytest.fixture(scope="module")
def replay():
    return Replay(read_papers(BUNDLED_SOURCE))


@pytest.fixture(scope="module")
def assistant(replay, bundled_cache, tmp_path_factory):
    with ModelServer(replay, plan=replay) as server:
        settings = load_settings(
            chat_model="recorded",
            chat_url=server.url,
            chat_window=128_000,
            cache_dir=bundled_cache,
            data_dir=tmp_path_factory.mktemp("data"),  # without a score of the reader's test
        )
        with Assistant.open(settings=settings) as opened:
            yield opened


@pytest.fixture(scope="module")
def replayed(replay, assistant):
    """Map each record's id to its conversation and the problems of its replay."""
    return {record["id"]: play(record, replay, assistant.chat()) for record in RECORDS}


def play(record, replay, chat):
    """Ask the questions of a record. Return their conversation and the problems of the replay."""
    chat.turns += [
        Turn(question, Answer(question, question, text, (), (), "answered", "quotes"))
        for question, text in record["history"]
    ]
    problems = []
    for turn in record["turns"]:
        replay.begin(turn["replies"])
        chat.ask(turn["question"])
        problems += replay.end()
    del chat.turns[: len(record["history"])]
    return chat, problems


def sum_up(answer):
    """Return an answer as it is recorded: papers by id, a list in any order and without its end.

    Sentences that are quoted below a refusal are left out.
    """
    own, statements = (
        answer.split_quotations()[0] if answer.mode == "model" else (answer.text, answer.statements)
    )
    text = re.sub(r"\[(\d+)\]", lambda m: f"[@{answer.sources[int(m[1])].id}]", own).rstrip()
    cited = [p.id for p in answer.sources.values() if answer.status != "abstained"]
    if answer.kind == "list":
        text, cited = sorted(text.rpartition("\n\n")[0].splitlines()), sorted(cited)
    return {
        "status": answer.status,
        "kind": answer.kind,
        "cited": cited,
        "verdicts": [statement.verdict for statement in statements],
        "text": text,
    }


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record["id"])
def test_a_recorded_exchange_gives_the_same_answers_again(record, replayed):
    chat, problems = replayed[record["id"]]
    assert problems == []
    for turn, asked in zip(record["turns"], chat.turns, strict=True):
        written = {each["prompt"]: each["reply"] for each in turn["replies"]}.get("answer")
        assert sum_up(asked.answer) == {"text": written, **turn["came_of_it"]}
        for citation in asked.answer.citations:
            assert all(quote.stands_in(citation.paper) for quote in citation.quotes)


def test_questions_that_the_library_does_not_answer_are_refused(replayed):
    for chat in select("unanswerable", replayed):
        (answer,) = (turn.answer for turn in chat.turns)
        assert (answer.status, answer.is_quoted, bool(answer.closest)) == ("abstained", True, True)
        assert {each.verdict for each in answer.statements} == {None, "quoted"}


def test_answers_cite_every_paper_that_answers_the_question(replayed):
    for record in RECORDS:
        cited = {paper.id for paper in replayed[record["id"]][0].sources.values()}
        assert set(record["gold"]) - cited == NOT_READ.get(record["id"], set())


def test_a_false_premise_is_corrected_from_the_paper_that_denies_it(replayed):
    for chat in select("false premise", replayed):
        (answer,) = (turn.answer for turn in chat.turns)
        assert answer.status == "answered"
        assert answer.statements[0].citations
        assert answer.statements[0].verdict == "supported"


def test_a_conversation_answers_each_turn_and_keeps_the_numbers_of_its_papers(replayed):
    chats = select("conversation", replayed)
    statuses = [[turn.answer.status for turn in chat.turns] for chat in chats]
    assert statuses == [["answered", "answered", "abstained"]] * 2 + [["answered"] * 3]
    for chat in chats:
        numbers = {(paper.id, n) for turn in chat.turns for n, paper in turn.answer.sources.items()}
        assert len(numbers) == len(chat.sources) == len({paper for paper, _ in numbers})


def test_every_recorded_answer_can_be_saved_and_opened(replayed, assistant, tmp_path):
    again = assistant.chat()
    for chat, _ in replayed.values():
        chat.save(tmp_path / "chat.json")
        again.load(tmp_path / "chat.json")
        for saved, opened in zip(chat.turns, again.turns, strict=True):
            assert opened.answer.text == saved.answer.text
            assert opened.answer.statements == saved.answer.statements


def test_every_recorded_answer_is_whole_in_every_document(replayed, tmp_path):
    answers = [turn.answer for chat, _ in replayed.values() for turn in chat.turns]
    path = tmp_path / "all.docx"
    Answers(answers).to_docx(path, style="apa", with_footnotes=True)
    page = html.unescape(Answers(answers).to_html(style="apa"))
    with zipfile.ZipFile(path) as package:
        word = b"".join(map(package.read, ("word/document.xml", "word/footnotes.xml"))).decode()
    for text in (page, html.unescape(word)):
        shown = keep_letters(re.sub(r"<[^>]*>", "", text))
        for answer in answers:
            assert keep_letters(answer.question) in shown
            for citation in answer.citations:
                assert keep_letters(citation.paper.title) in shown
                assert all(keep_letters(quote.text) in shown for quote in citation.quotes)
            for statement in answer.statements:
                assert keep_letters(re.sub(r"\$.*?\$", "", statement.text)) in shown


def keep_letters(text):
    """Return the letters and digits of a text, in lower case, as styles change others."""
    return "".join(filter(str.isalnum, text.casefold()))
