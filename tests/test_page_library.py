"""The Library and Settings tabs: the handlers, called as the page calls them."""

from __future__ import annotations

import json
import re

import pytest
from page_app import PAPERS, act, ask, build, collect, make_context, open_page

from rag import Assistant, Paper
from rag.errors import CorpusError
from rag.serving.library_pool import ServerStopped
from rag.web import ServerOptions, limits
from rag.web.actions import Actions
from rag.web.settings_tab import render_settings
from rag.web.table import TableState, list_columns, render_table, select_papers
from rag.web.uploads import Upload

BIBTEX = """@article{w, title = {WUGG: Tiny Models}, author = {Eve Fox}, year = {2024},
  abstract = {WUGG is a tiny model. It has 12 parameters.}}
@article{v, title = {}, abstract = {Nothing.}}
"""


@pytest.fixture
def context(tmp_path):
    made = make_context(build(tmp_path / "library"), tmp_path)
    yield made
    made.close()


@pytest.fixture
def bundled(tmp_path, bundled_cache):
    """Return a function that makes a context of the bundled library."""

    def make(**options):
        return make_context("", tmp_path, index="", cache_dir=bundled_cache, **options)

    return make


def add(context, session, *, files=(), pasted="", name=""):
    return collect(Actions(context).library_tab.add(session, files, pasted, name))


def draw(papers, *, source=False, **state):
    """Return the table of some papers in a state."""
    state = TableState(**state)
    return render_table(
        select_papers(papers, state), state, list_columns(papers, source=source), set()
    )


def test_papers_are_searched_sorted_and_turned_over() -> None:
    papers = [Paper(f"p{n}", f"Paper {n:02}", "even" if n % 2 == 0 else "odd") for n in range(60)]
    assert len(select_papers(papers, TableState(query="EVEN paper"))) == 30
    assert select_papers(papers, TableState(column="Title", descending=True))[0].id == "p59"
    assert "1 to 50 of 60" in draw(papers)
    for page in (1, 99):
        assert "51 to 60 of 60" in draw(papers, page=page)
    assert "No paper fits." in draw(papers, query="zz")


def test_the_table_says_how_it_is_sorted_and_names_keep_their_place() -> None:
    names = ("محمد علي", "Örjan Ek", *"ABCDEF")
    papers = [Paper("a", "A", "x", authors=names, year=2012)]
    html = draw(papers, column="Year", descending=True)
    found = re.findall(r'aria-sort="(\w+)".*?aria-hidden="true">(.)<', html)
    assert found == [("none", "↕"), ("none", "↕"), ("descending", "↓")]
    assert "<bdi>محمد علي</bdi>, <bdi>Örjan Ek</bdi>, <bdi>A</bdi>" in html
    assert "<bdi>D</bdi> and 2 more</td>" in html


def test_columns_without_a_value_are_hidden() -> None:
    html = draw([Paper("a", "A", "x", year=2020)], source=True)
    assert re.findall(r"sort-(\w+)", html) == ["title", "year"]


def test_filters_restrict_the_table_and_exist_only_where_papers_have_values(context) -> None:
    session = open_page()
    (view,) = act(context, session, act="unpick")
    for name, there in (("since", 1), ("until", 1), ("venue", 1), ("author", 1), ("tag", 0)):
        assert view.filters.count(f'data-filter="{name}"') == there
    for values, titles in (
        ({"since": "2022"}, ["QUUX"]),
        ({"until": "2022", "author": "clark"}, ["ZORP"]),
        ({"author": "Li, B.", "venue": "attention"}, ["ZORP"]),
        ({"since": "2022", "author": "Clark"}, []),
        ({}, ["ZORP", "QUUX"]),
    ):
        (view,) = act(context, session, act="filter", values=values)
        assert [name for name in ("ZORP", "QUUX") if f"{name}: " in view.table] == titles
    for values, sentence in (
        ({"since": "soon"}, "Write it with digits"),
        ({"since": "2022", "until": "2020"}, "Put the earlier year first"),
    ):
        (view,) = act(context, session, act="filter", values=values)
        assert sentence in view.table
    act(context, session, act="filter", values="no form")
    assert session.table.where is None


def test_the_tab_shows_the_library_and_follows_its_buttons(context) -> None:
    session = open_page()
    (view,) = act(context, session, act="sort", column="Year")
    assert view.table.index("ZORP") < view.table.index("QUUX")
    (view,) = act(context, session, act="sort", column="Year")
    assert view.table.index("QUUX") < view.table.index("ZORP")
    (view,) = act(context, session, act="find", text="curriculum")
    assert "ZORP" not in view.table
    (view,) = act(context, session, act="sort", column="__class__")
    assert "ZORP" not in view.table


def test_what_the_table_lists_is_downloaded(context) -> None:
    def downloaded():
        (view,) = act(context, session, act="papers", form="json")
        return [paper["id"] for paper in json.loads(view.message["text"])]

    session = open_page()
    (view,) = act(context, session, act="sort", column="Title")  # QUUX before ZORP
    assert "Download all 2<" in view.chosen
    assert downloaded() == ["quux-2", "zorp-1"]
    (view,) = act(context, session, act="find", text="sparse")
    assert "1 of 2 papers" in view.chosen
    assert "Download the 1 listed<" in view.chosen
    assert downloaded() == ["zorp-1"]
    (view,) = act(context, session, act="filter", values={"since": "2022"})  # and "sparse": none
    assert "0 of 2 papers" in view.chosen
    assert "Download" not in view.chosen
    act(context, session, act="find", text="")
    assert downloaded() == ["quux-2"]
    (view,) = act(context, session, act="filter", values={"since": "soon"})
    assert "Download" not in view.chosen
    for action in ({"act": "find", "text": "a"}, {"act": "sort", "column": "Year"}):
        (view,) = act(context, session, **action)
        assert "Write it with digits" in view.table
    (view,) = act(context, session, act="papers", form="json")
    assert view.message["text"] == "'soon' is not a year. Write it with digits, such as 2021."
    act(context, session, act="filter", values={"since": "2021"})
    assert downloaded() == ["zorp-1", "quux-2"]
    act(context, session, act="pick", id="zorp-1", on=True)
    assert downloaded() == ["zorp-1"]


@pytest.mark.parametrize("number", [float("inf"), float("nan"), "1e400", None, [], "9" * 9999])
def test_values_that_are_not_numbers_do_nothing(context, number) -> None:
    session = open_page()
    ask(context, session)
    assert act(context, session, act="edit", turn=number)[0].note is None
    (view,) = act(context, session, act="turn", to=number)
    assert "ZORP: " in view.table


def test_selected_papers_can_be_asked_and_downloaded(context) -> None:
    session = open_page()
    (view,) = act(context, session, act="pick", id="quux-2", on=True)
    assert "1 selected" in view.chosen
    act(context, session, act="pick", id="no such paper", on=True)
    assert session.selected == {"quux-2"}
    (view,) = act(context, session, act="papers", form="json")
    assert [paper["id"] for paper in json.loads(view.message["text"])] == ["quux-2"]
    (view,) = act(context, session, act="papers", form="bibtex")
    assert view.message["name"] == "papers.bib"
    assert view.message["text"].startswith("@misc{quux-2,")
    (view,) = act(context, session, act="only")
    assert "Asking 1 selected paper only" in view.scope
    assert session.only == {"quux-2"}
    (view,) = act(context, session, act="all")
    assert view.scope == ""
    assert session.only == frozenset()


def test_pasted_and_uploaded_papers_are_added_and_reported(context, tmp_path) -> None:
    session = open_page()
    path = tmp_path / "upload-xyz"
    path.write_text("TY  - JOUR\nTI  - FROB: Loops\nAB  - FROB loops well.\nER  - \n")
    views = add(context, session, files=[Upload(path, "my <list>.ris")], pasted=BIBTEX)
    report = [view.report for view in views if view.report][-1]
    assert "2 added, 1 refused" in report
    assert "The library has 4 papers." in report
    assert "pasted text, line 3: the record has no title. Add one." in report
    assert str(tmp_path) not in report
    assert not path.exists()
    assert views[-1].message == {"kind": "added"}
    sources = {p.title: p.sources for p in context.pool.get_papers()}
    assert sources["FROB: Loops"] == ("my <list>.ris",)
    assert "my &lt;list&gt;.ris" in views[-1].table
    ask(context, session, "how many parameters does WUGG have?")
    assert "12 parameters" in session.turns[-1].answer.text


def test_papers_are_removed_and_their_citations_in_the_past_stay(context) -> None:
    session = open_page()
    ask(context, session)
    act(context, session, act="pick", id="zorp-1", on=True)
    views = act(context, session, act="remove")
    assert "1 removed" in next(v.report for v in reversed(views) if v.report)
    assert [paper.id for paper in context.pool.get_papers()] == ["quux-2"]
    assert session.turns[0].answer.sources[1].id == "zorp-1"


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("", "Choose files or paste text first."),
        ("x" * (limits.LARGEST_PASTE + 1), "Paste at most"),
        ("{broken", "no known format"),
        ("\0\1binary", "binary"),
    ],
    ids=["nothing", "too much", "no format", "binary"],
)
def test_text_that_cannot_be_added_is_refused_with_a_reason(context, text, sentence) -> None:
    views = add(context, open_page(), pasted=text)
    assert sentence in "".join(view.report or "" for view in views)
    assert len(context.pool.get_papers()) == 2


def test_too_many_or_too_large_files_are_refused_and_deleted(context, tmp_path) -> None:
    files = []
    for number in range(limits.MOST_FILES + 1):
        path = tmp_path / f"f{number}"
        path.write_text("x")
        files.append(Upload(path, "x"))
    (view,) = add(context, open_page(), files=files)
    assert "at most 20 files" in view.report
    assert not any(file.path.exists() for file in files)
    large = tmp_path / "large"
    with large.open("wb") as file:
        file.truncate(limits.LARGEST_FILE_BYTES + 1)
    (view,) = add(context, open_page(), files=[Upload(large, "large")])
    assert "50 MB" in view.report


def test_papers_added_to_the_bundled_library_start_a_library_of_your_own(bundled) -> None:
    context = bundled()
    session = open_page()
    assert "Name" not in render_settings(session, context.pool)
    for name in ("", "../up", "a/b", ".hidden", "a" * 49):
        views = add(context, session, pasted=BIBTEX, name=name)
        assert "new library a name" in views[-1].report
    views = add(context, session, pasted=BIBTEX, name="My papers")
    assert "1 added" in next(v.report for v in reversed(views) if v.report)
    assert session.library == "My papers"
    assert views[-1].library == "My papers"
    assert context.pool.list_names() == ["My papers"]
    assert len(context.pool.get_papers()) == 251
    assert len(context.pool.get_papers("My papers")) == 1
    other = open_page()
    views = add(context, other, pasted=BIBTEX, name="My papers")
    assert "There is a library" in views[-1].report
    act(context, other, act="library", text="My papers")
    assert other.library == "My papers"
    with pytest.raises(CorpusError):
        act(context, other, act="library", text="../My papers")
    assert other.library == "My papers"
    act(context, other, act="library", text="")
    act(context, other, act="pick", id=context.pool.get_papers()[0].id, on=True)
    views = act(context, other, act="remove")
    assert "never changes" in views[-1].report
    assert len(context.pool.get_papers()) == 251
    context.close()


def test_a_reloaded_page_returns_to_its_library_and_reads_its_answers_there(bundled) -> None:
    context = bundled()
    session = open_page()
    add(context, session, pasted=BIBTEX, name="Reloaded")
    ask = context.chat.ask(session, "how many parameters does WUGG have?")
    text = json.dumps(collect(ask)[-1].message["conversation"])
    kept = {"id": session.conversation_id, "text": text}

    def shown(context, again, **action):
        (view,) = act(context, again, **kept, **action)
        assert "” quoted" in view.sources
        assert "left the library" not in view.past
        return view

    again = open_page()
    view = shown(context, again, act="back", library="Reloaded")
    assert (again.library, view.note, view.library) == ("Reloaded", "", "Reloaded")
    assert "Asked of" not in view.past
    view = shown(context, open_page(), act="open")  # from the bundled library
    assert view.note == (
        "This conversation used the library Reloaded. New questions go to the bundled library."
    )
    assert "is a tiny model" in view.sources  # its abstract, which only its own library has
    view = shown(context, open_page(), act="back", library="Gone")
    assert view.library == ""
    assert "used the library Reloaded." in view.note
    for name in ("Gone", "../Reloaded"):
        again = open_page()
        (view,) = act(context, again, act="back", library=name)
        assert again.library is None
        assert view.library == ""
        assert f"The library {name} no longer exists. This is the bundled library." in view.note
    context.close()
    shared = bundled(options=ServerOptions(host="0.0.0.0"))
    shared.chat.history.write("ada", json.loads(text))
    view = shown(shared, open_page("ada"), act="back", library="Reloaded")  # not for her to open
    assert "library Reloaded is not available here" in view.note
    assert "The abstract is not here." in view.sources
    shared.close()


def test_libraries_are_not_changed_from_other_machines_unless_allowed(tmp_path) -> None:
    library = build(tmp_path / "library")
    for allowed in (False, True):
        options = ServerOptions(host="0.0.0.0", allow_edit=allowed)
        context = make_context(library, tmp_path, options=options)
        views = add(context, open_page("ada"), pasted=BIBTEX)
        assert (views[-1].message is None) is not allowed
        assert ("--allow-edit" in (views[-1].report or "")) is not allowed
        assert len(context.pool.get_papers()) == 2 + allowed
        context.close()


def test_settings_given_on_the_command_line_are_fixed(context, tmp_path) -> None:
    fixed = make_context(build(tmp_path / "second"), tmp_path, k=5)
    session = open_page()
    html = render_settings(session, fixed.pool)
    assert 'data-set="k"' not in html
    assert "<strong>5</strong> <span>fixed by the server</span>" in html
    act(fixed, session, act="choose", values={"k": 9, "sentences": 2})
    assert session.choices == {"sentences": 2}
    with pytest.raises(CorpusError):  # --index was given: no other library
        act(fixed, session, act="library", text="")
    fixed.close()


def test_choices_are_checked_and_kept_by_the_browser(context) -> None:
    session = open_page()
    values = {"k": "12", "sentences": 99, "unknown": 1, "with_model": "false", "threads": 60}
    (view,) = act(context, session, act="choose", values=values)
    assert view.message == {"kind": "choices", "values": {"k": 12, "with_model": False}}
    assert 'value="12"' in view.choices
    for odd in (None, "x", [1], {"k": {}}, {"k": "1e3"}):
        act(context, session, act="choose", values=odd)
    assert session.choices["k"] == 12


def test_a_reader_can_turn_the_model_off(tmp_path) -> None:
    context = make_context(
        build(tmp_path / "library"), tmp_path, chat_model="tester", chat_url="http://127.0.0.1:9/v1"
    )
    session = open_page()
    assert "Language model: tester" in render_settings(session, context.pool)
    act(context, session, act="choose", values={"with_model": False})
    ask(context, session)
    answer = session.turns[0].answer
    assert (answer.mode, answer.warnings) == ("quotes", ())
    context.close()


def test_an_interrupted_new_library_can_be_started_again_under_its_name(
    tmp_path,
) -> None:
    context = make_context(build(tmp_path / "library"), tmp_path)
    folder = context.pool.settings.data_dir / "libraries" / "mine"
    embedder = context.pool.get_assistant().embedder

    def ended(done, total):
        context.stop()
        context.pool.check_running()

    with pytest.raises(ServerStopped):
        Assistant.build(PAPERS, folder, embedder=embedder, on_progress=ended)
    assert (folder / "manifest.json").exists()
    assert context.pool.list_names() == []
    Assistant.build(PAPERS, folder, embedder=embedder).close()
    assert context.pool.list_names() == ["mine"]
    context.close()
