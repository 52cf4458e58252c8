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
    from rag.answer import AnswerEvent, Turn
    from rag.generation.job import Job


@dataclass
class Session:
    """One open page.

    Turns are oldest first. `choices` holds the settings that the reader changed, by name, and
    `with_model`, which is false for answers without the language model.
    """

    user: str | None = None  # None where nobody signs in
    is_claimed: bool = False  # whether a user has opened the page
    conversation_id: str = ""  # 16 hexadecimal digits
    title: str = ""  # the first question until the reader renames the conversation
    turns: list[Turn] = field(default_factory=list)
    libraries: list[str] = field(default_factory=list)  # of each turn: its title, or ""
    updated: int | None = None  # when the server read or saved the conversation (ms since 1970)
    editing: int | None = None  # number of the turn that the next question from the box replaces
    pending: str = ""  # a question that was stopped or failed, to be retried
    as_list: bool = False  # whether the last question was asked with the List switch
    as_written: bool = False  # whether the last question was searched for as it stands
    job: Job[AnswerEvent] | None = None  # the question that is being answered
    library: str | None = None  # name of a library in the data folder, or None for the page's own
    table: TableState = field(default_factory=TableState)  # what the Library tab shows
    selected: frozenset[str] = frozenset()  # ids of the papers selected in the Library tab
    only: frozenset[str] = frozenset()  # ids of the papers that are asked; empty for all
    choices: dict[str, Any] = field(default_factory=dict)
    outbox: Outbox = field(default_factory=Outbox)  # what the page was just sent

    def claim(self, user: str | None) -> None:
        """Bind the page to the user who opened it. Later calls check that it is the same user.

        Raises:
            RagError: it is another one.
        """
        if not self.is_claimed:
            self.user, self.is_claimed = user, True
        if self.user != user:
            raise RagError("You are signed in as another user now. Reload the page.")

    def start_conversation(self) -> None:
        """Start an empty conversation. The choices stay."""
        self.conversation_id, self.title = token_hex(8), ""
        self.turns, self.libraries = [], []
        self.editing, self.pending, self.updated = None, "", None
        self.as_list = self.as_written = False

    @property
    def where(self) -> Filter | None:
        """Return the filter for the papers that are asked, or None for all."""
        return Filter(ids=tuple(sorted(self.only))) if self.only else None
