"""The chat page: ask, read, check and save in the browser.

    from rag.web import ServerOptions, launch

    launch(ServerOptions())

`server` serves what `layout` builds. The page sends actions (`actions`) and gets views of itself
(`view`): `chat_handler` answers, `history` saves, `render` and `cards` draw answers and sources,
`library_tab` and `settings_tab` the other tabs. Called by `rag app` and `app.py`.
"""

from __future__ import annotations

from rag.web.context import ServerOptions
from rag.web.server import launch

__all__ = ["ServerOptions", "launch"]
