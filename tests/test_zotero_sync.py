"""Libraries that follow Zotero: they become what a fresh build gives, and embed only changes."""

from __future__ import annotations

import random
from itertools import chain
from pathlib import Path

import pytest
from test_retrieval import HashingEmbedder
from zotero_server import ZoteroServer, add_made_up_items

from rag import Assistant, Paper
from rag.index import Index
from rag.library import read_with_companions, reread_sources, update_library
from rag.papers import PaperMerger
from rag.readers import iter_sources
from rag.settings import load_settings

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


def test_each_of_50_changes_gives_the_library_of_a_fresh_build(server, open_settings):
    embedder, settings = CountingEmbedder(), open_settings("followed")
    build(server.sources, settings, embedder)
    before = read_papers_by_id(settings)
    changes = StagedChanges(server.library, seed=20)
    for number in range(50):
        kind = CHANGES[number % len(CHANGES)]
        getattr(changes, kind)()
        embedder.titles = []
        report = reread_sources(settings, embedder).update
        papers = read_papers_by_id(settings)
        assert papers == merge_anew(server.sources, settings), (number, kind)
        changed = [paper.title for paper in papers.values() if before.get(paper.id) != paper]
        assert sorted(embedder.titles) == sorted(changed), (number, kind)
        assert {paper.id for paper in report.intake.gone} <= before.keys() - papers.keys()
        if number % 10 == 9:
            fresh = open_settings(f"fresh {number}")
            build(server.sources, fresh, HashingEmbedder())
            assert papers == read_papers_by_id(fresh)
            assert find_nearest(settings) == find_nearest(fresh)
        before = papers
