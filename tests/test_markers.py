"""Citation markers in a streamed reply, and the statements they belong to."""

from __future__ import annotations

import re

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from rag import Paper
from rag.citations.markers import LONGEST_BLOCK, LONGEST_HELD, Marker, MarkerReader
from rag.citations.resolve import MarkerResolver, Numbering
from rag.citations.statements import split_statements


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
        ("in [2020] and [2019, 2021] and [2024 edition] and [0, 1] and [-1, 1]", []),
        ("[1.5] [0.5, 0.9] [to] [no] [3D] [Table 2] [Figure 1, Section 3]", []),
        ("[1](https://x.org) and [text](https://x.org/[1]) [2]", [(1,), (2,)]),
        ("[1]: https://x.org\n[2] is cited", [(1,), (2,)]),
        ("`a[1]`\n```\nb[2]\n``` [3]", [(3,)]),
        ("```a[1]``` [2]\n  ~~~ x\n`[3]\n```\n[4]\n~~~~\n[5] > ~~~\n[6]", [(2,), (5,), (6,)]),
        ("$x[1]$ $$y[2]$$ \\(z[3]\\) \\[w[4]\\] [5]", [(5,)]),
        ("costs $5 and $6 [1], `never closed [2]", [(1,), (2,)]),
        ("A [1 or 2] [1/2] [1 + 3] [2 to 4].", [(1, 2), (1, 2), (1, 3), (2, 3, 4)]),
        ("A [3, p. 4] [3; pp. 4-5] [3, Section 4.1] [p. 4].", [(3,), (3,), (3,), ()]),
        ("A [1a] [No. 2] [doc 3] [ID 4] [+5] [6\u200b].", [(1,), (2,), (3,), (4,), (5,), (6,)]),
        ("A 〔1〕 ⟦2⟧ \\[3\\] [[4](http://x)] \\[[5]\\] [[6]", [(n,) for n in range(1, 7)]),
        ("Words¹ here.² And 10⁶ km² (QK)³ sec⁻¹ words²⁻³.", [(1,), (2,), (2, 3)]),
    ],
)
def test_markers_are_found_in_text_only(text, found):
    assert numbers(text) == found


@pytest.mark.parametrize("text", ["[0]", "[7-3]", "[12345]", "[1-900]", "[-1]", "[1000]"])
def test_numbers_that_no_paper_can_have_are_reported(text):
    (marker,) = read(text)
    assert marker.numbers == ()
    assert marker.invalid


def test_an_invalid_number_is_reported_beside_a_valid_one():
    assert read("[2, 1024]") == [Marker((2,), "[2, 1024]", ("1024",))]
    assert read("[1, 0, 77]") == [Marker((1, 77), "[1, 0, 77]", ("0",))]


@pytest.mark.parametrize(
    "text",
    [
        "See [99](#ref99). Tokens [1].",
        "Tokens [1].\n\nReferences:\n[1]: Paper A\n[99]: Paper B",
        "[99](http://x) [[99](http://x)] [[99](http://x) [99](http://x",
        "[^99]: Title",
        r"\[99\] and \[1\] and \[\[99\]\] and \[[99]\] and [\[99\]]",
        "Price is $$ 5. It predicts [99]. And [1].",
        "Price is $$ 5.\n\nIt predicts [99]. And $$ 6 [1].",
        "Foo ``` bar [99] baz [1].",
        "```\nnever closed [99]\n\nand `more [99] [1].",
        "~~~\nnever closed [99]\n```\nnor this [99] [1].",
        r"It \( costs [99]. More [1].",
        "It \\( costs [99].\nMore \\) [1].",
        r"It \[ costs [99]. More [1].",
        "A [link](that[99] does not close. [1]",
        "A [link](that[99]",
        "It predicts tokens [99",
        "It predicts tokens [1, 99",
        "It predicts tokens [99, p. 9",
        "It predicts tokens 【99†sour",
        "It predicts tokens [[99]",
        "It predicts tokens \\[99\\",
        "It predicts `tokens [99",
        "It [99, p. 3] [99; p. 3] [1 or 99] [1/99] [99a] [No. 99] [doc 99] [ID 99] [p. 99] [+99].",
        "It [99\u200b] 〔99〕 ⟦99⟧ predicts⁹⁹.",
    ],
)
def test_a_number_that_no_paper_has_never_shows(text):
    papers = [Paper("a", "A", "It predicts.")]
    for size in (1, 2, 7, len(text)):
        resolver = MarkerResolver(papers, Numbering())
        chunks = [text[at : at + size] for at in range(0, len(text), size)]
        shown = "".join(map(resolver.feed, chunks)) + resolver.finish()
        assert "9" not in shown.replace("⁹", "9")
        assert ("[1]" in shown) == bool(re.search(r"\[1(?:\\?\]|/| or|:)", text))
        assert any("99" in each or "⁹⁹" in each for each in resolver.unknown)


REPLIES = (
    st.text(alphabet=st.sampled_from(list("[]()【】［］0123,;-–^`$\\\n: ab.†&~")), max_size=120)
    | st.text(max_size=60)
    | st.lists(
        st.sampled_from(
            [*"[]()\\:†^~$` \n-,1902aprx>⟦⟧²", "```", "~~~", "$$", "](", "[[", "[1", "\n\n", "or "]
        ),
        max_size=40,
    ).map("".join)
)


@settings(max_examples=10 * settings.default.max_examples)
@example("  [1]: x", 1)
@example("  ```\n[1]\n```", 1)
@example("[2†[\\[99][^1]", 1)
@example("[[[2: \\])-", 1)
@example("$" + "a" * 78 + "$" + "[1]", 1)
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
        if not set("$`~\\](") & set(text):
            assert len(reader._held) <= LONGEST_HELD + 3


@pytest.mark.parametrize(
    "opening", ["$", "$$", "`", "```\n", "~~~\n", "\\(", "\\[", "[x](", "[1]("]
)
@pytest.mark.parametrize("filling", ["a", "a[1]", "[", "\\", "`", "$"])
def test_what_opens_and_never_closes_holds_back_little(opening, filling):
    reader = MarkerReader()
    for character in opening + filling * 3000:
        reader.feed(character)
        assert len(reader._held) <= LONGEST_BLOCK
    assert all(isinstance(piece, (str, Marker)) for piece in reader.finish())


@pytest.mark.parametrize(
    "text",
    [
        "1" * 10_000,
        "[" * 10_000,
        "`" * 10_000,
        "[1" * 5000,
        "~" * 10_000,
        "$ " * 5000,
        "]" * 10_000,
    ],
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
        (
            "[1] It predicts tokens. [1] It is small. [2] So is it.",
            [("It predicts tokens.", (1,)), ("It is small.", (1,)), ("So is it.", (2,))],
        ),
        (
            "- [1] It, as [3] says, works. [2] So it is",
            [("It, as says, works.", (1, 3)), ("So it is", (2,))],
        ),
        (
            "It is. [1] So.\n[2] One. [3] Two.",
            [("It is.", (1,)), ("So.", ()), ("One.", (2,)), ("Two.", (3,))],
        ),
        ("| It predicts [1] | x [2] |", [("It predicts", (1,)), ("x", (2,))]),
        ("| [1] It predicts | [2] x y |", [("It predicts", (1,)), ("x y", (2,))]),
        (
            "| Model | What it does all day |\n|---|:-:|\n| BERT | It masks some tokens [1] |",
            [("It masks some tokens", (1,))],
        ),
        ("| BERT | [1] |", [("BERT", (1,))]),
        (
            "| Both | It predicts | [2] | It masks | [1] |",
            [("It predicts", (2,)), ("It masks", (1,))],
        ),
        ("| BERT | [1] | It masks some tokens |", [("It masks some tokens", (1,))]),
        ("| [1] | It masks some tokens |", [("It masks some tokens", (1,))]),
        ("| BERT | [1] | [2] | It masks some tokens |", [("It masks some tokens", (1, 2))]),
        ("| BERT | [1] It masks. So it is [2]. |", [("It masks.", (1,)), ("So it is.", (2,))]),
        ("A。[1] B。C。[2]", [("A。", (1,)), ("B。", ()), ("C。", (2,))]),
        ("[1] Yes, it does. [2] So it is.", [("Yes, it does.", (1,)), ("So it is.", (2,))]),
        ("[1] It does [1]. [2] So it is [2].", [("It does.", (1,)), ("So it is.", (2,))]),
        ("Two: [1] It does. [2] So it is.", [("Two: It does.", (1,)), ("So it is.", (2,))]),
        (
            "[1] It does. It is so. [2] So it is. [3]",
            [("It does.", (1,)), ("It is so.", (2,)), ("So it is.", (3,))],
        ),
        ("「甲！」[1]乙？丙", [("「甲！」", (1,)), ("丙", ())]),
        ("~~~\ncode\n```\nx\n~~~\nText [2].", [("Text.", (2,))]),
        ("```\nnot closed [1].", [("not closed.", (1,))]),
    ],
)
def test_markers_belong_to_the_statement_they_stand_at(text, found):
    assert statements(text) == found


ROWS = st.lists(st.sampled_from(["| ", "A ", "It is so ", ". ", "[1] ", "[2] ", "\n"]), max_size=40)


@given(REPLIES | ROWS.map("".join))
def test_statements_lie_in_order_within_the_text(text):
    pieces = [piece if isinstance(piece, str) else piece.numbers for piece in read(text)]
    shown, found = split_statements(pieces)
    ends = [0, *(each.end for each in found)]
    for each, end_before in zip(found, ends, strict=False):
        assert end_before <= each.start <= each.end <= len(shown)


def test_the_offsets_of_many_statements_are_those_of_the_shown_text():
    text = "".join(f"{'[1] ' * (n % 3)}Number {n} says so [2]. " for n in range(3000))
    pieces = [piece if isinstance(piece, str) else piece.numbers for piece in read(text)]
    shown, found = split_statements(pieces)
    assert len(found) == 3000
    assert all(f"Number {n} " in shown[each.start : each.end] for n, each in enumerate(found))


# Lists of references


RECORDS = (
    Paper("a", "Warm tea and sleep onset", "x", authors=("Doe, Jane",), year=2019, venue="Tea"),
    Paper("b", "Cold coffee and attention", "x"),
)
ANSWER = "Warm tea delayed sleep onset [1]."


def resolve(text, size=1000):
    """Resolve a reply that streams in pieces of a size."""
    resolver = MarkerResolver(RECORDS, Numbering())
    shown = "".join(resolver.feed(text[at : at + size]) for at in range(0, len(text), size))
    return (shown + resolver.finish()).strip(), resolver.unknown


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize(
    "references",
    [
        "References:\n[1] Doe J. Warm tea and sleep onset. Tea 2019.\n[9] Invented K. Else. 2022.",
        "[1] Warm tea and sleep onset\n[2] Cold coffee and attention\n",
        "**Quellen**\n\n- [1]: *Warm tea and sleep onset* (2019)\n- [2] Cold coffee and atten",
        '## 参考文献\n1. Doe, "Warm tea and sleep onset," https://doi.org/10.1000/1\n---\n',
        "Paper 1: Doe J. Warm tea and sleep onset\nPaper 2: R. Roe. Cold coffee and attention",
        "Références : [1] Jane Doe, 2019",
        "Sources: [1], [2]",
    ],
)
def test_a_list_of_references_at_the_end_is_left_out(references, size):
    assert resolve(f"{ANSWER}\n\n{references}", size) == (ANSWER, [])


@pytest.mark.parametrize("size", [1, 7, 1000])
@pytest.mark.parametrize(
    "text",
    [
        "Two papers do:\n[1] Warm tea and sleep onset\n[2] Cold coffee and attention",
        f"{ANSWER}\n[1] Warm tea and sleep onset shows that tea delays sleep.",
        f"{ANSWER}\n[1] Warm tea and sleep onset: tea delayed sleep by ten minutes.",
        f"{ANSWER}\n[1] Tea helps. It does so often.\n[2] Coffee does not.",
        f"{ANSWER}\nReferences:\n[1] Warm tea and sleep onset\n\nThere is no other paper on this.",
        f"{ANSWER}\n\nMore:\n- tea\n- coffee",
        f"{ANSWER}\nTotal: 12",
        f"{ANSWER}\nYes. [1]",
        f"{ANSWER}\n\n3.5 times as fast\n",
    ],
)
def test_lines_that_say_something_stay(text, size):
    assert resolve(text, size) == (text.strip(), [])


LINES = st.sampled_from(
    ["[1] ", "[2]", *RECORDS[0].title.split(" "), " ", "Refs:", "\n", "1. ", "Yes. ", "- ", ": "]
)


@given(st.lists(LINES).map("".join), st.integers(1, 9))
def test_any_cutting_leaves_out_the_same_references(text, size):
    assert resolve(text, size) == resolve(text)


def test_the_first_cell_of_a_table_row_names_what_the_row_is_about():
    table = "| paper | does |\n|---|---|\n| A title of more than three words | it distils |\n"
    found = {part.text: part.claim for part in split_statements([table, (1,)])[1]}
    assert found["A title of more than three words"] is False
    cells = split_statements(["| A title of more than three words | it trains a small model | |"])
    assert {part.text: part.claim for part in cells[1]}["it trains a small model"] is True


def test_a_table_cell_keeps_the_names_of_its_row_and_column():
    table = (
        "Two differ [1].\n\n| | **Trained** to | Gain |\n|:--|---|--:|\n"
        "| Ants | dig tunnels | 5% | more |\nIt ends.\n| Bees | | fly far |\n"
    )
    found = {part.text: part.context for part in split_statements([table])[1]}
    assert found == {
        "Two differ [1].": "", "Trained to": "", "Gain": "",
        "Ants": "", "dig tunnels": "Ants, Trained to", "5%": "Ants, Gain", "more": "Ants",
        "It ends.": "", "Bees": "", "fly far": "Bees",
    }  # fmt: skip


def test_a_long_name_of_a_row_is_shortened_in_its_cells():
    (_, cell) = split_statements([f"| {'ant ' * 500}| digs tunnels |"])[1]
    assert cell.context == "ant " * 24 + "ant…"
