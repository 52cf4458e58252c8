"""The page's HTML: pure functions from answers to escaped text."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest

from rag import Answer, Citation, Paper, Quote, Statement, Turn, Usage
from rag.generation.text_builder import TextBuilder
from rag.retrieval import Hit, ScoredSentence
from rag.verification import ReaderScore
from rag.web import cards, render
from rag.web.examples import make_examples
from rag.web.table import TableState, render_table

PAPER = Paper(
    "a-1",
    "On <Rates> & Sizes",
    "First things first. Rates are high. The end.",
    authors=("Ada Clark", "Bo Li"),
    year=2021,
    venue="Journal",
    doi="10.1000/xyz",
)
QUOTE = Quote("a-1", 20, 35, "Rates are high.")
PASSED = ReaderScore("tester", 24, 24)


def make_citation(verdict, **changes):
    given = {"number": 1, "paper": PAPER, "quotes": (QUOTE,), "reason": "because", "by": "text"}
    return Citation(verdict=verdict, **{**given, **changes})


def make_answer(text, *statements, **changes):
    given = {
        "question": "what of rates?",
        "asked": "what of rates?",
        "text": text,
        "statements": statements,
        "hits": (),
        "status": "answered",
        "mode": "quotes",
        "seconds": 0.25,
        "checker": PASSED,
    }
    return Answer(**{**given, **changes})


def answer_with(verdict, **changes):
    """Return an answer of one statement, 15 characters and its marker, with a verdict."""
    cited = make_citation(verdict, **changes)
    return make_answer(
        "Rates are high. [1]", Statement("Rates are high.", 0, 19, (cited,), verdict)
    )


def render_panel(answer):
    return cards.render_panel([Turn("q", answer)])


def test_a_marker_links_to_the_card_of_its_turn_and_says_its_verdict() -> None:
    html = render.render_turn("what of rates?", answer_with("partly"), 3)
    assert 'href="#turn-3-source-1"' in html
    assert 'aria-label="Source 1, partly supported"' in html
    assert 'data-start="20"' in html
    assert 'id="turn-3-source-1"' in cards.render_panel([Turn("q", answer_with("partly"))] * 3)


@pytest.mark.parametrize(
    ("verdict", "level", "sign", "words"),
    [
        ("quoted", "fact", "”", "quoted word for word, not checked by a reader"),
        ("supported", "good", "", "supported"),
        ("partly", "weak", "~", "partly supported"),
        ("unsupported", "bad", "✗", "not supported"),
        ("contradicted", "bad", "≠", "contradicted"),
        ("record", "fact", "≡", "read from the paper's record"),
        ("unchecked", "open", "·", "unchecked"),
        (None, "open", "", "nothing to check"),
    ],
)
def test_every_verdict_has_a_colour_and_a_sign(verdict, level, sign, words) -> None:
    (statement,) = answer_with(verdict).statements
    html = render.render_marker(statement, statement.citations[0], 1, PASSED)
    assert f'class="marker {level}"' in html
    assert f'aria-label="Source 1, {words}"' in html
    assert re.sub("<[^>]*>", "", html) == f"1{sign}"


@pytest.mark.parametrize(
    ("standing", "words"),
    [
        ("gone", "no longer in the library; unchecked since"),
        ("changed", "its abstract has changed since it was quoted; unchecked since"),
    ],
)
def test_a_changed_paper_and_one_that_is_gone_lose_their_verdict(standing, words) -> None:
    answer = answer_with("supported", standing=standing)
    html = render.render_marker(answer.statements[0], answer.citations[0], 1, PASSED)
    assert f'aria-label="Source 1, {words}"' in html
    assert f'<span class="sign">{standing}</span>' in html
    assert f"<strong>{standing}: {words}</strong>:" in render_panel(answer)
    assert "supported" not in html


def test_a_paper_that_backs_its_part_of_a_supported_statement_raises_no_doubt() -> None:
    cited = make_citation("partly"), make_citation("unsupported", number=2)
    statement = Statement("Rates are high.", 0, 22, cited, "supported")
    html = render.render_turn("q", make_answer("Rates are high. [1][2]", statement), 1)
    assert 'class="marker good"' in html
    assert 'aria-label="Source 1, supported (this paper alone: partly)"' in html
    assert 'class="marker bad"' in html
    assert 'aria-label="Source 2, supported (this paper alone: unsupported)"' in html
    panel = render_panel(make_answer("Rates are high. [1][2]", statement))
    assert '<li class="good">' in panel
    assert "<strong>✓ supported (this paper alone: partly)</strong>" in panel


def test_a_doubtful_statement_is_underlined_and_says_why() -> None:
    html = render.render_turn("q", answer_with("contradicted"), 1)
    assert '<span class="statement bad" title="contradicted">' in html
    assert 'class="statement' not in render.render_turn("q", answer_with("supported"), 1)


def test_a_warning_is_shown_beside_its_statement() -> None:
    warned = answer_with("unchecked", warnings=("figure not found: 14.2",))
    statements = tuple(replace(s, warnings=("figure not found: 14.2",)) for s in warned.statements)
    warned = replace(warned, statements=statements)
    shown = '<span class="warning">⚠ <bdi>figure not found: 14.2</bdi></span>'
    assert shown in render.render_turn("q", warned, 1)
    assert shown in render_panel(warned)


def test_an_answer_checked_by_the_model_that_wrote_it_says_so() -> None:
    for by, is_own in (("tester", True), ("other", False)):
        answer = replace(answer_with("supported", by=by), mode="model", model="tester")
        html = render.render_turn("q", answer, 1)
        assert ("checked by the model that wrote it" in html) == is_own


def test_an_entry_of_a_list_shows_its_score_and_its_sentence() -> None:
    cited = make_citation(None, score=0.6499)  # rounded up it would seem to reach .65
    entry = Statement(PAPER.title, 12, 34, (cited,), None, listed="fits")
    answer = make_answer(f"One fits.\n- {PAPER.title} [1]", entry)
    html = render.render_turn("q", answer, 1)
    assert '<span class="score" title="Relevance from 0 to 1">0.64</span>' in html
    assert '<p class="snippet" dir="auto">Rates are high.</p></li>' in html
    assert "<strong>relevance 0.64</strong>: “" in render_panel(answer)


def test_a_list_that_is_written_has_no_dash_without_words() -> None:
    for text, items in (
        ("Two fit:\n\n- On Rates [1]\n- ", ["On Rates"]),
        ("Two fit:\n\n- On Rates [1]\n-", ["On Rates"]),
        ("- On Rates [1]\n- On Si", ["On Rates", "On Si"]),
        ("- ", []),
        ("Rates - ", []),
    ):
        html = render.render_draft(render.Draft("q", 1, text=text))
        assert re.findall(r"<li>([\w ]+\w)", html) == items
        assert html.count("<ul>") == (1 if items else 0)
        assert not re.search(r"(^|\n|>)-", html)


def test_an_answer_may_begin_with_a_list() -> None:
    one = replace(answer_with("supported").statements[0], start=2, end=21)
    html = render.render_turn("q", make_answer("- Rates are high. [1]\n", one), 1)
    assert "<ul><li><span>Rates are high." in html
    assert "- " not in html.partition('class="text"')[2].partition('class="facts"')[0]


def test_items_are_a_list_of_their_own_and_the_text_between_splits_it() -> None:
    text = "Two fit.\n\n- One [1]\n- Two [1]\n\nPossibly:\n\n- Three [1]\n\nThat is all."
    items = [
        Statement(each, text.index(each), text.index(each) + len(each), (), None, False)
        for each in ("Two fit.", "One [1]", "Two [1]", "Possibly:", "Three [1]", "That is all.")
    ]
    html = render.render_turn("q", make_answer(text, *items), 1)
    bare = re.sub(r"</?span[^>]*>|<a .*?</a>|\N{NO-BREAK SPACE}", "", html)
    lists = re.findall(r"<ul>(.*?)</ul>", bare)
    assert [each.count("<li>") for each in lists[:2]] == [2, 1]
    assert bare.index("Two fit.") < bare.index("<li>One") < bare.index("</ul>Possibly:")
    assert bare.index("Possibly:") < bare.index("<li>Three") < bare.index("</ul>That is all.")


def test_brackets_without_a_citation_stay_text() -> None:
    answer = make_answer("See [7] there.", Statement("See [7] there.", 0, 14, (), "uncited"))
    assert "See\N{NO-BREAK SPACE}[7] there." in render.render_turn("q", answer, 1)


def test_the_quoted_sentence_is_marked_at_its_offset_unless_the_abstract_lost_it() -> None:
    html = render_panel(answer_with("supported"))
    assert 'First things first. <mark data-start="20">Rates are high.</mark> The end.' in html
    stale = answer_with("supported", quotes=(Quote("a-1", 0, 5, "Other"),))
    assert "<mark" not in render_panel(stale)


def test_a_card_shows_what_the_library_knows_and_nothing_else() -> None:
    html = render_panel(answer_with("supported"))
    byline = "<bdi>Ada Clark</bdi>, <bdi>Bo Li</bdi> · <bdi>2021</bdi> · <bdi>Journal</bdi>"
    assert f'<p class="byline">{byline}</p>' in html
    assert 'href="https://doi.org/10.1000/xyz"' in html
    html = render_panel(answer_with("supported", paper=Paper("b", "Bare", "Rates are high.")))
    assert "byline" not in html
    assert 'href="http' not in html


def test_a_card_opens_the_paper_in_zotero_by_nothing_but_a_plain_link() -> None:
    link = "zotero://select/groups/5/items/ABCD2345"
    html = render_panel(answer_with("supported", paper=replace(PAPER, sources=("a.bib", link))))
    assert f'<a href="{link}">Open in Zotero</a>' in html
    for odd in (f'{link}" onclick="x', "zotero://select/items/1_A", "zotero://run/ABCD2345"):
        html = render_panel(answer_with("supported", paper=replace(PAPER, sources=(odd,))))
        assert "Zotero" not in html


def test_an_address_that_is_not_on_the_web_is_no_link() -> None:
    assert cards.render_link(Paper("b", "Bare", "x", url="javascript:alert(1)"), "x") == ""


def test_citations_can_be_copied_as_bibtex_and_as_plain_text() -> None:
    html = render_panel(answer_with("supported"))
    assert 'data-copy="@misc{a-1,' in html
    plain = "Ada Clark and Bo Li (2021). On &lt;Rates&gt; &amp; Sizes. Journal. "
    assert f'data-copy="{plain}https://doi.org/10.1000/xyz"' in html


def test_papers_retrieved_and_not_cited_are_folded_but_not_those_of_a_list() -> None:
    other = Hit(2, 0.1, Paper("c", "Other", "Sentence."), (), (), {})
    answer = replace(answer_with("supported"), hits=(Hit(1, 0.9, PAPER, (), (), {}), other))
    html = render_panel(answer)
    folded = html[html.index("<details") :]
    assert "Retrieved but not cited (1)" in folded
    assert "Other" in folded
    assert "Rates" not in folded
    assert "Other" not in render_panel(replace(answer, kind="list"))


def test_an_abstention_looks_like_one_and_shows_the_closest_papers() -> None:
    sentence = ScoredSentence(0, 5, "Near.", 0.5, 0.1)
    near = Hit(1, 0.1, Paper("c", "Close Paper", "Near."), (), (sentence,), {})
    answer = make_answer("The library has none.", status="abstained", closest=(near,))
    html = render.render_turn("q", answer, 1)
    for part in ("The library has none.", "Close Paper", "Near."):
        assert part in html
    assert "statements supported" not in html


def test_quoted_sentences_stand_under_their_papers_and_the_best_is_marked() -> None:
    builder = TextBuilder({})
    builder.add_paragraph("Best matches in this library")
    builder.add_quotes(PAPER, [QUOTE], label="Best match:")
    answer = make_answer(builder.text, *builder.statements)
    html = re.sub(r"<(?!/?(?:ul|li|strong)>)[^>]*>", "", render.render_turn("q", answer, 1))
    title = "On &lt;Rates&gt; &amp; Sizes (Ada Clark, Bo Li, 2021)"
    assert "<strong>Best matches in this library</strong>" in html
    assert f"<strong>{title}</strong><ul><li><strong>Best match:</strong> Rates are high." in html


def test_a_long_list_is_folded_behind_its_first_papers() -> None:
    lines = "\n".join(f"- Paper {n}" for n in range(14))
    html = render.render_turn("q", make_answer(f"14 fit.\n\n{lines}", kind="list"), 1)
    shown, folded = html.split('<details class="more"><summary>4 more</summary>')
    assert (shown.count("<li>"), folded.count("<li>")) == (10, 4)
    assert "<details" not in render.render_turn("q", make_answer(lines), 1)


def test_the_line_below_an_answer_has_verdicts_mode_seconds_and_tokens() -> None:
    plain = render.render_turn("q", answer_with("supported", by="tester"), 1)
    line = re.search(r'<p class="facts">(.*?)</p>', plain)[1]
    assert re.sub("<[^>]*>", "|", line).strip("|").split("||") == [
        "1 of 1 sentence supported; checked by tester (24 of 24 right in its test)",
        "quotes, no language model",
        "0.25 s",
    ]
    model = make_answer("Hm.", mode="model", model="gpt-x", usage=Usage(1, 1000, 234))
    html = render.render_turn("q", model, 1)
    assert "<span>model: gpt-x</span>" in html
    assert "<span>1,234 tokens</span>" in html


def test_markers_have_no_verdict_while_the_answer_is_written() -> None:
    html = render.render_draft(render.Draft("q", 1, "Checking", "Rates are high. [1] And"))
    assert '<span class="marker open">1</span>' in html
    assert "Checking" in html
    assert "<a " not in html


def test_markup_in_questions_answers_papers_and_reasons_is_text() -> None:
    evil = '<img src=x onerror="alert(1)">'
    paper = Paper(evil, evil, f"{evil} Rates.", authors=(evil,), venue=evil)
    quote = Quote(evil, 0, len(evil), evil)
    cited = Citation(1, paper, (quote,), "partly", evil, "text", warnings=(evil,), score=0.5)
    answer = make_answer(
        f"- {evil} [1]",
        Statement(evil, 2, len(evil) + 6, (cited,), "partly", warnings=(evil,), listed="fits"),
        question=evil,
        asked=f"{evil}!",
        warnings=(evil,),
        model=evil,
        hits=(Hit(1, 1.0, Paper("x", evil, evil), (), (), {}),),
    )
    html = render.render_turn(evil, answer, 1, suggestions=(evil,), library=evil)
    html += render_panel(answer) + render.render_draft(render.Draft(evil, 1, evil, evil))
    html += render.render_failure(render.Draft(evil, 1, evil, evil), evil) + render.render_welcome(
        (evil,), evil
    )
    assert "<img" not in html
    assert html.count("&lt;img") > 18


def test_characters_that_turn_the_reading_direction_are_removed() -> None:
    assert "\u202e" not in render.render_draft(render.Draft("safe\u202egnp.exe", 1))


def test_examples_use_the_names_in_titles() -> None:
    papers = [Paper(str(n), f"NAME{n}: a method", "Text.") for n in range(8)]
    assert make_examples(papers) == (
        "What is NAME0?",
        "What is NAME2?",
        "What is NAME4?",
        "What is NAME6?",
    )
    assert make_examples([]) == ()


def test_a_list_of_authors_that_is_cut_off_does_not_look_whole() -> None:
    several = tuple(f"A. B{n}" for n in range(9))
    for authors, line in (
        (("Ada Clark", "et al."), "Ada Clark, et al. On Rates."),
        ((*several, "et al."), f"{', '.join(several)}, et al. On Rates."),
    ):
        paper = Paper("cut-1", "On Rates", "We test rates.", authors=authors)
        assert cards.format_citation(paper) == line
        html = render_table([paper], TableState(), ["Title", "Authors"], ())
        assert "et al." in html
        assert " more" not in html
