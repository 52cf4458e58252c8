"""The Library tab: what is indexed, adding and removing papers, asking about some only.

The library that came with the package is never changed: papers added there begin a library of the
reader's own. Whether visitors may change anything is checked here, whatever the page shows.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import threading
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rag.errors import CorpusError, RagError
from rag.library import update_library
from rag.web import intake, sifting, table
from rag.web.escape import safe, shortened
from rag.web.table import TableState, seen
from rag.web.view import View, joined

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Iterator, Sequence

    from rag.index import IndexReport, OnProgress
    from rag.papers import Paper
    from rag.readers import Refused
    from rag.web.context import AppContext
    from rag.web.intake import Brought
    from rag.web.session import Session

_LOOKS = ("find", "filter", "sort", "turn")
ACTIONS = {*_LOOKS, "pick", "unpick", "only", "all", "papers", "library"}
_POLL_S = 0.2
_LOCK_WAIT_S = 5.0


class LibraryTab:
    """Shows libraries and changes them where that is allowed."""

    def __init__(self, context: AppContext) -> None:
        """Wires the rooms."""
        self._context = context
        self._pool = context.pool
        self._changing = threading.Lock()

    def may_edit(self, session: Session) -> bool:
        """Whether this visitor may change the library that they look at."""
        return self._context.may_edit and not self._pool.is_bundled(session.library)

    @property
    def may_choose(self) -> bool:
        """Whether visitors may go to another library; not where the owner has named one."""
        return self._context.may_edit and self._pool.settings.origin.get("index") != "argument"

    def shown(self, session: Session) -> View:
        """The tab as it stands."""
        papers = self._pool.papers(session.library)
        session.sight = replace(session.sight, problem="")  # the fields are drawn without it
        return View(
            filters=sifting.fields(papers, session.sight.where),
            table=self._table(session, papers),
            chosen=self._chosen(session, papers),
            heading=self._heading(session),
            scope=scope(session),
        )

    def take(self, session: Session, action: dict[str, Any]) -> View:
        """Does what a button of the tab asks for."""
        name = action["act"]
        if name == "library":
            return self._go(session, str(action.get("text", "")))
        papers = self._pool.papers(session.library)
        if name in _LOOKS:
            return self._look(session, papers, action)
        if name == "papers":
            return self._download(session, papers, str(action.get("form")))
        if name == "pick":
            return self._pick(session, papers, action)
        if name in ("unpick", "all"):
            session.only = frozenset()
            if name == "unpick":
                session.picked = frozenset()
        if name == "only" and session.picked:
            session.only = session.picked
            return View(scope=scope(session), message={"kind": "tab", "tab": "Ask"})
        return self.shown(session)

    async def add(
        self, session: Session, files: Sequence[Brought], pasted: str, name: str
    ) -> AsyncIterator[View]:
        """Adds papers; the views show how far it is, and at the end a report."""
        try:
            begins = self._pool.is_bundled(session.library)
            self._check_edit()
            intake.check_sizes(files, pasted)
            target = self._new_name(name) if begins else session.library
            found = self._going_on(intake.records(files, pasted))
            async for view in self._changed(
                target, lambda tell: self._update(target, tell, records=found)
            ):
                yield view
        except RagError as error:
            yield View(report=intake.refusal(str(error)))
            return
        finally:
            for file in files:
                with contextlib.suppress(OSError):
                    file.path.unlink()
        if begins:
            session.library, session.sight = target, TableState()
            session.picked = session.only = frozenset()
        shown = await asyncio.to_thread(self.shown, session)
        went = View(library=target if begins else None, message={"kind": "added"})
        yield joined(shown, went)

    def _going_on(self, records: Iterator[Paper | Refused]) -> Iterator[Paper | Refused]:
        for record in records:
            self._pool.go_on()
            yield record

    async def remove(self, session: Session) -> AsyncIterator[View]:
        """Takes the selected papers out of the library."""
        try:
            self._check_edit()
            if self._pool.is_bundled(session.library):
                raise CorpusError("The bundled library cannot be changed; add papers to your own.")
            gone = tuple(session.picked)
            async for view in self._changed(
                session.library, lambda tell: self._update(session.library, tell, remove=gone)
            ):
                yield view
        except RagError as error:
            yield View(report=intake.refusal(str(error)))
            return
        session.picked = session.only = frozenset()
        yield await asyncio.to_thread(self.shown, session)

    def _check_edit(self) -> None:
        if not self._context.may_edit:
            raise CorpusError(
                "Libraries cannot be changed on this server; its owner can allow it with "
                "--allow-edit."
            )

    def _new_name(self, name: str) -> str:
        name = intake.check_name(name)
        if name in self._pool.named():
            raise CorpusError(f"There is a library “{name}”; open it above, or take another name.")
        return name

    def _update(
        self,
        name: str | None,
        tell: OnProgress,
        *,
        records: Any = (),
        remove: tuple[str, ...] = (),
    ) -> IndexReport:
        with self._changing:
            return update_library(
                records,
                settings=self._pool.settings_of(name),
                embedder=self._pool.assistant().embedder,
                remove=remove,
                on_progress=tell,
                lock_timeout_s=_LOCK_WAIT_S,
            )

    async def _changed(
        self, name: str | None, work: Callable[[OnProgress], IndexReport]
    ) -> AsyncIterator[View]:
        said = ["Reading …"]

        def tell(done: int, total: int) -> None:
            self._pool.go_on()
            said[0] = f"Indexing: {done:,} of {total:,} papers …"

        task = asyncio.create_task(asyncio.to_thread(work, tell))
        # what it raises after the server has ended is told nobody
        task.add_done_callback(lambda done: done.cancelled() or done.exception())
        shown = ""
        while not task.done():
            self._pool.go_on()  # a block may take longer than the server goes on listening
            if said[0] != shown:
                shown = said[0]
                yield View(report=intake.progress(shown))
            await asyncio.wait({task}, timeout=_POLL_S)
        found = task.result()
        await asyncio.wrap_future(self._pool.begin(name))
        yield View(report=intake.report(found))

    def _look(self, session: Session, papers: Sequence[Paper], action: dict[str, Any]) -> View:
        session.sight = sifting.looked(session.sight, action)
        return View(table=self._table(session, papers), chosen=self._chosen(session, papers))

    def _go(self, session: Session, name: str) -> View:
        if not self.may_choose or (name and name not in self._pool.named()):
            raise CorpusError("There is no such library to go to; reload the page.")
        session.library = name or None
        session.sight, session.picked, session.only = TableState(), frozenset(), frozenset()
        self._pool.assistant(session.library)
        return joined(self.shown(session), View(library=name))

    def returned(self, session: Session, name: str) -> View:
        """Goes to the library that the browser says was chosen here last, if that is possible."""
        if not name or not self.may_choose:
            return View()
        try:
            return self._go(session, name)
        except RagError:
            session.library = None
            lost = f"The library {shortened(name, 60)} is not here any more"
            note = f"{lost}; this is the {self._pool.title(None)}."
            return joined(self.shown(session), View(library="", note=note))

    def _pick(self, session: Session, papers: Sequence[Paper], action: dict[str, Any]) -> View:
        identity = str(action.get("id", ""))
        if action.get("on"):
            known = {paper.id for paper in papers}
            session.picked = (session.picked | {identity}) & known
        else:
            session.picked -= {identity}
        return View(chosen=self._chosen(session, papers))

    def _filtered(self, session: Session, papers: Sequence[Paper]) -> Sequence[Paper]:
        if session.sight.problem:
            return ()
        where = session.sight.where
        return self._pool.assistant(session.library).papers(where=where) if where else papers

    def _table(self, session: Session, papers: Sequence[Paper]) -> str:
        if problem := session.sight.problem:
            return f'<p class="hint" role="alert">{safe(problem)}</p>'
        bundled = self._pool.is_bundled(session.library)  # its files mean nothing to readers
        papers = self._filtered(session, papers)
        return table.table(papers, session.sight, session.picked, source=not bundled)

    def _chosen(self, session: Session, papers: Sequence[Paper]) -> str:
        shown = len(seen(self._filtered(session, papers), session.sight))
        count = len(session.picked)
        return table.chosen(count, shown, len(papers), may_edit=self.may_edit(session))

    def _download(self, session: Session, papers: Sequence[Paper], form: str) -> View:
        """The selected papers; where none is, those that the table lists on all its pages."""
        wanted = [paper for paper in papers if paper.id in session.picked]
        if session.sight.problem and not wanted:
            return View(message={"kind": "say", "text": session.sight.problem})
        wanted = wanted or seen(self._filtered(session, papers), session.sight)
        if form == "json":
            values = [paper.to_dict() for paper in wanted]
            text, kind = json.dumps(values, ensure_ascii=False, indent=1), "application/json"
        else:
            form, text, kind = "bib", table.as_bibtex(wanted), "application/x-bibtex"
        message = {"kind": "download", "name": f"papers.{form}", "type": kind, "text": text}
        return View(message=message)

    def _heading(self, session: Session) -> str:
        """Which library this is, what may be done with it, and the way to others."""
        state = self._pool.state(session.library)
        bundled = self._pool.is_bundled(session.library)
        if not self._context.may_edit:
            words = "It can be read here, not changed."
        elif bundled:
            words = "It came with Papertrail and stays as it is; papers you add begin your own."
        else:
            words = "You may add and remove papers."
        kind = "bundled" if bundled else "own"
        others = self._others(session) if self.may_choose else ""
        said = state.text[:1].upper() + state.text[1:]
        shown = f"<p><strong>{safe(said)}.</strong> {words}</p>{others}"
        return f'<div class="library {kind}">{shown}</div>'

    def _others(self, session: Session) -> str:
        names = self._pool.named()
        if not names:
            return ""
        own = self._pool.title(None)
        options = [("", own), *((name, name) for name in names)]
        shown = "".join(
            f'<option value="{safe(value)}"{" selected" * (value == (session.library or ""))}>'
            f"{safe(words)}</option>"
            for value, words in options
        )
        return f'<label>Library <select id="library" data-change="library">{shown}</select></label>'


def scope(session: Session) -> str:
    """The line above the question box while only some papers are asked."""
    count = len(session.only)
    if not count:
        return ""
    words = f"Asking {count:,} selected paper{'s' * (count != 1)} only"
    return f'<p>{words}<button type="button" data-act="all">Ask all papers</button></p>'
