"""Folder of notes: find our notes, name new ones, and write what has changed.

A note is found by the id in its front matter, so you may rename it and move it within the folder.
`.papertrail.json` remembers what we wrote last. It is replaced before the notes, with the marks of
both texts, and after them, so a run that is interrupted at any moment can be repeated. Called by
`rag.exporters.obsidian` and `rag.answer.obsidian`.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import unicodedata
from collections import Counter
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path, PurePosixPath
from secrets import token_hex
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

import filelock
from pydantic import BaseModel, TypeAdapter

from rag.errors import DiskError, SettingsError
from rag.exporters.notes import ABSENT, Marks, Merged, Note, make_new, merge_note, read_field
from rag.exporters.values import collapse_space
from rag.files import explain_os_error, replace_file

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping, Sequence

ID_FIELD = "papertrail"  # key of the front matter that holds the id of a note

_STATE_NAME = ".papertrail.json"
_LOCK_NAME = ".papertrail.lock"
_DRAFT = re.compile(r"\.papertrail-note-[0-9a-f]{16}")
_BUSY = "another program has just changed it"
_Outcome = Literal["written", "updated", "unchanged", "busy"]
_WAIT_S = 60.0  # for another process that writes notes
_HEAD_BYTES = 100_000  # of a note, in which its id is looked for
_STEM_BYTES = 100
# Not allowed in file names, or in links of Obsidian, or read as something else in a link.
# Sources: https://learn.microsoft.com/windows/win32/fileio/naming-a-file
# and https://help.obsidian.md/links
_NOT_IN_NAME = re.compile(r'[\[\]#^|\\/:*?"<>$`]|%%+')
_NOT_IN_LABEL = re.compile(r"[\[\]|<>$`*^&]|%%+")
_DEVICES = re.compile(r"(?i:con|prn|aux|nul|conin\$|conout\$|(?:com|lpt)[0-9¹²³])(?=\.|$)")


def make_stem(text: str) -> str:
    """Return a file name, without its ending, that every system and Obsidian's links can hold.

    >>> make_stem("doi:10.1000/xyz"), make_stem("con"), make_stem("What is 50% of [x]?")
    ('doi-10.1000-xyz', '_con', 'What is 50% of -x')
    """
    text = unicodedata.normalize("NFC", collapse_space(text))
    visible = "".join("-" if unicodedata.category(sign)[0] == "C" else sign for sign in text)
    stem = re.sub(r"-{2,}", "-", _NOT_IN_NAME.sub("-", visible)).strip(" .-")
    stem = stem.encode()[:_STEM_BYTES].decode(errors="ignore").strip(" .-") or "note"
    return f"_{stem}" if _DEVICES.match(stem) else stem


@dataclass(frozen=True, slots=True)
class Draft:
    """Note to write.

    Attributes:
        id: of the paper or answer.
        file: path in the vault, as `Vault.place` gave it.
        note: its content.
        key: citation key of a paper.
        cites: ids of the papers that an answer cites.
    """

    id: str
    file: str
    note: Note
    key: str = ""
    cites: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class VaultReport:
    """Result of writing notes. Notes are named by their path in the vault.

    Attributes:
        written: new notes.
        updated: notes of which a part was changed.
        unchanged: number of notes that needed no change.
        kept: parts that differ from the library because the user edited or deleted them: note and
            key or heading.
        left_alone: notes that are not updated, each with the reason, copies of others among them.
        deleted: notes that the user deleted. They are not made again.
        gone: notes of papers that the library does not have, where all of it was exported.
    """

    written: tuple[str, ...] = ()
    updated: tuple[str, ...] = ()
    unchanged: int = 0
    kept: tuple[tuple[str, str], ...] = ()
    left_alone: tuple[tuple[str, str], ...] = ()
    deleted: tuple[str, ...] = ()
    gone: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return plain JSON values."""
        return {
            **asdict(self),
            "kept": [{"note": note, "part": part} for note, part in self.kept],
            "left_alone": [{"note": note, "reason": why} for note, why in self.left_alone],
        }

    @property
    def lines(self) -> list[str]:
        """Report in words: the counts, then what was not written."""
        count = len(self.written)
        counts = f"{count} note{'s' * (count != 1)} written, {len(self.updated)} updated"
        return [
            f"{counts}, {self.unchanged} unchanged.",
            *_name_some(
                "kept, edited by you",
                [f"{part.lstrip('# ')} of {note}" for note, part in self.kept],
            ),
            *_name_some("left alone", [f"{note} ({why})" for note, why in self.left_alone]),
            *_name_some("deleted by you, not made again", self.deleted),
            *_name_some("kept, not of this library", self.gone),
        ]


def _name_some(label: str, names: Sequence[str]) -> list[str]:
    more = f" and {len(names) - 5} more" if len(names) > 5 else ""
    return [f"{len(names)} {label}: {', '.join(names[:5])}{more}."] if names else []


class _Entry(NamedTuple):
    """What is remembered of a note; see `Draft`.

    Attributes:
        file: "" until it is known to have been written.
        marks: of what was written last, by part; see `rag.exporters.notes.Merged`.
    """

    file: str
    marks: Marks
    key: str = ""
    cites: Sequence[str] = ()


class _Stored(BaseModel):
    """Form in which an entry is stored."""

    file: str
    marks: dict[str, list[str]]
    key: str = ""
    cites: list[str] = []


@dataclass(slots=True)
class _Files:
    """What the folder holds.

    Attributes:
        ids: path of each note -> id in it, or None.
        taken: folded names in the folder itself.
        stems: how many notes have each folded name, without the ending.
    """

    ids: dict[str, str | None] = field(default_factory=dict)
    taken: set[str] = field(default_factory=set)
    stems: Counter[str] = field(default_factory=Counter)


@dataclass(frozen=True, slots=True)
class _Change:
    """New text of one note, and its bytes before; None for a new one."""

    draft: Draft
    before: bytes | None
    merged: Merged

    @property
    def is_due(self) -> bool:
        return self.merged.text.encode() != self.before


@contextlib.contextmanager
def open_vault(folder: Path) -> Iterator[Vault]:
    """Hold the lock of a folder of notes, which is made if missing.

    Raises:
        SettingsError: it is a file, its parent is missing, or its memory cannot be read.
        DiskError: it cannot be written, or another process writes to it.
    """
    folder = folder.expanduser()
    check_vault(folder)
    try:
        folder.mkdir(exist_ok=True)
        with filelock.FileLock(folder / _LOCK_NAME, timeout=_WAIT_S):
            yield Vault(folder.resolve())
    except filelock.Timeout as error:
        raise DiskError(
            f"Another process is writing notes to {folder}. Try again when it has finished."
        ) from error
    except OSError as error:
        raise DiskError(f"Cannot write notes to {folder} ({explain_os_error(error)}).") from error


def check_vault(folder: Path) -> None:
    """Refuse a folder that cannot be a vault.

    Raises:
        SettingsError: it is a file, or its parent is missing.
    """
    if folder.exists() and not folder.is_dir():
        raise SettingsError(f"{folder} is a file. Name the folder of the vault.")
    if not folder.parent.is_dir():
        raise SettingsError(f"There is no folder {folder.parent}. Make it, or name another vault.")


class Vault:
    """Open folder of notes. Make it with `open_vault`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._entries, self._saved = _load_entries(folder / _STATE_NAME)
        self._files = _scan_folder(folder)
        self._deleted: list[str] = []
        self._by_id: dict[str, list[str]] = {}
        recorded = {entry.file for entry in self._entries.values()}
        for file in sorted(self._files.ids, key=lambda file: (file not in recorded, file)):
            identity = self._files.ids[file]
            if identity is not None:
                self._by_id.setdefault(identity, []).append(file)

    def list_keys(self, *, without: Container[str]) -> dict[str, str]:
        """Return the id of the paper that has each citation key, in lower case.

        Args:
            without: ids of papers to leave out.
        """
        entries = ((each, entry) for each, entry in self._entries.items() if each not in without)
        return {entry.key.lower(): each for each, entry in entries if entry.key}

    def place(self, ids: Sequence[str], text: str, *, again: bool = False) -> str:
        """Return the file of a note: where it is now, else a new one.

        Args:
            ids: of the paper, the current one first.
            text: that the name of a new note is made of.
            again: whether a note that the user deleted is made again.

        Returns:
            "" if the user deleted it.
        """
        recorded = self._recall_file(ids)
        if found := self.find(ids):
            return found
        if self._files.ids.get(recorded, "") is None:  # it has lost its id
            return recorded
        if recorded and not again:
            self._deleted.append(recorded)
            return ""
        return self._name_file(ids[0], text)

    def find(self, ids: Iterable[str]) -> str:
        """Return the file of the note with the first of these ids that has one, or ""."""
        return next((self._by_id[each][0] for each in ids if each in self._by_id), "")

    def _recall_file(self, ids: Sequence[str]) -> str:
        """Return the file that a note had, or "". What is remembered goes to the current id."""
        known = next((each for each in ids if each in self._entries), None)
        if known is None:
            return ""
        if known != ids[0]:
            self._entries[ids[0]] = self._entries.pop(known)
        return self._entries[ids[0]].file

    def _name_file(self, identity: str, text: str) -> str:
        stem = make_stem(text)
        if _fold(f"{stem}.md") in self._files.taken:
            stem = f"{stem}-{sha256(identity.encode()).hexdigest()[:8]}"
        self._files.taken.add(_fold(f"{stem}.md"))
        self._files.stems[_fold(stem)] += 1
        return f"{stem}.md"

    def make_link(self, file: str, label: str = "") -> str:
        """Return a link to a note: by its name, or by its path if several notes have that name."""
        stem = PurePosixPath(file).stem
        target = stem if self._files.stems[_fold(stem)] < 2 else file.removesuffix(".md")
        label = _NOT_IN_LABEL.sub("-", label)
        return f"[[{target}|{label}]]" if label and label != target else f"[[{target}]]"

    @property
    def citing(self) -> dict[str, list[str]]:
        """Files of the answers that cite each paper, by its id, oldest first."""
        files: dict[str, list[str]] = {}
        for identity, entry in self._entries.items():
            for paper in entry.cites if identity in self._by_id else ():
                files.setdefault(paper, []).append(self._by_id[identity][0])
        return files

    def record_answer(self, identity: str, file: str, cites: Sequence[str]) -> None:
        """Let the notes of papers name an answer that cites them."""
        entry = self._entries.get(identity, _Entry("", {}))
        self._entries[identity] = entry._replace(cites=cites)
        self._by_id.setdefault(identity, [file])

    def write(self, drafts: Sequence[Draft], *, is_whole: bool = False) -> VaultReport:
        """Write new notes and the parts of others that have changed.

        Args:
            drafts: notes to write.
            is_whole: whether they are all notes that there should be of papers.
        """
        left_alone = list(self._list_copies(drafts))
        changes: list[_Change] = []
        for draft in drafts:
            plan = self._plan_change(draft)
            if isinstance(plan, _Change):
                changes.append(plan)
            else:
                left_alone.append(plan)
        done = self._apply(changes)
        kept = [each for each in changes if each.draft.file not in done["busy"]]
        return VaultReport(
            written=tuple(done["written"]),
            updated=tuple(done["updated"]),
            unchanged=len(done["unchanged"]),
            kept=tuple((each.draft.file, part) for each in kept for part in each.merged.kept),
            left_alone=(*left_alone, *((file, _BUSY) for file in done["busy"])),
            deleted=tuple(self._deleted),
            gone=tuple(self._list_other_papers(drafts)) if is_whole else (),
        )

    def _apply(self, changes: Sequence[_Change]) -> dict[_Outcome, list[str]]:
        """Write what has changed, and remember it before and after. Returns files by outcome."""
        self._save({each.draft.id: self._expect(each) for each in changes if each.is_due})
        done: dict[_Outcome, list[str]] = {outcome: [] for outcome in get_args(_Outcome)}
        known: dict[str, _Entry] = {}
        for change in changes:
            outcome = self._replace(change)
            done[outcome].append(change.draft.file)
            if outcome != "busy":
                known[change.draft.id] = _Entry(
                    change.draft.file, change.merged.marks, change.draft.key, change.draft.cites
                )
        self._save(known)
        return done

    def _list_copies(self, drafts: Iterable[Draft]) -> Iterator[tuple[str, str]]:
        for draft in drafts:
            copies = (file for file in self._by_id.get(draft.id, ()) if file != draft.file)
            yield from ((file, f"copy of {draft.file}") for file in copies)

    def _list_other_papers(self, drafts: Iterable[Draft]) -> list[str]:
        written = {draft.file for draft in drafts}
        papers = [each for each, entry in self._entries.items() if entry.key]
        files = filter(None, (self.find([each]) for each in papers))
        return [file for file in files if file not in written]

    def _plan_change(self, draft: Draft) -> _Change | tuple[str, str]:
        """Return the change to a note, or its file and why it is left alone."""
        if draft.file not in self._files.ids:
            return _Change(draft, None, make_new(draft.note))
        try:
            before = (self._folder / draft.file).read_bytes()
            text = before.decode()
        except OSError as error:
            return draft.file, explain_os_error(error)
        except UnicodeDecodeError:
            return draft.file, "it is not UTF-8 text"
        known = self._entries.get(draft.id)
        merged = merge_note(text, draft.note, known.marks if known else None)
        if merged is None:
            return draft.file, "its front matter cannot be read"
        return _Change(draft, before, merged)

    def _expect(self, change: _Change) -> _Entry:
        """Return what to remember of a note that has its old text or the new one."""
        known = self._entries.get(change.draft.id)
        old, new = known.marks if known else {}, change.merged.marks
        default = (ABSENT,) if known else ()
        both = {
            name: list(dict.fromkeys([*old.get(name, default), *new.get(name, (ABSENT,))]))
            for name in {**old, **new}
        }
        file = change.draft.file if change.before is not None else ""
        return _Entry(file, both, change.draft.key, change.draft.cites)

    def _replace(self, change: _Change) -> _Outcome:
        """Write a note that has changed, unless another program has changed it just now."""
        if not change.is_due:
            return "unchanged"
        path = self._folder / change.draft.file
        if change.before is None:
            is_same = not os.path.lexists(path)
        else:
            is_same = path.is_file() and path.read_bytes() == change.before
        if not is_same:
            return "busy"
        _replace_text(path, change.merged.text)
        return "written" if change.before is None else "updated"

    def _save(self, entries: Mapping[str, _Entry]) -> None:
        """Remember more notes: one line for each, so that version control shows what changed."""
        self._entries |= entries
        lines = (
            f"{json.dumps(each)}: {json.dumps(entry._asdict())}"
            for each, entry in self._entries.items()
        )
        text = '{"format": 1, "notes": {\n' + ",\n".join(lines) + "\n}}\n"
        if text != self._saved:
            _replace_text(self._folder / _STATE_NAME, text)
            self._saved = text


def _replace_text(path: Path, text: str) -> None:
    """Replace a file whole. A link is replaced too, not followed."""
    draft = path.with_name(f".papertrail-note-{token_hex(8)}")
    try:
        replace_file(path, text.encode(), draft)
    finally:
        draft.unlink(missing_ok=True)


def _load_entries(path: Path) -> tuple[dict[str, _Entry], str]:
    """Return what is remembered of each note, and the text of the file."""
    try:
        text = path.read_text(encoding="utf-8")
        notes = TypeAdapter(dict[str, _Stored]).validate_python(json.loads(text)["notes"])
        return {each: _Entry(**dict(entry)) for each, entry in notes.items()}, text
    except FileNotFoundError:
        return {}, ""
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise SettingsError(
            f"{path} is damaged. Restore or delete it. Without it, only parts of notes that need "
            "no change are taken for Papertrail's own."
        ) from error


def _scan_folder(folder: Path) -> _Files:
    """Read the ids of all notes, and remove what a killed run left. No link is followed."""
    files = _Files()
    files.taken = {_fold(path.name) for path in folder.iterdir()}
    for root, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(root, name)
            if _DRAFT.fullmatch(name):
                path.unlink(missing_ok=True)
            elif name.lower().endswith(".md"):
                files.stems[_fold(path.stem)] += 1
                if path.is_file() and not path.is_symlink():
                    files.ids[path.relative_to(folder).as_posix()] = _read_id(path)
    return files


def _read_id(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            head = file.read(_HEAD_BYTES)
    except OSError:  # a file of the user that we may not read
        return None
    return read_field(head.decode(errors="replace"), ID_FIELD)


def _fold(name: str) -> str:
    return unicodedata.normalize("NFC", name).casefold()
