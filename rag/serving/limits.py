"""Limits on questions, so that nobody uses up a server for the others.

A page without accounts belongs to one user and limits questions only where its owner asks for it.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from typing import TYPE_CHECKING

from rag.text.terms import LONGEST_QUESTION_CHARS, has_words

if TYPE_CHECKING:
    from collections.abc import Callable

    from rag.llm import Usage

_HOUR_S = 3600.0
_DAY_S = 24 * _HOUR_S


def check_question(question: str) -> str:
    """Return why a question cannot be asked, or "" if it can."""
    if not has_words(question):
        return "Write a question first."
    if len(question) > LONGEST_QUESTION_CHARS:
        return f"The question is longer than {LONGEST_QUESTION_CHARS:,} characters. Shorten it."
    return ""


class RateLimit:
    """Most questions an hour and tokens a day of each user. None sets no limit."""

    def __init__(
        self,
        *,
        questions: int | None = None,
        tokens: int | None = None,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._questions = questions
        self._tokens = tokens
        self._now = now
        self._asked: dict[str | None, list[float]] = defaultdict(list)
        self._spent: dict[str | None, list[tuple[float, int]]] = defaultdict(list)
        self._lock = threading.Lock()

    def count_question(self, user: str | None) -> str:
        """Count a question. Return why it is refused, or ""."""
        with self._lock:
            now = self._now()
            asked = [since for since in self._asked[user] if since > now - _HOUR_S]
            spent = [each for each in self._spent[user] if each[0] > now - _DAY_S]
            self._asked[user], self._spent[user] = asked, spent
            if self._questions is not None and len(asked) >= self._questions:
                minutes = int((asked[0] + _HOUR_S - now) // 60) + 1
                return (
                    f"You have asked {self._questions:,} question{'s' * (self._questions != 1)} "
                    "within an hour, which is this server's limit. Ask again in "
                    f"{minutes} minute{'s' * (minutes != 1)}."
                )
            if self._tokens is not None and sum(count for _, count in spent) >= self._tokens:
                return (
                    f"Your questions have used {self._tokens:,} tokens within a day, which is this "
                    "server's limit. Ask again tomorrow, or without the language model."
                )
            asked.append(now)
            return ""

    def compute_wait_s(self, user: str | None) -> float:
        """Return how many seconds after a refusal the oldest question or tokens no longer count."""
        with self._lock:
            now = self._now()
            asked = self._asked[user]
            if self._questions is not None and len(asked) >= self._questions:
                return asked[0] + _HOUR_S - now
            return self._spent[user][0][0] + _DAY_S - now if self._spent[user] else 0.0

    def count_tokens(self, user: str | None, usage: Usage) -> None:
        """Count the tokens of an answer."""
        tokens = usage.prompt_tokens + usage.completion_tokens
        if tokens:
            with self._lock:
                self._spent[user].append((self._now(), tokens))
