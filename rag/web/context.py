"""`AppContext`: what all visitors of the page share."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from rag.web.chat_handler import ChatHandler
from rag.web.history import History
from rag.web.library_pool import LibraryPool
from rag.web.uploads import UploadStore

if TYPE_CHECKING:
    from rag.settings import Settings
    from rag.web.server import ServerOptions


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
