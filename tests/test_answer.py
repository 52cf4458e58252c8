"""Answers in all their forms: values, choice of sentences, numbers, the decision to abstain."""

from __future__ import annotations

import json
import re
from dataclasses import replace

import pytest

from rag import Filter, Hit, Paper, verify
from rag.answer import Answer, Citation, Statement
from rag.citations.resolve import Numbering, check_statements, render_statement
from rag.errors import SettingsError
from rag.exporters.bibtex import escape_latex
from rag.generation.abstention import assess
from rag.generation.quotes import choose_sentences
from rag.index.passages import split_paper
from rag.retrieval import Retrieval
from rag.retrieval.retriever import ScoredSentence, StageScore
from rag.verification import TextChecker

CATS = Paper("cats-1", "Cats", "Cats sleep long. They purr when content.", aliases=("c-0",))
DOGS = Paper("dogs-2", "Dogs {and} more_", "Dogs bark at night. Some never bark.", year=1999)


def hit(paper, rank, score, *scores, named=False, late=0.5):
    (passage,) = split_paper(paper)
    sentences = [
        ScoredSentence(start, end, paper.abstract[start:end], value, 0.0)
        for (start, end), value in zip(passage.sentences, scores, strict=True)
    ]
    return Hit(
        rank,
        score,
        paper,
        (passage,),
        tuple(sorted(sentences, key=lambda s: -s.score)),
        {"tokens": StageScore(late, rank), "window": StageScore(late, rank)},
        named,
    )


def cite(*sentences):
    """Return checked statements: each sentence with the papers that it cites."""
    numbering, statements, at = Numbering(), [], 0
    for text, papers in sentences:
        citations = tuple(
            Citation(numbering.assign(paper), paper, (), None, "", "text") for paper in papers
        )
        end = at + len(render_statement(text, citations))
        statements.append(Statement(text, at, end, citations, None))
        at = end + 1
    return check_statements(statements, TextChecker())


def answered(*sentences):
    statements = cite(*sentences)
    return Answer(
        question="q?",
        asked="q?",
        text=" ".join(render_statement(s.text, s.citations) for s in statements),
        statements=statements,
        hits=(),
        status="answered",
        mode="quotes",
    )


def test_numbers_follow_first_use_and_offsets_point_into_the_text():
    answer = answered(
        ("Dogs bark at night.", (DOGS,)),
        ("They purr when content.", (CATS,)),
        ("Some never bark.", (DOGS, CATS)),
    )
    assert answer.text == (
        "Dogs bark at night. [1] They purr when content. [2] Some never bark. [1][2]"
    )
    assert [answer.text[s.start : s.end] for s in answer.statements] == [
        "Dogs bark at night. [1]",
        "They purr when content. [2]",
        "Some never bark. [1][2]",
    ]
    assert dict(answer.sources) == {1: DOGS, 2: CATS}
    for citation in answer.citations:
        for quote in citation.quotes:
            assert citation.paper.abstract[quote.start : quote.end] == quote.text


def test_a_sentence_is_quoted_only_from_the_paper_that_has_it():
    last = answered(("Some never bark.", (DOGS, CATS))).statements[0]
    assert last.citations[0].verdict == "quoted"
    assert last.citations[1].verdict == "unchecked"
    assert last.verdict == "quoted"


def test_verification_line_counts_every_verdict():
    statements = tuple(
        Statement("S.", 0, 2, (), verdict)
        for verdict in ("supported", "supported", "partly", "unsupported", "uncited", "unchecked")
    )
    answer = replace(answered(("Some never bark.", (DOGS,))), statements=statements)
    assert answer.verification == (
        "2 of 6 sentences supported; 1 partly supported; 1 unsupported; 1 uncited; 1 unchecked."
    )


def test_verification_names_the_reader_and_says_when_it_wrote_the_answer():
    answer = written("Birds sing [1].", ("Birds sing", (1, BIRDS)))
    assert answer.verification == "1 of 1 statement supported; checked by m-2."
    alone = replace(answer, model="m-2")
    assert alone.verification.endswith("; checked by the model that wrote it.")
    assert answered(("Some never bark.", (DOGS,))).verification == "1 of 1 sentence quoted."


def test_forms_of_an_answer_carry_quotes():
    answer = answered(("Some never bark.", (DOGS,)))
    values = json.loads(answer.to_json())
    assert values["sources"] == [
        {"number": 1, "id": "dogs-2", "title": "Dogs {and} more_", "year": 1999}
    ]
    assert values["statements"][0]["citations"][0]["quotes"] == [
        {
            "paper_id": "dogs-2",
            "start": 20,
            "end": 36,
            "text": "Some never bark.",
            "field": "abstract",
        }
    ]
    assert "> Some never bark." in answer.to_markdown()
    assert r"title = {{Dogs \textbraceleft{}and\textbraceright{} more\_}}" in answer.to_bibtex()
    assert "author" not in answer.to_bibtex()


def test_nothing_is_verified_without_a_paper():
    assert verify("Some never bark.", []).verdict == "unchecked"


def test_the_best_sentence_comes_first_and_the_others_paper_by_paper():
    hits = (hit(DOGS, 1, 2.0, 0.6, 0.7), hit(CATS, 2, 1.9, 0.55, 0.65))
    chosen = choose_sentences("do dogs bark", hits, {}, 4)
    assert [sentence.text for _, sentence in chosen] == [
        "Some never bark.", "Dogs bark at night.",
        "They purr when content.", "Cats sleep long.",
    ]  # fmt: skip
    assert [sentence.text for _, sentence in choose_sentences("do dogs bark", hits, {}, 1)] == [
        "Some never bark."
    ]


def test_weak_sentences_are_left_out():
    hits = (hit(DOGS, 1, 2.0, 0.7, 0.6), hit(CATS, 2, 1.9, 0.1, 0.0))
    assert len(choose_sentences("do dogs bark", hits, {}, 4)) == 2
    assert choose_sentences("do dogs bark", (), {}, 4) == []


def test_a_comparison_draws_on_both_papers():
    hits = (hit(DOGS, 1, 2.0, 0.7, 0.69, named=True), hit(CATS, 2, 1.9, 0.1, 0.0, named=True))
    chosen = choose_sentences("dogs or cats", hits, {}, 3)
    assert [hit.paper.id for hit, _ in chosen] == ["dogs-2", "dogs-2", "cats-1"]


def test_findings_come_before_aims_in_answer_to_a_yes_no_question():
    found = hit(DOGS, 1, 2.0, 0.6, 0.5)
    aim, finding = sorted(sentence.start for sentence in found.sentences)
    roles = {(DOGS.id, aim): {"aim": 1.0}, (DOGS.id, finding): {"result": 0.8, "conclusion": 0.2}}
    best, *_ = choose_sentences("Do dogs bark?", (found,), roles, 2)
    assert best[1].text == "Some never bark."


def test_a_question_about_nothing_but_a_name_gets_the_sentence_that_introduces_it():
    paper = replace(CATS, abstract="We train PurrNet, a model. PurrNet beats all dogs.")
    found = (hit(paper, 1, 2.0, 0.5, 0.6),)
    for question, first in (
        ("What is PurrNet?", "We train PurrNet, a model."),
        ("I have never heard of PurrNet. Can you explain it?", "We train PurrNet, a model."),
        ("Which dogs does PurrNet beat?", "PurrNet beats all dogs."),
    ):
        assert choose_sentences(question, found, {}, 1)[0][1].text == first


def test_closeness_decides_to_answer_and_a_missing_name_speaks_against_it():
    near = Retrieval("do dogs bark", (hit(DOGS, 1, 2.0, 0.7, 0.6, late=0.9),))
    far = Retrieval("do dogs bark", (hit(DOGS, 1, 2.0, 0.1, 0.1, late=0.1),))
    assert assess(near).answerable
    assert not assess(far).answerable
    strange = Retrieval("do dogs of GLORB7 bark", near.hits)
    assert assess(strange).confidence < assess(near).confidence
    assert assess(Retrieval("", ())).reason == "The question is empty."
    assert not assess(near, threshold=1.0).answerable


def test_a_question_for_a_detail_of_a_named_paper_is_not_answered_whatever_it_asks():
    named = (hit(DOGS, 1, 2.0, 0.1, 0.1, late=0.1, named=True),)
    assert not assess(Retrieval("do dogs sell shoes in winter?", named)).answerable
    assert assess(Retrieval("what are dogs?", named)).answerable


def test_a_bare_name_is_answered_where_it_is_found():
    purrs = replace(CATS, abstract="We train PurrNet, a model. It purrs.")
    far = (hit(purrs, 1, 2.0, 0.1, 0.1, late=0.1),)
    assert assess(Retrieval("What is PurrNet?", far)).answerable
    assert not assess(Retrieval("What is BarkNet?", far)).answerable
    assert not assess(Retrieval("What does PurrNet score on Yoruba questions?", far)).answerable


def test_a_filter_that_can_hold_nothing_is_refused():
    with pytest.raises(SettingsError, match=r"2022\.\.2020"):
        Filter(years=(2022, 2020))


def test_a_filter_says_in_words_what_it_lets_through():
    assert str(Filter()) == ""
    assert str(Filter(years=(2019, 2019), venues=("ACL", "EMNLP"))) == "of 2019, in ACL or EMNLP"
    assert str(Filter(years=(None, 2020), ids=("a-1",))) == "up to 2020, with the id a-1"
    both = Filter(authors=("Clark",)).and_also(Filter(authors=("Wu",), years=(2018, 2020)))
    assert both == Filter(authors=("Clark",), years=(2018, 2020))


def test_printed_values_are_short():
    answer = answered(("Some never bark.", (DOGS,)))
    assert str(answer) == "Some never bark. [1]\n\n[1] Dogs {and} more_ (1999)"
    assert repr(answer).endswith("'Some never bark. [1]', 1 statements, 1 sources>")
    assert repr(answer.statements[0]) == "<Statement 'Some never bark.': quoted, 1 citations>"
    assert repr(answer.citations[0]) == "<Citation [1] 'Dogs {and} more_': quoted>"
    assert answer._repr_markdown_() == answer.to_markdown()


BIRDS = Paper(
    "doi:10.1000/b", "<img src=x> *Birds*", "Birds sing.", authors=("Ada Clark",), doi="10.1000/b"
)
RABBITS = Paper("hares (2)", "Hares", "Hares run.")


def written(text, *numbered, mode="model"):
    """A model's answer that cites some papers: statement, then the numbers and papers it cites."""
    statements = []
    for words, *cited in numbered:
        start = text.index(words)
        citations = tuple(Citation(n, p, (), "supported", "r", "m-2") for n, p in cited)
        statements.append(Statement(words, start, start + len(words), citations, "supported"))
    answer = answered(("Some never bark.", (DOGS,)))
    return replace(answer, text=text, statements=tuple(statements), mode=mode, model="m-1")


def test_pandoc_markers_have_the_keys_of_the_bibtex_export_and_code_stays():
    text = (
        "Birds sing [1][2]. Use `a[1]` and $x[1]$, not [7].\n\n```\nb[2]\n```\n- **Hares** run [2]!"
    )
    answer = written(text, ("Birds sing", (1, BIRDS), (2, RABBITS)), ("run", (2, RABBITS)))
    shown = answer.to_markdown(cite_style="pandoc")
    assert (
        "Birds sing [@doi:10.1000/b; @hares-2-31b93ecd]. Use `a[1]` and $x[1]$, not [7].\n\n"
        "```\nb[2]\n```\n- **Hares** run [@hares-2-31b93ecd]!"
    ) in shown
    keys = set(re.findall(r"@([\w:./-]+)", shown))
    assert keys == set(re.findall(r"@misc\{(.*),", answer.to_bibtex()))
    assert keys == {item["id"] for item in json.loads(answer.to_csl())}
    assert text in answer.to_markdown()
    with pytest.raises(SettingsError, match="'apb'"):
        answer.to_markdown(cite_style="apb")


def test_markers_use_the_keys_of_the_users_own_file():
    own = replace(BIRDS, citation_key="smith (2020)+b", entry_type="article")
    same = replace(RABBITS, citation_key="Smith (2020)+B")  # BibTeX keys have no case
    answer = written("Birds sing [1][2].", ("Birds sing", (1, own), (2, same)))
    shown = answer.to_markdown(cite_style="pandoc")
    assert "Birds sing [@{smith (2020)+b}; @hares-2-31b93ecd]." in shown
    assert "Birds sing~\\cite{smith (2020)+b,hares-2-31b93ecd}.\n" in answer.to_latex()
    keys = re.findall(r"@(\w+)\{(.*),", answer.to_bibtex())
    assert keys == [("article", "smith (2020)+b"), ("misc", "hares-2-31b93ecd")]


def test_latex_keeps_form_and_formulas_of_a_model_and_none_of_its_commands():
    text = "So **R&D** costs 5% $\\alpha_2 \\le 3$ [1].\n\n- `a_b` \\input{x}\n- $\\input{x}$ [2]"
    answer = written(text, ("So", (1, BIRDS)), ("x", (2, RABBITS)))
    shown = answer.to_latex()
    assert "So \\textbf{R\\&D} costs 5\\% $\\alpha_2 \\le 3$~\\cite{doi:10.1000/b}.\n" in shown
    assert "\\begin{itemize}\n\\item \\texttt{a\\_b} \\textbackslash{}input" in shown
    assert "~\\cite{hares-2-31b93ecd}\n\\end{itemize}" in shown
    assert "\\input" not in shown
    assert "\n% [doi:10.1000/b] <img src=x> *Birds* (Ada Clark)\n" in shown


@pytest.mark.parametrize("formula", ["$a % b$", "$\\text{}}\\frac{$", "$a#1$"])
def test_latex_shows_a_formula_as_text_that_would_break_the_rest(formula):
    shown = written(f"So {formula} [1].", ("So", (1, BIRDS))).to_latex()
    assert f"So {escape_latex(formula)}~\\cite" in shown


def test_text_of_papers_and_models_does_nothing_in_markdown():
    text = "See <script>x</script> ![a](http://b/?leak) [1]."
    shown = written(text, ("See", (1, BIRDS))).to_markdown()
    assert "&lt;script>x&lt;/script> ! [a](http://b/?leak) [1]." in shown
    assert "[1] Ada Clark. \\<img src=x\\> \\*Birds\\*. <https://doi.org/10.1000/b>" in shown
    verbatim = answered(("Dogs <b> bark_at_night.", (DOGS,))).to_markdown()
    assert "\n\nDogs \\<b\\> bark\\_at\\_night. [1]\n" in verbatim


def test_a_list_keeps_its_form_and_its_titles_are_escaped():
    text = "2 of the 9 papers fit.\n\n- <img src=x> *Birds* [1]\n- Hares [2]\n\nDecided so."
    found = [Statement("2 of the 9 papers fit.", 0, 22, (), None, claim=False)]
    for number, paper in ((1, BIRDS), (2, RABBITS)):
        start = text.index(paper.title)
        citation = Citation(number, paper, (), None, "relevance 0.9", "text", score=0.9)
        end = start + len(paper.title) + 4
        found.append(Statement(paper.title, start, end, (citation,), None, listed="fits"))
    at = text.index("Decided")
    found.append(Statement("Decided so.", at, len(text), (), None, claim=False))
    answer = replace(written(text), statements=tuple(found), kind="list")
    assert answer.verification == "2 listed as fitting; decided by relevance."
    for mode in ("model", "quotes"):
        shown = replace(answer, mode=mode).to_markdown(cite_style="pandoc")
        assert (
            "2 of the 9 papers fit.\n\n- \\<img src=x\\> \\*Birds\\* [@doi:10.1000/b]\n"
            "- Hares [@hares-2-31b93ecd]\n\nDecided so.\n"
        ) in shown
        assert "In doubt" not in shown
