"""Libraries that follow Zotero: they become what a fresh build gives, and embed only changes."""

from __future__ import annotations

import contextlib
import json
import random
import shutil
import signal
import subprocess
import sys
import time
from itertools import chain
from pathlib import Path

import pytest
from test_retrieval import HashingEmbedder
from zotero_server import Reply, ZoteroServer, add_made_up_items

from rag import Assistant, Paper
from rag.errors import CorpusError
from rag.index import Index
from rag.library import read_with_companions, reread_sources, update_library
from rag.papers import PaperMerger
from rag.readers import iter_sources
from rag.settings import load_settings

ROOT = Path(__file__).parents[1]
QUESTIONS = ("what are rates of decay?", "which bado is measured?")

CHANGES = (
    *("add", "edit", "empty", "trash", "restore", "delete", "move", "rename_collection"),
    *("rename_key", "retag", "copy", "part", "delete_half", "add_doi"),
)


class CountingEmbedder(HashingEmbedder):
    """Remembers the titles of the papers that it embedded."""

    def __init__(self):
        self.titles = []

    def embed(self, texts):
        self.titles += [text.partition("\n")[0] for text in texts]
        return super().embed(texts)


class StagedChanges:
    """Random changes of a Zotero library. Each method makes one, if it can."""

    def __init__(self, library, seed):
        self._library = library
        self._random = random.Random(seed)
        self._number = 0
        self._trash, self._copies = [], []

    def add(self):
        number = self._count()
        creators = [{"creatorType": "author", "firstName": "Ada", "lastName": f"Clark{number}"}]
        self._library.add_item(
            title=f"Rates of decay {number}", abstractNote=f"We test {number}.", creators=creators
        )

    def edit(self):
        self._edit(self._choose(), abstractNote=f"We measured it {self._count()} times.")

    def empty(self):
        key = self._choose()
        fields = self._library.items[key]
        name = next(name for name in ("abstractNote", "date", "title") if fields.get(name))
        self._edit(key, **{name: ""})

    def add_doi(self):
        self._edit(self._choose(), DOI=f"10.1000/{self._count()}")

    def trash(self):
        key = self._choose()
        self._library.trash_item(key)
        self._trash.append(key)

    def restore(self):
        if self._trash:
            self._library.restore_item(self._trash.pop())

    def delete(self):
        self._library.delete_item(self._choose())

    def move(self):
        collections = [*self._library.collections]
        count = self._random.randint(0, 2)
        self._library.move_item(self._choose(), *self._random.sample(collections, count))

    def rename_collection(self):
        key = self._random.choice([*self._library.collections])
        self._library.rename_collection(key, f"Chapter {self._count()}")

    def rename_key(self):
        self._edit(self._choose(), citationKey=f"key{self._count()}")

    def retag(self):
        self._edit(self._choose(), tags=[{"tag": f"tag {self._count()}"}])

    def copy(self):
        fields = dict(self._library.items[self._choose()])
        for name in ("key", "version", "DOI"):
            fields.pop(name, None)
        self._copies.append(self._library.add_item(**fields))

    def part(self):
        for key in self._copies[-1:]:
            self._edit(key, title=f"Another work {self._count()}")

    def delete_half(self):
        if self._copies:
            self._library.delete_item(self._copies.pop(0))

    def _choose(self):
        """Return the key of an item that is neither in the trash nor a copy."""
        others = {*self._trash, *self._copies}
        return self._random.choice([key for key in self._library.items if key not in others])

    def _edit(self, key, **fields):
        self._library.edit_item(key, **fields)

    def _count(self):
        self._number += 1
        return self._number


@pytest.fixture(params=["local", "web"])
def server(request):
    """A server with 40 items. Two collections of the desktop program are read, or the library."""
    with ZoteroServer(local=request.param == "local") as server:
        add_made_up_items(server.library, 40)
        keys = [server.library.add_collection(name) for name in ("Chapter 1", "Chapter 2")]
        for number, key in enumerate([*server.library.items]):
            server.library.move_item(key, *keys[: number % 3])
        parts = [f"zotero:local/collections/{key}" for key in keys]
        server.sources = parts if server.is_local else ["zotero:users/7"]
        yield server


@pytest.fixture
def open_settings(server, tmp_path):
    """Make settings of a library with a name."""
    return lambda name: load_settings(
        index=f"{tmp_path}/{name}", cache_dir=tmp_path / "cache", **server.settings
    )


def build(sources, settings, embedder):
    """Index sources, as `rag index SOURCES` does."""
    records, read = read_with_companions(
        {source: {} for source in sources}, settings, embedder.name
    )
    return update_library(records, settings=settings, embedder=embedder, sources=read)


def read_papers_by_id(settings):
    """Return the papers of a library."""
    index = Index.open(Path(settings.index))
    papers = {paper.id: paper for paper in index.papers()}
    index.close()
    return papers


def merge_anew(sources, settings):
    """Return the papers that a fresh build of sources has."""
    merger = PaperMerger()
    for record in iter_sources([(source, {}) for source in sources], settings=settings):
        if isinstance(record, Paper):
            merger.add(record)
    return {paper.id: paper for paper in merger.papers}


def find_nearest(settings):
    """Return the ids of the first papers for some questions."""
    with Assistant.open(settings=settings, embedder=HashingEmbedder()) as assistant:
        hits = [assistant.search(question, k=3) for question in QUESTIONS]
    return [hit.paper.id for hit in chain(*hits)]


@pytest.mark.parametrize("count", [2 * len(CHANGES), pytest.param(50, marks=pytest.mark.slow)])
def test_each_of_many_changes_gives_the_library_of_a_fresh_build(count, server, open_settings):
    embedder, settings = CountingEmbedder(), open_settings("followed")
    build(server.sources, settings, embedder)
    before = read_papers_by_id(settings)
    changes = StagedChanges(server.library, seed=20)
    for number in range(count):
        kind = CHANGES[number % len(CHANGES)]
        getattr(changes, kind)()
        embedder.titles = []
        report = reread_sources(settings, embedder).update
        papers = read_papers_by_id(settings)
        assert papers == merge_anew(server.sources, settings), (number, kind)
        texts = {(paper.title, paper.abstract) for paper in before.values()}
        new = [p.title for p in papers.values() if (p.title, p.abstract) not in texts]
        assert sorted(embedder.titles) == sorted(new), (number, kind)
        assert {paper.id for paper in report.intake.gone} <= before.keys() - papers.keys()
        if number % 10 == 9:
            fresh = open_settings(f"fresh {number}")
            build(server.sources, fresh, HashingEmbedder())
            assert papers == read_papers_by_id(fresh)
            assert find_nearest(settings) == find_nearest(fresh)
        before = papers


# Commands


@pytest.fixture
def zotero(monkeypatch):
    """The desktop program with two items in each of two collections, and one in none."""
    with ZoteroServer(local=True) as server:
        monkeypatch.setenv("PAPERTRAIL_ZOTERO_LOCAL_URL", server.url)
        library = server.library
        server.tea, server.sea = map(library.add_collection, ("Tea", "Sea"))
        server.keys = {
            name: library.add_item(
                title=f"On {name}", abstractNote=f"{name} helps.", collections=collections
            )
            for name, collections in {
                "Leaves": [server.tea],
                "Cups": [server.tea],
                "Waves": [server.sea],
                "Salt": [server.sea],
                "Dust": [],
            }.items()
        }
        yield server


@pytest.fixture
def index(run):
    """Run `rag index` on the library "mine"; returns the report."""
    return lambda *words: json.loads(run("index", *words, "-i", "mine", "--json"))


@pytest.fixture
def list_titles(run):
    """Return the titles of the library "mine"."""
    return lambda: [paper["title"] for paper in json.loads(run("papers", "-i", "mine", "--json"))]


def test_update_tells_what_it_removed_and_says_little_when_nothing_changed(run, index, zotero):
    index("zotero:local")
    text = run("index", "--update", "-i", "mine")
    assert text.count("\n") == 1
    assert text.startswith("5 read, 0 added, 0 changed, 0 merged, 5 unchanged, 0 without")
    unchanged = index("--update")
    assert (unchanged["generation"], unchanged["removed"]) == (1, [])

    zotero.library.delete_item(zotero.keys["Cups"])
    zotero.library.edit_item(zotero.keys["Dust"], abstractNote="")
    assert "1 paper is no longer in Zotero." in run("doctor", "mine")
    text = run("index", "--update", "-i", "mine")
    assert "4 read, 0 added, 1 changed, 0 merged, 3 unchanged, 1 removed, 1 without" in text
    assert '\nremoved: "On Cups" (on-cups-' in text
    assert '\nwithout abstract, found by title only: "On Dust" (on-dust-' in text
    zotero.library.trash_item(zotero.keys["Salt"])
    (removed,) = index("--update")["removed"]
    assert removed.startswith("on-salt-")


def test_renamed_paper_is_changed_not_removed(index, list_titles, zotero):
    index("zotero:local")
    zotero.library.edit_item(zotero.keys["Cups"], title="On Mugs")
    report = index("--update")
    assert (len(report["changed"]), report["added"], report["removed"]) == (1, [], [])
    assert sorted(list_titles()) == ["On Dust", "On Leaves", "On Mugs", "On Salt", "On Waves"]


def test_library_that_cannot_be_read_keeps_its_papers(run, index, list_titles, zotero, tmp_path):
    (tmp_path / "a.jsonl").write_text('{"title": "On Rates", "abstract": "Rates rise."}\n')
    index("zotero:local", "a.jsonl")
    zotero.library.delete_item(zotero.keys["Cups"])
    (tmp_path / "a.jsonl").write_text('{"title": "On Rates", "abstract": "Rates fall."}\n')
    zotero.is_allowed = False
    report = index("--update")
    assert (report["read"], len(report["changed"]), report["removed"]) == (1, 1, [])
    assert [each["path"] for each in report["refused"]] == ["zotero:local"]
    assert len(list_titles()) == 6
    run("index", "--rebuild", "-i", "mine", status=2)
    assert len(list_titles()) == 6
    zotero.is_allowed = True
    assert len(index("--update")["removed"]) == 1

    index("zotero:local", "--rebuild")
    zotero.is_allowed = False
    said = run("index", "--update", "-i", "mine", status=2)
    assert said.startswith("rag: Cannot read zotero:local")
    assert len(list_titles()) == 4


def test_part_that_is_read_again_does_not_take_other_parts_for_deleted(index, list_titles, zotero):
    first, second = (f"zotero:local/collections/{key}" for key in (zotero.tea, zotero.sea))
    index(first)
    assert index(second)["papers"] == 4
    zotero.library.delete_item(zotero.keys["Salt"])
    report = index(first)
    assert (report["read"], len(report["removed"]), report["papers"]) == (3, 1, 3)
    zotero.library.move_item(zotero.keys["Leaves"], zotero.sea)
    zotero.library.move_item(zotero.keys["Waves"])
    assert len(index("--update")["removed"]) == 1
    assert list_titles() == ["On Leaves", "On Cups"]
    zotero.library.delete_collection(zotero.sea)  # its part cannot be read, so nothing is removed
    zotero.library.delete_item(zotero.keys["Cups"])
    assert index("--update")["removed"] == []
    assert len(list_titles()) == 2


def test_reply_without_items_keeps_the_library(run, index, list_titles, zotero):
    index("zotero:local")
    for body, headers in (([], {"Zotero-API-Version": None}), ([None, 5, "x"], {})):
        zotero.replies.append(Reply(body, headers=headers))
        said = run("index", "--update", "-i", "mine", status=2)
        assert said.startswith("rag: 127.0.0.1:")
        assert "sent what is no" in said
        assert len(list_titles()) == 5


def test_dead_collection_delays_removals_until_it_is_forgotten(run, index, list_titles, zotero):
    dead, alive = (f"zotero:local/collections/{key}" for key in (zotero.tea, zotero.sea))
    group = zotero.add_group(5)
    key = group.add_item(title="On Groups")
    for source in (dead, alive, "zotero:local/groups/5"):
        index(source)
    zotero.library.delete_collection(zotero.tea)
    zotero.library.delete_item(zotero.keys["Salt"])
    group.delete_item(key)
    text = run("index", "--update", "-i", "mine")
    assert f"Removals of papers from its Zotero library wait until {dead} can be read." in text
    assert f"`rag index --forget {dead}`" in text
    assert f"rag index --forget {dead} --index mine" in run("doctor", "mine")
    assert index("--update")["removals_wait_for"] == [dead]
    assert sorted(list_titles()) == ["On Cups", "On Leaves", "On Salt", "On Waves"]

    said = run("index", "--forget", "zotero:local", "-i", "mine", status=2)
    assert f"It has {dead}, {alive}" in said
    report = index("--forget", dead)
    assert (len(report["removed"]), report["removals_wait_for"]) == (3, [])
    assert list_titles() == ["On Waves"]
    assert index("--update")["unchanged"] == 1


def test_forgotten_file_leaves_its_papers_and_a_forgotten_library_takes_its_own(
    index, list_titles, zotero, tmp_path
):
    (tmp_path / "a.jsonl").write_text('{"title": "On Rates", "abstract": "Rates rise."}\n')
    index("zotero:local", "a.jsonl")
    index("--forget", "a.jsonl")
    assert index("--update")["read"] == 5
    assert len(list_titles()) == 6
    assert len(index("--forget", "zotero:local")["removed"]) == 5
    assert list_titles() == ["On Rates"]


def test_second_personal_library_needs_another_index(run, monkeypatch, zotero):
    with ZoteroServer() as web:
        monkeypatch.setenv("PAPERTRAIL_ZOTERO_URL", web.url)
        monkeypatch.setenv("PAPERTRAIL_ZOTERO_KEY", web.key)
        web.libraries["users/8"] = web.library
        web.library.add_item(title="On Teas")
        run("index", "zotero:local", "zotero:users/7", "-i", "mine")
        said = run("index", "zotero:users/8", "-i", "mine", status=2)
        assert "here zotero:users/7. Use another index for zotero:users/8." in said
        run("index", "zotero:users/8", "-i", "other")
        run("index", "zotero:users/7", "zotero:users/8", "-i", "new", status=2)


def test_collection_is_followed_when_it_is_renamed(index, list_titles, zotero):
    (name,) = (c["name"] for key, c in zotero.library.collections.items() if key == zotero.tea)
    index(f"zotero:local/collections/{name}")
    titles = list_titles()
    zotero.library.rename_collection(zotero.tea, "Another name")
    assert len(index("--update")["changed"]) == len(titles) == 2
    assert index("zotero:local/collections/another name")["unchanged"] == 2


def test_collection_that_became_empty_leaves_no_paper(index, zotero):
    index(f"zotero:local/collections/{zotero.tea}")
    zotero.library.move_item(zotero.keys["Leaves"])
    zotero.library.move_item(zotero.keys["Cups"])
    report = index("--update")
    assert (len(report["removed"]), report["papers"]) == (2, 0)


def test_tag_of_no_paper_is_told_with_similar_tags(run, index, zotero):
    for tag, name in (("Caffeine", "Leaves"), ("caffeinated", "Cups"), ("dust", "Dust")):
        zotero.library.edit_item(zotero.keys[name], tags=[{"tag": tag}])
    said = run("index", "zotero:local/tags/caffein", "-i", "mine", status=2)
    others = "no paper has this tag. Others: Caffeine, caffeinated."
    assert said == f"rag: zotero:local/tags/caffein: {others}\n"
    assert index("zotero:local/tags/caffeine")["papers"] == 1
    zotero.library.edit_item(zotero.keys["Leaves"], tags=[{"tag": "tea"}])
    report = index("--update")
    assert (report["papers"], len(report["removed"])) == (0, 1)
    assert report["warnings"] == [
        "zotero:local/tags/caffeine: no paper has this tag. Others: caffeinated."
    ]
    assert index("--update")["papers"] == 0


def test_empty_collection_makes_no_library(run, zotero):
    zotero.library.move_item(zotero.keys["Leaves"])
    zotero.library.move_item(zotero.keys["Cups"])
    said = run("index", "zotero:local/collections/tea", "-i", "mine", status=2)
    assert said == f"rag: zotero:local/collections/{zotero.tea}: it holds no paper.\n"


def test_paper_of_a_file_outlives_its_item(run, index, zotero, tmp_path):
    def show():
        paper = json.loads(run("papers", "show", "on cups", "-i", "mine", "--json"))
        return paper["abstract"], [source.rpartition("/")[2] for source in paper["sources"]]

    key = zotero.keys["Cups"]
    zotero.library.edit_item(
        key, creators=[{"creatorType": "author", "name": "Clark"}], date="2020"
    )
    bib = "title={On Cups}, author={{Clark}}, year=2020, abstract={Cups.}"
    (tmp_path / "a.bib").write_text(f"@misc{{cups, {bib}}}\n")
    index("zotero:local")
    index("a.bib")
    assert show() == ("Cups helps.", [key, "a.bib"])
    assert index("--update")["unchanged"] == 6
    zotero.library.trash_item(key)
    assert index("zotero:local")["removed"] == []  # the file was not read
    assert show() == ("Cups helps.", ["a.bib"])
    index("--update")
    assert show() == ("Cups.", ["a.bib"])
    zotero.library.restore_item(key)
    index("--update")
    assert show() == ("Cups helps.", [key, "a.bib"])
    assert index("--update")["unchanged"] == 6
    (tmp_path / "a.bib").write_text("@misc{mugs, title={On Mugs}, abstract={Mugs.}}\n")
    zotero.library.delete_item(key)
    report = index("--update")
    assert (len(report["added"]), len(report["removed"])) == (1, 1)


def test_paper_that_the_user_removed_stays_out_and_one_from_the_trash_comes_back(
    run, index, list_titles, zotero
):
    index("zotero:local")
    run("papers", "remove", "on cups", "-i", "mine")
    zotero.library.trash_item(zotero.keys["Salt"])
    index("--update")
    zotero.library.restore_item(zotero.keys["Salt"])
    report = index("--update")
    assert (len(report["added"]), len(report["left_out"])) == (1, 1)
    assert sorted(list_titles()) == ["On Dust", "On Leaves", "On Salt", "On Waves"]


def test_decision_of_the_user_outlasts_updates(run, index, list_titles, zotero):
    index("zotero:local")
    run("papers", "merge", "on cups", "on leaves", "-i", "mine")
    assert len(list_titles()) == 4
    zotero.library.edit_item(zotero.keys["Cups"], abstractNote="Cups help a lot.")
    assert len(index("--update")["changed"]) == 1
    assert len(list_titles()) == 4
    run("papers", "separate", "on leaves", "-i", "mine")
    index("--update")
    assert len(list_titles()) == 5


# Kills and lost connections

UPDATING = """
import json, sys
sys.path.insert(0, sys.argv[1])
from test_retrieval import HashingEmbedder
from rag.library import reread_sources
from rag.settings import load_settings
print("ready", flush=True)
reread_sources(load_settings(**json.loads(sys.argv[2])), HashingEmbedder())
"""


@pytest.fixture
def changed(tmp_path):
    """A server with 300 items of which half changed after they were indexed in `tmp_path/before`.

    Returns:
        the server, a function that makes the settings of a folder, and the papers before and after.
    """
    with ZoteroServer() as server:
        add_made_up_items(server.library, 300)

        def make_settings(name):
            cache = tmp_path / f"cache {name}"
            return {"index": f"{tmp_path}/{name}", "cache_dir": str(cache), **server.settings}

        settings = load_settings(**make_settings("before"))
        build(["zotero:users/7"], settings, HashingEmbedder())
        for number, key in enumerate([*server.library.items]):
            if number % 3 == 0:
                server.library.edit_item(key, abstractNote=f"We measured it {number} times.")
            elif number % 6 == 1:
                server.library.delete_item(key)
        add_made_up_items(server.library, 250)  # other words than those of 300
        yield server, make_settings, read_papers_by_id(settings)


def copy_library(tmp_path, name):
    """Copy the library that was not updated yet, with its copy of the Zotero library."""
    shutil.copytree(tmp_path / "before", tmp_path / name)
    shutil.copytree(tmp_path / "cache before", tmp_path / f"cache {name}")


@pytest.mark.slow
def test_kill_at_any_moment_of_an_update_leaves_the_old_library_or_the_new(changed, tmp_path):
    _, make_settings, before = changed
    copy_library(tmp_path, "whole")
    started = time.monotonic()
    update_in_process(make_settings("whole"), 600)
    whole_s = time.monotonic() - started
    after = read_papers_by_id(load_settings(**make_settings("whole")))
    assert after.keys() - before.keys()
    assert before.keys() - after.keys()
    moments, kills = random.Random(20), 0
    for number in range(10):
        copy_library(tmp_path, str(number))
        settings = load_settings(**make_settings(str(number)))
        kills += update_in_process(make_settings(str(number)), moments.uniform(0, whole_s))
        assert read_papers_by_id(settings) in (before, after)
        reread_sources(settings, HashingEmbedder())
        assert read_papers_by_id(settings) == after
    assert kills >= 5


def update_in_process(settings, after_s):
    """Update a library in a process that is killed after some time. Return whether it was."""
    command = [sys.executable, "-c", UPDATING, Path(__file__).parent, json.dumps(settings)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=ROOT) as process:
        assert process.stdout.readline() == b"ready\n"
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(after_s)
        process.kill()
    assert process.returncode in (0, -signal.SIGKILL)
    return process.returncode != 0


@pytest.mark.slow
def test_connection_lost_at_any_request_changes_nothing(changed, tmp_path):
    server, make_settings, before = changed
    copy_library(tmp_path, "whole")
    settings = load_settings(**make_settings("whole"))
    first = len(server.requests)
    reread_sources(settings, HashingEmbedder())
    after, requests = read_papers_by_id(settings), len(server.requests) - first
    assert requests > 4
    for number in range(requests):
        copy_library(tmp_path, str(number))
        settings = load_settings(**make_settings(str(number)))
        server.lose_after = len(server.requests) + number
        with pytest.raises(CorpusError, match="lost the connection"):
            reread_sources(settings, HashingEmbedder())
        assert read_papers_by_id(settings) == before
        server.lose_after = None
        reread_sources(settings, HashingEmbedder())
        assert read_papers_by_id(settings) == after
