"""Find names that are similar to one that does not exist, for messages."""

from __future__ import annotations

from difflib import get_close_matches
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

_MOST = 10


def list_similar(wanted: str, names: Iterable[str]) -> list[str]:
    """Return the names that are most similar to a wanted one, in any case, else the first ones.

    >>> list_similar("caffein", ["Tea", "Caffeine"]), list_similar("Nope", ["Tea", "Caffeine"])
    (['Caffeine'], ['Caffeine', 'Tea'])
    """
    folded = {name.casefold(): name for name in names}
    near = get_close_matches(wanted.casefold(), folded, n=_MOST)
    return [folded[each] for each in near or sorted(folded)[:_MOST]]
