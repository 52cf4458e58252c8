"""What each user may ask within a time, so that one cannot use up a server for the others.

A page without accounts is one user's, and has bounds only where its owner sets them.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from typing import TYPE_CHECKING

from rag.text.terms import LONGEST_QUESTION_CHARS, has_words

if TYPE_CHECKING:
    from collections.abc import Callable

    from rag.llm import Usage

_HOUR_S = 3600.0
_DAY_S = 24 * _HOUR_S


def unfit(question: str) -> str:
    """The sentence that refuses what is no question, or is more than a search reads; or ""."""
    if not has_words(question):
        return "Write a question first."
    if len(question) > LONGEST_QUESTION_CHARS:
        return f"The question is longer than {LONGEST_QUESTION_CHARS:,} characters; shorten it."
    return ""


class RateLimit:
    """Counts questions an hour and tokens a day, for each user; may be shared by threads."""

    def __init__(
        self,
        *,
        questions: int | None = None,
        tokens: int | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """Sets the bounds.

        Args:
            questions: most questions an hour; None for no bound.
            tokens: most tokens of language models a day; None for no bound.
            now: seconds on a clock that never goes back.
        """
        self._questions = questions
        self._tokens = tokens
        self._now = now
        self._asked: dict[str | None, deque[float]] = {}
        self._spent: dict[str | None, deque[tuple[float, int]]] = {}
        self._lock = threading.Lock()

    def take(self, user: str | None) -> str:
        """Counts a question; the sentence that refuses it, or ""."""
        with self._lock:
            now = self._now()
            asked = self._asked.setdefault(user, deque())
            while asked and asked[0] <= now - _HOUR_S:
                asked.popleft()
            spent = self._spent.setdefault(user, deque())
            while spent and spent[0][0] <= now - _DAY_S:
                spent.popleft()
            if self._questions is not None and len(asked) >= self._questions:
                minutes = int((asked[0] + _HOUR_S - now) // 60) + 1
                return (
                    f"You have asked {self._questions:,} question{'s' * (self._questions != 1)} "
                    "within an hour, as many as this "
                    f"server allows; ask again in {minutes} minute{'s' * (minutes != 1)}."
                )
            if self._tokens is not None and sum(count for _, count in spent) >= self._tokens:
                return (
                    f"Your questions have used {self._tokens:,} tokens within a day, as many as "
                    "this server allows; ask again tomorrow, or without the language model."
                )
            asked.append(now)
            return ""

    def spend(self, user: str | None, usage: Usage) -> None:
        """Counts the tokens of an answer."""
        tokens = usage.prompt_tokens + usage.completion_tokens
        if tokens:
            with self._lock:
                self._spent.setdefault(user, deque()).append((self._now(), tokens))
