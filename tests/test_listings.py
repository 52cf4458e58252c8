"""Questions for all papers of a kind: told from others, answered with and without a model."""

from __future__ import annotations

import math
import re
from contextlib import closing

import pytest
from model_server import ModelServer, Step

from rag import Assistant, Filter, Paper, Status, load_settings
from rag.errors import CorpusError, SettingsError
from rag.generation.list_text import Entry, heading
from rag.generation.listing import decimals
from rag.generation.relevance import lines, relevances
from rag.index import Index
from rag.index import filter as filters
from rag.query.conditions import condition_in
from rag.query.followups import needs_history
from rag.query.listings import subject_of_list
from rag.query.understanding import understand

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


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    path = tmp_path_factory.mktemp("library") / "papers"
    Assistant.build(PAPERS, path).close()
    return path


@pytest.fixture(scope="module")
def library(folder):
    with Assistant.open(folder) as assistant:
        yield assistant


@pytest.mark.parametrize(
    ("question", "subject"),
    [
        ("Which papers use curriculum learning?", "curriculum learning"),
        ("how many evaluate on GLUE?", "GLUE"),
        ("How many papers report results on ImageNet?", "ImageNet"),
        ("list everything on legal text", "legal text"),
        ("any mixture-of-experts papers?", "mixture-of-experts"),
        ("is there anything on legal text in the library? list all of it", "legal text"),
        ("what does the library have on dropout?", "dropout"),
        ("who works on speech?", "speech"),
        ("please show me the papers about speech", "speech"),
        ("how many surveys do we have?", "surveys"),
        ("which papers use at least 100 languages?", "at least 100 languages"),
        ("I worry about stale models. Which papers look at dates?", "dates"),
        ("We have no chat data. Which papers cover that?", "We have no chat data."),
        ("How many papers summarize text? Code does not count.", "summarize text"),
        ("which of these work with Chinese?", "Chinese"),
        ("which papers study tokens (not images)?", "tokens"),
        ("how many papers are there?", ""),
        ("papers working with genes or proteins", "genes or proteins"),
        ("any PhD theses in here?", "PhD theses"),
        ("SQuAD scores: who reports them?", "SQuAD scores"),
        ("robots and agents - what is there?", "robots and agents"),
        ("who measures energy?", "energy"),
        ("Which approaches to speech exploit silence?", "speech exploit silence"),
        ("review articles, please", "review"),
        ("what are the papers on moths?", "moths"),
        ("tell me which papers are about moths", "moths"),
        ("I'd like to know which papers, if any, are about moths", "moths"),
        ("could you please give me a list of papers about moths?", "moths"),
        ("what's been done on moths?", "moths"),
        ("moths: what is there?", "moths"),
        ("We hunt moths; which papers are useful to us?", "We hunt moths"),
        ("We hunt moths; which papers should we read?", "We hunt moths"),
        ("models under 1 billion parameters", "models under 1 billion parameters"),
        ("name five papers about moths", "moths"),
        ("list everything", ""),
        ("Which papers use state space models?", "state space models"),
        ("Which papers use in context learning?", "in context learning"),
        ("which papers build on or examine state spaces?", "state spaces"),
        ("Which papers report results?", "results"),
        ("Which works do speech recognition?", "speech recognition"),
        ("I am writing a survey. Which papers use GLUE? Thanks!", "GLUE"),
        ("Of robots: could you list the papers on gripping? I don't mind how.", "gripping"),
        ("I look for moths. Which papers should be on my list?", "I look for moths."),
        ("I have time: which papers use models such as S4?", "models such as S4"),
        ("My data is junk. Which papers clean such data?", "My data is junk. clean such data"),
    ],
)
def test_a_listing_is_recognised_with_its_subject(question, subject):
    assert subject_of_list(question) == subject


@pytest.mark.parametrize(
    "question",
    [
        "Which paper introduced ELECTRA?",
        "What is ELECTRA?",
        "how many parameters does ELECTRA have?",
        "which two papers use optimal transport?",
        "Which datasets does CLIP train on?",
        "which papers use optimal transport, and what does each align?",
        "Which of my datasets matters? I have no time to try them all.",
        "which papers?",
        "other papers?",
        "earthquakes?",
        "who uses it?",
        "Which papers use it?",
        "Which research questions does the paper answer?",
        "which papers should I read?",
        "what papers inspired ELECTRA?",
        "which papers does ELECTRA build on?",
        "name the datasets ELECTRA was compared with",
        "which papers are the most cited?",
        "what makes papers on distillation hard to compare?",
        "what papers say about warmup: is it needed?",
        "who benefits from more data?",
        "what are models good for?",
        "Who is known for speech?",
        "",
    ],
)
def test_other_questions_are_no_listings(question):
    assert subject_of_list(question) is None


def test_what_years_and_authors_leave_of_a_question_may_be_a_listing():
    assert subject_of_list("papers", narrowed=True) == ""
    assert subject_of_list("papers") is None


def test_papers_that_fit_are_counted_and_quoted(library):
    answer = library.ask("Which papers are about cats?")
    assert answer.status == "answered"
    assert answer.mode == "extractive"
    listed = {s.text: s for s in answer.statements if s.claim}
    assert {"Purring Networks", "Whiskers at Night"} <= set(listed)
    assert "Salt in the Sea" not in listed
    first = listed["Whiskers at Night"]
    assert first.verdict == "supported"
    assert first.citations[0].quotes[0].text == "Cats see little at night."
    number = first.citations[0].number
    assert answer.text[first.start : first.end] == f"Whiskers at Night [{number}]"
    sure = sum(s.verdict == "supported" for s in listed.values())
    assert answer.text.startswith(f"{sure} of the 5 papers fit")
    may = len(listed) - sure
    assert answer.verification == (
        f"{sure} listed as fitting, {may} as possible; decided by relevance."
    )
    for statement in answer.statements:
        assert answer.text[statement.start : statement.end].startswith(statement.text)


def test_a_paper_whose_title_alone_is_known_may_fit_and_no_more(library):
    answer = library.ask("Which papers are about cats?")
    (north,) = [s for s in answer.statements if s.text == "Cats of the North"]
    assert north.verdict == "partly"
    assert north.citations[0].quotes == ()
    assert "only its title is known" in north.citations[0].reason


def test_a_subject_that_no_paper_has_gives_no_list(library):
    answer = library.ask("which papers study volcanic basalt chemistry?")
    assert answer.status == "abstained"
    assert answer.statements == ()
    assert len(answer.closest) == 3


def test_a_listing_without_a_subject_lists_the_whole_library(library):
    answer = library.ask("how many papers are there?")
    assert answer.text.startswith("The library has 5 papers.")
    assert [p.id for p in answer.sources.values()] == [p.id for p in PAPERS]
    assert {s.verdict for s in answer.statements} == {None}
    assert answer.verification == "No statement to verify."


def test_years_and_authors_in_a_question_restrict_the_papers(library):
    answer = library.ask("papers by Clark")
    assert [p.id for p in answer.sources.values()] == ["cat-1"]
    assert answer.scope == "by Clark"
    assert "*Only papers by Clark.*" in answer.to_markdown()
    assert library.ask("papers by Şahin since 2015").scope == "from 2015 on, by Şahin"
    assert library.ask("papers by van der Berg").scope == "by van der Berg"
    newer = library.ask("which papers after 2020 are about cats?")
    assert [p.id for p in newer.sources.values()][:1] == ["cat-2"]
    assert "cat-1" not in [p.id for p in newer.sources.values()]
    events = list(library.stream("what do cats feel since 2020?"))
    assert Status("Only papers from 2020 on") in events
    assert events[-1].answer.hits[0].paper.id == "cat-2"


def test_a_listing_of_years_without_a_paper_says_so(library):
    answer = library.ask("papers after 2030")
    assert answer.text == "The library has no papers from 2031 on."
    assert answer.sources == {}


def test_a_paper_is_meant_by_the_beginning_of_its_id(library):
    assert library.resolve_ids(["cat-1", "DOG", "sea-"]) == ("cat-1", "dog-3", "sea-4")
    with pytest.raises(CorpusError, match="cat- begins the ids of 3 papers, such as cat-1"):
        library.resolve_ids(["cat-"])
    with pytest.raises(CorpusError, match="cow is no paper's id"):
        library.resolve_ids(["cow"])
    with pytest.raises(CorpusError, match="Give the id of a paper"):
        library.resolve_ids([" "])


class Known:
    """A library that knows years and one author."""

    def holds(self, where):
        return not where.venues and (not where.authors or where.authors[0].endswith("Clark"))


@pytest.mark.parametrize(
    ("question", "text", "where"),
    [
        ("papers after 2020 by Clark on X", "papers on X", Filter((2021, None), ("Clark",))),
        ("What did Clark et al. (2020) find?", "What did the authors find?",
         Filter((2020, 2020), ("Clark",))),
        ("works of 2015-2017 on X", "works on X", Filter((2015, 2017))),
        ("papers published before 2010", "papers", Filter((None, 2009))),
        ("Clark's papers up to 2012", "papers", Filter((None, 2012), ("Clark",))),
        ("what is known of X since 2018?", "what is known of X?", Filter((2018, None))),
        ("2019 papers on X", "papers on X", Filter((2019, 2019))),
        ("models trained after 2000 steps", None, None),
        ("results on WMT 2014", None, None),
        ("Was it released in 2020?", None, None),
        ("papers by Nobody", None, None),
        ("what did Clark find about X?", "what did the authors find about X?",
         Filter(authors=("Clark",))),
        ("What does Clark (2020) say of X?", "What does the authors say of X?",
         Filter((2020, 2020), ("Clark",))),
        ("X, according to Clark?", "X, according to the authors?", Filter(authors=("Clark",))),
        ("Is Clark (2019) right?", "Is the authors right?", Filter((2019, 2019), ("Clark",))),
        ("What does ELECTRA find?", None, None),
        ("learning by hand", None, None),
    ],
)  # fmt: skip
def test_what_is_understood_of_years_and_authors(question, text, where):
    assert understand(question, Known())[:2] == (text or question, where)


VENUES = (
    "Nature",
    "Nature Medicine",
    "The Lancet",
    "Science",
    "Cell",
    "Information Retrieval",
    "Annual Meeting of the Association for Computational Linguistics (ACL)",
    "Proc. Natl. Acad. Sci. (USA)",
    "ICML 2020",
)


@pytest.fixture(scope="module")
def shelf(tmp_path_factory):
    """A library with venues, some of which are called like a subject."""
    path = tmp_path_factory.mktemp("venues") / "papers"
    papers = [
        Paper(f"v-{n}", f"On Rate {n}", f"We test rate {n}.", year=2018 + n, venue=venue)
        for n, venue in enumerate(VENUES)
    ]
    Assistant.build([*papers, *PAPERS], path).close()
    with Assistant.open(path) as library:
        yield library


@pytest.fixture(scope="module")
def shelf_index(shelf):
    index = Index.open(shelf.folder)
    yield index
    index.close()


@pytest.mark.parametrize(
    ("question", "text", "venues", "years"),
    [
        ("papers in Nature Medicine", "papers", ["Nature Medicine"], None),
        ("papers in Nature Medicine on X", "papers on X", ["Nature Medicine"], None),
        ("which ACL papers use X?", "which papers use X?", ["ACL"], None),
        ("which recent ACL papers use X?", "which recent papers use X?", ["ACL"], None),
        ("ACL 2024 papers on X", "papers on X", ["ACL"], (2024, 2024)),
        ("what was published in The Lancet on X?", "what is there on X?", ["Lancet"], None),
        ("papers on X published in the lancet", "papers on X", ["lancet"], None),
        ("papers that appeared in Nature", "papers", ["Nature"], None),
        ("Which papers were published in Nature?", "papers", ["Nature"], None),
        ("papers published in 2018 in Nature", "papers", ["Nature"], (2018, 2018)),
        ("papers published in ACL 2024 on X", "papers on X", ["ACL"], (2024, 2024)),
        ("what appeared in Nature since 2018 on X?", "what is there on X?", ["Nature"],
         (2018, None)),
        ("papers published in Nature or Science", "papers", ["Nature", "Science"], None),
        ("Which Nature papers use X?", "Which papers use X?", ["Nature"], None),
        ("which Information Retrieval papers use X?", "which papers use X?",
         ["Information Retrieval"], None),
        ("what is said of X in the journal Information Retrieval?", "what is said of X?",
         ["Information Retrieval"], None),
        ("what is said of X in the Journal of Animal Sounds?", "what is said of X?",
         ["Journal of Animal Sounds"], None),
        ("papers at Cell", "papers", ["Cell"], None),
        ("which ICML papers use X?", "which papers use X?", ["ICML"], None),
        ("papers on X at ACL", "papers on X", ["ACL"], None),
    ],
)  # fmt: skip
def test_a_venue_of_the_library_in_a_question_restricts_the_papers(
    shelf_index, question, text, venues, years
):
    where = Filter(years=years, venues=tuple(f"={venue}" for venue in venues))
    assert understand(question, shelf_index)[:2] == (text, where)


@pytest.mark.parametrize(
    "question",
    [
        "papers in Information Retrieval",  # the subject
        "papers in Science",
        "papers on Cell biology",
        "what do papers say of nature?",
        "which cell papers are there?",
        "Science papers",  # perhaps a capital only because it opens the question
        "which Computer Science papers use X?",  # no venue of the library
        "papers published in Nature Communications",
        "papers published in science fiction magazines",
        "papers published in Nature and Brain",
        "Was ELECTRA published in Nature?",
        "when was ELECTRA presented at ACL?",
        "papers on attacks at Nature",
        "Which USA papers are there?",
        "which EMNLP papers use X?",
        "is a cell in nature at rest?",
    ],
)
def test_what_may_be_a_subject_or_is_no_venue_of_the_library_is_no_venue(shelf_index, question):
    assert understand(question, shelf_index)[:2] == (question, None)


def test_papers_of_a_venue_are_those_of_its_whole_name(shelf):
    answer = shelf.ask("papers published in Nature")
    assert answer.scope == "in Nature"
    assert [paper.id for paper in answer.sources.values()] == ["v-0"]
    assert [p.id for p in shelf.papers(where=Filter(venues=("=the nature",)))] == ["v-0"]
    assert [p.id for p in shelf.papers(where=Filter(venues=("Nature",)))] == ["v-0", "v-1"]
    assert [p.id for p in shelf.papers(where=Filter(venues=("=Medicine", "=", "=2020")))] == []
    assert [p.id for p in shelf.papers(where=Filter(venues=("=ICML",)))] == ["v-8"]
    full = "=Annual meeting of the association for computational linguistics"
    for name in ("=ACL", full, f"{full} (ACL)"):
        assert [p.id for p in shelf.papers(where=Filter(venues=(name,)))] == ["v-6"], name


def test_a_venue_that_is_given_wins_over_the_one_that_a_question_names(shelf):
    given = Filter(venues=("Science",))
    answer = shelf.ask("papers published in Nature", where=given)
    assert answer.scope == "in Science"
    assert [paper.id for paper in answer.sources.values()] == ["v-3"]


def test_years_mean_nothing_to_a_library_without_years(tmp_path):
    with Assistant.build([Paper("a-1", "Cats", "Cats purr.")], tmp_path / "no-years") as library:
        answer = library.ask("which papers after 2020 are about cats?")
    assert answer.scope == ""


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
    ],
)
def test_filters_let_papers_through_alike_in_lists_and_in_searches(library, where, ids):
    assert [paper.id for paper in library.papers(where=where)] == ids
    assert sorted(hit.paper.id for hit in library.search("cats", where=where)) == sorted(ids)


def test_authors_that_are_left_out_are_nobodys_name(tmp_path):
    paper = Paper("cut-1", "On Rates", "We test rates.", authors=("Ada Clark", "et al."))
    with Assistant.build([paper], tmp_path / "cut") as library:
        for name, count in (("Clark", 1), ("al", 0), ("et al.", 0)):
            assert len(library.papers(where=Filter(authors=(name,)))) == count, name


def test_more_ids_than_one_condition_holds_are_split():
    where = Filter(ids=tuple(f"x-{n}" for n in range(401)))
    assert len(where.id_conditions()) == 3
    assert filters.Filter(ids=()).id_conditions() == []


def test_a_name_in_han_characters_is_found_whole_turned_and_by_its_family_name(tmp_path):
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


@pytest.mark.parametrize(
    "where",
    [
        Filter(venues=("a " * 3000,)),
        Filter(sources=("\udcff\udcfe",)),
        Filter(ids=("\udcff",)),
        Filter(authors=("",), tags=("",)),
    ],
)
def test_odd_values_of_a_filter_let_nothing_through_and_harm_nothing(library, where):
    assert library.papers(where=where) == []
    assert library.search("cats", where=where) == []


def test_a_filter_of_more_values_than_can_be_compared_is_refused():
    with pytest.raises(SettingsError, match="at most 200 authors"):
        Filter(authors=("Clark",) * 201)


def test_relevance_is_a_share_and_grows_with_the_fit(library):
    hits = library.retrieve("cats", k=5).hits
    likely = relevances(hits)
    found = dict(zip([hit.paper.id for hit in hits], likely, strict=True))
    assert all(0 <= value <= 1 for value in found.values())
    assert found["cat-1"] > found["sea-4"]
    cut = lines(hits, float(max(likely)))
    assert cut.read <= cut.possible <= cut.counted <= max(likely)
    assert lines(hits, float(max(likely)) / 2).counted < cut.counted


def test_what_a_list_was_asked_to_leave_out_is_said_to_be_in_it(library):
    answer = library.ask("Which papers are about cats but not about whiskers?")
    assert any("“but not about whiskers” was set aside" in warning for warning in answer.warnings)
    assert library.ask("Which papers are about cats?").warnings == ()


def test_a_subject_whose_best_paper_is_unsure_has_none_that_counts(library):
    hits = library.retrieve("cats", k=5).hits
    unsure = 0.01
    assert lines(hits, unsure).counted > unsure
    assert lines(hits, 0.0).possible > 0.0
    assert relevances([]).size == 0


@pytest.mark.parametrize(
    ("line", "values", "digits"),
    [
        (0.23, [0.99, 0.14], 2),
        (0.0936, [0.0918], 3),  # 0.09 both, then 0.094 and 0.092
        (0.0936, [0.09358], 5),  # 0.0936 both, then 0.09360 and 0.09358
        (0.0936, [0.0936, 0.5], 2),  # on the line counts
        (0.0936, [], 2),
        (0.5, [math.nextafter(0.5, 0)], 16),
    ],
)
def test_relevances_are_printed_so_finely_that_none_below_the_line_seems_on_it(
    line, values, digits
):
    assert decimals(line, values) == digits


def test_the_heading_counts_both_groups():
    def entries(*verdicts):
        return [Entry(PAPERS[0], (), verdict, "", "") for verdict in verdicts]

    sure, may = "supported", "partly"
    assert heading(entries(sure, sure, may), 9, 9, "X") == "2 of the 9 papers fit “X”, 1 more may."
    assert heading(entries(sure), 9, 9, "X") == "1 of the 9 papers fits “X”."
    assert heading(entries(may), 9, 9, "X") == "None of the 9 papers surely fits “X”, 1 may."
    assert heading(entries(sure), 4, 9, "X") == "1 of the 4 nearest of 9 papers fits “X”."
    assert heading(entries(sure), 1, 1, "X") == "The one paper that there is fits “X”."


def chooses(verdicts):
    """A model that gives a verdict by title, naming the first sentence of the paper."""

    def reply(body):
        prompt = body["messages"][-1]["content"]
        said, number, first = [], 0, {}
        for line in prompt.splitlines():
            if match := re.match(r"Paper (\d+): (.*)", line):
                number, title = int(match[1]), match[2]
                first[number] = [title, "none"]
            elif (match := re.match(r"s(\d+) ", line)) and first[number][1] == "none":
                first[number][1] = f"s{match[1]}"
        for number, (title, sentence) in first.items():
            verdict = verdicts.get(title, "unsupported")
            if verdict != "skip":
                said.append(f"{number} | {sentence} | {verdict} | because")
        return "\n".join(said)

    return Step(reply=reply)


def opened(folder, server, **settings):
    given = {"chat_model": "tester", "chat_url": server.url, "chat_retries": 0, **settings}
    return Assistant.open(folder, settings=load_settings(**given))


def test_a_model_reads_the_papers_that_may_fit(folder):
    verdicts = {"Purring Networks": "supported", "Whiskers at Night": "partly"}
    with ModelServer(chooses(verdicts)) as server, opened(folder, server) as assistant:
        answer = assistant.ask("Which papers are about cats?")
    listed = {s.text: s for s in answer.statements if s.claim}
    assert answer.mode == "model"
    assert listed["Purring Networks"].verdict == "supported"
    citation = listed["Purring Networks"].citations[0]
    assert (citation.by, citation.reason) == ("tester", "because")
    assert citation.quotes[0].text == "We study how cats purr."
    assert listed["Whiskers at Night"].verdict == "partly"
    assert "Barking Machines" not in listed
    assert "in 1 call." in answer.text
    assert answer.usage.calls == 1


def test_what_the_model_says_nothing_readable_of_may_fit(folder):
    verdicts = {"Purring Networks": "skip", "Whiskers at Night": "supported"}
    with ModelServer(chooses(verdicts)) as server, opened(folder, server) as assistant:
        answer = assistant.ask("Which papers are about cats?")
    listed = {s.text: s for s in answer.statements if s.claim}
    assert listed["Purring Networks"].verdict == "partly"
    assert "no readable verdict" in listed["Purring Networks"].citations[0].reason
    assert listed["Whiskers at Night"].verdict == "supported"


def test_a_model_that_fails_leaves_a_list_by_relevance(folder):
    with (
        ModelServer(Step(status=500, text="broken")) as server,
        opened(folder, server) as assistant,
    ):
        answer = assistant.ask("Which papers are about cats?")
    assert answer.mode == "extractive"
    assert {"supported", "partly"} == {s.verdict for s in answer.statements if s.claim}
    assert {c.by for c in answer.citations} == {"relevance"}
    assert any("did not read" in warning for warning in answer.warnings)


def test_no_more_calls_are_made_than_the_budget_allows(tmp_path):
    papers = [
        Paper(f"cat-{n}", f"Cats {n}", f"Cats purr in room {n}. They sleep there too.")
        for n in range(60)
    ]
    Assistant.build(papers, tmp_path / "many").close()
    verdicts = {paper.title: "supported" for paper in papers}
    with (
        ModelServer(chooses(verdicts)) as server,
        opened(tmp_path / "many", server, listing_calls=1) as assistant,
    ):
        answer = assistant.ask("Which papers are about cats?")
    assert answer.usage.calls == 1
    assert sum(s.verdict == "supported" for s in answer.statements) == 25
    assert any("listing_calls" in warning for warning in answer.warnings)


def test_a_follow_up_may_ask_for_the_same_list_of_something_else(library):
    conversation = library.chat()
    conversation.ask("Which papers are about cats?")
    answer = conversation.ask("what about dogs?")
    assert answer.asked == "Which papers are about dogs?"
    assert [paper.id for paper in answer.sources.values()] == ["dog-3"]


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


@pytest.mark.parametrize(
    ("subject", "lowest", "highest", "rest"),
    [
        ("models with ten billion parameters or more", 1e10, math.inf, ""),
        ("train on at least 100 languages", 100, math.inf, ""),
        ("speech in under 50 languages", -math.inf, 50, "speech"),
        ("fine-tune a 7B model", 6.5e9, 7.5e9, ""),
        ("code with seven or eight billion parameters", 6.5e9, 8.5e9, "code"),
        ("use between 1 and 3 million images", 1e6, 3e6, ""),
        ("between one and seven billion parameters", 1e9, 7e9, ""),
        ("up to a million tokens", -math.inf, 1e6, ""),
        ("over 1M but under 1B parameters", 1e6, 1e9, ""),
        ("more than 2 and less than 5 datasets", 2, 5, ""),
        ("10 000 or more tokens", 1e4, math.inf, ""),
        ("take inputs of 8,000 tokens or more", 8000, math.inf, "take inputs"),
        ("less than 1,5 million tokens", -math.inf, 1.5e6, ""),
        ("at least three and a half billion parameters", 3.5e9, math.inf, ""),
        ("at least two dozen languages", 24, math.inf, ""),
        (">=100 languages", 100, math.inf, ""),
        ("100+ languages", 100, math.inf, ""),
        ("under .5B parameters", -math.inf, 5e8, ""),
        ("at least twenty-five languages", 25, math.inf, ""),
        ("a hundred million or more cells", 1e8, math.inf, ""),
    ],
)
def test_a_condition_on_numbers_is_read(subject, lowest, highest, rest):
    condition = condition_in(subject)
    assert (condition.lowest, condition.highest, condition.rest) == (lowest, highest, rest)


@pytest.mark.parametrize(
    "subject",
    [
        "between 100 languages",
        "1/2 the parameters",
        "at least a B grade",
        "a T cell",
        "GPT-3 and T5",
        "evaluate on 3 datasets",
        "over the years",
        "ImageNet-1K",
        "",
    ],
)
def test_other_numbers_are_no_conditions(subject):
    assert condition_in(subject) is None


@pytest.mark.parametrize(
    ("subject", "text", "met"),
    [
        ("under 1B parameters", "We train models from 95M to 330M parameters.", True),
        ("under 1B parameters", "A model of 1 billion parameters.", False),
        ("under 1B parameters", "We need less than 1B training examples.", False),
        ("under 1B parameters", "It is trained on 15M tokens.", False),
        ("7B models", "We tune Llama-2-7B on it.", True),
        ("7B models", "It has 6.7 billion parameters.", True),
        ("7B models", "It has 7.5B parameters.", False),
        ("7B models", "It is better than Llama-2-7B.", False),
        ("7B models", "Models grow (e.g., 7B parameters for LLaMA).", False),
        ("under 100 parameters", "It has 16 times fewer trainable parameters.", False),
        ("more than 5 cells", "We engineer a T cell. There are 12 cells a sample.", True),
        ("more than 5 cells", "We engineer a T cell that survives.", False),
        ("7B models", "It sees 7B tokens.", False),
        ("7B models", "NLLB-54B is larger.", False),
        ("more than 100 languages", "It covers over 100 languages.", True),
        ("speedups of more than 2x", "It is 2.5X faster.", True),
        ("speedups of more than 2x", "It is three times faster, by 2.5 points.", True),
        ("speedups of more than 2x", "It is 1.5x faster, 40% cheaper.", False),
        ("gains of at least 50 percent", "It saves 34.7%, a gain of 55%.", True),
        ("gains of at least 50 percent", "It saves 34.7% and 55% of it.", False),
        ("gains of at least 50 percent", "It saves 34.7% of 55 hours.", False),
        ("more than 100 languages", "It covers 100 languages.", False),
        ("more than 100 languages", "It covers 1,000 books in 3 languages.", False),
    ],
)
def test_a_text_meets_a_condition_by_a_number_of_the_same_things(subject, text, met):
    assert condition_in(subject).met_by(text) is met


@pytest.mark.parametrize(
    ("subject", "text", "met"),
    [
        ("a hazard ratio below 0.5", "The hazard ratio was 0.75.", False),
        ("a hazard ratio below 0.5", "The hazard ratio was 0.45.", True),
        (
            "a hazard ratio below 0.5",
            "The hazard ratio (HR) for death was 0.45 (95% CI 0.3-0.6).",
            True,
        ),
        ("a hazard ratio below 0.5", "(hazard ratio, 0.45; 95% CI, 0.33-0.55)", True),
        ("a hazard ratio below 0.5", "Mortality fell (hazard ratio 0·75, 95% CI 0·4-0·9).", False),
        ("a hazard ratio below 0.5", "Mortality fell (hazard ratio 0·45 [95% CI 0·4-0·9]).", True),
        ("a hazard ratio below 0.5", "The hazard ratio was 0.75 with p of 0.01.", False),
        ("a hazard ratio below 0.5", "Risk fell to 0.4 of it.", False),
        ("an accuracy of at least 90%", "With 98% masking ratio we gain.", False),
        ("an accuracy of at least 90%", "It attains 84.0% ImageNet top-1 accuracy.", False),
        (
            "an accuracy of at least 90%",
            "It attains 90.94% top-1 accuracy on ImageNet, a new state of the art.",
            True,
        ),
        ("an accuracy of at least 90%", "It has an accuracy of 91%.", True),
        ("an accuracy of at least 90%", "It has an accuracy of 91% and 40% recall.", True),
        ("an accuracy of at least 90%", "It has an accuracy of 81% and 95% recall.", False),
        ("an accuracy of at least 90%", "It has an accuracy of 81% and a recall of 95%.", False),
        ("an accuracy of at least 90%", "the accuracy for 95% of users.", False),
        ("an accuracy of at least 90%", "It improves accuracy by 95%.", False),
        ("an accuracy of at least 90%", "Accuracy rises from 80% to 92%.", True),
        ("an accuracy of at least 90%", "Accuracy falls from 92% to 80%.", False),
        ("an accuracy of at least 90%", "It beats a baseline accuracy of 91%.", False),
        ("an accuracy of at least 90%", "It retains 99% accuracy of the teacher.", False),
        ("an accuracy of at least 90%", "It has over 95% accuracy.", True),
        ("an accuracy of at least 90%", "It has below 95% accuracy.", False),
        ("an accuracy of at least 90%", "Up to 95% accuracy is seen.", True),
        ("an accuracy of at least 90%", "91% of the accuracy is kept.", False),
        ("an accuracy of at least 90%", "accuracy reached 93.5 percent.", True),
        ("an accuracy of at least 90%", "accuracy without 93.5% of data.", False),
        ("an accuracy of at least 90%", "The accuracy remained above 90%.", True),
        ("more than 90% accuracy", "The accuracy remained above 90%.", True),
        ("more than 90% accuracy", "The accuracy was 90%.", False),
        ("BLEU above 30", "a BLEU score of 34.8 on the entire test set.", True),
        ("BLEU above 30", "its BLEU score increases to 36.5, which", True),
        ("BLEU above 30", "a BLEU of 28.4 on WMT.", False),
        ("BLEU above 30", "It gets 41.8 BLEU on it.", True),
        ("BLEU above 30", "BLEU on 40 languages.", False),
        ("BLEU above 30", "outperforms by 32 BLEU.", False),
        ("BLEU above 30", "BLEU improves by 32 points.", False),
        ("a speedup of more than 2x", "It is 3x faster.", True),
        ("a speedup of more than 2x", "up to 2.5X faster and up to 3.2X smaller", True),
        ("a speedup of more than 2x", "up to 1.5X faster and up to 3.2X smaller", False),
        ("a speedup of more than 2x", "outperforms PyTorch by 6.13x.", True),
        ("a speedup of more than 2x", "60× faster decoding", True),
        ("a speedup of more than 2x", "accelerates the prefilling stage by 2.34x while", True),
        ("a speedup of more than 2x", "2.72x decoding speedup.", True),
        ("a speedup of more than 2x", "despite 90x fewer parameters", False),
        ("a speedup of more than 2x", "a 10x reduction in compute", False),
        (
            "a speedup of more than 2x",
            "with a 14X cut in learnable parameters, 106X less total parameters",
            False,
        ),
        ("a speedup of more than 2x", "reducing the training cost by 4X.", False),
        ("a speedup of more than 2x", "30x more compute", False),
        ("a speedup of more than 2x", "WRAP speeds up pre-training by ~3x.", True),
        ("more than 2 times faster", "It is three times faster.", True),
        ("at least 75% sparsity", "up to 75% sparsity into", True),
        ("reduce memory by more than 50%", "It reduces memory use by 69%.", True),
        ("reduce memory by more than 50%", "It reduces the time by 69%.", False),
        ("error rate below 5%", "an error rate of 3.2%, 2 points", True),
        ("error rate below 5%", "the error rate by 3.2%", False),
        ("error rate below 5%", "lowers the error rate to 3.2%", True),
        ("correlation above 0.5", "a correlation of −0.6 was", False),
        ("correlation above 0.5", "a correlation of -0.6 was", False),
        ("correlation above 0.5", "a correlation of r = 0.6 was", True),
        ("an F1 above 0.9", "with F1 scores of 0.9306, 0.98", True),
        ("p below 0.05", "(p = 0.03)", True),
        ("p below 0.05", "(p < 0.001)", True),
        ("p below 0.05", "p = 3×10^-4", False),
        ("accuracy between 80% and 90%", "accuracy of 85%", True),
        ("accuracy between 80% and 90%", "accuracy over 85%", False),
        ("accuracy above 80% and F1 above 90%", "accuracy of 95%", False),
    ],
)
def test_a_share_or_score_is_met_only_by_a_number_beside_its_words(subject, text, met):
    assert condition_in(subject).met_by(text) is met


@pytest.mark.parametrize(
    ("subject", "stems", "rest"),
    [
        ("report a hazard ratio below 0.5", {"hazard", "ratio"}, ""),
        ("an accuracy of at least 90%", {"accuraci"}, ""),
        ("more than 90% accuracy on images", {"accuraci"}, "images"),
        ("a hazard ratio below 0.5 in cancer patients", {"hazard", "ratio"}, "cancer patients"),
        ("speech with a word error rate under 5%", {"word", "error", "rate"}, "speech"),
        ("a gain in accuracy of more than 5%", {"gain", "accuraci"}, ""),
        ("an F1 of 0.9 or more on NER", {"f1"}, "NER"),
        ("accuracy above 80% and below 90%", {"accuraci"}, ""),
    ],
)
def test_what_a_bounded_share_or_score_is_of_is_told_from_the_rest(subject, stems, rest):
    condition = condition_in(subject)
    assert (condition.measure.stems, condition.rest) == (stems, rest)


@pytest.mark.parametrize(
    "subject",
    [
        "BLEU above 30 and ROUGE above 20",
        "p below 10^-5",
        "correlation below -0.5",
        "above 0.5",
    ],
)
def test_a_bound_that_cannot_be_read_is_met_by_no_number(subject):
    condition = condition_in(subject)
    assert not condition.met_by("BLEU of 31, ROUGE of 21, p = 0.0, correlation 0.4, 0.6")


@pytest.mark.parametrize("subject", ["children under 5", "adults aged over 65 in Africa"])
def test_an_age_is_no_condition(subject):
    assert condition_in(subject) is None


def test_a_list_holds_only_papers_with_the_ratio_that_is_asked_for(tmp_path):
    papers = [
        Paper("high", "Aspirin", "We treat hearts. The hazard ratio was 0.75 (0.3 to 0.9)."),
        Paper("low", "Statins", "We treat hearts. The hazard ratio was 0.45."),
        Paper("none", "Hearts", "We treat hearts with 0.3 mg."),
    ]
    with Assistant.build(papers, tmp_path / "library") as library:
        answer = library.ask("which papers report a hazard ratio below 0.5?")
        assert [p.id for p in answer.sources.values()] == ["low"]
        assert answer.citations[0].quotes[0].text == "The hazard ratio was 0.45."
        assert library.ask("papers with a hazard ratio below 0.1").status == "abstained"


def test_a_list_with_a_condition_holds_papers_whose_numbers_meet_it(tmp_path):
    papers = [
        Paper("small", "Little Purr", "Cats purr. We train a model with 300M parameters on purrs."),
        Paper("large", "Great Purr", "Cats purr. A model with 13B parameters is trained on purrs."),
        Paper("large-dog", "Great Bark", "Dogs bark. Our model of barking has 70B parameters."),
        Paper("none", "Purr", "Cats purr. We train a model on purrs."),
    ]
    with Assistant.build(papers, tmp_path / "library") as library:
        large = library.ask("which papers train models with more than ten billion parameters?")
        assert {p.id for p in large.sources.values()} == {"large", "large-dog"}
        assert large.text.startswith("2 of the 4 papers fit")
        assert large.text.endswith(
            "Decided by the numbers in the abstracts; whose they are is only guessed."
        )
        quotes = {c.quotes[0].text for s in large.statements for c in s.citations}
        assert "A model with 13B parameters is trained on purrs." in quotes
        cats = library.ask("which papers are about cats that purr, under one billion parameters?")
        assert [p.id for p in cats.sources.values()] == ["small"]
        assert "We train a model with 300M parameters on purrs." in [
            q.text for s in cats.statements for c in s.citations for q in c.quotes
        ]


@pytest.mark.parametrize(
    "question",
    [
        "which papers do not use cats?",
        "how many papers don't mention cats?",
        "list papers not using cats",
        "which papers are not about cats?",
    ],
)
def test_no_list_is_made_of_what_papers_do_not_say(library, question):
    answer = library.ask(question)
    assert answer.status == "abstained"
    assert answer.reason.startswith("abstracts do not tell what a paper does not do")


def test_a_number_of_nothing_is_met_by_no_paper(library):
    answer = library.ask("which papers have values above 0.5?")
    assert answer.status == "abstained"
    assert answer.reason.startswith("what the number in the question measures cannot be told")


def test_a_question_for_a_list_stands_alone_and_one_of_these_leans_on_the_last(library):
    chat = library.chat()
    chat.ask("how do cats purr?")
    listed = chat.ask("which papers are about more than one cat?")
    assert listed.asked == "which papers are about more than one cat?"
    assert needs_history("what is MosaicBERT?") is False
    among = chat.ask("which papers are about cats?").sources
    recent = chat.ask("which of these are from after 2020?")
    assert {p.id for p in recent.sources.values()} == {
        p.id for p in among.values() if (p.year or 0) > 2020
    }
    assert recent.scope.startswith("from 2021 on")


def test_what_few_papers_of_an_author_found_is_answered(library):
    answer = library.ask("What did Clark et al. (2019) find?")
    assert answer.status == "answered"
    assert [p.id for p in answer.sources.values()] == ["cat-1"]
    nobody = library.ask("papers by Nobody since 2020")
    assert "No paper of the library is by Nobody." in nobody.warnings


@pytest.mark.parametrize(
    "question",
    [
        "papers not by Clark",
        "which papers are not by Clark or Wu?",
        "papers not from 2019",
        "papers except those from 2019",
        "papers not published in Nature",
        "which papers weren't published in Nature Medicine?",
        "papers other than Clark's",
        "papers other than Somebody's",
        "list all papers except Clark's",
        "everything except papers by Clark",
        "papers by authors other than Clark",
        "which papers did Clark not write?",
        "papers by neither Clark nor Wu",
        "papers by Wu not from 2019",
        "papers from 2019 or 2021",
        "papers before 2018 or after 2020",
        "papers by Nobody",
    ],
)
def test_what_no_filter_can_do_is_refused_where_nothing_else_is_asked(shelf, question):
    answer = shelf.ask(question)
    assert answer.status == "abstained"
    assert answer.sources == {}
    said = r"papers (cannot be left out|are chosen by one range)|no paper of the library is by"
    assert re.match(said, answer.reason)


@pytest.mark.parametrize(
    ("question", "text", "where", "left_aside"),
    [
        ("papers on ice not by Clark", "papers on ice", None, "not by Clark"),
        ("papers that are not from 2019 on ice", "papers on ice", None, "that are not from 2019"),
        ("papers on rates not in Nature Medicine", "papers on rates", None,
         "not in Nature Medicine"),
        ("papers by Wu on ice, but not from 2019", "papers on ice", Filter(authors=("Wu",)),
         "but not from 2019"),
        ("papers from 2018 or 2021 on ice", "papers on ice", None, "from 2018 or 2021"),
    ],
)  # fmt: skip
def test_what_no_filter_can_do_restricts_nothing_and_is_said(
    shelf_index, question, text, where, left_aside
):
    found = understand(question, shelf_index)
    assert (found.text, found.where, found.refused) == (text, where, "")
    assert f"“{left_aside}”" in found.notes[0]


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("papers on what is not known of X since 2018", "papers on what is not known of X"),
        ("papers since 2018 on models that do not say who wrote X",
         "papers on models that do not say who wrote X"),
    ],
)  # fmt: skip
def test_a_negation_of_something_else_leaves_a_restriction_as_it_is(shelf_index, question, text):
    assert understand(question, shelf_index) == (text, Filter((2018, None)), (), "")


@pytest.mark.parametrize(
    ("question", "years"),
    [
        ("papers from 2016 and later", (2016, None)),
        ("from 2020 or later", (2020, None)),
        ("papers 2016 or newer", (2016, None)),
        ("papers from 2016 onwards", (2016, None)),
        ("papers not older than 2016", (2016, None)),
        ("papers from 2019 or earlier", (None, 2019)),
        ("papers of 2010 and before", (None, 2010)),
        ("papers no later than 2010", (None, 2010)),
        ("papers from 2012, 2013 and 2014", (2012, 2014)),
        ("papers in 2019 and 2020", (2019, 2020)),
        ("papers from 2020 or from 2019", (2019, 2020)),
        ("2019 and 2020 papers", (2019, 2020)),
        ("2017-2019 papers", (2017, 2019)),
        ("papers from the years 2019 to 2021", (2019, 2021)),
        ("which papers came out after 2020?", (2021, None)),
        ("which papers were released in 2019?", (2019, 2019)),
        ("what was published in 2019?", (2019, 2019)),
        ("anything from 2019?", (2019, 2019)),
        ("how many papers are from 2019?", (2019, 2019)),
    ],
)
def test_years_alone_ask_for_all_papers_of_them(question, years):
    assert understand(question, Known()) == ("papers", Filter(years), (), "")


@pytest.mark.parametrize(
    ("question", "text"),
    [
        ("which papers are by Clark et al.?", "papers"),
        ("how many papers by Clark et al. are there?", "papers"),
        ("papers by Clark et al. on wolves", "papers on wolves"),
        ("how many papers did Clark write?", "papers"),
        ("which papers has Clark written?", "papers"),
        ("which papers has Clark written on wolves?", "which papers on wolves?"),
        ("papers that Clark wrote on wolves", "papers on wolves"),
        ("list Clark's papers", "papers"),
        ("List Clark's papers on wolves", "List papers on wolves"),
        ("anything by Clark?", "papers"),
        ("anything by Clark on wolves?", "anything on wolves?"),
        ("what do we have by Clark?", "papers"),
        ("what did Clark write?", "papers"),
        ("what was found by Clark et al.?", "what was found by the authors?"),
    ],
)
def test_what_an_author_leaves_of_a_question_reads_as_a_list(question, text):
    assert understand(question, Known()) == (text, Filter(authors=("Clark",)), (), "")


def test_papers_whose_titles_alone_are_known_are_listed_and_tell_no_finding(tmp_path):
    papers = [Paper("t-1", "On Engines", "", authors=("Ada Lovelace",), year=1843)]
    with Assistant.build(papers, tmp_path / "titles") as titles:
        listed = titles.ask("anything by Lovelace?")
        assert listed.text.startswith("The library has 1 paper by Lovelace.")
        assert [paper.id for paper in listed.sources.values()] == ["t-1"]
        found = titles.ask("what did Lovelace find on engines?")
        assert found.status == "abstained"
        assert found.text
        assert [hit.paper.id for hit in found.closest] == ["t-1"]


@pytest.fixture(scope="module")
def bare(tmp_path_factory):
    """A library without years, authors and venues."""
    path = tmp_path_factory.mktemp("bare") / "papers"
    papers = [Paper("a-1", "Cats", "Cats purr."), Paper("a-2", "Rain", "We measure rain.")]
    with Assistant.build(papers, path) as library:
        yield library


@pytest.mark.parametrize(
    ("question", "text", "note"),
    [
        ("which papers from 2020 are about cats?", "which papers are about cats?",
         "The papers of the library have no years, so “from 2020” chooses none."),
        ("papers on cats by Hinton", "papers on cats",
         "No paper of the library is known to be by Hinton."),
        ("which papers by Hinton et al. study cats?", "which papers study cats?",
         "No paper of the library is known to be by Hinton."),
    ],
)  # fmt: skip
def test_years_and_authors_are_no_subject_where_the_library_has_none(bare, question, text, note):
    answer = bare.ask(question)
    assert answer.asked == text
    assert note in answer.warnings
    assert "a-2" not in [paper.id for paper in answer.sources.values()]


@pytest.mark.parametrize(
    "question", ["how many papers of 2023 are there?", "papers by Hinton", "papers not by Hinton"]
)
def test_all_papers_of_a_year_or_author_are_refused_where_the_library_has_none(bare, question):
    answer = bare.ask(question)
    assert answer.status == "abstained"
    assert answer.sources == {}


@pytest.mark.parametrize(
    "question",
    ["papers that learn by Gradient Descent", "what is the score on the set of 2014?"],
)
def test_what_is_no_restriction_stays_in_a_library_without_years(bare, question):
    with closing(Index.open(bare.folder)) as index:
        assert understand(question, index) == (question, None, (), "")


VENUES_OF_EXPORTS = (
    "Lancet (London, England)",
    "BMJ (Clinical research ed.)",
    "Gut",
    "Nature chemistry",
    "Urban Climate",
    "Soil Letters",
)


@pytest.fixture(scope="module")
def exports(tmp_path_factory):
    """A library with venues as exports name them."""
    path = tmp_path_factory.mktemp("exports") / "papers"
    papers = [
        Paper(f"e-{n}", f"On Rate {n}", f"We test rate {n}.", year=2018, venue=venue)
        for n, venue in enumerate(VENUES_OF_EXPORTS)
    ]
    with Assistant.build(papers, path) as library:
        yield library


@pytest.mark.parametrize(
    ("question", "text", "ids"),
    [
        ("papers published in The Lancet", "papers", ["e-0"]),
        ("BMJ papers", "papers", ["e-1"]),
        ("papers from Gut", "papers", ["e-2"]),
        ("which papers are from Gut?", "papers", ["e-2"]),
        ("papers from Nature Chemistry or Urban Climate", "papers", ["e-3", "e-4"]),
        ("papers on rates in Soil Letters", "papers on rates", ["e-5"]),
    ],
)
def test_venues_are_asked_for_by_the_names_that_readers_know(exports, question, text, ids):
    with closing(Index.open(exports.folder)) as index:
        found = understand(question, index)
    assert (found.text, found.notes) == (text, ())
    assert [paper.id for paper in exports.papers(where=found.where)] == ids


@pytest.mark.parametrize("question", ["papers in Gut", "Gut papers", "papers in Urban Climate"])
def test_a_subject_that_is_a_venue_too_is_said_to_be_one(exports, question):
    answer = exports.ask(question)
    assert answer.scope == ""
    name = question.replace("papers", "").replace(" in ", "").strip()
    assert f"“papers published in {name}” asks for" in " ".join(answer.warnings)
    assert answer.sources == {}
