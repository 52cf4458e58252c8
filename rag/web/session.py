"""What the server remembers of one open page: its conversation and its choices."""

from __future__ import annotations

from dataclasses import dataclass, field
from secrets import token_hex
from typing import TYPE_CHECKING, Any

from rag.errors import RagError
from rag.web.table import TableState
from rag.web.view import Outbox

if TYPE_CHECKING:
    from rag.answer import Turn
    from rag.web.jobs import Job


class NotYours(RagError):
    """A page belongs to another user than the one who asks."""

    exit_code = 2


@dataclass
class Choices:
    """What a reader has chosen in the Settings tab; None takes the server's value."""

    k: int | None = None
    sentences: int | None = None
    with_model: bool = True
    check_with_model: bool | None = None


@dataclass
class Session:
    """One open page.

    Attributes:
        user: the name of the signed-in user, or None where nobody signs in.
        identity: of the conversation.
        title: of the conversation; its first question unless the reader gave it another.
        turns: oldest first.
        asked_of: for each turn what readers call the library that answered; empty if unknown.
        library: a library of the user's data folder in place of the page's own.
        sight: what of the library is looked at.
        picked: ids of the papers that are selected in the Library tab.
        only: ids of the papers that questions are answered from; empty for all.
        choices: of the Settings tab.
        editing: number of the turn that the next question of the box replaces.
        pending: the question that was stopped or failed, to be retried.
        updated: when the conversation was read or kept on the server (ms since 1970).
        job: the question being answered.
        outbox: what the page was just sent.
    """

    user: str | None = None
    identity: str = ""
    title: str = ""
    turns: list[Turn] = field(default_factory=list)
    asked_of: list[str] = field(default_factory=list)
    library: str | None = None
    sight: TableState = field(default_factory=TableState)
    picked: frozenset[str] = frozenset()
    only: frozenset[str] = frozenset()
    choices: Choices = field(default_factory=Choices)
    editing: int | None = None
    pending: str = ""
    updated: int | None = None
    job: Job | None = None
    outbox: Outbox = field(default_factory=Outbox)
    claimed: bool = False

    def claim(self, user: str | None) -> None:
        """Binds the page to who opened it; later calls check that it is still they.

        Raises:
            NotYours: somebody else asks.
        """
        if not self.claimed:
            self.user, self.claimed = user, True
        if self.user != user:
            raise NotYours("You are signed in as somebody else now; reload the page.")

    def begin_conversation(self) -> None:
        """Starts an empty one; the choices stay."""
        self.identity, self.title = token_hex(8), ""
        self.turns, self.asked_of = [], []
        self.editing, self.pending, self.updated = None, "", None

    @property
    def where(self) -> Any:
        """The restriction on papers, or None."""
        from rag.index.filter import Filter

        return Filter(ids=tuple(sorted(self.only))) if self.only else None
