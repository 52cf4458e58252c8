"""Read libraries of Zotero from a server on loopback."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
from zotero_server import Reply, ZoteroServer, add_made_up_items

from rag import read_papers
from rag.settings import load_settings

TEA = {"title": "Tea and sleep", "abstractNote": "Tea shortens sleep by 20 minutes."}


@pytest.fixture
def web():
    with ZoteroServer() as server:
        yield server


@pytest.fixture
def desktop():
    with ZoteroServer(local=True) as server:
        yield server


@pytest.fixture
def read(tmp_path):
    """Read the papers of a part of a server's library."""

    def read_part(server, part="", **settings):
        known = {"cache_dir": tmp_path / "cache", **server.settings, **settings}
        start = "zotero:local" if server.is_local else "zotero:users/7"
        return read_papers(start + part, settings=load_settings(**known))

    return read_part


def titles(papers):
    return [paper.title for paper in papers]


def test_a_large_web_library_is_read_in_pages_and_then_asked_for_changes_only(web, read):
    add_made_up_items(web.library, 2600)
    first = read(web)
    assert len(first) == 2600
    # 26 pages of 100 items, and the collections
    assert len(web.requests) == 27
    assert read(web) == first
    assert len(web.requests) == 28
    assert web.requests[-1].headers["if-modified-since-version"] == "2600"


def test_a_large_local_library_is_read_at_once(desktop, read):
    add_made_up_items(desktop.library, 2600)
    assert len(read(desktop)) == 2600
    assert [each.path for each in desktop.requests] == [
        "/api/users/0/items/top",
        "/api/users/0/collections",
    ]


def test_an_update_brings_added_edited_trashed_restored_and_deleted_items(web, read):
    library = web.library
    kept, edited, trashed, deleted = (library.add_item(title=name) for name in "ABCD")
    library.trash_item(kept)
    assert titles(read(web)) == ["B", "C", "D"]
    library.restore_item(kept)
    library.edit_item(edited, title="B2")
    library.trash_item(trashed)
    library.delete_item(deleted)
    library.add_item(title="E")
    assert titles(read(web)) == ["A", "B2", "E"]


def test_an_item_has_its_link_tags_and_collections(desktop, read):
    thesis = desktop.library.add_collection("Thesis")
    chapter = desktop.library.add_collection("Chapter 2", thesis)
    key = desktop.library.add_item(
        **TEA, collections=[chapter], tags=[{"tag": "tea"}, {"tag": "auto", "type": 1}]
    )
    (paper,) = read(desktop)
    assert paper.zotero_link == f"zotero://select/library/items/{key}"
    assert paper.metadata == {"tags": ["tea", "auto"], "collections": ["Thesis/Chapter 2"]}


def call_pyzotero(server, version):
    """Return what pyzotero reads from a server, in a Python of its own."""
    python = os.environ.get("PAPERTRAIL_TEST_PYZOTERO")
    if not python:
        pytest.skip("PAPERTRAIL_TEST_PYZOTERO names no Python with pyzotero; use make test-slow")
    script = Path(__file__).with_name("pyzotero_calls.py")
    user = "0" if server.is_local else "7"
    command = [python, script, server.url, server.key, user, str(version)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, env={})
    return json.loads(done.stdout)


def fill(library):
    """Add 2,600 items and one of each other kind. Return the version before the last changes."""
    add_made_up_items(library, 2600)
    library.add_collection("Chapter 2", library.add_collection("Thesis"))
    library.add_search("Unread")
    return library.version


@pytest.mark.slow
def test_calls_of_pyzotero_pass_against_the_web_server(web):
    library = web.library
    version = fill(library)
    first, second, third, *_ = library.items
    library.edit_item(first, tags=[{"tag": "tea"}], title="Tea")
    library.trash_item(second)
    library.delete_item(third)
    web.replies.append(Reply(status=429, headers={"Retry-After": 1}))
    found = call_pyzotero(web, version)
    assert len(set(found.pop("top"))) == 2598
    assert found == {
        "collections": ["Thesis", "Chapter 2"],
        "tags": ["tea"],
        "searches": ["Unread"],
        "changed": [first],
        "versions": {first: version + 1},
        "version": version + 3,
        "deleted": [third],
        "trash": [second],
        "item": "Tea",
        "number": 2598,
    }


@pytest.mark.slow
def test_calls_of_pyzotero_pass_against_the_desktop_program(desktop):
    fill(desktop.library)
    found = call_pyzotero(desktop, 0)
    assert found["top"] == [*reversed(desktop.library.items)]
    assert found["collections"] == ["Thesis", "Chapter 2"]
    assert found["searches"] == ["Unread"]
