"""Every error a user of Papertrail can meet.

RagError
├── SettingsError              a setting that cannot be used
├── CorpusError                a source file that cannot be read (path, line)
├── PromptError                a prompt file that breaks its own declaration
├── IndexMissing               no index there
├── IndexDamaged               an index that contradicts itself
├── IndexStale                 an index made with another embedder, passage setting or schema
├── IndexLocked                another process is writing
├── DiskError                  the disk is full, read-only or unreadable
├── QuestionError              questions or labelled pairs that cannot be used
├── RunMismatch                an evaluation run that does not fit what it is used with
├── JudgeFailed                a judge left too much unscored
└── ModelError(retryable)      a language model or an embedding model failed
    ├── ModelUnavailable       not reached
    ├── ModelRejected          it said no
    └── ModelReplyInvalid      it said something that cannot be read

Each message is one sentence or two: what happened, where, what to do next. The command prints the
message alone; a traceback is for bugs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class RagError(Exception):
    """Base of all errors that are not bugs.

    `exit_code` is what the command exits with: 2 for input the user can mend, 3 for a failure.
    """

    exit_code = 3


class SettingsError(RagError):
    """A setting has a value that cannot be used."""

    exit_code = 2


class CorpusError(RagError):
    """A source of papers cannot be read.

    Attributes:
        path: the file or folder, or None when there is none.
        line: the line it happened on, from 1, or None.
    """

    exit_code = 2

    def __init__(
        self, message: str, *, path: str | Path | None = None, line: int | None = None
    ) -> None:
        super().__init__(message)
        self.path = path
        self.line = line


class PromptError(RagError):
    """A prompt file is missing or contradicts the variables it declares."""

    exit_code = 2


class IndexMissing(RagError):
    """There is no index at the place named."""

    exit_code = 2


class IndexDamaged(RagError):
    """The index contradicts itself: files are missing, unreadable or do not add up."""


class IndexStale(RagError):
    """The index was made with another embedder, another passage setting or an older schema."""

    exit_code = 2


class IndexLocked(RagError):
    """Another process is writing to the index."""


class DiskError(RagError):
    """A file could not be written or read because of the disk or its permissions."""


class QuestionError(CorpusError):
    """Evaluation questions or labelled pairs cannot be used."""


class RunMismatch(RagError):
    """An evaluation run is of other questions, another index or other settings."""

    exit_code = 2


class JudgeFailed(RagError):
    """A judge left more unscored than a report can bear."""


class ModelError(RagError):
    """A model failed.

    Attributes:
        retryable: whether the same call may succeed later.
        retry_after_s: seconds that the server asks to wait before, or None.
    """

    def __init__(
        self, message: str, *, retryable: bool = False, retry_after_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.retry_after_s = retry_after_s


class ModelUnavailable(ModelError):
    """The model could not be reached, or its files are not there."""


class ModelRejected(ModelError):
    """The model refused the call."""


class ModelReplyInvalid(ModelError):
    """The model's reply cannot be read."""
