"""The conversation: questions in, views of the page out, as the answer comes.

The layout calls it with the session of a page. It does not know Gradio.
"""

from __future__ import annotations

import asyncio
import logging
import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from rag.answer import Done, Turn
from rag.errors import RagError
from rag.generation.job import Job, Stopped
from rag.serving.limits import RateLimit, check_question
from rag.web import cards, render
from rag.web.examples import list_examples
from rag.web.history import History, dump_session, is_renamed
from rag.web.view import View

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Generator, Sequence

    from rag.answer import Answer, AnswerEvent
    from rag.assistant import Assistant
    from rag.papers import Paper
    from rag.retrieval import Hit
    from rag.serving.library_pool import LibraryPool
    from rag.web.session import Session

_MOST_TURNS = 100  # of one conversation
_BUG = "Something went wrong on the server. Its log has the details. Ask again, or reload the page."
_log = logging.getLogger("papertrail.page")
_WITH_MODEL = 24  # questions at once; they wait for the model most of the time


class ChatHandler:
    """Answers the questions of all visitors, each in their own session."""

    def __init__(self, pool: LibraryPool, history: History, rate_limit: RateLimit) -> None:
        self.pool = pool
        self.history = history
        self.rate_limit = rate_limit
        count = _WITH_MODEL if pool.settings.writer else max(2, os.cpu_count() or 2)
        self.workers = ThreadPoolExecutor(count, thread_name_prefix="question")

    def close(self) -> None:
        """Close the pool of threads without waiting for them."""
        self.workers.shutdown(wait=False, cancel_futures=True)

    def show(self, session: Session, *, note: str = "") -> View:
        """Return the whole conversation."""
        numbers = range(1, len(session.turns) + 1)
        past = "".join(self._render_turn(session, number) for number in numbers)
        return View(
            past=past or self._render_welcome(session),
            live="",
            sources=cards.render_panel(session.turns),
            busy=False,
            note=note,
        )

    async def ask(
        self,
        session: Session,
        question: str,
        *,
        as_list: bool = False,
        as_written: bool = False,
        replaces: int | None = None,
    ) -> AsyncIterator[View]:
        """Answer a question, or list the papers of a subject. Views show the answer as it grows.

        `as_written` is as in `Assistant.ask`. The answer replaces the turn with the number
        `replaces` and all later ones.
        """
        question = question.strip()
        if problem := self._check(session, question):
            yield View(note=problem)
            return
        if replaces is not None:
            first = session.turns[:1] if replaces == 1 else []
            if first and not is_renamed(session.title, first[0].question):
                session.title = ""
            session.turns = session.turns[: replaces - 1]
            session.libraries = session.libraries[: replaces - 1]
        if not session.conversation_id:
            session.start_conversation()
        session.editing, session.pending = None, question
        session.as_list, session.as_written = as_list, as_written
        state = self.pool.get_state(session.library)
        status = "Waiting for a free worker" if state.kind == "ready" else state.text
        draft = render.Draft(question, len(session.turns) + 1, status)
        live = render.render_draft(draft)
        yield View(kept=len(session.turns), live=live, question="", busy=True, note="")
        session.job = job = Job(lambda: self._open_stream(session, question))
        self.workers.submit(job.run)
        try:
            async for view in self._follow(session, job, draft):
                yield view
        finally:
            job.stop()
            session.job = None

    def stop(self, session: Session) -> View:
        """Stop the question that is being answered. Its own views show that."""
        if session.job:
            session.job.stop()
        return View()

    async def retry(self, session: Session, *, as_written: bool = False) -> AsyncIterator[View]:
        """Ask the last question again, as it was asked or `as_written`.

        The new answer replaces the old one.
        """
        session.editing, as_written = None, as_written or session.as_written
        question, replaces = session.pending, None
        if not question and session.turns:
            question, replaces = session.turns[-1].question, len(session.turns)
        async for view in self.ask(
            session, question, as_list=session.as_list, as_written=as_written, replaces=replaces
        ):
            yield view

    def edit(self, session: Session, number: int) -> View:
        """Put a question back into the box. Asked again, it replaces what came after it."""
        questions = [turn.question for turn in session.turns]
        if session.pending:
            questions.append(session.pending)
        if not 1 <= number <= len(questions):
            return View()
        session.editing = number
        later = len(session.turns) - number
        note = f"Editing question {number}. Asking it again replaces its answer"
        note += f" and the {later} after it." if later > 0 else "."
        return View(question=questions[number - 1], note=f"{note} Press Escape to leave it.")

    def cancel(self, session: Session) -> View:
        """Stop editing a question. The page puts back what the box held."""
        session.editing = None
        return View(note="")

    async def suggest(self, session: Session) -> AsyncIterator[View]:
        """Show next questions below the last answer if a language model proposes some."""
        if not session.turns or session.job or not session.choices.get("with_model", True):
            return
        turns, answer = session.turns, session.turns[-1].answer
        try:
            questions = await asyncio.to_thread(self._get_assistant(session).suggestions, answer)
        except RagError:
            return  # nobody asked for them
        if questions and session.turns is turns and not session.job:
            last = self._render_turn(session, len(turns), suggestions=tuple(questions))
            yield View(turn=last)

    def save(self, session: Session) -> View:
        """Save the conversation: on disk for a signed-in user, else in the browser."""
        if session.user is None:
            return View(message={"kind": "store", "conversation": dump_session(session)})
        note = self.history.save(session, session.user)
        return View(note=note or None).merge(self.list_saved(session))

    def list_saved(self, session: Session) -> View:
        """List the conversations that the server keeps. Without a user the browser has its own."""
        message: dict[str, Any] = {"kind": "list", "active": session.conversation_id}
        if session.user is not None:
            message["conversations"] = self.history.list(session.user)
        return View(message=message)

    def find_other_libraries(self, session: Session) -> list[str]:
        """Return the titles of the libraries that answered turns, without the current one."""
        here = self.pool.get_title(session.library)
        return [each for each in dict.fromkeys(session.libraries) if each not in ("", here)]

    def _get_assistant(self, session: Session) -> Assistant:
        """Return the assistant of the session's library with the reader's choices."""
        changes = dict(session.choices)
        with_model = changes.pop("with_model", True)
        settings = self.pool.get_settings(session.library).model_copy(update=changes)
        assistant = self.pool.get_assistant(session.library)
        return assistant.with_settings(settings, with_model=with_model)

    def _open_stream(self, session: Session, question: str) -> Generator[AnswerEvent, None, None]:
        assistant, where = self._get_assistant(session), session.where
        if session.as_list:
            yield from assistant.stream_list(question, where=where)
        else:
            yield from assistant.stream(
                question,
                history=tuple(session.turns),
                where=where,
                as_written=session.as_written,
            )

    async def _follow(
        self, session: Session, job: Job[AnswerEvent], draft: render.Draft
    ) -> AsyncIterator[View]:
        """Yield a view for each event of a question at work."""
        try:
            async for event in job.iter_events():
                if isinstance(event, Done):
                    self._add_turn(session, draft.question, event.answer)
                    number = len(session.turns)
                    last = self._render_turn(session, number)
                    section = cards.render_section(event.answer, number)
                    view = View(turn=last, live="", section=section, busy=False)
                    yield view.merge(self.save(session))
                    return
                draft.add(event)
                yield View(live=render.render_draft(draft))
        except Stopped:
            yield View(live=render.render_failure(draft, "Stopped.", stopped=True), busy=False)
        except RagError as error:
            yield View(live=render.render_failure(draft, str(error)), busy=False)
        except Exception:  # noqa: BLE001 - the page goes on; the log has it
            _log.exception("a question failed")
            yield View(live=render.render_failure(draft, _BUG), busy=False)

    def _add_turn(self, session: Session, question: str, answer: Answer) -> None:
        lean = _strip_answer(answer, self.pool.get_papers(session.library))
        session.turns = [*session.turns, Turn(question, lean)]
        session.libraries = [*session.libraries, self.pool.get_title(session.library)]
        session.title = session.title or question
        session.pending = ""
        self.rate_limit.count_tokens(session.user, answer.usage)

    def _render_turn(
        self, session: Session, number: int, *, suggestions: tuple[str, ...] = ()
    ) -> str:
        """Render a turn. It names its library where not all are of the current one."""
        turn = session.turns[number - 1]
        library = session.libraries[number - 1] if self.find_other_libraries(session) else ""
        return render.render_turn(
            turn.question, turn.answer, number, suggestions=suggestions, library=library
        )

    def _check(self, session: Session, question: str) -> str:
        """Return why a question is refused, or ""."""
        if problem := check_question(question):
            return problem
        if session.job:
            return "An answer is being written. Stop it or wait for its end."
        if len(session.turns) >= _MOST_TURNS:
            return f"This conversation has {_MOST_TURNS} questions. Start a new one."
        return self.rate_limit.count_question(session.user)

    def _render_welcome(self, session: Session) -> str:
        state = self.pool.get_state(session.library)
        if state.kind != "ready":
            return render.render_welcome((), state.text)
        examples = list_examples(self.pool, session.library)
        return render.render_welcome(examples, f"You are asking the {state.text}.")


def _strip_answer(answer: Answer, papers: Sequence[Paper]) -> Answer:
    """Return an answer without what only retrieval needs, sharing the library's papers.

    A server holds many answers.
    """
    known = {paper.id: paper for paper in papers}

    def share(paper: Paper) -> Paper:
        return known[paper.id] if known.get(paper.id) == paper else paper

    def trim(hits: Sequence[Hit]) -> tuple[Hit, ...]:
        return tuple(
            replace(h, paper=share(h.paper), passages=(), sentences=h.sentences[:1], stages={})
            for h in hits
        )

    statements = tuple(
        replace(each, citations=tuple(replace(c, paper=share(c.paper)) for c in each.citations))
        for each in answer.statements
    )
    hits, closest = trim(answer.hits), trim(answer.closest)
    return replace(answer, hits=hits, closest=closest, statements=statements)
