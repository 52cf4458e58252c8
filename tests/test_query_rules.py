"""Phrasings that are understood without a language model: lists, filters, follow-ups."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path

import pytest

from rag import Assistant, Filter, Paper, load_settings
from rag.query.plan import Exchange
from rag.query.planner import Planner

PAPER = Paper("electra-1", "ELECTRA: Pre-training Encoders", "ELECTRA trains a discriminator.")
OTHER = Paper("primer-2", "Primer: Searching for Transformers", "Primer squares its activations.")
NEWER = Paper("sky-3", "Light in air", "Air scatters blue light.")
AUTHORS = {"clark", "kevin clark", "luong", "wu", "müller", "van der berg", "o'neill", "hand"}
VENUES = {"nature", "nature medicine", "lancet", "science", "acl", "journal of animal sounds"}


class Known:
    """A library that knows some authors and venues, and has the fields that it is told."""

    def __init__(self, *fields):
        self._fields = frozenset(fields)

    def fields(self):
        return self._fields

    def holds(self, where):
        if where.authors:
            return where.authors[0].casefold().rstrip(".") in AUTHORS
        if where.venues:
            return where.venues[0].removeprefix("=").casefold().removeprefix("the ") in VENUES
        return "years" in self._fields


FULL = Known("years", "authors", "venues")


def plan(question, *exchanges, where=None, library=FULL):
    return Planner(load_settings(), None).plan(question, exchanges, where, library)


def subject(question):
    """The subject of a list, or None for a question that asks for none."""
    found = plan(question)
    return None if found.kind == "answer" else found.subject


@pytest.mark.parametrize(
    ("question", "expected"),
    [
        # which or what ... papers
        ("Which of our papers mention RoBERTa?", "RoBERTa"),
        ("Which papers use curriculum learning?", "curriculum learning"),
        ("what papers do we have on tokenizers?", "tokenizers"),
        ("Which studies evaluate on SuperGLUE?", "SuperGLUE"),
        ("which code papers probe syntax trees?", "code probe syntax trees"),
        ("what are the papers on moths?", "moths"),
        ("which ones use reinforcement learning?", "reinforcement learning"),
        ("which of these work with Chinese?", "Chinese"),
        ("Which works use dropout?", "dropout"),
        ("Which papers in the library pretrain on DNA?", "pretrain on DNA"),
        # how many papers
        ("How many papers report results on ImageNet?", "results on ImageNet"),
        ("how many of our papers are about moths?", "moths"),
        ("how many of these report results on GLUE, and which ones?", "results on GLUE"),
        ("how many surveys do we have?", "surveys"),
        ("how many papers are there?", ""),
        ("number of papers on robotics", "robotics"),
        # list, show, find, give me
        ("list all papers", ""),
        ("list everything on legal text", "legal text"),
        ("please show me the papers about speech", "speech"),
        ("could you find papers about tabular data?", "tabular data"),
        ("I'm looking for papers on multilingual retrieval", "multilingual retrieval"),
        ("Please list every paper that deals with sleep.", "sleep"),
        ("tell me which papers are about moths", "moths"),
        # are there, do we have, any
        ("Are there any papers on music?", "music"),
        ("do we have anything on legal text?", "legal text"),
        ("what do we have on quantization?", "quantization"),
        ("any diffusion papers?", "diffusion"),
        ("What work is there on dropout?", "dropout"),
        ("any mixture-of-experts papers?", "mixture-of-experts"),
        ("any PhD theses in here?", "PhD theses"),
        ("Do any papers look at Finnish?", "Finnish"),
        ("what's been done on moths?", None),
        # papers that, on, about, by, from, in ...
        ("papers on moths", "moths"),
        ("recent papers using contrastive learning", "recent contrastive learning"),
        ("research on sign language", "sign language"),
        ("quantum computing papers?", "quantum computing"),
        # who
        ("who works on speech?", "speech"),
        ("Who has worked on chess?", "chess"),
        # sentences before and behind
        ("I worry about stale models. Which papers look at dates?", "dates"),
        ("How many papers summarize text? Code does not count.", "summarize text"),
        ("We hunt moths, so which papers study traps?", "traps"),
    ],
)
def test_a_question_for_a_list_is_recognised_with_its_subject(question, expected):
    assert subject(question) == expected


def test_every_form_in_the_docs_is_a_list():
    page = (Path(__file__).parents[1] / "docs" / "questions.md").read_text(encoding="utf-8")
    table = page.partition("| form | example |")[2].partition("\n\n")[0]
    examples = [line.split("|")[2].strip() for line in table.splitlines()[2:]]
    assert len(examples) == 6
    assert [example for example in examples if not subject(example)] == []


@pytest.mark.parametrize(
    "question",
    [
        "Which paper introduced ELECTRA?",
        "What is ELECTRA?",
        "how many parameters does ELECTRA have?",
        "which two papers use optimal transport?",
        "Which datasets does CLIP train on?",
        "which papers use optimal transport, and what does each align?",
        "which papers?",
        "other papers?",
        "earthquakes?",
        "Which papers use it?",
        "We have no chat data. Which papers cover that?",
        "Which research questions does the paper answer?",
        "which papers should I read?",
        "what papers inspired ELECTRA?",
        "which papers does ELECTRA build on?",
        "which papers are the most cited?",
        "what makes papers on distillation hard to compare?",
        "what do the papers say about warmup?",
        "what papers say about warmup: is it needed?",
        "Which method works best without labels?",
        "Which works better on images?",
        "Is there anything that makes training cheaper?",
        "How many reviews are in the IMDB dataset?",
        "Which abstracts were used as training data?",
        "Summarize the papers on distillation",
        "Do papers on distillation agree?",
        "Is there a benchmark for continual learning?",
        "List the hyperparameters of BERT",
        "Papers on recurrent networks clash. Is there one overview of the notation?",
        "which papers " + "use moths and " * 100,
        "",
    ],
)
def test_other_questions_ask_for_no_list(question):
    assert subject(question) is None


@pytest.mark.parametrize(
    ("question", "text", "where"),
    [
        # by X
        ("papers by Clark on X", "papers on X", Filter(authors=("Clark",))),
        ("papers written by van der Berg", "papers", Filter(authors=("van der Berg",))),
        ("which papers are by Clark et al.?", "which papers?", Filter(authors=("Clark",))),
        ("anything by Müller on X?", "anything on X?", Filter(authors=("Müller",))),
        # by X and Y: both
        ("papers by Clark and Luong", "papers", Filter(authors=("Clark and Luong",))),
        ("papers by Kevin Clark & Wu", "papers", Filter(authors=("Kevin Clark and Wu",))),
        # X's papers
        ("List Clark's papers on X", "List papers on X", Filter(authors=("Clark",))),
        ("O'Neill's papers", "papers", Filter(authors=("O'Neill",))),
        # years
        ("papers since 2020 on X", "papers on X", Filter((2020, None))),
        ("papers before 2010", "papers", Filter((None, 2009))),
        ("papers after 2020", "papers", Filter((2021, None))),
        ("papers until 2012 on X", "papers on X", Filter((None, 2012))),
        ("which papers in 2019 mention X?", "which papers mention X?", Filter((2019, 2019))),
        ("which papers were published in 2019?", "which papers?", Filter((2019, 2019))),
        ("papers between 2015 and 2017", "papers", Filter((2015, 2017))),
        ("papers between 2017 and 2015", "papers", Filter((2015, 2017))),
        ("papers from the last 3 years on X", "papers on X",
         Filter((datetime.now(UTC).year - 3, None))),
        # in or at a venue, published in a venue
        ("papers in Nature on X", "papers on X", Filter(venues=("=Nature",))),
        ("papers in Nature Medicine", "papers", Filter(venues=("=Nature Medicine",))),
        ("papers on X at ACL", "papers on X", Filter(venues=("=ACL",))),
        ("papers on X published in the lancet", "papers on X", Filter(venues=("=lancet",))),
        # several
        ("papers by Wu in Nature since 2018", "papers",
         Filter((2018, None), ("Wu",), ("=Nature",))),
        ("papers published in 2018 in Nature", "papers", Filter((2018, 2018), (), ("=Nature",))),
    ],
)  # fmt: skip
def test_a_filter_said_in_a_question_chooses_papers(question, text, where):
    found = plan(question)
    assert (found.standalone, found.where) == (text, where)


@pytest.mark.parametrize(
    "question",
    [
        "papers by Nobody",
        "papers by Clark and Nobody",
        "learning by hand",
        "papers in Geoscience",
        "papers on cells in Science fiction",
        "papers published in Nature and Brain",
        "papers published in Nature Communications",
        "Was ELECTRA published in Nature?",
        "is a cell in nature at rest?",
        "models trained after 2000 steps",
        "how did X change between 2010 and 2020?",
        "results on WMT 2014",
        "Was it released in 2020?",
        "papers from 2019 or 2021",
        "papers in 2019 and 2020",
        "papers from 2016 or later",
        "papers not from 2019",
        "papers except those from 2019",
        "papers on X not by Clark",
    ],
)
def test_what_no_phrasing_covers_stays_part_of_the_question(question):
    found = plan(question)
    assert (found.standalone, found.where, found.notes) == (question, None, ())


@pytest.mark.parametrize(
    ("question", "text", "note"),
    [
        ("papers since 2020 on X", "papers on X", "no years, so “since 2020”"),
        ("papers on X by Nobody", "papers on X", "no authors, so “by Nobody”"),
        ("Nobody's papers on X", "papers on X", "no authors, so “Nobody's”"),
        ("papers published in Geoscience on X", "papers on X",
         "no venues, so “published in Geoscience”"),
    ],
)  # fmt: skip
def test_a_filter_on_a_field_that_no_paper_has_is_left_out_with_a_note(question, text, note):
    found = plan(question, library=Known())
    assert (found.standalone, found.where) == (text, None)
    assert found.notes == (f"The library has {note} was not applied.",)


@pytest.mark.parametrize(
    "question",
    [
        "which papers do not use dropout?",
        "show me papers not about moths",
        "papers not about moths",
    ],
)
def test_a_list_by_a_negation_says_that_it_is_not_applied(question):
    found = plan(question)
    assert found.kind == "list"
    (note,) = found.notes
    assert note.startswith("Without a language model a negation in a list is not applied.")


def test_a_filter_that_is_given_wins_over_the_question():
    given = Filter(years=(2022, None))
    found = plan("papers by Clark since 2018", where=given)
    assert found.where == Filter(years=(2022, None), authors=("Clark",))


def test_what_a_filter_leaves_of_a_question_may_be_a_list_of_all():
    for question in ("papers by Clark", "Clark's papers", "anything by Clark?"):
        found = plan(question)
        assert (found.kind, found.subject) == ("metadata", "")
    assert plan("papers").kind == "answer"


ELECTRA = Exchange("What is ELECTRA?", "What is ELECTRA?", "A discriminator.", {1: PAPER, 3: OTHER})


@pytest.mark.parametrize(
    "question",
    [
        "why?",
        "What is it good for?",
        "how much data did that need?",
        "Does it hold for smaller models?",
        "did they try them on anything outside law, and how did that go?",
        "What is that piece pretrained on, and what does it buy us?",
        "do they really have to be sparse?",
        "How does it compare?",
        "what did the authors conclude?",
        "is there a cheaper one?",
        "can I use this method on a laptop?",
        "And can the small loss that is left be made up?",
        "tell me more",
        "Who else?",
    ],
)
def test_a_follow_up_is_asked_together_with_the_question_before_it(question):
    assert plan(question, ELECTRA).standalone == f"What is ELECTRA? {question}"
    assert plan(question).standalone == question


@pytest.mark.parametrize(
    "question",
    [
        "How does Primer work when it is trained on code?",
        "sparse attention for long documents",
        "Does XLNet use permutation language modeling?",
        "Which papers study curriculum order?",
        "And which papers are on moths?",
        "show me the papers on moths",
        "Is it true that dropout makes units of large networks co-adapt during training?",
        "What is the best learning rate?",
    ],
)
def test_a_question_with_a_subject_of_its_own_is_asked_as_written(question):
    assert plan(question, ELECTRA).standalone == question


@pytest.mark.parametrize(
    ("question", "titles"),
    [
        ("and [1]?", [PAPER.title]),
        ("what does paper 3 say?", [OTHER.title]),
    ],
)
def test_a_paper_that_is_pointed_at_is_named(question, titles):
    assert plan(question, ELECTRA).standalone == f"{question} ({'; '.join(titles)})"


@pytest.mark.parametrize(
    ("question", "fields", "order", "subject"),
    [
        ("who wrote it?", ("authors",), "", ""),
        ("Who are the authors of ELECTRA?", ("authors",), "", "ELECTRA"),
        ("who wrote the paper on warm tea?", ("authors",), "", "warm tea"),
        ("when was the Primer paper published?", ("year",), "", "Primer"),
        ("where was it published?", ("venue",), "", ""),
        ("What's the DOI of [2]?", ("doi",), "", ""),
        ("its DOI?", ("doi",), "", ""),
        ("which is the oldest?", (), "oldest", ""),
        ("the newest paper on distillation?", (), "newest", "distillation"),
        ("What is the most recent paper by Clark?", (), "newest", ""),
    ],
)
def test_a_question_to_the_records_is_recognised(question, fields, order, subject):
    found = plan(question)
    assert (found.kind, found.subject) == ("metadata", subject)
    assert (found.fields, found.order) == (fields, order)


@pytest.mark.parametrize(
    "question",
    [
        "Who works on the newest chips?",
        "what did the authors conclude?",
        "When was dropout introduced?",
        "What is the newest method for pruning?",
        "What year does the data come from?",
    ],
)
def test_other_questions_ask_nothing_of_the_records(question):
    assert plan(question).fields == ()
    assert plan(question).order == ""


def test_a_name_alone_takes_the_place_of_the_last_one():
    assert plan("What about BERT?", ELECTRA).standalone == "What is BERT?"
    assert plan("And Phenaki?", ELECTRA).standalone == "What is Phenaki?"
    two = Exchange("BERT or ELECTRA?", "BERT or ELECTRA?", "Both.", {1: PAPER})
    assert plan("and GPT-3?", two).standalone == "and GPT-3?"


def test_small_talk_does_not_break_a_thread():
    thanks = Exchange("Thanks!", "Thanks!", "No answer.", answered=False)
    who = Exchange("who wrote it?", "who wrote it?", "They did.", {1: PAPER})
    assert plan("why?", ELECTRA, thanks, who).standalone == "What is ELECTRA? why?"


def test_follow_ups_do_not_pile_up():
    cheap = Exchange("Is it cheap?", "What is ELECTRA? Is it cheap?", "Yes.", {1: PAPER})
    assert plan("why?", ELECTRA, cheap).standalone == "What is ELECTRA? why?"


REFUSED = Exchange(
    "Why is the sky blue?", "Why is the sky blue?", "No answer.", {2: NEWER}, answered=False
)


def test_nothing_of_a_refused_turn_is_carried_on():
    assert plan("why?", ELECTRA, REFUSED).standalone == "What is ELECTRA? why?"
    assert plan("why?", REFUSED).standalone == "why?"
    assert plan("Which of these use code?", ELECTRA, REFUSED).where == Filter(ids=ELECTRA.paper_ids)
    assert plan("Which of these use code?", REFUSED).where is None


def test_a_number_below_a_refused_turn_is_found():
    found = plan("what does paper [2] say?", ELECTRA, REFUSED)
    assert (found.standalone, found.notes) == (f"what does paper [2] say? ({NEWER.title})", ())


def test_which_of_these_asks_among_the_papers_of_the_last_answer():
    found = plan("Which of these are from after 2020?", ELECTRA)
    assert found.kind == "metadata"
    assert found.where == Filter(years=(2021, None), ids=("electra-1", "primer-2"))


def test_a_follow_up_of_which_of_these_stays_among_the_same_papers():
    cited = Filter(ids=("electra-1", "primer-2"))
    last = Exchange("Which of these use code?", "Which of these use code?", "One.", {3: OTHER})
    found = plan("and which use images?", ELECTRA, last)
    assert (found.standalone, found.where) == ("which of these use images?", cited)
    assert (found.kind, found.subject) == ("list", "images")
    assert plan("why?", ELECTRA, last).where == cited
    assert plan("and which use images?", ELECTRA, last, REFUSED).where == cited
    assert plan("How does ELECTRA train?", ELECTRA, last).where is None
    assert plan("and [1]?", ELECTRA, last).where is None


def test_a_number_that_no_answer_cites_is_reported():
    found = plan("and [9]?", ELECTRA)
    assert found.standalone == "and [9]?"
    assert found.notes == ("The conversation has no citation [9].",)
    assert plan("and [9]?").notes == ()


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    papers = [
        Paper("cat-1", "Purring Networks", "We study how cats purr. Networks hear cats.",
              authors=("Kevin B. Clark", "Ana Müller"), year=2019,
              venue="Journal of Animal Sounds"),
        Paper("cat-2", "Whiskers at Night", "Cats see little at night. Their whiskers feel.",
              authors=("Kevin Clark", "Ines Wu"), year=2021, venue="Animal Conference"),
        Paper("sea-3", "Salt in the Sea", "We measure the salt of two oceans.", year=2022),
    ]  # fmt: skip
    with Assistant.build(papers, tmp_path_factory.mktemp("rules") / "papers") as assistant:
        yield assistant


@pytest.mark.parametrize(
    ("question", "scope", "ids"),
    [
        ("papers by Clark", "by Clark", ["cat-1", "cat-2"]),
        ("papers by Clark and Wu", "by Clark and Wu", ["cat-2"]),
        ("papers by Müller and Wu", "by Müller and Wu", []),
        ("papers by Clark since 2020", "from 2020 on, by Clark", ["cat-2"]),
        ("papers in the Journal of Animal Sounds", "in Journal of Animal Sounds", ["cat-1"]),
        ("papers after 2030", "from 2031 on", []),
    ],
)
def test_the_answer_is_of_those_papers_only_and_says_so(library, question, scope, ids):
    answer = library.ask(question)
    assert answer.scope == scope
    assert [paper.id for paper in answer.sources.values()] == ids
    assert f"*Only papers {scope}.*" in answer.to_markdown()


@pytest.mark.parametrize(
    "question",
    [
        "What do papers by Clark since 2020 say about cats?",
        "How do cats purr in papers published in the Journal of Animal Sounds?",
    ],
)
def test_a_question_asked_as_written_keeps_its_words_and_asks_all_papers(library, question):
    assert library.ask(question).narrowed
    answer = library.ask(question, as_written=True)
    assert (answer.scope, answer.narrowed, answer.asked) == ("", False, question)
    assert {"cat-1", "cat-2"} <= {hit.paper.id for hit in answer.hits}


def test_a_given_filter_holds_for_a_question_asked_as_written(library):
    given = Filter(years=(2020, None))
    answer = library.ask("papers by Wu on cats", where=given, as_written=True)
    assert (answer.scope, answer.narrowed) == ("from 2020 on", False)
    assert library.ask("papers by Wu on cats", where=given).narrowed


def test_which_of_these_asked_as_written_asks_all_papers(library, tmp_path):
    question = "which of these study oceans?"
    conversation = library.chat()
    conversation.ask("how do cats purr?")
    narrowed = conversation.ask(question)
    assert narrowed.narrowed
    assert "sea-3" not in [hit.paper.id for hit in narrowed.hits]
    answer = conversation.ask(question, as_written=True)
    assert answer.scope == ""
    assert "sea-3" in [hit.paper.id for hit in answer.hits]
    conversation.save(tmp_path / "chat.json")
    conversation.load(tmp_path / "chat.json")
    assert [turn.answer.narrowed for turn in conversation.turns] == [False, True, False]


def test_the_command_takes_no_filter_from_the_question_if_it_is_told_so(library, run):
    words = ["ask", "papers by Clark on whiskers", "-i", f"{library.folder}/", "--json"]
    scopes = [json.loads(run(*words, *more))["scope"] for more in ([], ["--as-written"])]
    assert scopes == ["by Clark", ""]
