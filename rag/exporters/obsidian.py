"""Obsidian: one note per paper, with front matter, abstract and the answers that cite it.

Text of papers is escaped, so that none of it becomes a heading, link, embed, tag, comment, formula,
HTML or code of a plugin (Dataview, Templater). Called by `rag papers export` and
`rag.answer.obsidian`.

Sources: https://help.obsidian.md/syntax and https://help.obsidian.md/tags
"""

from __future__ import annotations

import re
from pathlib import PurePosixPath
from typing import TYPE_CHECKING

from rag.exporters.markdown_list import escape_block_start
from rag.exporters.notes import Note
from rag.exporters.values import collapse_space, read_details
from rag.exporters.vault import ID_FIELD, Draft, Vault, VaultReport, open_vault
from rag.papers.citation_key import make_citation_key, make_key_of_id
from rag.papers.compare import find_arxiv_id

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from rag.exporters.notes import Value
    from rag.papers import Paper

# What Markdown reads, and what Obsidian and its plugins add: highlights, comments, tags, inline
# fields (key:: value), templates (<% code %>) and addresses.
_SIGNS = re.compile(
    r"[\\`*_\[\]<>&$^~@|]|(?<==)=|(?<=[%<])%|%(?=>)|#(?=\S)|(?<=:):|(?<=:)/(?=/)|(?<=\bwww)\."
)
_NOT_IN_TAG = re.compile("[\u2000-\u206f\u2e00-\u2e7f'!\"#$%&()*+,.:;<=>?@^`{|}~\\[\\]\\\\\\s]+")


def export_notes(
    papers: Iterable[Paper], folder: Path, *, is_whole: bool = False, restore: bool = False
) -> VaultReport:
    """Write a note for each paper, or update the parts of it that the user has not edited.

    Args:
        papers: each gets one note.
        folder: of the vault, or a folder in it. It is made if its parent exists.
        is_whole: whether these are all papers of the library, so that notes of others are reported.
        restore: whether notes that the user deleted are made again.

    Raises:
        SettingsError: the folder cannot be one.
        DiskError: it cannot be written, or another process writes to it.
    """
    with open_vault(folder) as vault:
        return vault.write(draft_papers(papers, vault, restore=restore), is_whole=is_whole)


def draft_papers(papers: Iterable[Paper], vault: Vault, *, restore: bool = False) -> list[Draft]:
    """Return the notes of papers, without those that the user deleted.

    A key that another paper of the vault has is replaced by the one made of the paper's id.
    """
    unique = {clean_text(paper.id): paper for paper in papers}
    keys, citing = vault.list_keys(without=unique), vault.citing
    drafts: list[Draft] = []
    for identity, paper in unique.items():
        aliases = map(clean_text, paper.aliases)
        ids = [identity, *(alias for alias in aliases if alias not in unique)]
        key = make_citation_key(paper)
        if keys.setdefault(key.lower(), identity) not in ids:
            key = make_key_of_id(paper.id)
            keys[key.lower()] = identity
        file = vault.place(ids, key, again=restore)
        if file:
            answers = dict.fromkeys(answer for each in ids for answer in citing.get(each, []))
            links = "\n".join(f"- {vault.make_link(answer)}" for answer in answers)
            note = _make_note(paper, key, PurePosixPath(file).stem, links)
            drafts.append(Draft(identity, file, note, key))
    return drafts


def _make_note(paper: Paper, key: str, stem: str, cited_in: str) -> Note:
    title = clean_text(paper.title)
    fields: Mapping[str, Value] = {
        ID_FIELD: clean_text(paper.id),
        "citekey": clean_text(key),
        "title": title,
        "aliases": tuple(dict.fromkeys(filter(None, [title, "" if key == stem else key]))),
        "authors": tuple(map(clean_text, paper.authors)),
        "year": paper.year or "",
        "venue": clean_text(paper.venue),
        "doi": clean_text(paper.doi),
        "arxiv": find_arxiv_id(paper) or "",
        "url": clean_text(paper.url),
        "zotero": clean_text(paper.zotero_link),
        "tags": make_tags(read_details(paper, "tags")),
        "collections": tuple(map(clean_text, read_details(paper, "collections"))),
        "retracted": bool(paper.retraction),
        "retraction": clean_text(paper.retraction),
    }
    sections = {"## Abstract": escape_text(paper.abstract), "## Cited in": cited_in}
    return Note(
        {name: value for name, value in fields.items() if value},
        {heading: text for heading, text in sections.items() if text},
    )


def clean_text(text: str | None) -> str:
    """Return a text on one line that UTF-8 can encode."""
    return collapse_space(text).encode("utf-8", "replace").decode()


def escape_text(text: str) -> str:
    r"""Return a text on one line that Obsidian shows as it is.

    >>> print(escape_text("#tag [[a]] %%b%% ==c== key:: <% d %>"))
    \#tag \[\[a\]\] %\%b%\% =\=c=\= key:\: \<\% d \%\>
    """
    return escape_block_start(_SIGNS.sub(r"\\\g<0>", clean_text(text)))


def make_tags(tags: Iterable[str]) -> tuple[str, ...]:
    """Return tags of Obsidian: words joined by hyphens, "/" between levels, not only digits.

    >>> make_tags(["Machine learning", "and/or", "1984", "Tea & sleep", "tea-sleep", "C++"])
    ('Machine-learning', 'and/or', '_1984', 'Tea-sleep', 'C')
    """
    made: dict[str, str] = {}
    for tag in tags:
        words = _NOT_IN_TAG.sub("-", clean_text(tag))
        levels = [level.strip("-") for level in words.split("/")]
        text = "/".join(filter(None, levels))
        text = f"_{text}" if re.fullmatch(r"[\d/]+", text) else text
        made.setdefault(text.casefold(), text)
    return tuple(filter(None, made.values()))
