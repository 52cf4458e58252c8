"""The Library tab: the papers of a library, adding and removing them, asking about some only.

The bundled library never changes: papers added there start a library of the reader's own. Whether
visitors may change anything is checked here, whatever the page shows.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rag.errors import CorpusError, RagError
from rag.exporters import export_papers
from rag.index.filter import Filter
from rag.library import update_library
from rag.web import table, uploads
from rag.web.escape import escape, render_button, render_doing, shorten
from rag.web.view import View, make_download, make_say

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Iterator, Sequence

    from rag.index import IndexReport
    from rag.papers import Paper
    from rag.readers import Record
    from rag.web.context import AppContext
    from rag.web.session import Session
    from rag.web.uploads import Upload

_TABLE_ACTIONS = ("find", "filter", "sort", "turn")
ACTIONS = {*_TABLE_ACTIONS, "pick", "unpick", "only", "all", "papers", "library"}
_POLL_S = 0.2
_LOCK_WAIT_S = 5.0


class LibraryTab:
    """Shows libraries, and changes them where that is allowed."""

    def __init__(self, context: AppContext) -> None:
        self._context = context
        self._pool = context.pool
        self._changing = threading.Lock()

    @property
    def may_choose(self) -> bool:
        """Return whether visitors may go to another library. Not if the owner named one."""
        return self._context.may_edit and self._pool.settings.origin.get("index") != "argument"

    def show(self, session: Session) -> View:
        """Return the whole tab."""
        papers = self._pool.get_papers(session.library)
        session.table = replace(session.table, problem="")  # the fields are drawn without it
        return self._show_papers(session, papers).merge(
            View(
                filters=table.render_filters(papers, session.table.where or Filter()),
                heading=self._render_heading(session),
                scope=render_scope(session),
            )
        )

    def run(self, session: Session, action: dict[str, Any]) -> View:
        """Do what a button of the tab asks for."""
        name = action["act"]
        if name == "library":
            return self._open_library(session, str(action.get("text", "")))
        papers = self._pool.get_papers(session.library)
        if name in _TABLE_ACTIONS:
            session.table = session.table.apply(action)
            return self._show_papers(session, papers)
        if name == "papers":
            return self._download(session, papers, str(action.get("form")))
        if name == "pick":
            return self._select(session, papers, action)
        if name in ("unpick", "all"):
            session.only = frozenset()
            if name == "unpick":
                session.selected = frozenset()
        if name == "only" and session.selected:
            session.only = session.selected
            return View(scope=render_scope(session), message={"kind": "tab", "tab": "Ask"})
        return self.show(session)

    def return_to_library(self, session: Session, name: str) -> View:
        """Open the library that the browser chose last, if that is still possible."""
        if not name or not self.may_choose:
            return View()
        try:
            return self._open_library(session, name)
        except RagError:
            session.library = None
            title = self._pool.get_title(None)
            note = f"The library {shorten(name, 60)} no longer exists. This is the {title}."
            return self.show(session).merge(View(library="", note=note))

    async def add(
        self, session: Session, files: Sequence[Upload], pasted: str, name: str
    ) -> AsyncIterator[View]:
        """Add papers. Yields progress, and a report at the end."""
        is_new = self._pool.is_bundled(session.library)
        try:
            self._check_edit()
            uploads.check_sizes(files, pasted)
            target = self._check_new_name(name) if is_new else session.library
            async for view in self._change(target, uploads.read_uploads(files, pasted)):
                yield view
        except RagError as error:
            yield View(report=uploads.render_problem(str(error)))
            return
        finally:
            for file in files:
                with contextlib.suppress(OSError):
                    file.path.unlink()
        if is_new:
            self._set_library(session, target)
        view = await asyncio.to_thread(self.show, session)
        yield view.merge(View(library=target if is_new else None, message={"kind": "added"}))

    async def remove(self, session: Session) -> AsyncIterator[View]:
        """Remove the selected papers from the library."""
        try:
            self._check_edit()
            if self._pool.is_bundled(session.library):
                raise CorpusError("The bundled library never changes. Add papers to your own.")
            async for view in self._change(session.library, remove=tuple(session.selected)):
                yield view
        except RagError as error:
            yield View(report=uploads.render_problem(str(error)))
            return
        session.selected = session.only = frozenset()
        yield await asyncio.to_thread(self.show, session)

    def _check_edit(self) -> None:
        if not self._context.may_edit:
            raise CorpusError(
                "You cannot change libraries on this server. Its owner can allow it with "
                "--allow-edit."
            )

    def _check_new_name(self, name: str) -> str:
        name = uploads.check_library_name(name)
        if name in self._pool.list_names():
            raise CorpusError(f"There is a library “{name}”. Open it above, or use another name.")
        return name

    async def _change(
        self,
        name: str | None,
        records: Iterable[Record] = (),
        *,
        remove: tuple[str, ...] = (),
    ) -> AsyncIterator[View]:
        """Change a library in a thread. Yields progress, then the report."""
        step = "Reading …"

        def show_progress(done: int, total: int) -> None:
            nonlocal step
            self._pool.check_running()
            step = f"Indexing: {done:,} of {total:,} papers …"

        def read() -> Iterator[Record]:
            for record in records:
                self._pool.check_running()
                yield record

        def update() -> IndexReport:
            with self._changing:
                return update_library(
                    read(),
                    settings=self._pool.get_settings(name),
                    embedder=self._pool.get_assistant().embedder,
                    remove=remove,
                    on_progress=show_progress,
                    lock_timeout_s=_LOCK_WAIT_S,
                )

        task = asyncio.create_task(asyncio.to_thread(update))
        # nobody waits for what it raises after the server has stopped
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        shown = ""
        while not task.done():
            self._pool.check_running()  # one block may take longer than the server keeps listening
            if step != shown:
                shown = step
                yield View(report=f'<div class="report" role="status">{render_doing(shown)}</div>')
            await asyncio.wait({task}, timeout=_POLL_S)
        report = task.result()
        await asyncio.wrap_future(self._pool.open(name))
        yield View(report=uploads.render_report(report))

    def _open_library(self, session: Session, name: str) -> View:
        if not self.may_choose or (name and name not in self._pool.list_names()):
            raise CorpusError("There is no such library. Reload the page.")
        self._set_library(session, name or None)
        self._pool.get_assistant(session.library)
        return self.show(session).merge(View(library=name))

    def _set_library(self, session: Session, name: str | None) -> None:
        session.library, session.table = name, table.TableState()
        session.selected = session.only = frozenset()

    def _select(self, session: Session, papers: Sequence[Paper], action: dict[str, Any]) -> View:
        paper_id = str(action.get("id", ""))
        if action.get("on"):
            known = {paper.id for paper in papers}
            session.selected = (session.selected | {paper_id}) & known
        else:
            session.selected -= {paper_id}
        return View(chosen=self._show_papers(session, papers).chosen)

    def _list(self, session: Session, papers: Sequence[Paper]) -> list[Paper]:
        """Return the papers that fit filters and query, in the order of the table."""
        state = session.table
        if state.problem:
            return []
        if state.where:
            papers = self._pool.get_assistant(session.library).papers(where=state.where)
        return table.select_papers(papers, state)

    def _download(self, session: Session, papers: Sequence[Paper], form: str) -> View:
        """Download the selected papers, or without any those of all pages of the table."""
        wanted = [paper for paper in papers if paper.id in session.selected]
        if session.table.problem and not wanted:
            return make_say(session.table.problem)
        wanted = wanted or self._list(session, papers)
        if form == "json":
            values = [paper.to_dict() for paper in wanted]
            text = json.dumps(values, ensure_ascii=False, indent=1)
            return make_download("papers.json", "application/json", text)
        return make_download("papers.bib", "application/x-bibtex", export_papers(wanted, "bibtex"))

    def _show_papers(self, session: Session, papers: Sequence[Paper]) -> View:
        """Return the table, and what can be done with the papers in it."""
        listed, state = self._list(session, papers), session.table
        bundled = self._pool.is_bundled(session.library)  # its files mean nothing to readers
        columns = table.list_columns(papers, source=not bundled)
        html = table.render_table(listed, state, columns, session.selected)
        if state.problem:
            html = f'<p class="hint" role="alert">{escape(state.problem)}</p>'
        may_edit = self._context.may_edit and not bundled
        counts = (len(session.selected), len(listed), len(papers))
        return View(table=html, chosen=table.render_selection(*counts, may_edit=may_edit))

    def _render_heading(self, session: Session) -> str:
        """Render the library's name, what you may do with it, and the way to others."""
        text = self._pool.get_state(session.library).text
        bundled = self._pool.is_bundled(session.library)
        if not self._context.may_edit:
            words = "You can read it here, not change it."
        elif bundled:
            words = "It came with Papertrail and never changes. Papers you add start your own."
        else:
            words = "You can add and remove papers."
        others = self._render_choice(session) if self.may_choose else ""
        return (
            f'<div class="library {"bundled" if bundled else "own"}">'
            f"<p><strong>{escape(text[:1].upper() + text[1:])}.</strong> {words}</p>{others}</div>"
        )

    def _render_choice(self, session: Session) -> str:
        names = self._pool.list_names()
        options = "".join(
            f'<option value="{escape(value)}"{" selected" * (value == (session.library or ""))}>'
            f"{escape(words)}</option>"
            for value, words in [("", self._pool.get_title(None)), *zip(names, names, strict=True)]
        )
        select = f'<select id="library" data-change="library">{options}</select>'
        return f"<label>Library {select}</label>" if names else ""


def render_scope(session: Session) -> str:
    """Render the line above the question box while only some papers are asked."""
    count = len(session.only)
    if not count:
        return ""
    words = f"Asking {count:,} selected paper{'s' * (count != 1)} only"
    return f"<p>{words}{render_button('Ask all papers', act='all')}</p>"
