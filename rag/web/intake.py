"""Papers that a reader brings: uploaded or pasted, read, added, and reported.

Nothing that the client names becomes a path: what was uploaded is read where the server put it, and
its name is only shown.
"""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from rag.errors import CorpusError
from rag.papers import Paper
from rag.readers import Refused, iter_papers
from rag.web.escape import safe

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from rag.index import IndexReport

MOST_FILES = 20
LARGEST_FILE_BYTES = 50_000_000
LARGEST_TOTAL_BYTES = 100_000_000
LARGEST_PASTE = 2_000_000  # characters
_SHOWN_PROBLEMS = 20
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9 _-]{0,47}")


@dataclass(frozen=True, slots=True)
class Brought:
    """A file as it lies on the server, and what its owner calls it."""

    path: Path
    name: str


def check_name(name: str) -> str:
    """A name for a new library.

    Raises:
        CorpusError: it cannot be one.
    """
    name = name.strip()
    if not _NAME.fullmatch(name):
        raise CorpusError(
            "Give the new library a name of letters, digits, blanks, '-' and '_', at most 48."
        )
    return name


def check_sizes(files: Sequence[Brought], pasted: str) -> None:
    """Refuses what is too much, or nothing.

    Raises:
        CorpusError: nothing was brought, or too many or too large files.
    """
    if not files and not pasted.strip():
        raise CorpusError("Choose files or paste text first.")
    if len(files) > MOST_FILES:
        raise CorpusError(f"At most {MOST_FILES} files at once; these are {len(files)}.")
    sizes = [file.path.stat().st_size for file in files]
    if any(size > LARGEST_FILE_BYTES for size in sizes) or sum(sizes) > LARGEST_TOTAL_BYTES:
        raise CorpusError(
            f"A file may have {LARGEST_FILE_BYTES // 1_000_000} MB, all together "
            f"{LARGEST_TOTAL_BYTES // 1_000_000} MB; use `rag index` for larger ones."
        )
    if len(pasted) > LARGEST_PASTE:
        raise CorpusError(f"Paste at most {LARGEST_PASTE:,} characters; upload a file instead.")


def records(files: Sequence[Brought], pasted: str) -> Iterator[Paper | Refused]:
    """What files and pasted text hold; one that cannot be read at all is one refusal."""
    for file in files:
        yield from _read(file)
    if pasted.strip():
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "pasted"
            path.write_text(pasted, encoding="utf-8", errors="replace")
            yield from _read(Brought(path, "pasted text"))


def _read(file: Brought) -> Iterator[Paper | Refused]:
    own, told = str(file.path), False
    try:
        for found in iter_papers(file.path):
            if isinstance(found, Refused):
                told = True
                yield replace(found, path=file.name)
            else:
                sources = tuple(file.name if each == own else each for each in found.sources)
                yield replace(found, sources=sources)
    except CorpusError as error:
        if not told:
            yield Refused(file.name, None, _reason(str(error), own))


def _reason(sentence: str, path: str) -> str:
    """Why a file was refused, without where it lies on the server."""
    return sentence.removeprefix(f"{path}: ").replace(path, "the file")


def report(found: IndexReport) -> str:
    """What was added, merged or refused, as HTML."""
    intake = found.intake
    counts = [
        (len(intake.added), "added"),
        (len(set(intake.changed)), "changed"),
        (len(set(intake.merged)), "merged with papers that were there"),
        (intake.unchanged, "there already"),
        (len(intake.removed), "removed"),
        (len(intake.refused), "refused"),
    ]
    said = ", ".join(f"{count:,} {words}" for count, words in counts if count) or "nothing changed"
    problems = [str(refused) for refused in intake.refused]
    problems += intake.warnings
    if intake.without_abstract:
        problems.append(
            f"{len(intake.without_abstract)} without abstract are found by their titles only."
        )
    more = len(problems) - _SHOWN_PROBLEMS
    items = "".join(f'<li dir="auto">{safe(each)}</li>' for each in problems[:_SHOWN_PROBLEMS])
    items += f"<li>… and {more} more.</li>" if more > 0 else ""
    return (
        f'<div class="report" role="status"><p><strong>Done:</strong> {said}. The library has '
        f"{found.papers:,} papers.</p>{f'<ul>{items}</ul>' if items else ''}</div>"
    )


def progress(sentence: str) -> str:
    """What is being done, as HTML."""
    return (
        '<div class="report" role="status"><p class="doing"><span class="pulse" '
        f'aria-hidden="true"></span>{safe(sentence)}</p></div>'
    )


def refusal(sentence: str) -> str:
    """Why nothing was done, as HTML."""
    return f'<p class="note error" role="alert">{safe(sentence)}</p>'
