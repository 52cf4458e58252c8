"""Limits: what one user may ask, send and try, so that nobody uses up a server for the others.

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

MOST_FILES = 20  # of one upload
LARGEST_FILE_BYTES = 50_000_000
LARGEST_TOTAL_BYTES = 100_000_000
LARGEST_PASTE = 2_000_000  # characters

_HOUR_S = 3600.0
_DAY_S = 24 * _HOUR_S
_FREE_TRIES = 3  # wrong passwords before waits begin
_LONGEST_WAIT_S = 60.0
_FORGET_S = 900.0
_MOST_REMEMBERED = 10_000


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

    def count_tokens(self, user: str | None, usage: Usage) -> None:
        """Count the tokens of an answer."""
        tokens = usage.prompt_tokens + usage.completion_tokens
        if tokens:
            with self._lock:
                self._spent[user].append((self._now(), tokens))


class LoginThrottle:
    """Wrong passwords, counted for each name and each address. Waits grow with every one."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._wrong: dict[str, tuple[int, float]] = {}

    def compute_wait_s(self, *keys: str) -> float:
        """Return how many seconds to wait before the next try. 0 means none."""
        return max(self._compute_wait_s(key) for key in keys)

    def add(self, *keys: str) -> None:
        """Count a try, as wrong until `remove` takes it back."""
        if len(self._wrong) > _MOST_REMEMBERED:
            self._wrong.clear()
        for key in keys:
            count, last = self._wrong.get(key, (0, 0.0))
            is_recent = self._now() - last < _FORGET_S
            self._wrong[key] = ((count if is_recent else 0) + 1, self._now())

    def remove(self, key: str) -> None:
        """Take back one try, since it was right."""
        count, last = self._wrong.get(key, (0, 0.0))
        self._wrong[key] = (max(0, count - 1), last)

    def reset(self, key: str) -> None:
        """Forget all wrong tries of a key."""
        self._wrong.pop(key, None)

    def _compute_wait_s(self, key: str) -> float:
        count, last = self._wrong.get(key, (0, 0.0))
        if count < _FREE_TRIES:
            return 0.0
        wait = min(2.0 ** (count - _FREE_TRIES), _LONGEST_WAIT_S)
        return max(0.0, last + wait - self._now())
