"""Errors that a user of Papertrail can meet.

RagError
├── SettingsError              invalid setting
├── CorpusError                unreadable source file (path, line)
├── PromptError                prompt file that contradicts its own declaration
├── IndexMissing               no index in the folder
├── IndexDamaged               index that contradicts itself
├── IndexStale                 index with another embedder, passage setting or schema
├── IndexLocked                another process is writing
├── DiskError                  full, read-only or unreadable disk
├── QuestionError              invalid questions or labelled pairs
├── RunMismatch                evaluation run that does not fit its use
├── JudgeFailed                judge that left too much unscored
└── ModelError(retryable)      failure of a language model or an embedding model
    ├── ModelUnavailable       not reached
    │   └── ModelUnreachable   no connection, or no answer in time
    ├── ModelRejected          refused the call
    ├── PromptTooLong          refused the length of the prompt
    └── ModelReplyInvalid      unreadable reply

A message is one or two sentences: what happened, where, and what to do next. The command prints
only the message. Tracebacks are for bugs.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path


class RagError(Exception):
    """Base of all errors that are not bugs.

    `exit_code` is the exit status of the command: 2 for bad input, 3 for a failure.
    """

    exit_code = 3


class SettingsError(RagError):
    """Invalid setting."""

    exit_code = 2


class CorpusError(RagError):
    """Unreadable source of papers.

    Attributes:
        path: file or folder, or None.
        line: line of the file, from 1, or None.
    """

    exit_code = 2

    def __init__(
        self, message: str, *, path: str | Path | None = None, line: int | None = None
    ) -> None:
        super().__init__(message)
        self.path = path
        self.line = line


class PromptError(RagError):
    """Prompt file that is missing or contradicts the variables it declares."""

    exit_code = 2


class IndexMissing(RagError):
    """Folder without an index."""

    exit_code = 2


class IndexDamaged(RagError):
    """Index whose files are missing, unreadable or do not fit together."""


class IndexStale(RagError):
    """Index built with another embedder, another passage setting or an older schema."""

    exit_code = 2


class IndexLocked(RagError):
    """Index that another process is writing to."""


class DiskError(RagError):
    """File that cannot be written or read because of the disk or its permissions."""


class QuestionError(CorpusError):
    """Invalid evaluation questions or labelled pairs."""


class RunMismatch(RagError):
    """Evaluation run with other questions, another index or other settings."""

    exit_code = 2


class JudgeFailed(RagError):
    """Judge that left more unscored than a report allows."""


class ModelError(RagError):
    """Failure of a language model or an embedding model.

    Attributes:
        retryable: whether the same call may succeed later.
        retry_after_s: seconds that the server asks to wait, or None.
        shortenable: whether a shorter prompt may succeed.
    """

    def __init__(
        self,
        message: str,
        *,
        retryable: bool = False,
        retry_after_s: float | None = None,
        shortenable: bool = False,
    ) -> None:
        super().__init__(message)
        self.retryable = retryable
        self.retry_after_s = retry_after_s
        self.shortenable = shortenable


class ModelUnavailable(ModelError):
    """Model that cannot be reached, or whose files are missing."""


class ModelUnreachable(ModelUnavailable):
    """Model whose server cannot be connected to, or does not answer in time."""


class ModelRejected(ModelError):
    """Call that the model refused."""


class PromptTooLong(ModelError):
    """Prompt that is longer than what the model can read."""


class ModelReplyInvalid(ModelError):
    """Unreadable reply of a model."""
