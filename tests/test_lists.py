"""Lists of papers: by relevance, by a model, from the records; and filters."""

from __future__ import annotations

import json
import os
import re
import signal
import threading
import time

import pytest
from model_server import ModelServer, Step
from test_retrieval import HashingEmbedder
from typer.testing import CliRunner

from rag import Assistant, Filter, Paper, Status, load_settings
from rag.cli import app
from rag.errors import CorpusError, SettingsError
from rag.llm import Stop

PAPERS = [
    Paper(
        "cat-1",
        "Purring Networks",
        "We study how cats purr. Networks hear cats from far away.",
        authors=(
            "Kevin B. Clark",
            "Ana Müller",
            "Anna van der Berg",
            "Séamus O'Neill",
            "Ece Şahin",
        ),
        year=2019,
        venue="Journal of Animal Sounds",
        sources=("/papers/a.bib",),
        metadata={"tags": ["Sound"]},
    ),
    Paper(
        "cat-2",
        "Whiskers at Night",
        "Cats see little at night. Their whiskers feel the way.",
        authors=("Ines Wu",),
        year=2021,
        venue="Animal Conference 2021",
        sources=("/papers/b.bib",),
    ),
    Paper("dog-3", "Barking Machines", "A model of barking dogs is trained.", year=2022),
    Paper("sea-4", "Salt in the Sea", "We measure the salt of two oceans.", year=2022),
    Paper("cat-5", "Cats of the North", ""),
]
NIGHT = "Whiskers at Night"
BY_RELEVANCE = (
    "Ranked by relevance; numbers and comparisons in the question were not applied as conditions."
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("library") / "papers"
    Assistant.build(PAPERS, path).close()
    return path


@pytest.fixture(scope="module")
def library(folder):
    with Assistant.open(folder) as assistant:
        yield assistant


def entries(answer):
    """Return the entries of a list, by title."""
    return {s.text: s for s in answer.statements if s.claim}


def test_papers_that_fit_are_counted_scored_and_quoted(library):
    answer = library.ask("Which papers are about cats?")
    assert (answer.status, answer.kind, answer.mode) == ("answered", "list", "quotes")
    listed = entries(answer)
    assert {"Purring Networks", "Whiskers at Night"} <= set(listed)
    assert "Salt in the Sea" not in listed
    first = listed["Whiskers at Night"]
    assert first.listed == "fits"
    assert first.verdict is None
    (citation,) = first.citations
    assert citation.quotes[0].text == "Cats see little at night."
    assert 0 < citation.score <= 1
    assert answer.text[first.start : first.end] == f"Whiskers at Night [{citation.number}]"
    fitting = sum(s.listed == "fits" for s in listed.values())
    assert answer.text.startswith(f"{fitting} of the 5 papers fit")
    for statement in answer.statements:
        assert answer.text[statement.start : statement.end].startswith(statement.text)


def test_a_list_without_a_model_says_that_numbers_were_no_conditions(library):
    assert BY_RELEVANCE in library.ask("Which papers are about cats?").warnings


def test_a_list_is_made_of_a_subject_asked_for_explicitly(library):
    answer = library.list("cats", where=Filter(years=(2020, None)))
    assert answer.kind == "list"
    assert "Whiskers at Night" in entries(answer)
    assert "Purring Networks" not in entries(answer)


def test_an_ordinary_question_about_papers_offers_the_list(library):
    answer = library.ask("What do the papers say about how cats find their way at night?")
    assert answer.kind == "answer"
    assert any("rag list" in warning for warning in answer.warnings)
    other = library.ask("How do cats find their way at night?")
    assert not any("rag list" in warning for warning in other.warnings)


def test_a_paper_without_an_abstract_may_fit_at_most(library):
    north = entries(library.ask("Which papers are about cats?"))["Cats of the North"]
    assert north.listed == "possible"
    assert north.citations[0].quotes == ()
    assert "only its title is known" in north.citations[0].reason


def test_the_paper_that_a_subject_names_fits(tmp_path):
    papers = [
        Paper("lamp-1", "GLIMM: Light for Tunnels", "Lamps save power at night."),
        Paper("sun-2", "Sun and Lamps", "GLIMM is bright. GLIMM beats the sun."),
    ]
    with Assistant.build(papers, tmp_path / "lamps") as lamps:
        fitting = [s.text for s in lamps.list("GLIMM").statements if s.listed == "fits"]
    assert sorted(fitting) == ["GLIMM: Light for Tunnels", "Sun and Lamps"]


def test_a_subject_that_no_paper_has_gives_no_list(library):
    answer = library.ask("which papers study volcanic basalt chemistry?")
    assert answer.status == "abstained"
    assert answer.statements == ()
    assert len(answer.closest) == 3


def test_a_list_without_a_subject_is_taken_from_the_records(library):
    answer = library.ask("how many papers are there?")
    assert answer.kind == "metadata"
    assert answer.text.startswith("The library has 5 papers.")
    assert [p.id for p in answer.sources.values()] == [p.id for p in PAPERS]
    assert {s.verdict for s in entries(answer).values()} == {"record"}
    assert {c.by for c in answer.citations} == {"record"}


def test_years_and_authors_in_a_question_restrict_the_papers(library):
    answer = library.ask("papers by Clark")
    assert [p.id for p in answer.sources.values()] == ["cat-1"]
    assert answer.scope == "by Clark"
    assert "*Only papers by Clark.*" in answer.to_markdown()
    newer = library.ask("which papers after 2020 are about cats?")
    assert next(iter(newer.sources.values())).id == "cat-2"
    assert "cat-1" not in [p.id for p in newer.sources.values()]
    events = list(library.stream("what do cats feel since 2020?"))
    assert Status("Only papers from 2020 on") in events
    assert events[-1].answer.hits[0].paper.id == "cat-2"


def test_years_without_a_paper_are_reported(library):
    answer = library.ask("papers after 2030")
    assert answer.text == "The library has no papers from 2031 on."
    assert answer.sources == {}


def test_an_id_prefix_resolves_to_one_paper(library):
    assert library.resolve_ids(["cat-1", "DOG", "sea-"]) == ("cat-1", "dog-3", "sea-4")
    for name in ("cat-", "cow", " "):
        with pytest.raises(CorpusError):
            library.resolve_ids([name])


@pytest.mark.parametrize(
    ("where", "ids"),
    [
        (Filter(authors=("K. Clark",)), ["cat-1"]),
        (Filter(authors=("Clark, Kevin",)), ["cat-1"]),
        (Filter(authors=("muller",)), ["cat-1"]),
        (Filter(authors=("van der Berg",)), ["cat-1"]),
        (Filter(authors=("O'Neill",)), ["cat-1"]),
        (Filter(authors=("K. Wu",)), []),
        (Filter(venues=("animal sounds",)), ["cat-1"]),
        (Filter(venues=("Animal",)), ["cat-1", "cat-2"]),
        (Filter(sources=("b.bib",)), ["cat-2"]),
        (Filter(sources=("/papers/a.bib",)), ["cat-1"]),
        (Filter(tags=("sound",)), ["cat-1"]),
        (Filter(years=(2022, 2022)), ["dog-3", "sea-4"]),
        (Filter(ids=()), []),
        (Filter(ids=("sea-4", *(f"x-{n}" for n in range(3000)))), ["sea-4"]),
        (Filter(ids=("sea-4", "cat-1"), years=(2020, None)), ["sea-4"]),
        (Filter(venues=("a " * 3000,)), []),
        (Filter(sources=("\udcff\udcfe",)), []),
        (Filter(ids=("\udcff",)), []),
        (Filter(authors=("",), tags=("",)), []),
    ],
)
def test_filters_choose_the_same_papers_in_lists_and_in_searches(library, where, ids):
    assert [paper.id for paper in library.papers(where=where)] == ids
    assert sorted(hit.paper.id for hit in library.search("cats", where=where)) == sorted(ids)


def test_et_al_is_no_author(tmp_path):
    paper = Paper("cut-1", "On Rates", "We test rates.", authors=("Ada Clark", "et al."))
    with Assistant.build([paper], tmp_path / "cut") as library:
        for name, count in (("Clark", 1), ("al", 0), ("et al.", 0)):
            assert len(library.papers(where=Filter(authors=(name,)))) == count, name


def test_a_name_in_han_characters_is_found_whole_turned_or_by_its_family_name(tmp_path):
    paper = Paper("han-1", "On Rates", "We test rates.", authors=("王小明",))
    with Assistant.build([paper, *PAPERS], tmp_path / "han") as library:
        for name, ids in (
            ("王小明", ["han-1"]),
            ("王, 小明", ["han-1"]),
            ("王", ["han-1"]),
            ("小", []),
        ):
            assert [p.id for p in library.papers(where=Filter(authors=(name,)))] == ids, name


def test_a_paper_of_thousands_is_indexed_and_found_by_its_authors(tmp_path):
    paper = Paper(
        "big-1",
        "A Large Collaboration",
        "We measured it together.",
        authors=tuple(f"A{n} B{n}" for n in range(5000)),
        metadata={"tags": [f"t{n}" for n in range(3000)]},
    )
    with Assistant.build([paper, *PAPERS], tmp_path / "large") as library:
        assert [p.id for p in library.papers(where=Filter(authors=("B7",)))] == ["big-1"]
        assert library.papers()[0].authors == paper.authors


def test_a_filter_of_more_values_than_can_be_compared_is_refused():
    with pytest.raises(SettingsError, match="too many authors"):
        Filter(authors=("Clark",) * 201)


def read_batch(body):
    """Return title -> number and id of the first sentence, of the papers in a prompt."""
    found, number = {}, 0
    for line in body["messages"][-1]["content"].splitlines():
        if match := re.match(r"Paper (\d+):", line):
            number = int(match[1])
        elif match := re.match(r"s(\d+) (.*) \(title\)", line):
            found[match[2]] = (number, int(match[1]) + 1)
    return found


def verdicts_by_title(verdicts, *, also="nothing"):
    """A model that names papers by title, with the first sentence of each."""

    def reply(body):
        lines = [
            f"{number} | s{first} | {verdicts[title]} | because"
            for title, (number, first) in read_batch(body).items()
            if title in verdicts
        ]
        return "\n".join([f"also asked: {also}", *(lines or ["none"])])

    return Step(reply=reply)


def open_with_model(folder, server, **settings):
    given = {"chat_model": "tester", "chat_url": server.url, "chat_retries": 0, "plan": "never"}
    return Assistant.open(folder, settings=load_settings(**given | settings))


def test_a_model_reads_the_papers_that_may_fit(folder):
    step = verdicts_by_title({"Purring Networks": "supported", "Whiskers at Night": "partly"})
    with ModelServer(step) as server, open_with_model(folder, server) as assistant:
        answer = assistant.list("cats")
    listed = entries(answer)
    assert answer.mode == "model"
    assert BY_RELEVANCE not in answer.warnings
    first, second = listed["Purring Networks"], listed["Whiskers at Night"]
    assert (first.verdict, first.listed) == ("supported", "fits")
    assert (second.verdict, second.listed) == ("partly", "possible")
    (citation,) = first.citations
    assert (citation.by, citation.reason) == ("tester", "because")
    assert citation.quotes[0].text == "We study how cats purr."
    assert "Barking Machines" not in listed
    assert "in 1 call." in answer.text
    assert answer.usage.calls == 1


def test_the_relevance_of_a_paper_is_shown_only_where_it_decided(folder):
    def run(*options):
        result = CliRunner().invoke(app, ["list", "cats", "-i", str(folder), *options])
        return [line for line in result.output.splitlines() if "at night." in line]

    step = verdicts_by_title({NIGHT: "supported"})
    with ModelServer(step) as server:
        decided = run("-m", "tester", "--url", server.url)
    assert decided == ["    supported (because; tester): “Cats see little at night.”"]
    assert re.fullmatch(r"    0\.\d\d: “Cats see little at night.”", run()[0])


def test_a_paper_with_a_line_that_cannot_count_may_fit(folder):
    def reply(body):
        papers = read_batch(body)
        cats, sea, night = (papers[t] for t in ("Purring Networks", "Salt in the Sea", NIGHT))
        return (
            f"{cats[0]} | s{sea[1]} | supported | because\n{sea[0]} | none | supported | so\n"
            f"{night[0]} | s{night[1]} | supported | because"
        )

    with ModelServer(Step(reply=reply)) as server, open_with_model(folder, server) as assistant:
        answer = assistant.list("cats")
    listed = {title: (each.verdict, each.listed) for title, each in entries(answer).items()}
    assert listed == {
        NIGHT: ("supported", "fits"),
        "Purring Networks": ("unchecked", "possible"),
        "Salt in the Sea": ("unchecked", "possible"),
    }
    assert answer.text.startswith("At least 1 of the 5 papers fits “cats”, at least 2 more may.")
    assert any("no usable verdict on 2 of the 5 papers" in each for each in answer.warnings)


def test_a_reply_that_cannot_be_read_is_noted_once(folder):
    with ModelServer(Step("Sorry.")) as server, open_with_model(folder, server) as assistant:
        answer = assistant.list("cats")
    (note,) = [warning for warning in answer.warnings if "no usable verdict" in warning]
    assert note.startswith("The model gave no usable verdict on 5 of the 5 papers that it read.")
    assert {s.listed for s in entries(answer).values()} == {"possible"}


def test_a_reply_of_none_leaves_no_paper(folder):
    with ModelServer(Step("None.")) as server, open_with_model(folder, server) as assistant:
        answer = assistant.list("cats")
    assert (answer.kind, answer.status, answer.mode) == ("list", "abstained", "model")
    assert answer.warnings == ()


def plan_list(subject):
    """A plan for a list."""
    plan = {"question": "q", "alone": True, "kind": "list", "subject": subject}
    return Step(json.dumps({**plan, "queries": ["felines"]}))


@pytest.mark.parametrize("subject", ["papers that do not use cats", "salt of exactly 2 oceans"])
def test_with_a_model_negations_and_numbers_are_its_to_read(folder, subject):
    step, plan = verdicts_by_title({"Salt in the Sea": "supported"}), plan_list(subject)
    with (
        ModelServer(step, plan=plan) as server,
        open_with_model(folder, server, plan="always") as assistant,
    ):
        answer = assistant.ask(f"Which are {subject}?")
    assert [paper.id for paper in answer.sources.values()] == ["sea-4"]
    assert answer.warnings == ()
    assert subject in server.prompts[0]


def test_a_long_subject_is_shortened_in_the_heading(library):
    subject = "cats that " + "purr and " * 20 + "sleep"
    heading = library.list(subject).text.split("“")[1].split("”")[0]
    assert heading == ("cats that " + "purr and " * 20)[:80].rsplit(maxsplit=1)[0] + "…"


def test_a_list_longer_than_what_is_shown_says_how_long_it_is(tmp_path):
    papers = [Paper(f"p-{n}", f"Paper {n}", "") for n in range(120)]
    Assistant.build(papers, tmp_path / "many").close()
    with Assistant.open(tmp_path / "many") as assistant:
        text = assistant.ask("how many papers are there?").text
    assert text.startswith("The library has 120 papers.")
    assert text.endswith("\n\nThese are the first 100 of 120.")


def test_counts_say_at_least_where_a_list_looks_at_the_nearest_papers_only(tmp_path):
    words = [Paper(f"d-{n}", f"Rates {n}", f"We use dropout {n}.", year=n) for n in range(1, 451)]
    rest = [Paper(f"o-{n}", f"Ponds {n}", "Ponds are cold.", year=n) for n in range(1, 51)]
    long = Paper("long", "On Dropout", " ".join(f"Rate {n} is on the list." for n in range(90)))
    build = Assistant.build([*words, *rest, long], tmp_path / "l", embedder=HashingEmbedder())
    with build as assistant:
        assert len(assistant.search("dropout", where=Filter(ids=("long",)))[0].passages) > 1
        answer = assistant.list("dropout")
        listed = answer.hits
        few = assistant.list("dropout", where=Filter(years=(1, 10)))
        none = assistant.list("volcanic basalt")
        counted = assistant.ask("how many papers since the year 401?")
    heading = answer.text.split("\n\n")[0]
    assert heading.startswith(f"At least {len(listed)} of the 501 papers fit “dropout”.")
    assert heading.endswith(
        " Only the 400 nearest were looked at. "
        "451 papers have all words of the subject in one passage."
    )
    assert f"These are the first 100 of at least {len(listed)}." in answer.text
    assert few.text.startswith("10 of the 20 papers fit “dropout”.\n")
    assert none.reason == "None of the 400 nearest papers seems to fit."
    assert counted.text


def test_a_model_that_fails_leaves_a_list_by_relevance(folder):
    step = Step(status=500, text="broken")
    with ModelServer(step) as server, open_with_model(folder, server) as assistant:
        answer = assistant.list("cats")
    assert answer.mode == "quotes"
    assert {"fits", "possible"} == {s.listed for s in entries(answer).values()}
    assert any("did not read" in warning for warning in answer.warnings)
    assert BY_RELEVANCE in answer.warnings


@pytest.fixture(scope="module")
def many(tmp_path_factory):
    """A library of 60 papers that read alike, which a list reads in batches of 25, 25 and 10."""
    path = tmp_path_factory.mktemp("many") / "papers"
    Assistant.build(MANY, path).close()
    return path


MANY = [
    Paper(f"cat-{n:02}", f"Cats {n:02}", f"Cats purr in room {n}. They sleep there too.")
    for n in range(60)
]
ALL_FIT = {paper.title: "supported" for paper in MANY}


def test_no_more_calls_are_made_than_the_budget_allows(many):
    step = verdicts_by_title(ALL_FIT)
    with ModelServer(step) as server, open_with_model(many, server, listing_calls=1) as assistant:
        answer = assistant.list("cats")
    assert answer.usage.calls == 1
    assert answer.text.startswith(
        "At least 25 of the 60 papers fit “cats”, at least 35 more may.\n"
    )
    assert sum(s.listed == "fits" for s in answer.statements) == 25
    assert any("listing_calls" in warning for warning in answer.warnings)


def test_batches_are_read_at_the_same_time_and_listed_in_their_order(many):
    together, ended = threading.Barrier(3), threading.Event()

    def reply(body):
        together.wait(timeout=30)  # passes only if all three calls are under way
        if len(read_batch(body)) == 10:
            ended.set()
        else:
            ended.wait(timeout=30)  # the last batch replies first
        return verdicts_by_title(ALL_FIT).reply(body)

    with ModelServer(Step(reply=reply)) as server, open_with_model(many, server) as assistant:
        at_once = assistant.list("cats")
    with (
        ModelServer(verdicts_by_title(ALL_FIT)) as server,
        open_with_model(many, server, listing_workers=1) as assistant,
    ):
        in_turn = assistant.list("cats")
    assert at_once.usage.calls == in_turn.usage.calls == 3
    assert at_once.text == in_turn.text
    assert at_once.text.startswith("60 of the 60 papers fit “cats”.")


@pytest.mark.parametrize(("workers", "calls"), [(1, 2), (2, 2), (3, 3)])
def test_no_batch_is_sent_after_one_with_none_that_fit(many, workers, calls):
    def reply(body):
        (first, *_) = read_batch(body)
        return verdicts_by_title({first: "supported"}).reply(body) if body is sent[0] else "none"

    sent = []
    step = Step(reply=lambda body: sent.append(body) or reply(body))
    with (
        ModelServer(step) as server,
        open_with_model(many, server, listing_workers=workers) as assistant,
    ):
        answer = assistant.list("cats")
    assert answer.usage.calls == calls
    assert answer.text.startswith("1 of the 60 papers fits “cats”.\n")
    assert answer.warnings == ()


def test_papers_that_are_not_likely_are_read_while_batches_hold_some_that_fit(tmp_path):
    stones = [Paper(f"s-{n:02}", f"Stone {n:02}", f"Granite {n} is heavy.") for n in range(60)]
    Assistant.build([*MANY[:20], *stones], tmp_path / "mixed").close()
    sizes = []

    def answer_step(body):
        sizes.append(len(read_batch(body)))
        return verdicts_by_title(ALL_FIT)

    mixed = tmp_path / "mixed"
    with ModelServer(answer_step) as server:
        with open_with_model(mixed, server) as assistant:
            answer = assistant.list("cats")
        with open_with_model(mixed, server, listing_calls=1) as assistant:
            capped = assistant.list("cats")
    assert sizes == [25, 25, 25]
    assert answer.text.startswith("20 of the 80 papers fit “cats”.")
    assert answer.warnings == ()
    assert capped.text.startswith("At least 20 of the 80 papers fit “cats”.")
    assert any("left 55 unread, as listing_calls is 1" in each for each in capped.warnings)


def list_one_batch(folder, reply):
    with (
        ModelServer(Step(reply)) as server,
        open_with_model(folder, server, listing_calls=1) as assistant,
    ):
        return assistant.list("cats")


def test_a_paper_with_two_lines_is_possible_and_lines_on_no_paper_are_unreadable(many):
    twice = list_one_batch(many, "1 | s1 | supported | a\n1 | s2 | partly | b")
    assert any("no usable verdict on 1 of the 25" in warning for warning in twice.warnings)
    assert "possible" in {statement.listed for statement in twice.statements}
    outside = list_one_batch(many, "101 | s1 | supported | a")
    assert any("no usable verdict on 25 of the 25" in warning for warning in outside.warnings)


def test_the_model_is_asked_for_the_subject_that_heads_the_list(many):
    plan = Step(json.dumps({"question": "cats", "kind": "list", "subject": "cats that purr"}))
    with (
        ModelServer(Step("none"), plan=lambda body: plan) as server,
        open_with_model(many, server, plan="always") as assistant,
    ):
        assistant.ask("which cats?")
    assert "Papers wanted: cats that purr" in server.prompts[0]


def test_a_refused_batch_does_not_lose_the_others(many):
    def answer_step(body):
        is_last = len(read_batch(body)) <= 10
        return Step(status=403, text="quota") if is_last else verdicts_by_title(ALL_FIT)

    with ModelServer(answer_step) as server, open_with_model(many, server) as assistant:
        answer = assistant.list("cats")
    assert answer.text.startswith("At least 50 of the 60 papers fit “cats”, at least 10 more may.")


def test_a_call_that_fails_leaves_its_batch_unread(many):
    def answer_step(body):
        is_last = len(read_batch(body)) == 10
        return Step(status=500, text="broken") if is_last else verdicts_by_title(ALL_FIT)

    with ModelServer(answer_step) as server, open_with_model(many, server) as assistant:
        answer = assistant.list("cats")
    assert answer.text.startswith("At least 50 of the 60 papers fit “cats”, at least 10 more may.")
    assert any(w.startswith("The model did not read 10 papers: ") for w in answer.warnings)


def test_closing_the_events_of_a_list_ends_all_calls(many):
    def answer_step(body):
        slow = len(read_batch(body)) == 10
        return Step("none", first_byte_s=60) if slow else verdicts_by_title(ALL_FIT)

    with ModelServer(answer_step) as server, open_with_model(many, server) as assistant:
        events = assistant.stream_list("cats")
        while next(events) != Status("25 papers read"):
            pass
        events.close()
        assert server.disconnected.wait(timeout=30)


def start_when_all_calls_wait(server, action):
    def watch():
        while len(server.requests) < 3:
            time.sleep(0.01)
        action()

    threading.Thread(target=watch, daemon=True).start()


def test_a_stop_ends_all_calls_of_a_list(many):
    stop = Stop()
    with ModelServer(Step(first_byte_s=60)) as server, open_with_model(many, server) as assistant:
        start_when_all_calls_wait(server, stop.set)
        with stop:
            answer = assistant.list("cats")
        assert server.disconnected.wait(timeout=30)
    assert any("The request was stopped." in warning for warning in answer.warnings)


def test_ctrl_c_ends_all_calls_of_a_list(many):
    with ModelServer(Step(first_byte_s=60)) as server, open_with_model(many, server) as assistant:
        start_when_all_calls_wait(server, lambda: os.kill(os.getpid(), signal.SIGINT))
        with pytest.raises(KeyboardInterrupt):
            assistant.list("cats")
        assert server.disconnected.wait(timeout=30)


def test_what_else_a_question_asks_of_each_paper_is_answered(folder, tmp_path):
    table = "| paper | place |\n|---|---|\n| Purring [1] | They hear cats from far away [1] |"
    steps = [
        verdicts_by_title(
            {"Purring Networks": "supported", "Whiskers at Night": "supported"}, also="the place"
        ),
        Step(table),
        Step("1 | s1 | supported | said\n2 | s3 | supported | said"),
    ]
    server = ModelServer(*steps, plan=plan_list("cats"))
    with server, open_with_model(folder, server, plan="always") as assistant:
        chat = assistant.chat()
        answer = chat.ask("Which papers are about cats, and where?")
        chat.save(tmp_path / "cats.json")
        chat.load(tmp_path / "cats.json")
        assert chat.turns[0].answer.statements == answer.statements
    count, too = "2 of the 5 papers fit “cats”.", f"These papers fit too:\n\n- {NIGHT} [2]"
    assert (answer.kind, answer.text) == ("answer", f"{count}\n\n{table}\n\n{too}")
    first, *_, cell, _, last = answer.statements
    assert (first.text, first.claim) == (count, False)
    assert cell.citations[0].quotes[0].text == "Networks hear cats from far away."
    assert (last.text, last.verdict, last.citations[0].reason) == (NIGHT, "supported", "because")
    assert answer.usage.calls == 4  # with the plan
    assert "Salt in the Sea" not in server.prompts[1]
    assert "These are the 2 that fit, of the 5 papers of the library." in server.prompts[1]
    assert list(answer.sources) == [1, 2]
    assert NIGHT not in server.prompts[2]


def test_an_explicit_list_stays_a_list_whatever_the_model_finds_asked(folder):
    steps = [verdicts_by_title({"Purring Networks": "supported"}, also="the place")]
    with ModelServer(*steps) as server, open_with_model(folder, server) as assistant:
        answer = assistant.list("cats")
    assert (answer.kind, list(entries(answer))) == ("list", ["Purring Networks"])
    assert len(server.requests) == 1


def test_a_list_is_shown_if_what_else_is_asked_gets_no_answer(folder):
    steps = [
        verdicts_by_title({"Purring Networks": "supported"}, also="the place"),
        Step("I cannot say."),
    ]
    with ModelServer(*steps) as server, open_with_model(folder, server) as assistant:
        answer = assistant.ask("Which papers are about cats?")
    assert (answer.kind, list(entries(answer))) == ("list", ["Purring Networks"])
    assert answer.usage.calls == len(server.plans) + len(server.requests)
    assert any(each.startswith("What else the question asks") for each in answer.warnings)


def test_a_list_survives_being_saved_and_opened(library, tmp_path):
    conversation = library.chat()
    conversation.ask("Which papers are about cats?")
    conversation.ask("how many papers are there?")
    conversation.save(tmp_path / "lists.json")
    other = library.chat()
    other.load(tmp_path / "lists.json")
    assert [turn.answer.text for turn in other.turns] == [
        turn.answer.text for turn in conversation.turns
    ]
    assert [turn.answer.kind for turn in other.turns] == ["list", "metadata"]


def test_ten_papers_of_a_list_are_printed_and_the_others_with_all(many):
    def run(*words, text=None):
        return CliRunner().invoke(app, [*words, "-i", str(many), "-q"], input=text).stdout

    heading = "60 of the 60 papers fit “cats”.\n\n[1] Cats "
    short = run("list", "cats")
    assert short.startswith(heading)
    assert len(re.findall(r"\n\[\d+\] Cats \d\d\n    [01]\.\d\d: “", short)) == 10
    assert "\n50 more are not shown. Use --all, in a chat /all, to see them.\n" in short
    for whole in (
        run("list", "cats", "--all"),
        run("ask", "which papers are about cats?", "--all"),
    ):
        assert whole.startswith(heading)
        assert whole.count("] Cats ") == 60
        assert "not shown" not in whole
    chat = run("chat", text="which papers are about cats?\n/all\n")
    assert chat.count("] Cats ") == 70
    assert CliRunner().invoke(app, ["chat", "-i", str(many)], input="/all\n").exit_code == 0
