"""Count tokens with tiktoken and the table that llama-index-core ships; nothing is downloaded."""

from __future__ import annotations

import os
import threading
from functools import cache
from typing import TYPE_CHECKING

from rag.files import find_bundled_table

if TYPE_CHECKING:
    from tiktoken import Encoding

_encoding_lock = threading.Lock()


def count_tokens(text: str) -> int:
    """Return the number of o200k_base tokens in a text, 0 for "".

    Text that spells a special token ("<|endoftext|>") is counted as the plain text it is.

    >>> count_tokens("Every claim is cited.")
    5
    """
    with _encoding_lock:
        encoding = _load_encoding()
    return len(encoding.encode(text, disallowed_special=()))


@cache
def _load_encoding() -> Encoding:
    """Load the encoding from the shipped table. The caller holds the lock.

    tiktoken reads the folder from the environment only, and downloads what it does not find there.
    """
    import tiktoken

    folder = find_bundled_table("tiktoken_cache", "fb374d419588a4632f3f557e76b4b70aebbca790").parent
    before = {name: os.environ[name] for name in ["TIKTOKEN_CACHE_DIR"] if name in os.environ}
    os.environ["TIKTOKEN_CACHE_DIR"] = str(folder)
    try:
        return tiktoken.get_encoding("o200k_base")
    finally:
        del os.environ["TIKTOKEN_CACHE_DIR"]
        os.environ |= before
