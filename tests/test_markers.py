"""Citation markers in a streamed reply, and the statements they belong to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.markers import LONGEST_HELD, Marker, MarkerReader
from rag.statements import split_statements


def read(text, size=0):
    """Adjacent text joined; markers as they come."""
    reader, found = MarkerReader(), []
    step = size or max(1, len(text))
    for start in range(0, len(text), step):
        found += reader.feed(text[start : start + step])
    found += reader.finish()
    joined = []
    for piece in found:
        if isinstance(piece, str) and joined and isinstance(joined[-1], str):
            joined[-1] += piece
        else:
            joined.append(piece)
    return joined


def numbers(text):
    return [piece.numbers for piece in read(text) if isinstance(piece, Marker)]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("A [1].", [(1,)]),
        ("A [1,2] and [3, 4; 5].", [(1, 2), (3, 4, 5)]),
        ("A [1-3] and [2–4].", [(1, 2, 3), (2, 3, 4)]),
        ("A [1][2].", [(1,), (2,)]),
        ("A [[1]].", [(1,)]),
        ("A 【1】 b ［2］ c ［１，２］.", [(1,), (2,), (1, 2)]),
        ("A 【1†source】 【3:0†x】.", [(1,), (3,)]),
        ("A [^1] [ 2 ] [1 and 2] [1 & 3].", [(1,), (2,), (1, 2), (1, 3)]),
        ("A [Source 1] [source 1, 2] [Paper 3].", [(1,), (1, 2), (3,)]),
        ("A [3, 1, 3].", [(3, 1)]),
        ("[MASK] [CLS] [x] [see 3] [a1] [] [ ]", []),
        ("in [2020] and [0, 1] and [-1]", []),
        ("[1](https://x.org) and [text](https://x.org/[1]) [2]", [(2,)]),
        ("[1]: https://x.org\n[2] is cited", [(2,)]),
        ("`a[1]` ```\nb[2]\n``` [3]", [(3,)]),
        ("$x[1]$ $$y[2]$$ \\(z[3]\\) \\[w[4]\\] [5]", [(5,)]),
        ("costs $5 and $6 [1], `never closed [2]", [(1,), (2,)]),
        ("half a marker [1", []),
        ("[1, 2", []),
    ],
)
def test_markers_are_found_where_they_are_and_nowhere_else(text, found):
    assert numbers(text) == found


@pytest.mark.parametrize("text", ["[0]", "[7-3]", "[12345]", "[1-900]"])
def test_numbers_that_no_paper_can_have_are_told(text):
    (marker,) = read(text)
    assert marker.numbers == ()
    assert marker.invalid


REPLIES = st.text(
    alphabet=st.sampled_from(list("[]()【】［］0123,;-–^`$\\\n: ab.†&")), max_size=120
) | st.text(max_size=60)


@given(REPLIES, st.integers(1, 9))
def test_any_cutting_gives_the_same_pieces(text, size):
    assert read(text, size) == read(text)


@given(REPLIES)
def test_no_character_is_lost(text):
    assert "".join(p if isinstance(p, str) else p.raw for p in read(text)) == text


@given(REPLIES)
def test_numbers_are_in_range_and_little_is_held_back(text):
    reader = MarkerReader()
    for character in text:
        for piece in reader.feed(character):
            if isinstance(piece, Marker):
                assert all(1 <= number <= 999 for number in piece.numbers)
        assert len(reader._held) <= LONGEST_HELD + 3


@pytest.mark.parametrize(
    "text", ["1" * 10_000, "[" * 10_000, "$" * 10_000, "`" * 10_000, "[1" * 5000]
)
def test_long_runs_are_text_and_never_pile_up(text):
    reader = MarkerReader()
    longest = 0
    shown = ""
    for character in text:
        shown += "".join(p if isinstance(p, str) else p.raw for p in reader.feed(character))
        longest = max(longest, len(reader._held))
    shown += "".join(p if isinstance(p, str) else p.raw for p in reader.finish())
    assert shown == text
    assert longest <= LONGEST_HELD + 3


def statements(text):
    pieces = [piece if isinstance(piece, str) else piece.numbers for piece in read(text)]
    shown, found = split_statements(pieces)
    for each in found:
        assert 0 <= each.start < each.end <= len(shown)
    return [(each.text, each.numbers) for each in found if each.claim]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("It works [1]. It scales [2].", [("It works.", (1,)), ("It scales.", (2,))]),
        ("It works. [1] It scales. [2]", [("It works.", (1,)), ("It scales.", (2,))]),
        ("It works [1][2], they say [1].", [("It works, they say.", (1, 2))]),
        ("[1] shows it. So does [2].", [("shows it.", (1,)), ("So does.", (2,))]),
        ("Two things:\n- one [1]\n- two [2]", [("one", (1,)), ("two", (2,))]),
        ("1. First [1].\n2. Second.", [("First.", (1,)), ("Second.", ())]),
        ("## Head\n\nBody [1].", [("Body.", (1,))]),
        ("**Bold** claim [1].", [("Bold claim.", (1,))]),
        ("Is it so? It is [1].", [("It is.", (1,))]),
        ("```\ncode [1]\n```\nText [2].", [("Text.", (2,))]),
        ("Line one\n[1]", [("Line one", (1,))]),
        ("Smith et al. found it [1].", [("Smith et al. found it.", (1,))]),
        ("", []),
        ("[1]", []),
    ],
)
def test_markers_belong_to_the_statement_they_stand_at(text, found):
    assert statements(text) == found


@given(REPLIES)
def test_statements_lie_in_order_within_the_text(text):
    pieces = [piece if isinstance(piece, str) else piece.numbers for piece in read(text)]
    shown, found = split_statements(pieces)
    for each in found:
        assert 0 <= each.start <= each.end <= len(shown)
