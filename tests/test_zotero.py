"""Read libraries of Zotero from a server on loopback."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
from pathlib import Path

import pytest
from zotero_server import KEY, Reply, ZoteroServer, add_made_up_items

from rag import Paper, Refused, iter_papers, read_papers
from rag.errors import CorpusError, SettingsError
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


def test_collections_include_those_below_and_are_named_by_key_path_or_name(desktop, read):
    library = desktop.library
    thesis, old = library.add_collection("Thesis"), library.add_collection("Old")
    chapter = library.add_collection("Chapter 2", thesis)
    intro, other = (library.add_collection("Intro", each) for each in (chapter, old))
    for title, where in (("A", thesis), ("B", chapter), ("C", intro), ("D", other)):
        library.add_item(title=title, collections=[where])
    library.add_item(title="E")
    assert titles(read(desktop, "/collections/Thesis")) == ["A", "B", "C"]
    assert titles(read(desktop, "/collections/thesis/chapter 2")) == ["B", "C"]
    assert titles(read(desktop, "/collections/Chapter 2")) == ["B", "C"]
    assert titles(read(desktop, f"/collections/{other}")) == ["D"]
    with pytest.raises(CorpusError, match="Several have this name") as error:
        read(desktop, "/collections/Intro")
    assert f"Old/Intro ({other}), Thesis/Chapter 2/Intro ({intro})." in str(error.value)
    with pytest.raises(CorpusError, match=r"none of this name.* Old/Intro .*, Thesis/Chapter 2 "):
        read(desktop, "/collections/Theses")


def test_an_item_that_moves_or_whose_collection_is_renamed_changes(web, read):
    library = web.library
    first, second = library.add_collection("One"), library.add_collection("Two")
    key = library.add_item(**TEA, collections=[first])
    assert read(web)[0].metadata["collections"] == ["One"]
    library.move_item(key, second)
    assert read(web)[0].metadata["collections"] == ["Two"]
    library.rename_collection(second, "Three")
    assert read(web)[0].metadata["collections"] == ["Three"]
    library.delete_collection(second)
    assert "collections" not in read(web)[0].metadata


def test_collections_that_make_no_tree_are_read(web, read):
    library = web.library
    first = library.add_collection("One")
    second = library.add_collection("Two\n\ud800", first)
    library.move_collection(first, second)
    library.move_collection(library.add_collection(None), {"not": "a key"})
    library.add_item(title="A", collections=[first])
    assert titles(read(web, f"/collections/{second}")) == ["A"]
    assert read(web)[0].metadata["collections"] == ["Two ?/One"]


def test_a_tag_matches_whole_and_in_any_case(web, read):
    for title, tag in (("A", "Tea"), ("B", "tea"), ("C", "green tea")):
        web.library.add_item(title=title, tags=[{"tag": tag}])
    assert titles(read(web, "/tags/TEA")) == ["A", "B"]


def test_a_saved_search_gives_its_items_and_those_whose_files_it_finds(desktop, read):
    library = desktop.library
    found, parent, _ = (library.add_item(title=title) for title in "ABC")
    library.add_search("Unread", found, library.add_item("attachment", parentItem=parent))
    assert titles(read(desktop, "/searches/unread")) == ["A", "B"]


def test_files_notes_and_annotations_are_no_papers(web, read):
    parent = web.library.add_item(**TEA)
    web.library.add_item("attachment", title="Alone.pdf")
    web.library.add_item("note", note="Read this")
    web.library.add_item("attachment", title="Child.pdf", parentItem=parent)
    assert titles(read(web)) == ["Tea and sleep"]


def test_a_group_is_read_from_either_server(web, desktop, tmp_path):
    for server, start in ((web, "zotero:groups/5"), (desktop, "zotero:local/groups/5")):
        key = server.add_group(5).add_item(**TEA)
        settings = load_settings(cache_dir=tmp_path, **server.settings)
        (paper,) = read_papers(start, settings=settings)
        assert paper.zotero_link == f"zotero://select/groups/5/items/{key}"


def test_the_fields_of_an_article_are_read(desktop, read):
    desktop.library.add_item(
        title="RETRACTED: Tea <i>and</i> sleep",
        abstractNote="Tea shortens sleep by 20&nbsp;minutes.",
        creators=[
            {"creatorType": "editor", "firstName": "Bo", "lastName": "Li"},
            {"creatorType": "author", "firstName": "Ada", "lastName": "Clark"},
            {"creatorType": "author", "name": "Tea Group"},
        ],
        date="2021-03-05",
        DOI="https://doi.org/10.1000/TEA",
        url="https://tea.example/1",
        publicationTitle="Journal of Tea",
        volume="3",
        issue="2",
        pages="17–29",
        extra="PMID: 123\nCitation Key: clark2021",
    )
    (paper,) = read(desktop)
    assert paper.to_dict() == {
        "id": "doi:10.1000/tea",
        "title": "Tea and sleep",
        "abstract": "Tea shortens sleep by 20 minutes.",
        "authors": ["Ada Clark", "Tea Group"],
        "year": 2021,
        "venue": "Journal of Tea",
        "url": "https://tea.example/1",
        "doi": "10.1000/tea",
        "sources": [paper.zotero_link],
        "metadata": {
            "pmid": "123",
            "volume": "3",
            "issue": "2",
            "pages": "17-29",
            "editors": ["Bo Li"],
            "month": 3,
        },
        "citation_key": "clark2021",
        "entry_type": "article",
        "retraction": "RETRACTED",
    }


@pytest.mark.parametrize(
    ("fields", "expected"),
    [
        (
            {"itemType": "conferencePaper", "title": "A", "proceedingsTitle": "Proc. of Tea"},
            {"venue": "Proc. of Tea", "entry_type": "inproceedings"},
        ),
        (
            {"itemType": "bookSection", "title": "A", "bookTitle": "Teas", "publisher": "Leaf"},
            {"venue": "Teas", "entry_type": "incollection", "metadata": {"publisher": "Leaf"}},
        ),
        (
            {"itemType": "preprint", "title": "A", "archiveID": "arXiv:1706.03762"},
            {"arxiv_id": "1706.03762", "entry_type": "preprint"},
        ),
        (
            {"itemType": "preprint", "title": "A", "extra": "arXiv:1706.03762 [cs]\nDOI: 10.1/a"},
            {"arxiv_id": "1706.03762"},
        ),
        (
            {"itemType": "thesis", "title": "A", "university": "Bath", "thesisType": "PhD thesis"},
            {"entry_type": "phdthesis", "metadata": {"publisher": "Bath"}},
        ),
        (
            {"itemType": "thesis", "title": "A", "thesisType": "Master"},
            {"entry_type": "mastersthesis"},
        ),
        ({"itemType": "report", "title": "A", "institution": "WHO"}, {"entry_type": "report"}),
        (
            {"itemType": "statute", "nameOfAct": "Tea Act", "dateEnacted": "1773"},
            {"title": "Tea Act", "year": 1773, "entry_type": "legislation"},
        ),
        (
            {"itemType": "case", "caseName": "Tea v. Coffee", "dateDecided": "1999"},
            {"title": "Tea v. Coffee", "year": 1999, "entry_type": "legal_case"},
        ),
        ({"itemType": "email", "subject": "Tea at four"}, {"title": "Tea at four"}),
        (
            {
                "itemType": "patent",
                "title": "A",
                "creators": [
                    {"creatorType": "attorneyAgent", "name": "Bo Li"},
                    {"creatorType": "inventor", "firstName": "Ada", "lastName": "Clark"},
                ],
            },
            {"authors": ("Ada Clark",), "entry_type": "patent"},
        ),
        (
            {
                "title": "A",
                "creators": [
                    {"creatorType": "author", "firstName": "Gabriel", "lastName": "García Márquez"},
                    {"creatorType": "author", "firstName": "Ming Wei", "lastName": "Chang"},
                    {"creatorType": "author", "firstName": "Ada M.", "lastName": "Clark"},
                    {"creatorType": "author", "name": "Mary Ann Group"},
                ],
            },
            {
                "metadata": {
                    "family_names": {
                        "Gabriel García Márquez": "García Márquez",
                        "Ming Wei Chang": "Chang",
                    }
                }
            },
        ),
        (
            {"title": "A", "citationKey": "native", "extra": "Citation Key: older"},
            {"citation_key": "native"},
        ),
    ],
)
def test_each_type_of_item_keeps_its_own_fields(fields, expected, desktop, read):
    desktop.library.add_item(**fields)
    (paper,) = read(desktop)
    assert {name: getattr(paper, name) for name in expected} == expected


@pytest.mark.parametrize(
    ("creator", "author"),
    [
        ({"firstName": "J. K., Jr.", "lastName": "Smith"}, "J. K. Smith Jr."),
        ({"firstName": "J. K.", "lastName": "Smith, Jr."}, "J. K. Smith Jr."),
        ({"firstName": "", "lastName": "Plato"}, "Plato"),
        ({"firstName": "Ada", "lastName": ""}, "Ada"),
        ({"firstName": "", "lastName": "Tea Center, Leaf Division"}, "Tea Center, Leaf Division"),
        ({"name": "Tea Center, Leaf Division"}, "Tea Center, Leaf Division"),
    ],
)
def test_a_suffix_follows_the_family_name_and_a_name_in_one_piece_stays(
    creator, author, desktop, read
):
    desktop.library.add_item(title="A", creators=[{"creatorType": "author", **creator}])
    (paper,) = read(desktop)
    assert paper.authors == (author,)


def test_a_field_of_another_type_gives_a_paper_or_a_refusal(web, tmp_path):
    names = ["title", "abstractNote", "creators", "tags", "collections", "date", "extra", "DOI"]
    values = [None, 7, 1e308, True, [], [None, 3, {"tag": {}, "name": 5}], {"a": []}, "\ud800"]
    for name in [*names, "itemType", "dateAdded", "url", "volume"]:
        for value in values:
            web.library.add_item(**{**TEA, name: value})
    web.library.add_item(title="B")
    settings = load_settings(cache_dir=tmp_path, **web.settings)
    found = list(iter_papers("zotero:users/7", settings=settings))
    assert len(found) == 12 * 8 + 1
    assert all(isinstance(each, Paper | Refused) for each in found)
    # eight titles are no text, and half of a character is nowhere stored
    assert len([each for each in found if isinstance(each, Refused)]) == 8 + 11


def test_records_that_are_no_items_are_refused(web, tmp_path):
    settings = load_settings(cache_dir=tmp_path, **web.settings)
    long = "9" * 5000  # more digits than Python reads as an integer
    bad = '[null, "x", {"key": "AAAA2222"}, {"key": "../etc", "data": {"title": "A"}}, '
    good = f'{{"key": "BBBB2222", "data": {{"title": "B", "volume": {long}}}}}]'
    untitled = '{"key": "CCCC2222", "data": {"itemType": "book"}}, '
    state = {"Total-Results": 6, "Last-Modified-Version": 0}
    web.replies.append(Reply(bad + untitled + good, headers=state))
    found = list(iter_papers("zotero:users/7", settings=settings))
    assert [each.title for each in found if isinstance(each, Paper)] == ["B"]
    refused = [each for each in found if isinstance(each, Refused)]
    assert len(refused) == 5
    assert str(refused[-1]) == (
        "zotero://select/library/items/CCCC2222: the record has no title. Add one."
    )


def test_the_desktop_program_says_how_to_let_others_read(desktop, read):
    desktop.is_allowed = False
    with pytest.raises(CorpusError) as error:
        read(desktop)
    assert (
        'tick Settings > Advanced > "Allow other applications on this computer to communicate '
        'with Zotero"' in str(error.value)
    )


def test_a_desktop_program_that_does_not_run_is_to_be_started(read):
    with ZoteroServer(local=True) as stopped:
        pass
    with pytest.raises(CorpusError, match="Start Zotero"):
        read(stopped)


@pytest.mark.parametrize(
    ("key", "part", "expected"),
    [
        ("WRONG", "", "key in PAPERTRAIL_ZOTERO_KEY is wrong"),
        (None, "", "wants a key.*set PAPERTRAIL_ZOTERO_KEY"),
        ("two\nlines", "", "PAPERTRAIL_ZOTERO_KEY has characters"),
    ],
)
def test_a_key_that_is_wrong_or_missing_is_named_but_not_shown(key, part, expected, web, read):
    with pytest.raises((CorpusError, SettingsError), match=expected) as error:
        read(web, part, zotero_key=key)
    assert key is None or key not in str(error.value)


def test_an_unknown_library_and_a_foreign_server_are_explained(web, tmp_path):
    settings = load_settings(cache_dir=tmp_path, **web.settings)
    with pytest.raises(CorpusError, match="no such library"):
        read_papers("zotero:groups/99", settings=settings)
    web.replies.append(Reply("<html>Welcome</html>"))
    with pytest.raises(CorpusError, match=r"no reply of .* Check the setting zotero_url"):
        read_papers("zotero:users/7", settings=settings)
    for url in (
        "ftp://x",
        "api.zotero.org",
        "https://me:secret@x",
        "https://x?k=secret",
        "http://x#",
    ):
        with pytest.raises(SettingsError, match="zotero_url is no address") as error:
            read_papers("zotero:users/7", settings=load_settings(zotero_url=url))
        assert "secret" not in str(error.value)


def test_the_key_reaches_its_server_only(web, desktop, tmp_path):
    cache = tmp_path / "cache"
    web.library.add_item(**TEA)
    read_papers("zotero:users/7", settings=load_settings(cache_dir=cache, **web.settings))
    assert {each.headers["zotero-api-key"] for each in web.requests} == {KEY}
    for file in filter(Path.is_file, cache.rglob("*")):
        assert KEY.encode() not in gzip.decompress(file.read_bytes())
        assert file.stat().st_mode & 0o077 == 0
    web.replies.append(Reply(status=302, headers={"Location": f"{desktop.url}/users/0/items/top"}))
    with pytest.raises(CorpusError, match="redirects to another address") as error:
        read_papers("zotero:users/7", settings=load_settings(cache_dir=cache, **web.settings))
    assert KEY not in str(error.value)
    desktop.library.add_item(**TEA)
    settings = load_settings(cache_dir=cache, **web.settings, zotero_local_url=desktop.url)
    read_papers("zotero:local", settings=settings)
    assert not any("zotero-api-key" in each.headers for each in desktop.requests)


def test_a_server_that_asks_for_a_pause_gets_it(web, read):
    web.library.add_item(**TEA)
    web.replies += [Reply("slow down", 429, {"Retry-After": 1}), Reply("down", 503)]
    web.more_headers = {"Backoff": 1}
    assert titles(read(web)) == ["Tea and sleep"]
    refused, failed, items, collections = (each.at_s for each in web.requests)
    assert failed - refused >= 1
    assert collections - items >= 1


def test_a_pause_of_an_hour_is_an_error_at_once(web, read):
    web.replies.append(Reply("", 429, {"Retry-After": 3600}))
    with pytest.raises(CorpusError, match="wants no request for 3600 seconds"):
        read(web)
    assert len(web.requests) == 1


def test_a_pause_until_a_date_is_kept(web, read):
    web.library.add_item(**TEA)
    web.replies.append(Reply("", 429, {"Retry-After": "Fri, 31 Dec 2100 23:59:59 GMT"}))
    with pytest.raises(CorpusError, match=r"wants no request for \d{7,} seconds"):
        read(web)
    web.replies.append(Reply("", 429, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}))
    assert len(read(web)) == 1


@pytest.mark.parametrize("header", ["Total-Results", "Last-Modified-Version"])
def test_a_web_list_without_its_length_or_version_is_not_taken_for_the_whole(header, web, read):
    add_made_up_items(web.library, 250)
    web.more_headers = {header: None}
    with pytest.raises(CorpusError, match=r"no reply of Zotero's API.* setting zotero_url"):
        read(web)
    web.more_headers = {}
    assert len(read(web)) == 250
    web.library.add_item(**TEA)
    web.after_answer = lambda request: web.more_headers.update({header: None})
    with pytest.raises(CorpusError, match="no reply of Zotero's API"):
        read(web)


def test_another_program_at_the_port_is_not_taken_for_an_empty_library(desktop, read):
    desktop.library.add_item(**TEA)
    for version in (None, "new"):
        desktop.replies.append(Reply([], headers={"Zotero-API-Version": version}))
        with pytest.raises(CorpusError, match=r"no reply of .* setting zotero_local_url"):
            read(desktop)
    desktop.replies.append(Reply([], headers={"Total-Results": 1}))
    with pytest.raises(CorpusError, match="changes while it is read"):
        read(desktop)


def test_a_scheme_in_capitals_is_read(desktop, tmp_path):
    desktop.library.add_item(**TEA)
    settings = load_settings(cache_dir=tmp_path, **desktop.settings)
    assert titles(read_papers("ZOTERO:local", settings=settings)) == ["Tea and sleep"]


def test_a_connection_lost_on_the_way_leaves_nothing_half_read(web, read, tmp_path):
    add_made_up_items(web.library, 450)
    web.lose_after = 2
    with pytest.raises(CorpusError, match=r"lost the connection, after 4 tries .* Try again"):
        read(web)
    assert not list((tmp_path / "cache").rglob("*.gz"))
    web.lose_after = None
    assert len(read(web)) == 450
    key = web.library.add_item(title="new")
    web.library.edit_item(key, title="newer")
    web.lose_after = len(web.requests) + 1  # before the list of deleted items
    with pytest.raises(CorpusError):
        read(web)
    web.lose_after = None
    assert titles(read(web))[-1] == "newer"
    assert len(read(web)) == 451


def test_a_library_that_changes_between_two_pages_is_read_again(web, read):
    add_made_up_items(web.library, 250)
    last = [*web.library.items][-1]

    def delete_last(request):
        """The later pages move up by one, so that an item falls between two pages."""
        if request.path.endswith("/items/top") and last in web.library.items:
            web.library.delete_item(last)

    web.after_answer = delete_last
    assert len(read(web)) == 249
    web.library.add_item(title="one more")
    web.after_answer = lambda request: web.library.add_item(title="yet another")
    with pytest.raises(CorpusError, match="changes while it is read"):
        read(web)


def test_pages_that_repeat_an_item_are_not_taken_for_the_whole(web, read):
    first, _ = (web.library.add_item(title=title) for title in "AB")
    state = {"Total-Results": 2, "Last-Modified-Version": 2}
    twice = [{"key": first, "data": {"title": "A", "itemType": "book"}}] * 2
    web.replies += [Reply(twice, headers=state)] * 2
    assert titles(read(web)) == ["A", "B"]


def test_a_damaged_copy_is_fetched_again(web, read, tmp_path):
    add_made_up_items(web.library, 30)
    first = read(web)
    (file,) = (tmp_path / "cache").rglob("*.gz")
    whole = file.read_bytes()
    for damaged in (b"", b"no gzip", whole[: len(whole) // 2], gzip.compress(b"[]\n")):
        file.write_bytes(damaged)
        assert read(web) == first


def test_a_library_beside_others_does_not_stop_them(web, tmp_path):
    (tmp_path / "a.jsonl").write_text('{"title": "File", "abstract": "A file."}')
    settings = load_settings(cache_dir=tmp_path, **{**web.settings, "zotero_key": "WRONG"})
    sources = ["zotero:users/7", str(tmp_path / "a.jsonl")]
    refused, paper = iter_papers(sources, settings=settings)
    assert refused.path == "zotero:users/7"
    assert "PAPERTRAIL_ZOTERO_KEY" in refused.reason
    assert paper.title == "File"


@pytest.mark.parametrize(
    "text",
    ["zotero:", "zotero:users/me", "zotero:users/\u0667", "zotero:users/7/searches/Unread"],
)
def test_an_address_of_another_form_is_explained_at_once(text):
    with pytest.raises(SettingsError, match="Write zotero:local"):
        iter_papers(text)


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
