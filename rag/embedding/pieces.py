"""Read texts as word pieces, in windows that a model can take."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from rag.text.folding import fold_text, locate_folded

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from numpy.typing import NDArray
    from tokenizers import Tokenizer

SURROGATE = re.compile("[\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Pieces:
    """Word pieces of a text without its prompt, and the windows that hold them.

    Attributes:
        ids: vocabulary id of each piece.
        names: each piece as the tokenizer spells it.
        offsets: start and end of each piece in characters.
        windows: token ids that the model reads, with special tokens and prompt.
        first: position of the first piece in a window.
        last: number of special tokens at the end of a window.
        prompt: number of pieces of the prompt in each window.
    """

    ids: list[int]
    names: list[str]
    offsets: list[tuple[int, int]]
    windows: list[NDArray[np.int64]]
    first: int
    last: int
    prompt: int


class PieceReader:
    """Reads texts with one tokenizer.

    Attributes:
        before: ids that the tokenizer puts before every text.
        after: ids that it puts after every text.
        highest: highest id in its vocabulary.
    """

    def __init__(self, tokenizer: Tokenizer) -> None:
        """Take a tokenizer from `open_tokenizer`."""
        self._tokenizer = tokenizer
        self.highest = max(tokenizer.get_vocab(with_added_tokens=True).values(), default=0)
        read = tokenizer.encode("a")
        inside = [index for index, special in enumerate(read.special_tokens_mask) if not special]
        first, last = (inside[0], inside[-1] + 1) if inside else (len(read.ids), len(read.ids))
        self.before, self.after = read.ids[:first], read.ids[last:]

    def read(self, text: str, *, prompt: str, max_length: int) -> Pieces:
        """Return the pieces of a text in windows of at most `max_length` positions."""
        # The tokenizer refuses halves of surrogate pairs. The stand-in keeps the offsets valid.
        text = SURROGATE.sub("\ufffd", text)
        plain = fold_text(text)
        read = self._tokenizer.encode(prompt + plain, add_special_tokens=False)
        skipped = sum(end <= len(prompt) for _, end in read.offsets)
        ids = read.ids[skipped:]
        before = self.before + read.ids[:skipped]
        if not (before or ids or self.after):
            before = [0]  # a model without special tokens needs something to read
        offsets = [_trim(plain, *span, len(prompt)) for span in read.offsets[skipped:]]
        if plain != text:
            places = [*locate_folded(text), len(text)]
            offsets = [(places[start], places[max(start, end - 1)] + 1) for start, end in offsets]
        room = max(max_length - len(before) - len(self.after), 1)
        return Pieces(
            ids,
            read.tokens[skipped:],
            offsets,
            _split_windows(before, ids, self.after, room),
            first=len(before),
            last=len(self.after),
            prompt=skipped,
        )


def open_tokenizer(path: Path) -> Tokenizer:
    """Open a tokenizer. It neither cuts nor pads, and reads "[SEP]" in a text as text."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.no_truncation()
    tokenizer.no_padding()
    tokenizer.encode_special_tokens = True
    return tokenizer


def pad_windows(
    windows: Sequence[Sequence[int] | NDArray[np.int64]],
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return token ids and mask of windows, each (windows, longest)."""
    ids = np.zeros((len(windows), max(len(window) for window in windows)), np.int64)
    mask = np.zeros_like(ids)
    for row, window in enumerate(windows):
        ids[row, : len(window)] = window
        mask[row, : len(window)] = 1
    return ids, mask


def is_content(piece: str, stop_words: frozenset[str]) -> bool:
    """Return whether a word piece is neither a stop word nor punctuation. "##ing" is content.

    Some tokenizers mark the beginning of a word instead of its continuation.

    >>> [is_content(piece, frozenset({"the"})) for piece in ("graph", "##s", "the", "-")]
    [True, True, False, False]
    >>> [is_content(piece, frozenset({"the"})) for piece in ("\u2581The", "\u0120graph", "\u2581")]
    [False, True, False]
    """
    if piece.startswith("##"):
        return True
    word = piece.lstrip("\u2581\u0120").lower()
    return word not in stop_words and any(character.isalnum() for character in word)


def _trim(text: str, start: int, end: int, shift: int) -> tuple[int, int]:
    """Return the offsets of a piece without a prompt of length `shift` and white space."""
    start, end = max(start - shift, 0), end - shift
    while start < end and text[start].isspace():
        start += 1
    return start, end


def _split_windows(
    before: Sequence[int], ids: Sequence[int], after: Sequence[int], room: int
) -> list[NDArray[np.int64]]:
    """Split the pieces of a text into windows, each between the same ids.

    The windows of a long text have equal length, so that none is a stub without context. No pieces
    give one empty window.
    """
    count = max(1, -(-len(ids) // room))
    parts = np.array_split(np.array(ids, np.int64), count)
    return [np.concatenate([before, part, after]).astype(np.int64) for part in parts]
