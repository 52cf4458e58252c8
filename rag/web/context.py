"""How the page is served, and what all its visitors share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rag.errors import SettingsError
from rag.serving.library_pool import LibraryPool
from rag.serving.limits import RateLimit
from rag.settings import is_loopback
from rag.web.chat_handler import ChatHandler
from rag.web.history import History
from rag.web.uploads import UploadStore

if TYPE_CHECKING:
    from pathlib import Path

    from rag.settings import Settings


_USER_LIMITS = (120, 500_000)  # questions an hour and tokens a day of a user who signs in


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """Address, accounts and limits of the page."""

    host: str = "127.0.0.1"  # to listen on
    port: int | None = None  # None takes the first free one from 7860 on
    users: Path | None = None  # file of accounts; required where others can reach the page
    allow_edit: bool = False  # whether signed-in users may change libraries
    questions_per_hour: int | None = None  # of one user; None limits only users who sign in
    tokens_per_day: int | None = None  # of one user's answers; None limits only users who sign in

    @property
    def is_loopback(self) -> bool:
        """Return whether only this machine can reach the page."""
        return is_loopback(self.host)

    @property
    def is_private(self) -> bool:
        """Return whether the page is for its owner alone: on loopback, without accounts."""
        return self.is_loopback and self.users is None

    @property
    def rate_limit(self) -> RateLimit:
        """Return what one user may ask. The owner of a private page sets its only limits."""
        questions, tokens = (None, None) if self.users is None else _USER_LIMITS
        return RateLimit(
            questions=self.questions_per_hour or questions, tokens=self.tokens_per_day or tokens
        )

    def check(self) -> None:
        """Raise if others could reach the page without accounts.

        Raises:
            SettingsError: the address is not loopback and `users` names no file.
        """
        if not self.is_loopback and self.users is None:
            raise SettingsError(
                f"On {self.host} others can reach the page. Name a file of accounts with --users "
                "FILE, and create it with `rag app-user add NAME FILE`."
            )


@dataclass(frozen=True, slots=True)
class AppContext:
    """Parts that all visitors share."""

    options: ServerOptions
    pool: LibraryPool
    chat: ChatHandler
    uploads: UploadStore

    @classmethod
    def create(cls, settings: Settings, options: ServerOptions) -> AppContext:
        """Create the parts. Opens no library yet."""
        pool = LibraryPool(settings)
        history = History(settings.data_dir / "page" / "conversations")
        return cls(options, pool, ChatHandler(pool, history, options.rate_limit), UploadStore())

    @property
    def may_edit(self) -> bool:
        """Return whether visitors may change libraries."""
        return self.options.is_private or self.options.allow_edit

    def stop(self) -> None:
        """Let work on libraries stop at its next block. A signal handler may call this."""
        self.pool.stop()

    def close(self) -> None:
        """Close everything. A second call does nothing."""
        self.stop()
        self.chat.close()
        self.uploads.close()
        self.pool.close()
