"""Papers and answers as notes of Obsidian, and what users do to them between two exports."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from rag import Hit, Paper
from rag.answer import Answer, Citation, Statement
from rag.errors import DiskError, SettingsError
from rag.exporters.obsidian import escape_text, export_notes, make_tags
from rag.verification import Quote

DOE = Paper(
    "doi:10.1000/tea",
    "Tea: a #review",
    "We drink tea. It is warm.",
    ("Jane Doe", "Bo Li"),
    2020,
    venue="Tea Journal",
    doi="10.1000/tea",
    sources=("zotero://select/library/items/ABCD2345",),
    metadata={"tags": ["Green tea", "Sleep"], "collections": ["Thesis/Chapter 2"]},
    citation_key="doe2020",
)
NEW = replace(
    DOE,
    title='Tea, "revised"',
    abstract="We drink less tea.",
    authors=("Jane Doe", "Bo Li", "Ada Clark"),
    year=2021,
    venue=None,
    url="https://example.org/tea",
    metadata={"tags": ["Green tea"], "collections": ["Thesis"]},
)
LI = Paper("li-1", "Coffee", "We drink coffee.", citation_key="li2021")


@pytest.fixture
def vault(tmp_path):
    folder = tmp_path / "vault"
    folder.mkdir()
    return folder


def read(path):
    return path.read_bytes().decode()


def fields(text):
    return yaml.safe_load(re.match(r"\ufeff?---\r?\n(.*?\n)---", text, re.DOTALL)[1])


def edit(path, old, new):
    text = read(path)
    assert text.count(old) == 1
    path.write_bytes(text.replace(old, new).encode())


# Notes


def test_note_has_front_matter_and_the_abstract(vault):
    report = export_notes([DOE], vault)
    assert report.lines == ["1 note written, 0 updated, 0 unchanged."]
    assert read(vault / "doe2020.md") == (
        "---\n"
        'papertrail: "doi:10.1000/tea"\n'
        'citekey: "doe2020"\n'
        'title: "Tea: a #review"\n'
        'aliases:\n  - "Tea: a #review"\n'
        'authors:\n  - "Jane Doe"\n  - "Bo Li"\n'
        "year: 2020\n"
        'venue: "Tea Journal"\n'
        'doi: "10.1000/tea"\n'
        'zotero: "zotero://select/library/items/ABCD2345"\n'
        'tags:\n  - "Green-tea"\n  - "Sleep"\n'
        'collections:\n  - "Thesis/Chapter 2"\n'
        "---\n\n## Abstract\n\nWe drink tea. It is warm.\n"
    )


def test_retracted_paper_says_so(vault):
    export_notes([replace(DOE, retraction="Retracted in: Tea J. 2021.")], vault)
    found = fields(read(vault / "doe2020.md"))
    assert (found["retracted"], found["retraction"]) == (True, "Retracted in: Tea J. 2021.")


def test_preprint_has_its_arxiv_id(vault):
    export_notes([DOE], vault)
    export_notes(
        [replace(DOE, arxiv_id="2001.00001"), replace(LI, doi="10.48550/arXiv.2002.00002")], vault
    )
    assert fields(read(vault / "doe2020.md"))["arxiv"] == "2001.00001"
    assert fields(read(vault / "li2021.md"))["arxiv"] == "2002.00002"


@given(st.text(), st.text(), st.text())
def test_front_matter_of_any_text_is_read_back(title, author, venue):
    def plain(text):
        text = re.sub(r"[\s\x00-\x1f\x7f-\x9f]+", " ", text).strip()
        return text.encode("utf-8", "replace").decode() or None

    with TemporaryDirectory() as folder:
        export_notes([Paper("a", title, "", (f"A {author}",), venue=venue)], Path(folder))
        found = fields(read(Path(folder, "a.md")))
    assert found.get("title") == plain(title)
    assert found.get("venue") == plain(venue)
    assert found["authors"] == [plain(f"A {author}")]


@given(st.text(alphabet="#[]!%=<>$`*_~^|:/\\&-+. aw1@{}\n", max_size=40))
def test_abstract_is_shown_as_it_is(text):
    shown = escape_text(text)
    plain = " ".join(text.split())
    blocks = MarkdownIt("commonmark", {"html": True}).enable("table").parse(shown)
    assert [block.type for block in blocks if block.nesting >= 0] == [
        "paragraph_open",
        "inline",
    ] * (plain != "")
    parts = blocks[1].children if blocks else []
    assert {part.type for part in parts} <= {"text", "text_special"}
    assert "".join(part.content for part in parts) == plain
    unescaped = re.sub(r"\\[\\`*_\[\]<>&$^~@|=%#:/.+-]", "\0", shown)
    assert not re.search(r"==|%%|<%|%>|\[\[|#[^\s\0]|::|://|www\.|\$|`", unescaped)
    assert "<%" not in shown


def test_template_of_a_plugin_in_a_title_is_no_code_in_the_note(vault):
    export_notes([Paper("a", "<% tp.system.clipboard() %>", "<%* run() %>")], vault)
    text = read(vault / "a.md")
    assert "<%" not in text
    assert "%>" not in text
    assert fields(text)["title"] == "<% tp.system.clipboard() %>"


def test_tags_are_valid_and_each_is_written_once():
    assert make_tags(["R&D: 5%", "नमस्ते दुनिया", "a//b/", "#x", "--", "A b", "a-b", "2020/1"]) == (
        *("R-D-5", "नमस्ते-दुनिया", "a/b", "x", "A-b", "_2020/1"),
    )


# File names


def test_keys_become_safe_names_and_none_is_lost(vault):
    keys = [
        "Doe",
        "doe",
        "a/b",
        "a:b",
        "../up",
        ".hidden",
        "CON",
        "nul.x",
        "x" * 300,
        "é[1]|^#",
        "?",
    ]
    papers = [Paper(f"p{n}", key, "", citation_key=key) for n, key in enumerate(keys)]
    assert len(export_notes(papers, vault).written) == len(keys)
    names = sorted(path.name for path in vault.glob("*.md"))
    assert len({name.casefold() for name in names}) == len(keys)
    assert all(re.fullmatch(r"[\w.-]{1,100}\.md", name) for name in names)
    assert {"Doe.md", "p1.md", "a-b.md", "up.md", "hidden.md", "_CON.md", "_nul.x.md"} < {*names}
    assert [path for path in vault.parent.iterdir() if path != vault] == []
    assert export_notes(papers, vault).unchanged == len(keys)


def test_name_of_a_note_of_the_user_is_not_taken(vault):
    (vault / "DOE2020.md").write_text("my own")
    export_notes([DOE], vault)
    assert read(vault / "DOE2020.md") == "my own"
    (made,) = vault.glob("doe2020-*.md")
    assert fields(read(made))["citekey"] == "doe2020"


def test_links_are_not_followed(vault, tmp_path):
    outside = tmp_path / "outside.md"
    export_notes([DOE], vault)
    shutil.move(vault / "doe2020.md", outside)
    (vault / "doe2020.md").symlink_to(outside)
    memory = tmp_path / "memory.json"
    shutil.move(vault / ".papertrail.json", memory)
    (vault / ".papertrail.json").symlink_to(memory)
    (vault / "li2021.md").symlink_to(tmp_path / "nowhere.md")
    before = read(outside) + read(memory)
    report = export_notes([NEW, LI], vault, restore=True)
    assert read(outside) + read(memory) == before
    assert not (tmp_path / "nowhere.md").exists()
    assert all(re.fullmatch(r"(doe2020|li2021)-\w{8}\.md", name) for name in report.written)


# Exporting again


def test_unchanged_papers_change_no_file(vault):
    export_notes([DOE, LI], vault)
    before = {path: path.stat().st_mtime_ns for path in vault.glob("*") if path.suffix != ".lock"}
    assert export_notes([DOE, LI], vault).lines == ["0 notes written, 0 updated, 2 unchanged."]
    assert {path: path.stat().st_mtime_ns for path in before} == before


def test_changed_paper_updates_its_note(vault, tmp_path):
    export_notes([DOE, LI], vault)
    report = export_notes([NEW, LI], vault)
    assert (report.updated, report.unchanged) == (("doe2020.md",), 1)
    (tmp_path / "fresh").mkdir()
    export_notes([NEW], tmp_path / "fresh")
    updated, fresh = read(vault / "doe2020.md"), read(tmp_path / "fresh" / "doe2020.md")
    assert fields(updated) == fields(fresh)
    assert updated.partition("\n---\n")[2] == fresh.partition("\n---\n")[2]


def test_edits_of_the_user_stay_and_the_rest_is_updated(vault):
    note = vault / "doe2020.md"
    export_notes([DOE], vault)
    edit(note, '  - "Bo Li"\n', '  - "Bo Li" # met in Rome\n')
    edit(note, '  - "Sleep"\n', '  - "Sleep"\n  - mine\n')
    edit(note, 'doi: "10.1000/tea"\n', "")
    edit(note, "year: 2020\n", "# read in May\nrating: 5\nyear: 2020\nstatus: 'read'\n")
    edit(note, "It is warm.\n", "It is warm.\n\nMy thoughts.\n\n## Mine\n\n- [ ] ask\n")
    report = export_notes([NEW], vault)
    assert report.kept == tuple(("doe2020.md", part) for part in ("authors", "doi", "tags"))
    assert report.lines[1] == (
        "3 kept, edited by you: authors of doe2020.md, doi of doe2020.md, tags of doe2020.md."
    )
    assert read(note) == (
        "---\n"
        'papertrail: "doi:10.1000/tea"\n'
        'citekey: "doe2020"\n'
        'title: "Tea, \\"revised\\""\n'
        'aliases:\n  - "Tea, \\"revised\\""\n'
        'authors:\n  - "Jane Doe"\n  - "Bo Li" # met in Rome\n'
        "# read in May\nrating: 5\nyear: 2021\nstatus: 'read'\n"
        'zotero: "zotero://select/library/items/ABCD2345"\n'
        'tags:\n  - "Green-tea"\n  - "Sleep"\n  - mine\n'
        'collections:\n  - "Thesis"\n'
        'url: "https://example.org/tea"\n'
        "---\n\n## Abstract\n\nWe drink less tea.\n\nMy thoughts.\n\n## Mine\n\n- [ ] ask\n"
    )
    again = export_notes([NEW], vault)
    assert (again.unchanged, again.kept) == (1, report.kept)


def test_edited_abstract_stays_until_the_user_takes_it_back(vault):
    note = vault / "doe2020.md"
    export_notes([DOE], vault)
    edit(note, "It is warm.", "It is hot.")
    assert export_notes([NEW], vault).kept == (("doe2020.md", "## Abstract"),)
    assert "We drink tea. It is hot." in read(note)
    edit(note, "It is hot.", "It is warm.")
    assert export_notes([NEW], vault).kept == ()
    assert "## Abstract\n\nWe drink less tea.\n" in read(note)


def test_front_matter_that_obsidian_has_written_anew_is_still_ours(vault):
    note = vault / "doe2020.md"
    export_notes([DOE], vault)
    front = fields(read(note)) | {"rating": 5}
    text = f"---\n{yaml.safe_dump(front, sort_keys=False)}---\n" + read(note).split("---\n", 2)[2]
    note.write_text(text)
    report = export_notes([NEW], vault)
    assert (report.updated, report.kept) == (("doe2020.md",), ())
    assert fields(read(note))["authors"] == list(NEW.authors)
    assert "doi: 10.1000/tea\n" in read(note)  # of no change, as it was written


@given(st.integers(0, 500), st.integers(0, 30), st.text(max_size=9), st.booleans())
def test_no_edit_is_touched_while_the_papers_stay_the_same(start, length, text, remembers):
    with TemporaryDirectory() as folder:
        note = Path(folder, "doe2020.md")
        export_notes([DOE], Path(folder))
        before = read(note)
        edited = before[:start] + text + before[start + length :]
        note.write_bytes(edited.encode("utf-8", "replace"))
        if not remembers:
            Path(folder, ".papertrail.json").unlink()
        kept = note.read_bytes()
        export_notes([DOE], Path(folder))
        assert note.read_bytes() == kept


PARTS = ("title", "authors", "year", "venue", "tags", "collections", "aliases", "## Abstract")
USER_TEXTS = (
    *("zzz", "zzz\n", "\nzzz\n", "\nzzz: 1\n", " # zzz\n", "\n\n## zzz\n\n- a\n", "  - zzz\n"),
    *(
        '"zzz',
        "'zzz'",
        "zzz: |\n  - b\n",
        "\n## Abstract\n\nzzz",
        "&zzz ",
        "{zzz: 1}",
    ),
)


@given(
    st.lists(st.tuples(st.integers(0, 10**6), st.sampled_from(USER_TEXTS)), max_size=4),
    st.sets(st.sampled_from(PARTS), max_size=2),
    st.booleans(),
    st.booleans(),
)
def test_no_edit_is_lost_and_no_other_part_is_out_of_date(insertions, deleted, crlf, bom):
    with TemporaryDirectory() as folder:
        note = Path(folder, "doe2020.md")
        export_notes([DOE], Path(folder))
        parts = [part for part in list_parts(read(note)) if part[0] not in deleted]
        touched, mine = insert_texts(parts, insertions)
        edited = "".join(text for _, text in parts)
        if crlf:
            edited, mine = edited.replace("\n", "\r\n"), [t.replace("\n", "\r\n") for t in mine]
        edited = "\ufeff" * bom + edited
        note.write_bytes(edited.encode())
        report = export_notes([NEW], Path(folder))
        result = read(note)
        again = export_notes([NEW], Path(folder))
    assert all(text in result for text in mine if text in edited)  # one may be in the other
    assert result.startswith("\ufeff") == bom
    assert not crlf or "\n" not in result.replace("\r\n", "")
    assert (again.updated, again.kept) == ((), report.kept)
    if report.left_alone or report.deleted:  # its id was edited
        assert result == edited
    else:
        kept = {part for _, part in report.kept}
        assert kept <= touched | deleted
        check_parts(result, {name for name, _ in parts} - touched, deleted - touched)


def insert_texts(parts, insertions):
    """Insert texts into parts. Returns which parts may have changed, and the texts."""
    touched, texts = set(), []
    for count, (place, text) in enumerate(insertions):
        number = place % len(parts)
        name, own = parts[number]
        at = (place // len(parts)) % (len(own) + 1)
        texts.append(text.replace("zzz", f"user{count}"))
        parts[number] = (name, own[:at] + texts[-1] + own[at:])
        touched |= {each for each, _ in parts[max(0, number - 1) : number + 2]}  # what it continues
    return touched, texts


def check_parts(text, ours, deleted):
    found = fields(text)
    for name in ours & {"title", "year", "authors"}:
        value = getattr(NEW, name)
        assert found[name] == (list(value) if name == "authors" else value)
    assert "venue" not in ours or "venue" not in found
    assert "## Abstract" not in ours or "We drink less tea." in text
    assert not found.keys() & deleted


def list_parts(text):
    """Return the lines of each key and section of a note with their names."""
    pieces = re.split(r"(?m)^(?=[a-z]+:|---$|## )", text)
    return [(re.split(r":|\n", piece)[0], piece) for piece in pieces if piece]


# Moved, deleted and renamed notes


def test_moved_note_is_updated_where_it_is(vault):
    export_notes([DOE, LI], vault)
    (vault / "Read").mkdir()
    (vault / "doe2020.md").rename(vault / "Read" / "Tea.md")
    report = export_notes([NEW, LI], vault)
    assert (report.written, report.updated) == ((), ("Read/Tea.md",))
    (vault / ".papertrail.json").unlink()
    assert export_notes([NEW, LI], vault).unchanged == 2


def test_deleted_note_stays_deleted_until_it_is_restored(vault):
    export_notes([DOE, LI], vault)
    (vault / "doe2020.md").unlink()
    report = export_notes([NEW, LI], vault)
    assert (report.written, report.deleted) == ((), ("doe2020.md",))
    assert export_notes([NEW], vault, restore=True).written == ("doe2020.md",)


def test_new_citation_key_leaves_the_file_name(vault):
    export_notes([DOE], vault)
    export_notes([replace(DOE, citation_key="doe2020tea")], vault)
    found = fields(read(vault / "doe2020.md"))
    assert (found["citekey"], found["aliases"]) == ("doe2020tea", [DOE.title, "doe2020tea"])


def test_papers_that_swap_their_keys_keep_their_files(vault):
    export_notes([DOE, LI], vault)
    swapped = [replace(DOE, citation_key="li2021"), replace(LI, citation_key="doe2020")]
    assert len(export_notes(swapped, vault).updated) == 2
    assert fields(read(vault / "doe2020.md"))["citekey"] == "li2021"
    third = Paper("third", "Third", "", citation_key="doe2020")
    assert fields(read(vault / export_notes([third], vault).written[0]))["citekey"] == "third"


def test_note_of_an_id_with_odd_blanks_is_found(vault):
    odd = replace(DOE, id="a  b\ud800\n")
    export_notes([odd], vault)
    (vault / "doe2020.md").rename(vault / "Tea.md")
    assert export_notes([odd], vault).updated == ("Tea.md",)  # the key is an alias now
    assert export_notes([odd], vault).unchanged == 1


def test_note_of_a_paper_that_has_a_new_id_is_found(vault):
    export_notes([replace(DOE, id="tea-old")], vault)
    report = export_notes([replace(NEW, aliases=("tea-old",))], vault)
    assert (report.updated, report.kept) == (("doe2020.md",), ())


def test_paper_that_left_the_library_is_reported_and_its_note_kept(vault):
    export_notes([DOE, LI], vault)
    assert export_notes([DOE], vault).gone == ()
    assert export_notes([DOE], vault, is_whole=True).gone == ("li2021.md",)
    assert (vault / "li2021.md").exists()


def test_copy_of_a_note_is_named_and_left_alone(vault):
    export_notes([DOE, LI], vault)
    shutil.copy(vault / "doe2020.md", vault / "AAA doe copy.md")
    before = read(vault / "AAA doe copy.md")
    report = export_notes([NEW, LI], vault, is_whole=True)
    assert report.updated == ("doe2020.md",)
    assert report.lines[1:] == ["1 left alone: AAA doe copy.md (copy of doe2020.md)."]
    assert read(vault / "AAA doe copy.md") == before


def test_without_memory_only_equal_parts_are_ours(vault):
    export_notes([DOE], vault)
    edit(vault / "doe2020.md", "year: 2020\n", "")
    (vault / ".papertrail.json").unlink()
    assert export_notes([NEW], vault).updated == ()
    later = replace(NEW, doi="10.1000/new", year=2022)
    kept = dict(map(reversed, export_notes([later], vault).kept))
    assert {"title", "year", "## Abstract"} <= kept.keys()
    assert "doi" not in kept  # it was equal
    assert fields(read(vault / "doe2020.md"))["doi"] == "10.1000/new"


# Answers


def answer(*sentences, question="Is tea warm?", **fields):
    """Return an answer of sentences, each with its paper and verdict."""
    papers = list(dict.fromkeys(paper for _, paper, _ in sentences))
    statements, text = [], ""
    for said, paper, verdict in sentences:
        quote = Quote(paper.id, 0, 13, paper.abstract[:13])
        number = papers.index(paper) + 1
        cited = Citation(number, paper, (quote,), verdict, "it says so", "tiny")
        start, text = len(text), f"{text}{said} [{number}]"
        statements.append(Statement(said, start, len(text), (cited,), verdict))
        text += " "
    values = {"asked": question, "status": "answered", "mode": "model", "model": "tiny"} | fields
    return Answer(question, text=text, statements=tuple(statements), hits=(), **values)


def today():
    return datetime.now().astimezone().date().isoformat()


def test_answer_becomes_a_note_that_links_to_notes_of_its_papers(vault):
    said = answer(("Tea is **warm**.", DOE, "supported"), ("Coffee too.", LI, "partly"))
    report = said.save_notes(vault)
    assert sorted(report.written) == ["Is tea warm.md", "doe2020.md", "li2021.md"]
    found = fields(read(vault / "Is tea warm.md"))
    assert found.pop("papertrail").startswith("answer:")
    assert found == {
        "question": "Is tea warm?",
        "aliases": ["Is tea warm?"],
        "asked": today(),
        "mode": "model",
        "model": "tiny",
        "status": "answered",
        "cites": ["[[doe2020]]", "[[li2021]]"],
    }
    assert read(vault / "Is tea warm.md").partition("\n---\n")[2] == (
        "\n## Answer\n\nTea is **warm**. [[doe2020]] Coffee too. [[li2021]]\n"
        "\n## Sources\n\n[[doe2020]] Tea: a \\#review (Jane Doe, Bo Li, 2020)\n"
        "\n> We drink tea.\n\n[[li2021]] Coffee\n\n> We drink coff\n"
        "\n## How this was checked\n\n"
        "- 1 of 2 statements supported; 1 partly supported; checked by the model that wrote it.\n"
        "- supported: “Tea is \\*\\*warm\\*\\*.” ([[doe2020]] it says so)\n"
        "- partly supported: “Coffee too.” ([[li2021]] it says so)\n"
    )
    assert read(vault / "li2021.md").endswith("## Cited in\n\n- [[Is tea warm]]\n")


def test_same_question_keeps_its_note_and_edits(vault):
    answer(("Tea is warm.", DOE, "supported")).save_notes(vault)
    note = vault / "Is tea warm.md"
    edit(note, "## Sources", "My thoughts.\n\n## Sources")
    edit(note, "supported: “Tea", "really supported: “Tea")
    report = answer(("Tea is hot.", DOE, "supported")).save_notes(vault)
    assert (report.written, report.updated, report.unchanged) == ((), ("Is tea warm.md",), 1)
    assert report.kept == (("Is tea warm.md", "## How this was checked"),)
    text = read(note)
    assert "Tea is hot. [[doe2020]]\n\nMy thoughts.\n\n## Sources" in text
    assert "really supported: “Tea is warm.”" in text
    answer(("No.", DOE, "supported"), asked="Is tea of May warm?").save_notes(vault)
    assert len(list(vault.glob("Is tea warm*.md"))) == 2


def test_papers_name_the_answers_that_are_there_now(vault):
    export_notes([DOE, LI], vault)
    edit(vault / "doe2020.md", "It is warm.\n", "It is warm.\n\nMine.\n")
    answer(("Tea is warm.", DOE, "supported")).save_notes(vault)
    answer(("Tea.", DOE, "supported"), question="What is warm?").save_notes(vault)
    assert read(vault / "doe2020.md").endswith(
        "Mine.\n\n## Cited in\n\n- [[Is tea warm]]\n- [[What is warm]]\n"
    )
    (vault / "Is tea warm.md").unlink()
    (vault / "What is warm.md").rename(vault / "Warm.md")
    assert export_notes([NEW, LI], vault).kept == ()
    assert read(vault / "doe2020.md").endswith("Mine.\n\n## Cited in\n\n- [[Warm]]\n")


def test_link_to_a_note_of_another_name_shows_the_key(vault):
    odd = replace(DOE, citation_key="doe:2020")
    table = replace(answer(("| Tea", odd, "supported")), text="| Tea [1] | warm |")
    table.save_notes(vault)
    text = read(vault / "Is tea warm.md")
    assert "| Tea [[doe-2020\\|doe:2020]] | warm |" in text
    assert "\n[[doe-2020|doe:2020]] Tea" in text
    (vault / "sub").mkdir()
    (vault / "doe-2020.md").rename(vault / "sub" / "doe-2020.md")
    (vault / "doe-2020.md").write_text("mine")
    table.save_notes(vault)
    assert "\n[[sub/doe-2020|doe:2020]] Tea" in read(vault / "Is tea warm.md")


HOSTILE = """# Title

```dataviewjs
app.vault.delete()
```

`= this.file` `$= dv.x` ![[Secret]] [[Secret]] #tag %%hidden%% <% run() %> <script>x</script>
![i](http://a/b) [c](javascript:x) key:: value $\\href{javascript:x}{y}$ ~~~js
x
~~~"""


def test_text_of_a_model_runs_and_embeds_nothing(vault):
    said = replace(answer(("Tea.", DOE, "supported")), text=f"{HOSTILE} [1]")
    said.save_notes(vault)
    text = read(vault / "Is tea warm.md")
    text = text[text.index("## Answer") : text.index("## Sources")]
    assert re.findall(r"\[\[.*?\]\]", text) == ["[[doe2020]]"]
    assert not re.search(
        r"`|~~~|<%|%>|%%|::|(?<!\\)\$|(?<![&#])#(?=[^\s#])|!\[|<script|\]\(java", text
    )
    kinds = {token.type for token in MarkdownIt("commonmark", {"html": True}).parse(text)}
    assert not kinds & {"fence", "code_block", "html_block"}


def test_dollars_of_a_model_are_escaped_as_those_of_papers(vault):
    said = answer(("It costs $30.", DOE, "supported"))
    replace(said, text=r"It costs $30, \$40, \$50 or \&#36;60. [1]").save_notes(vault)
    text = read(vault / "Is tea warm.md")
    assert r"It costs \$30, \$40, \$50 or \$60. [[doe2020]]" in text
    assert r"“It costs \$30.”" in text


def test_list_and_abstention_become_notes(vault):
    listed = answer(
        ("Coffee", LI, None), question="coffee?", mode="quotes", kind="list", model=None
    )
    listed.save_notes(vault)
    assert "## Answer\n\nCoffee [[li2021]]\n" in read(vault / "coffee.md")
    nothing = answer(question="Rice?", status="abstained", mode="quotes", model=None)
    nothing = replace(nothing, text="No clear answer.", closest=(Hit(1, 0.1, DOE, (), (), {}),))
    assert nothing.save_notes(vault).written == ("Rice.md",)
    assert "## Closest papers\n\n- Tea: a \\#review (Jane Doe" in read(vault / "Rice.md")
    export_notes([replace(DOE, id="tea", aliases=(DOE.id,))], vault)
    nothing.save_notes(vault)
    assert "- Tea: a" in read(vault / "Rice.md")  # its note has an id that the answer does not know
    renamed = replace(nothing, closest=(Hit(1, 0.1, replace(DOE, aliases=("tea",)), (), (), {}),))
    renamed.save_notes(vault)
    assert "- [[doe2020]] Tea: a \\#review (Jane Doe" in read(vault / "Rice.md")


# Notes and folders that cannot be written


@pytest.mark.parametrize(
    "text",
    [b"", b"no front matter", b"---\na: [\n---\n", b"---\na: 1\na: 2\n---\n", b"---\n- a\n---\n"],
)
def test_note_without_readable_front_matter_is_left_alone(vault, text):
    export_notes([DOE], vault)
    (vault / "doe2020.md").write_bytes(text)
    report = export_notes([NEW], vault)
    assert report.left_alone == (("doe2020.md", "its front matter cannot be read"),)
    assert (vault / "doe2020.md").read_bytes() == text


def test_note_that_is_not_utf8_is_left_alone(vault):
    export_notes([DOE, LI], vault)
    text = read(vault / "doe2020.md").replace("warm", "w\xe4rm").encode("latin-1")
    (vault / "doe2020.md").write_bytes(text)
    report = export_notes([NEW, LI], vault)
    assert report.left_alone == (("doe2020.md", "it is not UTF-8 text"),)
    assert (vault / "doe2020.md").read_bytes() == text


def test_folder_that_cannot_be_a_vault_is_refused(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(SettingsError, match="file is a file"):
        export_notes([DOE], tmp_path / "file")
    with pytest.raises(SettingsError, match="There is no folder"):
        export_notes([DOE], tmp_path / "a" / "b")
    (tmp_path / "locked" / ".papertrail.lock").mkdir(parents=True)
    with pytest.raises(DiskError, match="Cannot write notes to"):
        export_notes([DOE], tmp_path / "locked")
    assert (tmp_path / "file").read_text() == ""


@pytest.mark.parametrize(
    "text",
    [
        "<<<<<<< mine",
        "[" * 100_000,
        '{"notes": {"a": {"file": "a.md", "marks": 3, "key": "", "cites": []}}}',
        '{"notes": {"a": {"file": 5, "marks": {}, "key": null, "cites": null}}}',
    ],
)
def test_damaged_memory_is_one_sentence(vault, text):
    (vault / ".papertrail.json").write_text(text)
    with pytest.raises(SettingsError, match=r"papertrail\.json is damaged"):
        export_notes([DOE], vault)


def test_files_of_the_user_with_our_name_stay(vault):
    mine = vault / "sub" / ".papertrail-mine.md"
    mine.parent.mkdir()
    mine.write_text("mine")
    export_notes([DOE], vault)
    assert mine.read_text() == "mine"


def test_two_exports_at_once_write_all_notes(vault):
    papers = [Paper(f"p{n}", f"Title {n}", "We drink tea.") for n in range(60)]
    halves = [Thread(target=export_notes, args=(papers[n::2], vault)) for n in (0, 1)]
    for half in halves:
        half.start()
    for half in halves:
        half.join()
    assert export_notes(papers, vault, is_whole=True).unchanged == 60
    assert len(json.loads(read(vault / ".papertrail.json"))["notes"]) == 60


def test_note_keeps_its_permissions(vault):
    export_notes([DOE], vault)
    (vault / "doe2020.md").chmod(0o600)
    export_notes([NEW], vault)
    assert (vault / "doe2020.md").stat().st_mode & 0o777 == 0o600


@pytest.mark.slow
@pytest.mark.parametrize("seen", [1, 20, 60, 119])
def test_killed_export_is_completed_by_the_next_one(vault, seen):
    papers = [Paper(f"p{n}", f"Title {n}", "We drink tea.") for n in range(120)]
    if seen > 1:
        export_notes([replace(paper, title="Old") for paper in papers], vault)
    script = (
        "from pathlib import Path; from rag import Paper; "
        "from rag.exporters.obsidian import export_notes; "
        "papers = [Paper(f'p{n}', f'Title {n}', 'We drink tea.') for n in range(120)]; "
        f"export_notes(papers, Path({str(vault)!r}))"
    )
    process = subprocess.Popen([sys.executable, "-c", script])
    while process.poll() is None:
        if sum("Title" in path.read_text() for path in vault.glob("*.md")) >= seen:
            process.kill()
            break
    process.wait()
    later = [replace(paper, abstract="We drink less.", year=2020) for paper in papers]
    report = export_notes(later, vault, is_whole=True)
    assert (report.kept, report.left_alone, report.deleted) == ((), (), ())
    (vault.parent / "fresh").mkdir()
    export_notes(later, vault.parent / "fresh")
    for path in (vault.parent / "fresh").glob("*.md"):
        assert sorted(read(path).split("\n")) == sorted(read(vault / path.name).split("\n"))
    assert not list(vault.glob(".papertrail-*"))


# The command


def test_command_exports_the_bundled_library_and_then_changes_nothing(
    run, tmp_path, monkeypatch, bundled_cache
):
    monkeypatch.setenv("PAPERTRAIL_CACHE_DIR", str(bundled_cache))
    words = ("papers", "export", "--format", "obsidian", "--out", "vault", "--json")
    assert len(json.loads(run(*words))["written"]) == 251
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "vault").glob("*.md")}
    again = json.loads(run(*words))
    assert (again["unchanged"], again["updated"], again["kept"]) == (251, [], [])
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert len(before) == 251


def test_command_reports_what_it_kept(run, tmp_path):
    (tmp_path / "mine.bib").write_text("@article{doe2020, title={Tea}, abstract={It is warm.}}")
    run("index", "mine.bib", "--index", "mine")
    words = ("papers", "export", "--index", "mine", "--format", "obsidian", "--out", "vault")
    run(*words)
    edit(tmp_path / "vault" / "doe2020.md", "It is warm.", "It is hot.")
    report = json.loads(run(*words, "--json"))
    assert report["kept"] == [{"note": "doe2020.md", "part": "## Abstract"}]
    assert run(*words, "--quiet") == ""
    said = run("papers", "export", "--index", "mine", "--restore", status=2)
    assert said == "rag: --restore and --json are for --format obsidian. Leave them out.\n"


def test_command_writes_an_answer_as_a_note(run, tmp_path):
    (tmp_path / "mine.bib").write_text("@article{doe2020, title={Tea}, abstract={Tea is warm.}}")
    run("index", "mine.bib", "--index", "mine")
    words = ("--index", "mine", "--format", "obsidian")
    assert run("ask", "Is tea warm?", *words, "--out", "vault") == ""
    assert "- [[Is tea warm]]" in read(tmp_path / "vault" / "doe2020.md")
    assert "“Tea is warm.” [[doe2020]]" in read(tmp_path / "vault" / "Is tea warm.md")
    run("list", "tea", *words, "--out", "vault", "--quiet")
    assert "[[tea]]" in read(tmp_path / "vault" / "doe2020.md")
    said = run("ask", "Is tea warm?", *words, "--out", "mine.bib", status=2)
    assert said == "rag: mine.bib is a file. Name the folder of the vault.\n"
    said = run("ask", "Is tea warm?", *words, status=2)
    assert said == "rag: Notes go to a folder. Name that of your vault with --out.\n"


def test_command_without_a_folder_says_what_to_name(run):
    said = run("papers", "export", "--format", "obsidian", status=2)
    assert said == "rag: Notes go to a folder. Name that of your vault with --out.\n"
