"""What the page draws: pure functions from answers to escaped HTML."""

from __future__ import annotations

import re
from dataclasses import replace

from rag import Answer, Citation, Paper, Quote, Statement, Turn
from rag.retrieval import Hit, ScoredSentence
from rag.web import cards, render
from rag.web.examples import from_titles
from rag.web.table import TableState, table

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


def citation(verdict, number=1, reason="because"):
    return Citation(number, PAPER, (QUOTE,), verdict, reason, "offline")


def answer(text, *statements, **changes):
    given = {
        "question": "what of rates?",
        "asked": "what of rates?",
        "text": text,
        "statements": statements,
        "hits": (),
        "status": "answered",
        "mode": "quotes",
        "seconds": 0.25,
    }
    return Answer(**{**given, **changes})


def said(verdict):
    """One statement of 15 characters and its marker, with a verdict."""
    return answer(
        "Rates are high. [1]",
        Statement("Rates are high.", 0, 19, (citation(verdict),), verdict),
    )


def test_a_marker_links_to_the_card_of_its_turn_and_tells_its_verdict_in_words() -> None:
    html = render.turn("what of rates?", said("partly"), 3)
    assert 'href="#turn-3-source-1"' in html
    assert 'aria-label="Source 1, partly supported"' in html
    assert 'data-start="20"' in html
    assert 'id="turn-3-source-1"' in cards.panel([*[Turn("q", said("partly"))] * 3])


def test_a_list_that_is_written_has_no_dash_without_words() -> None:
    for text, items in (
        ("Two fit:\n\n- On Rates [1]\n- ", ["On Rates"]),
        ("Two fit:\n\n- On Rates [1]\n-", ["On Rates"]),
        ("- On Rates [1]\n- On Si", ["On Rates", "On Si"]),
        ("- ", []),
        ("Rates - ", []),
    ):
        html = render.writing("q", 1, text, "")
        assert re.findall(r"<li>([\w ]+\w)", html) == items
        assert html.count("<ul>") == (1 if items else 0)
        assert not re.search(r"(^|\n|>)-", html)


def test_an_answer_may_begin_with_a_list() -> None:
    one = replace(said("supported").statements[0], start=2, end=21)
    html = render.turn("q", answer("- Rates are high. [1]\n", one), 1)
    assert "<ul><li><span>Rates are high." in html
    assert "- " not in html.partition('class="text"')[2].partition('class="facts"')[0]


def test_every_verdict_has_a_class_and_a_sign_of_its_own() -> None:
    drawn = {
        verdict: render.marker(citation(verdict), 1)
        for verdict in ("supported", "partly", "unsupported", "unchecked")
    }
    classes = {re.search(r'class="marker (\w+)"', html)[1] for html in drawn.values()}
    assert classes == {"supported", "partly", "unsupported", "unchecked"}
    texts = {re.sub("<[^>]*>", "", html) for html in drawn.values()}
    assert texts == {"1", "1~", "1✗", "1·"}


def test_a_listed_paper_a_changed_one_and_one_that_is_gone_are_told_apart() -> None:
    def shown(claim, standing):
        cited = replace(citation(None, reason=""), standing=standing)
        made = Statement("Rates are high.", 0, 19, (cited,), None, claim)
        html = render.marker(cited, 1, is_claim=claim)
        card = cards.section(answer("Rates are high. [1]", made), 1)
        label, text = re.search(r'aria-label="Source 1, ([^"]*)".*?>1(.*)</a>', html).groups()
        verdict = re.search(r'data-quote="20"><strong>(.*?)</strong>', card)[1]
        return re.sub("<.*?>", " ", text).strip(), label, verdict

    assert shown(False, "current") == ("", "nothing to verify", "nothing to verify")
    assert shown(True, "current") == ("·", "unchecked", "· unchecked")
    lost = "no longer in the library; unchecked since"
    assert shown(True, "gone") == ("gone", lost, f"gone: {lost}")
    assert shown(False, "gone") == ("gone", lost, f"gone: {lost}")
    other = "its abstract has changed since it was quoted; unchecked since"
    assert shown(True, "changed") == ("changed", other, f"changed: {other}")


def test_a_doubtful_statement_is_underlined_and_says_why() -> None:
    html = render.turn("q", said("unsupported"), 1)
    assert '<span class="statement unsupported" title="not supported">' in html
    assert 'class="statement' not in render.turn("q", said("supported"), 1)


def test_brackets_that_are_no_citation_stay_text() -> None:
    made = answer("See [7] there.", Statement("See [7] there.", 0, 14, (), "uncited"))
    assert "See\N{NO-BREAK SPACE}[7] there." in render.turn("q", made, 1)


def test_the_supporting_sentence_is_marked_at_its_offset() -> None:
    html = cards.panel([Turn("q", said("supported"))])
    assert 'First things first. <mark data-start="20">Rates are high.</mark> The end.' in html


def test_a_quote_that_the_abstract_no_longer_has_is_not_marked() -> None:
    stale = Citation(1, PAPER, (Quote("a-1", 0, 5, "Other"),), "supported", "", "offline")
    made = answer("Rates. [1]", Statement("Rates.", 0, 10, (stale,), "supported"))
    assert "<mark" not in cards.panel([Turn("q", made)])


def test_a_card_shows_what_the_library_knows_and_nothing_else() -> None:
    full = cards.panel([Turn("q", said("supported"))])
    byline = "<bdi>Ada Clark</bdi>, <bdi>Bo Li</bdi> · <bdi>2021</bdi> · <bdi>Journal</bdi>"
    assert f'<p class="byline">{byline}</p>' in full
    assert 'href="https://doi.org/10.1000/xyz"' in full
    bare = Citation(1, Paper("b", "Bare", "Rates are high."), (), "supported", "", "offline")
    made = answer("Rates. [1]", Statement("Rates.", 0, 10, (bare,), "supported"))
    html = cards.panel([Turn("q", made)])
    assert "byline" not in html
    assert 'href="http' not in html


def test_an_address_that_is_no_web_address_is_no_link() -> None:
    paper = Paper("b", "Bare", "x", url="javascript:alert(1)")
    assert cards.paper_address(paper) == ""


def test_citations_can_be_copied_as_bibtex_and_as_plain_text() -> None:
    html = cards.panel([Turn("q", said("supported"))])
    assert 'data-copy="@misc{a-1,' in html
    plain = "Ada Clark and Bo Li (2021). On &lt;Rates&gt; &amp; Sizes. Journal. "
    assert f'data-copy="{plain}https://doi.org/10.1000/xyz"' in html


def test_papers_retrieved_and_not_cited_are_folded() -> None:
    other = Hit(2, 0.1, Paper("c", "Other", "Sentence."), (), (), {})
    cited = Hit(1, 0.9, PAPER, (), (), {})
    made = answer(
        "Rates are high. [1]",
        Statement("Rates are high.", 0, 19, (citation("supported"),), "supported"),
        hits=(cited, other),
    )
    html = cards.panel([Turn("q", made)])
    folded = html[html.index("<details") :]
    assert "Retrieved but not cited (1)" in folded
    assert "Other" in folded
    assert "Rates" not in folded


def test_an_abstention_looks_like_one_and_shows_the_closest_papers() -> None:
    sentence = ScoredSentence(0, 5, "Near.", 0.5, 0.1)
    near = Hit(1, 0.1, Paper("c", "Close Paper", "Near."), (), (sentence,), {})
    made = answer("The library has none.", status="abstained", closest=(near,))
    html = render.turn("q", made, 1)
    assert "Not in these papers" in html
    assert "Close Paper" in html
    assert "Near." in html
    assert "statements supported" not in html


def test_the_line_below_an_answer_tells_verdicts_mode_seconds_and_tokens() -> None:
    from rag import Usage

    plain = render.turn("q", said("supported"), 1)
    line = re.search(r'<p class="facts">(.*?)</p>', plain)[1]
    assert re.sub("<[^>]*>", "|", line).strip("|").split("||") == [
        "1 of 1 statement supported",
        "quotes: verbatim sentences, no language model",
        "0.25 s",
    ]
    for seconds, words in (
        (0.0, "under 0.1 s"),
        (0.099, "under 0.1 s"),
        (0.1, "0.10 s"),
        (61, "61.0 s"),
    ):
        assert f"<span>{words}</span>" in render.turn("q", answer("Hm.", seconds=seconds), 1)
    model = answer("Hm.", mode="model", model="gpt-x", usage=Usage(1, 1000, 234))
    assert "<span>model: gpt-x</span>" in render.turn("q", model, 1)
    assert "<span>1,234 tokens</span>" in render.turn("q", model, 1)


def test_markers_have_no_verdict_while_the_answer_is_written() -> None:
    html = render.writing("q", 1, "Rates are high. [1] And", "Checking")
    assert '<span class="marker unchecked">1</span>' in html
    assert "Checking" in html
    assert "<a " not in html


def test_markup_in_questions_answers_papers_and_reasons_is_text() -> None:
    evil = '<img src=x onerror="alert(1)">'
    paper = Paper(evil, evil, f"{evil} Rates.", authors=(evil,), venue=evil)
    quote = Quote(evil, 0, len(evil), evil)
    cited = Citation(1, paper, (quote,), "partly", evil, "offline")
    made = answer(
        f"{evil} [1]",
        Statement(evil, 0, len(evil) + 4, (cited,), "partly"),
        question=evil,
        asked=f"{evil}!",
        warnings=(evil,),
        model=evil,
        hits=(Hit(1, 1.0, Paper("x", evil, evil), (), (), {}),),
    )
    turn = Turn(evil, made)
    html = render.turn(evil, made, 1, suggestions=(evil,)) + cards.panel([turn])
    html += render.writing(evil, 1, evil, evil) + render.failed(evil, 1, evil, evil)
    html += render.welcome((evil,), evil)
    assert "<img" not in html
    assert html.count("&lt;img") > 15


def test_signs_that_turn_the_reading_direction_are_left_out() -> None:
    html = render.writing("safe\u202egnp.exe", 1, "", "")
    assert "\u202e" not in html


def test_examples_name_what_the_titles_name() -> None:
    papers = [Paper(str(n), f"NAME{n}: a method", "Text.") for n in range(8)]
    assert from_titles(papers) == (
        "What is NAME0?",
        "What is NAME2?",
        "What is NAME4?",
        "What is NAME6?",
    )
    assert from_titles([]) == ()


def test_items_are_a_list_of_their_own_and_what_stands_between_parts_it() -> None:
    text = "Two fit.\n\n- One [1]\n- Two [1]\n\nPossibly:\n\n- Three [1]\n\nThat is all."
    items = [
        Statement(said, text.index(said), text.index(said) + len(said), (), None)
        for said in ("Two fit.", "One [1]", "Two [1]", "Possibly:", "Three [1]", "That is all.")
    ]
    html = render.turn("q", answer(text, *items), 1)
    bare = re.sub(r"</?span[^>]*>|<a .*?</a>|\N{NO-BREAK SPACE}", "", html)
    listed = re.findall(r"<ul>(.*?)</ul>", bare)
    assert [each.count("<li>") for each in listed[:2]] == [2, 1]
    assert bare.index("Two fit.") < bare.index("<li>One") < bare.index("</ul>Possibly:")
    assert bare.index("Possibly:") < bare.index("<li>Three") < bare.index("</ul>That is all.")


def test_a_list_has_no_fold_of_papers_that_it_does_not_cite() -> None:
    other = Hit(2, 0.5, Paper("b", "Other", "It is another."), (), (), {})
    listed = replace(said("supported"), hits=(other,))
    assert "Other" in cards.panel([Turn("q", listed)])
    named = tuple(replace(each, text=PAPER.title) for each in listed.statements)
    assert "Other" not in cards.panel([Turn("q", replace(listed, statements=named))])


def test_a_list_of_authors_that_is_cut_off_does_not_look_whole() -> None:
    several = tuple(f"A. B{n}" for n in range(9))
    for authors, told in (
        (("Ada Clark", "et al."), "Ada Clark, et al. On Rates."),
        ((*several, "et al."), f"{', '.join(several)}, et al. On Rates."),
    ):
        paper = Paper("cut-1", "On Rates", "We test rates.", authors=authors)
        assert cards.plain_citation(paper) == told
        cell = table([paper], TableState(), frozenset(), source=False)
        assert "et al." in cell
        assert " more" not in cell
