"""Limits on what one user may send and try."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

MOST_FILES = 20  # of one upload
LARGEST_FILE_BYTES = 50_000_000
LARGEST_TOTAL_BYTES = 100_000_000
LARGEST_PASTE = 2_000_000  # characters

_FREE_TRIES = 3  # wrong passwords before waits begin
_LONGEST_WAIT_S = 60.0
_FORGET_S = 900.0
_MOST_REMEMBERED = 10_000


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
