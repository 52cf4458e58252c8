"""The conversation: questions in, views of the page out, as the answer comes.

Called by the layout with the session of the page; knows nothing of Gradio.
"""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rag.answer import Done, Status, Text, Turn, Verified
from rag.errors import RagError
from rag.web import cards, render
from rag.web.examples import examples_of
from rag.web.history import History, is_renamed, saved_values
from rag.web.jobs import Job, Stopped, Workers
from rag.web.limits import RateLimit, unfit
from rag.web.view import View, joined

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator, Sequence

    from rag.answer import Answer, AnswerEvent, Statement
    from rag.papers import Paper
    from rag.settings import Settings
    from rag.web.library_pool import LibraryPool
    from rag.web.session import Session

_MOST_TURNS = 100  # of one conversation


class ChatHandler:
    """Answers the questions of all visitors, each in their own session."""

    def __init__(self, pool: LibraryPool, history: History, bounds: RateLimit) -> None:
        """Wires the libraries, the kept conversations and what a user may spend."""
        self.pool = pool
        self.history = history
        self.bounds = bounds
        self.workers = Workers(with_model=bool(pool.settings.chat_model))

    def close(self) -> None:
        """Lets go of the threads."""
        self.workers.close()

    def shown(self, session: Session, *, note: str = "") -> View:
        """The whole conversation as it stands."""
        past = self._welcome(session)
        if session.turns:
            past = render.turns(session.turns, self._asked_of(session))
        return View(past=past, live="", sources=cards.panel(session.turns), busy=False, note=note)

    async def ask(
        self, session: Session, question: str, *, replaces: int | None = None
    ) -> AsyncIterator[View]:
        """Answers a question; the views show it growing.

        Args:
            session: of the page that asks.
            question: any text.
            replaces: number of the turn whose place the answer takes, with all after it.
        """
        question = question.strip()
        if refusal := self._refusal(session, question, len(session.turns)):
            yield View(note=refusal)
            return
        if replaces is not None:
            if replaces == 1 and not is_renamed(session.title, session.turns[0].question):
                session.title = ""
            session.turns = session.turns[: replaces - 1]
            session.asked_of = session.asked_of[: replaces - 1]
        session.editing = None
        if not session.identity:
            session.begin_conversation()
        session.pending = question
        number = len(session.turns) + 1
        yield View(
            kept=number - 1,
            live=render.writing(question, number, "", self._waiting(session)),
            question="",
            busy=True,
            note="",
        )
        draft = _Draft(question, number)
        session.job = job = Job(lambda: self._events(session, question))
        self.workers.start(job)
        try:
            async for view in self._written(session, job, draft):
                yield view
        finally:
            job.stop()
            session.job = None

    def stop(self, session: Session) -> None:
        """Stops the question that is being answered."""
        if session.job:
            session.job.stop()

    async def retry(self, session: Session) -> AsyncIterator[View]:
        """Asks the last question again, in place of its answer."""
        session.editing = None
        question, replaces = session.pending, None
        if not question and session.turns:
            question, replaces = session.turns[-1].question, len(session.turns)
        async for view in self.ask(session, question, replaces=replaces):
            yield view

    def edit(self, session: Session, number: int) -> View:
        """Puts a question back into the box; asked again, it replaces what came after it."""
        questions = [turn.question for turn in session.turns]
        if session.pending:
            questions.append(session.pending)
        if not 1 <= number <= len(questions):
            return View()
        session.editing = number
        later = len(session.turns) - number
        note = f"Editing question {number}; asking it again replaces its answer"
        note += f" and the {later} after it." if later > 0 else "."
        return View(question=questions[number - 1], note=f"{note} Escape leaves it as it was.")

    def cancel(self, session: Session) -> View:
        """Leaves the question that is edited as it was; the page puts back what the box held."""
        session.editing = None
        return View(note="")

    async def suggest(self, session: Session) -> View:
        """Next questions below the last answer, where a language model proposes some."""
        if not session.turns or session.job or not session.choices.with_model:
            return View()
        turns, answer = session.turns, session.turns[-1].answer
        try:
            found = await asyncio.to_thread(self._assistant(session).suggestions, answer)
        except RagError:
            return View()  # nobody asked for them
        if not found or session.turns is not turns or session.job:
            return View()
        return View(turn=self._last(session, suggestions=tuple(found)))

    def settings(self, session: Session) -> Settings:
        """The settings of a session: the server's, with what its reader chose."""
        chosen = session.choices
        own = self.pool.settings_of(session.library)
        changes = {
            "k": chosen.k,
            "sentences": chosen.sentences,
            "check_with_model": chosen.check_with_model,
        }
        return own.model_copy(update={n: v for n, v in changes.items() if v is not None})

    def _assistant(self, session: Session) -> Any:
        assistant = self.pool.assistant(session.library)
        return assistant.with_settings(
            self.settings(session), with_model=session.choices.with_model
        )

    def _events(self, session: Session, question: str) -> Generator[AnswerEvent, None, None]:
        events: Generator[AnswerEvent, None, None] = self._assistant(session).stream(
            question, history=tuple(session.turns), where=session.where
        )
        return events

    async def _written(self, session: Session, job: Job, draft: _Draft) -> AsyncIterator[View]:
        try:
            async for event in job.events():
                if isinstance(event, Done):
                    number = self._remember(session, draft.question, event.answer)
                    written = View(
                        turn=self._last(session),
                        live="",
                        section=cards.section(event.answer, number),
                        busy=False,
                    )
                    yield joined(written, self.kept(session))
                    return
                draft.take(event)
                yield View(live=draft.html)
        except Stopped:
            yield View(live=draft.failed("Stopped.", stopped=True), busy=False)
        except RagError as error:
            yield View(live=draft.failed(str(error)), busy=False)

    def _remember(self, session: Session, question: str, answer: Answer) -> int:
        """Keeps a turn; its number."""
        session.turns = [
            *session.turns,
            Turn(question, _lean(answer, self.pool.papers(session.library))),
        ]
        session.asked_of = [*session.asked_of, self.pool.title(session.library)]
        session.title = session.title or question
        session.pending = ""
        self.bounds.spend(session.user, answer.usage)
        return len(session.turns)

    def kept(self, session: Session) -> View:
        """Keeps the conversation on disk for a signed-in user, else has the browser keep it."""
        if session.user is None:
            return View(message={"kind": "store", "conversation": saved_values(session)})
        told = self.history.keep(session, session.user)
        listing = self.history.listing(session.user)
        message = {"kind": "list", **listing, "active": session.identity}
        return View(note=told or None, message=message)

    def _last(self, session: Session, *, suggestions: tuple[str, ...] = ()) -> str:
        turn, number = session.turns[-1], len(session.turns)
        library = self._asked_of(session)[-1]
        return render.turn(
            turn.question, turn.answer, number, suggestions=suggestions, library=library
        )

    def _asked_of(self, session: Session) -> list[str]:
        """The library of each turn, to be shown; empty where all are of the one at hand."""
        if self.other_libraries(session):
            return session.asked_of
        return [""] * len(session.turns)

    def other_libraries(self, session: Session) -> list[str]:
        """The libraries that turns were asked of, beside the one that is asked now."""
        here = self.pool.title(session.library)
        return [each for each in dict.fromkeys(session.asked_of) if each not in ("", here)]

    def _refusal(self, session: Session, question: str, turns: int) -> str:
        if sentence := unfit(question):
            return sentence
        if session.job:
            return "An answer is being written; stop it or wait for its end."
        if turns >= _MOST_TURNS:
            return f"This conversation has {_MOST_TURNS} questions; begin a new one."
        return self.bounds.take(session.user)

    def _waiting(self, session: Session) -> str:
        state = self.pool.state(session.library)
        return "Waiting for a free place" if state.kind == "ready" else state.text

    def _welcome(self, session: Session) -> str:
        state = self.pool.state(session.library)
        about = f"You are asking the {state.text}." if state.kind == "ready" else state.text
        ready = state.kind == "ready"
        return render.welcome(examples_of(self.pool, session.library) if ready else (), about)


def _lean(answer: Answer, papers: Sequence[Paper]) -> Answer:
    """An answer without what only retrieval needs, its papers those of the library, not copies.

    A server holds many answers.
    """
    known = {paper.id: paper for paper in papers}

    def own(paper: Paper) -> Paper:
        return known[paper.id] if known.get(paper.id) == paper else paper

    hits, closest = (
        tuple(
            replace(hit, paper=own(hit.paper), passages=(), sentences=hit.sentences[:1], stages={})
            for hit in some
        )
        for some in (answer.hits, answer.closest)
    )
    statements = tuple(
        replace(each, citations=tuple(replace(c, paper=own(c.paper)) for c in each.citations))
        for each in answer.statements
    )
    return replace(answer, hits=hits, closest=closest, statements=statements)


class _Draft:
    """An answer as far as it is written."""

    def __init__(self, question: str, number: int) -> None:
        self.question = question
        self._number = number
        self._text = ""
        self._status = ""
        self._statements: tuple[Statement, ...] = ()

    def take(self, event: AnswerEvent) -> None:
        if isinstance(event, Status):
            self._status = event.text
        elif isinstance(event, Text):
            self._text += event.delta
        elif isinstance(event, Verified):
            self._statements = event.statements

    @property
    def html(self) -> str:
        return render.writing(
            self.question, self._number, self._text, self._status, self._statements
        )

    def failed(self, sentence: str, *, stopped: bool = False) -> str:
        return render.failed(self.question, self._number, self._text, sentence, stopped=stopped)
