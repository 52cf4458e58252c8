"""`Session`: what the server remembers of one open page."""

from __future__ import annotations

from dataclasses import dataclass, field
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from rag.errors import RagError
from rag.index.filter import Filter
from rag.web.table import TableState
from rag.web.view import Outbox

if TYPE_CHECKING:
    from rag.answer import Turn
    from rag.web.jobs import Job


class WrongUser(RagError):
    """Raised when a user asks for another user's page."""

    exit_code = 2


@dataclass
class Choices:
    """Choices of a reader in the Settings tab. None takes the server's value."""

    k: int | None = None
    sentences: int | None = None
    with_model: bool = True
    check_with_model: bool | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the choices that differ from the server's values, for the browser to keep."""
        names = ("k", "sentences", "check_with_model")
        values = {name: getattr(self, name) for name in names if getattr(self, name) is not None}
        return values if self.with_model else {**values, "with_model": False}


@dataclass
class Session:
    """One open page.

    Attributes:
        user: name of the signed-in user, or None where nobody signs in.
        conversation_id: 16 hexadecimal digits.
        title: of the conversation: its first question until the reader renames it.
        turns: oldest first.
        libraries: title of the library that answered each turn; "" if unknown.
        library: name of a library in the data folder, or None for the page's own.
        table: what the Library tab shows.
        selected: ids of the papers that are selected in the Library tab.
        only: ids of the papers that questions are answered from; empty for all.
        choices: in the Settings tab.
        editing: number of the turn that the next question from the box replaces.
        pending: a question that was stopped or failed, to be retried.
        as_list: whether the last question was asked with the List switch.
        updated: when the conversation was read or saved on the server (ms since 1970).
        job: the question that is being answered.
        outbox: what the page was just sent.
        is_claimed: whether a user has opened the page.
    """

    user: str | None = None
    conversation_id: str = ""
    title: str = ""
    turns: list[Turn] = field(default_factory=list)
    libraries: list[str] = field(default_factory=list)
    library: str | None = None
    table: TableState = field(default_factory=TableState)
    selected: frozenset[str] = frozenset()
    only: frozenset[str] = frozenset()
    choices: Choices = field(default_factory=Choices)
    editing: int | None = None
    pending: str = ""
    as_list: bool = False
    updated: int | None = None
    job: Job | None = None
    outbox: Outbox = field(default_factory=Outbox)
    is_claimed: bool = False

    def claim(self, user: str | None) -> None:
        """Bind the page to the user who opened it. Later calls check that it is the same user.

        Raises:
            WrongUser: it is another one.
        """
        if not self.is_claimed:
            self.user, self.is_claimed = user, True
        if self.user != user:
            raise WrongUser("You are signed in as another user now. Reload the page.")

    def start_conversation(self) -> None:
        """Start an empty conversation. The choices stay."""
        self.conversation_id, self.title = token_hex(8), ""
        self.turns, self.libraries = [], []
        self.editing, self.pending, self.as_list, self.updated = None, "", False, None

    @property
    def where(self) -> Filter | None:
        """Return the filter for the papers that are asked, or None for all."""
        return Filter(ids=tuple(sorted(self.only))) if self.only else None
