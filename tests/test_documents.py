"""Answers as documents: Markdown, HTML, LaTeX and Word in styles of citation, and their options."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from zipfile import ZipFile

import docx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from lxml import etree
from markdown_it import MarkdownIt
from typer.testing import CliRunner

from rag import Answer, Citation, Paper, Quote, Statement
from rag.answer import Answers
from rag.cli import app
from rag.csl import STYLE_NAMES
from rag.errors import DiskError, SettingsError
from rag.exporters.values import collapse_space
from rag.verification import ReaderScore

BROTH = Paper(
    "doi:10.1000/b",
    "Cold broth mends ankles",
    "We boil broth. It mends ankles in 3 days.",
    authors=("Ida Rue", "Bo Li"),
    year=2011,
    venue="Journal of Broth",
    doi="10.1000/b",
    retraction="Retraction in: Tea J. 2012;3:1.",
    sources=("zotero://select/library/items/ABCD2345",),
)
HARES = Paper(
    "hares",
    "Hares run fast",
    "They run at 70 km/h.",
    authors=("Ada Clark",),
    year=2019,
    venue="Fur",
)
TEXT = """## Findings

Broth **mends ankles** in $\\alpha_2 \\le 3$ days [1]. Hares run at 70 km/h [2][1].

1. Boil the broth.
2. Rest.
   - Not too long.

Then:

1. Run.

| Who | Speed |
|---|---|
| Hare | 70 km/h [2] |

```
run([1]) $x$
```

Cats <b>purr</b>, [say](javascript:x) [some](https://cats.org/a)."""
W = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"


def state(words, verdict, *cited, warnings=()):
    """A statement of the text that a reader judged, with a quote from each paper it cites."""
    citations = []
    for number, paper, quote in cited:
        at = paper.abstract.index(quote)
        quotes = (Quote(paper.id, at, at + len(quote), quote),)
        citations.append(Citation(number, paper, quotes, verdict, "it says so", "m-2"))
    start = TEXT.index(words)
    end = start + len(words)
    text = re.sub(r"\*\*| ?\[\d\]", "", words)
    return Statement(text, start, end, tuple(citations), verdict, warnings=warnings)


MENDS, RUNS = "It mends ankles in 3 days.", "They run at 70 km/h."
ANSWER = Answer(
    question="What do broth & <hares> do?",
    asked="What do cold broth and hares do?",
    text=TEXT,
    statements=(
        state(
            "Broth **mends ankles** in $\\alpha_2 \\le 3$ days [1].", "supported", (1, BROTH, MENDS)
        ),
        state(
            "Hares run at 70 km/h [2][1].",
            "partly",
            (2, HARES, RUNS),
            (1, BROTH, MENDS),
            warnings=("figure not found: 70",),
        ),
        state("Cats <b>purr</b>", "uncited"),
    ),
    hits=(),
    status="answered",
    mode="model",
    model="llama",
    checker=ReaderScore("m-2", 20, 24),
    scope="from 2010 on",
)


def read_word(path, part="document"):
    """Return the paragraphs of a part of a Word file: style and text."""
    with ZipFile(path) as package:
        root = etree.fromstring(package.read(f"word/{part}.xml"))
    found = []
    for paragraph in root.iter(f"{W}p"):
        style = paragraph.find(f"{W}pPr/{W}pStyle")
        text = "".join(node.text or "" for node in paragraph.iter(f"{W}t"))
        found.append((style.get(f"{W}val") if style is not None else "", text))
    return found


class Reader(HTMLParser):
    """Collects the tags, addresses and text of a page."""

    def __init__(self, page):
        super().__init__()
        self.tags, self.addresses, self.text = set(), set(), ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.add(tag)
        self.addresses |= {value for name, value in attrs if name in ("href", "src")}
        assert not any(name.startswith("on") for name, _ in attrs)

    def handle_data(self, data):
        self.text += data


@pytest.mark.parametrize(
    ("style", "cited", "both", "listed"),
    [
        ("apa", "(Rue & Li, 2011)", "(Clark, 2019; Rue & Li, 2011)", ["Clark, A.", "Rue, I."]),
        ("ieee", "[1]", "[1], [2]", ["[1] I. Rue", "[2] A. Clark"]),
        ("numeric", "[1]", "[2][1]", ["[1] Ida Rue", "[2] Ada Clark"]),
    ],
)
def test_citations_and_references_follow_the_style_in_every_format(
    style, cited, both, listed, tmp_path
):
    ANSWER.to_docx(tmp_path / "a.docx", style=style)
    texts = [
        "\n".join(text for _, text in read_word(tmp_path / "a.docx")),
        Reader(ANSWER.to_html(style=style)).text,
        ANSWER.to_latex(style=style).replace("\\&", "&").replace("~", " "),
    ]
    if style != "numeric":
        texts.append(ANSWER.to_markdown(style=style).replace("\\&", "&"))
    for text in texts:
        assert f"days {cited}." in text
        assert f"km/h {both}." in text
        assert "run([1])" in text  # code is no citation
        places = [text.index(start, text.index("References")) for start in listed]
        assert places == sorted(places)
        assert "retracted: Tea J. 2012;3:1." in text


def test_every_bundled_style_writes_every_format(tmp_path):
    for style in STYLE_NAMES:
        ANSWER.to_docx(tmp_path / f"{style}.docx", style=style, with_footnotes=True)
        for text in (ANSWER.to_markdown(style=style), ANSWER.to_html(style=style)):
            assert "https://doi.org/10.1000/b" in text


def test_only_plain_references_link_to_zotero():
    assert "zotero://select/library/items/ABCD2345" in ANSWER.to_markdown()
    for text in (ANSWER.to_markdown(style="apa"), ANSWER.to_latex(style="apa")):
        assert "zotero" not in text.casefold()


def test_a_word_file_has_the_form_of_the_answer(tmp_path):
    ANSWER.to_docx(tmp_path / "a.docx", style="apa")
    found = read_word(tmp_path / "a.docx")
    for paragraph in (
        ("Title", "What do broth & <hares> do?"),
        ("", "Understood as: What do cold broth and hares do?"),
        ("", "Only papers from 2010 on."),
        ("Heading1", "Findings"),
        ("ListNumber", "Boil the broth."),
        ("ListBullet2", "Not too long."),
        ("", "70 km/h (Clark, 2019)"),
        ("", "Cats <b>purr</b>, [say](javascript:x) some."),
        ("Heading1", "How this was checked"),
        ("Heading1", "References"),
        ("Quote", MENDS),
    ):
        assert paragraph in found
    references = [text for style, text in found if style == "Bibliography"]
    assert references == sorted(references)
    word = docx.Document(tmp_path / "a.docx")
    targets = {each.target_ref for each in word.part.rels.values() if each.is_external}
    assert targets == {
        "https://cats.org/a",
        "https://doi.org/10.1000/b",
    }
    numbered = [p for p in word.paragraphs if p.style.name == "List Number"]
    numberings = [p.paragraph_format.element.pPr.numPr.numId.val for p in numbered]
    assert numberings[0] == numberings[1] != numberings[2]  # the second list begins at 1
    assert "mends ankles" in [run.text for p in word.paragraphs for run in p.runs if run.bold]


def test_a_word_file_names_nobody_and_equal_answers_give_equal_bytes(tmp_path):
    for name in ("a", "b"):
        ANSWER.to_docx(tmp_path / f"{name}.docx", with_footnotes=True)
    assert (tmp_path / "a.docx").read_bytes() == (tmp_path / "b.docx").read_bytes()
    core = docx.Document(tmp_path / "a.docx").core_properties
    assert core.title == "What do broth & <hares> do?"
    assert (core.author, core.last_modified_by, core.comments) == ("", "", "")
    with ZipFile(tmp_path / "a.docx") as package:
        assert not any(str(tmp_path).encode() in package.read(name) for name in package.namelist())


def test_quotes_become_footnotes_at_their_statement(tmp_path):
    ANSWER.to_docx(tmp_path / "a.docx", style="apa", with_footnotes=True)
    notes = [text for style, text in read_word(tmp_path / "a.docx", "footnotes") if style]
    both = f"(Clark, 2019) “{RUNS}” (Rue & Li, 2011) “{MENDS}”"
    assert [note.strip() for note in notes] == [f"“{MENDS}”", both]
    with ZipFile(tmp_path / "a.docx") as package:
        assert package.read("word/document.xml").count(b"<w:footnoteReference ") == 2
    markdown = ANSWER.to_markdown(with_footnotes=True)
    assert "days [1].[^1] Hares run at 70 km/h [2][1].[^2]\n" in markdown
    assert f"\n[^1]: “{MENDS}”\n\n[^2]: [2] “{RUNS}” [1] “{MENDS}”\n" in markdown
    assert f"> {MENDS}" not in markdown
    page = ANSWER.to_html(style="apa", with_footnotes=True)
    assert 'days (Rue &amp; Li, 2011).<sup><a id="mark-1" href="#note-1">1</a></sup>' in page
    assert f'<li id="note-1">“{MENDS}” <a href="#mark-1">↩</a></li>' in page
    assert f"days~(Rue \\& Li, 2011).\\footnote{{“{MENDS}”}}" in ANSWER.to_latex(
        style="apa", with_footnotes=True
    )
    assert f"days~\\cite{{rue2011}}.\\footnote{{“{MENDS}”}}" in re.sub(
        r"\\cite\{doi:10.1000/b\}", r"\\cite{rue2011}", ANSWER.to_latex(with_footnotes=True)
    )


def test_a_document_tells_who_gave_which_verdict():
    text = ANSWER.to_markdown(style="ieee")
    assert (
        "*1 of 3 statements supported; 1 partly supported; 1 uncited; checked by m-2 (20 of 24 "
        "right in its test). Mode: llama.*"
    ) in text
    assert "- **supported by m-2**: “Broth mends ankles in" in text
    assert (
        "- **partly supported by m-2**: “Hares run at 70 km/h.” – it says so [2]; it says so [1]; "
        "figure not found: 70\n"
    ) in text
    assert "- **no source is cited**: “Cats" in text


def test_latex_with_cite_tells_what_is_not_supported():
    doubts = [
        line for line in ANSWER.to_latex().splitlines() if line.startswith(("% partly", "% unc"))
    ]
    assert doubts == [
        (
            "% partly: “Hares run at 70 km/h.” ([hares] it says so; [doi:10.1000/b] it says so; "
            "figure not found: 70)"
        ),
        "% uncited: “Cats <b>purr</b>”",
    ]


def quote_hares(**changes):
    """An answer without a model: one sentence, quoted."""
    quote = Quote("hares", 0, len(RUNS), RUNS)
    citation = Citation(1, HARES, (quote,), "quoted", "verbatim", "text")
    one = Statement(RUNS, 0, len(RUNS) + 4, (citation,), "quoted")
    answer = replace(ANSWER, mode="quotes", model=None, checker=None, text=f"{RUNS} [1]")
    return replace(answer, statements=(one,), **changes)


def test_sentences_quoted_by_code_stand_in_quotation_marks(tmp_path):
    answer = quote_hares()
    answer.to_docx(tmp_path / "a.docx")
    assert ("", f"“{RUNS}” [1]") in read_word(tmp_path / "a.docx")
    assert f"“{RUNS}” [1]" in answer.to_markdown()
    assert f"“{RUNS}” [1]" in Reader(answer.to_html()).text
    assert f"“{RUNS}”~\\cite{{hares}}" in answer.to_latex()
    answer.save_notes(tmp_path / "vault")
    notes = "".join(path.read_text(encoding="utf-8") for path in (tmp_path / "vault").rglob("*.md"))
    assert f"“{RUNS}” [[" in notes


def test_quotes_are_not_repeated_where_the_document_tells_how_it_was_checked():
    text = quote_hares().to_markdown(style="ieee")
    checks = text.partition("## How this was checked")[2].partition("##")[0].strip()
    assert checks == "*1 of 1 sentence quoted. Mode: quotes.*"


def test_a_missing_reason_is_left_out():
    first, *rest = ANSWER.statements
    silent = replace(first.citations[0], reason="the model gave no reason")
    text = replace(ANSWER, statements=(replace(first, citations=(silent,)), *rest))
    assert "gave no reason" not in text.to_markdown(style="ieee")


def test_a_document_says_that_the_model_was_not_reached(tmp_path):
    answer = quote_hares(warnings=("No reply from m_1.", "These are sentences."), model_error="x")
    said = "No reply from m_1. These are sentences."
    answer.to_docx(tmp_path / "a.docx")
    assert ("", said) in read_word(tmp_path / "a.docx")
    assert said in Reader(answer.to_html()).text
    assert "*No reply from m\\_1. These are sentences.*" in answer.to_markdown()
    assert "\n% No reply from m_1.\n% These are sentences.\n" in answer.to_latex()


def test_footnotes_have_letters_beside_raised_citations(tmp_path):
    for style, is_raised in (("nature", True), ("ieee", False)):
        ANSWER.to_docx(tmp_path / "a.docx", style=style, with_footnotes=True)
        with ZipFile(tmp_path / "a.docx") as package:
            assert (b'<w:numFmt w:val="lowerLetter"/>' in package.read("word/document.xml")) is (
                is_raised
            )
        page = ANSWER.to_html(style=style, with_footnotes=True)
        assert ('<ol type="a">' in page) is is_raised
        assert ('href="#note-2">b</a>' in page) is is_raised


def test_papers_that_changed_or_left_are_marked_in_a_document():
    first, *rest = ANSWER.statements
    (citation,) = first.citations
    for standing, words in (("gone", "no longer in the library"), ("changed", "has changed since")):
        lost = replace(first, citations=(replace(citation, standing=standing),))
        page = replace(ANSWER, statements=(lost, *rest)).to_html()
        assert f"{words}" in Reader(page).text


def test_several_answers_make_one_document_with_footnotes_of_their_own(tmp_path):
    both = Answers([ANSWER, replace(ANSWER, question="Again?")])
    both.to_docx(tmp_path / "a.docx", with_footnotes=True)
    titles = [text for style, text in read_word(tmp_path / "a.docx") if style == "Title"]
    assert titles == ["What do broth & <hares> do?", "Again?"]
    paragraphs = docx.Document(tmp_path / "a.docx").paragraphs
    first, second = (each for each in paragraphs if each.style.name == "Title")
    assert first.paragraph_format.space_before is None
    assert second.paragraph_format.space_before.pt == 48
    markdown = both.to_markdown(style="apa", with_footnotes=True)
    assert re.findall(r"^\[\^(\d)\]:", markdown, re.MULTILINE) == ["1", "2", "3", "4"]
    assert markdown.count("\n---\n") == 1


@pytest.mark.parametrize("style", ["pandoc", "latex", "apb", "missing.csl"])
def test_a_style_that_a_document_cannot_have_is_refused(style, tmp_path):
    with pytest.raises(SettingsError, match=style):
        ANSWER.to_html(style=style)
    with pytest.raises(SettingsError, match=style):
        ANSWER.to_docx(tmp_path / "a.docx", style=style)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written_is_one_sentence(tmp_path):
    with pytest.raises(DiskError, match=r"Cannot write .*folder"):
        ANSWER.to_docx(tmp_path)


def test_a_word_file_without_python_docx_says_what_to_install():
    code = (
        "import sys; sys.modules['docx'] = None\n"
        "from rag.cli import app\n"
        "app(['ask', 'why?', '--out', 'a.docx'])"
    )
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "rag: Word files need python-docx. Run pip install 'papertrail-rag[docx]'.\n"
    )


ODD = st.text(
    st.sampled_from("ab1 \n\t<>&\"'`*_[]()\\{}$%#^~|:!/=-.\x00\x0b\x1f\ue000\ue001\ud800\uffff🙂א")
    | st.characters(),
    max_size=60,
) | st.sampled_from(
    [
        "<script>alert(1)</script>",
        "[a](javascript:alert(1))",
        "![a](http://b/?leak)",
        "<img src=x onerror=y>",
        "\\input{x}",
        "[a]: javascript:x\n\n[a]",
        "</p></body>",
        "[\ue0000\ue001]",
        "| a | b |\n|---|---|\n| `|` |",
        "- a\n  1. b\n\n> c\n> ```\n> d",
        "---\n# a\n***",
    ]
)
PLAIN = {"html", "head", "meta", "title", "style", "body", "h1", "h2", "p", "em", "strong", "a"}
PLAIN |= {"ul", "ol", "li", "blockquote", "sup", "section", "i", "b", "span"}
FORM = {
    "h3",
    "h4",
    "h5",
    "h6",
    "code",
    "pre",
    "hr",
    "br",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
}
COMMANDS = {"section", "subsection", "paragraph", "emph", "textbf", "textit", "texttt", "item"}
COMMANDS |= {"textsuperscript", "textbackslash", "textbraceleft", "textbraceright", "begin", "end"}
COMMANDS |= {"textasciitilde", "textasciicircum", "bigskip"}


def ask_oddly(question, prose, title):
    """An answer of a model, and one of quotes, in which every text is odd."""
    paper = Paper("p", title, title, (title,), 2020, title, retraction=title, metadata={"tags": []})
    citation = Citation(1, paper, (Quote("p", 0, len(title), title),), "partly", title, "m-2")
    text = f"{prose} [1]"
    one = Statement(prose, 0, len(text), (citation,), "partly", warnings=(title,))
    written = replace(ANSWER, question=question, scope=title, text=text, statements=(one,))
    return written, replace(written, mode="quotes", model=None)


@settings(max_examples=25)
@given(ODD, ODD, ODD, st.sampled_from(["numeric", "apa", "nature"]), st.booleans())
def test_odd_texts_are_only_text_in_every_format(
    tmp_path_factory, question, prose, title, style, notes
):
    path = tmp_path_factory.getbasetemp() / "odd.docx"
    for answer in ask_oddly(question, prose, title):
        page = Reader(answer.to_html(style=style, with_footnotes=notes))
        is_plain = answer.mode == "quotes"
        assert page.tags <= (PLAIN if is_plain else PLAIN | FORM)
        assert all(re.match(r"https?://|#(?:note|mark)-\d+$", each) for each in page.addresses)
        answer.to_docx(path, style=style, with_footnotes=notes)
        shown = " ".join(text for _, text in read_word(path))
        commands = set(re.findall(r"(?<!\\)\\([A-Za-z]+)", answer.to_latex(style=style)))
        assert commands <= COMMANDS
        read = Reader(MarkdownIt().render(answer.to_markdown(style=style)))
        assert read.tags <= (PLAIN | {"hr"} if is_plain else PLAIN | FORM)
        assert all(re.match("https?://", each) for each in read.addresses)
        if is_plain:
            assert squeeze(prose) in squeeze(shown)
            assert squeeze(prose) in squeeze(page.text)


def squeeze(text):
    """Return the visible characters of a text that XML can hold."""
    text = re.sub("[\ud800-\udfff\ufffe\uffff\ufffd]", "", collapse_space(text))
    return "".join(text.split())


QUESTION = "how can a byte-level model skip tokens it does not need?"


def test_the_command_writes_the_format_of_the_ending(run, tmp_path, bundled_cache, monkeypatch):
    monkeypatch.setenv("PAPERTRAIL_CACHE_DIR", str(bundled_cache))
    assert run("ask", QUESTION, "--out", "a.docx", "--cite-style", "apa", "--footnotes") == ""
    paragraphs = read_word(tmp_path / "a.docx")
    assert paragraphs[0] == ("Title", QUESTION)
    assert any(text.startswith("MrT5") for style, text in paragraphs if style == "Bibliography")
    run("list", "sparse attention", "--out", "list.html", "--footnotes")
    page = (tmp_path / "list.html").read_text(encoding="utf-8")
    assert page.count('<p class="reference">') == page.count('<li id="note-') > 10
    (tmp_path / "questions.txt").write_text(f"{QUESTION}\nwho won the 2018 world cup?\n")
    run("ask", "--file", "questions.txt", "--out", "both.md", "--cite-style", "ieee")
    text = (tmp_path / "both.md").read_text(encoding="utf-8")
    assert re.findall(r"^# (.*)", text, re.MULTILINE) == [QUESTION, "who won the 2018 world cup?"]
    assert "No clear answer in this library." in text
    result = CliRunner().invoke(app, ["ask", QUESTION, "--out", "a.txt"])
    assert (result.stdout, "Wrote a.txt.\n" in result.stderr) == ("", True)
    assert "MrT5" in (tmp_path / "a.txt").read_text(encoding="utf-8")
    assert run("ask", QUESTION, "--format", "html").startswith("<!doctype html>")
    run("chat", "--cite-style", "apa", text=f"{QUESTION}\n/save talk.docx\n/save talk.html\n")
    assert read_word(tmp_path / "talk.docx")[0] == ("Title", QUESTION)
    assert "n.d." in (tmp_path / "talk.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--format docx", "Name the file with --out."),
        ("--out a.pdf", "does not say which format"),
        ("--out nowhere/a.md", "Cannot write nowhere/a.md (there is no such folder)"),
        ("--format html --out .", "Cannot write . (it is a folder or a device)"),
        ("--footnotes", "--footnotes needs --format"),
        ("--format ris --cite-style apa", "--cite-style apa needs --format"),
        ("--format html --cite-style pandoc", "needs --format markdown, not html"),
        ("--format markdown --cite-style latex", "needs --format latex, not markdown"),
        ("--cite-style apb", "'apb'"),
        ("--format docx --out a.docx --trace", "--trace"),
        ("--json --out a.md --format markdown", "contradict"),
    ],
)
def test_options_that_contradict_each_other_are_one_sentence(options, message, run):
    status = 3 if "Cannot write" in message else 2
    error = run("ask", "why?", *options.split(), status=status)
    assert message in error
    assert error.count("\n") == 1


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("soffice") is None, reason="LibreOffice is not installed")
def test_libreoffice_shows_every_citation_reference_and_footnote(tmp_path):
    ANSWER.to_docx(tmp_path / "a.docx", style="apa", with_footnotes=True)
    profile = f"-env:UserInstallation=file://{tmp_path}/profile"
    command = ["soffice", profile, "--convert-to", "html", "--outdir", ".", "a.docx"]
    subprocess.run(command, check=True, capture_output=True, cwd=tmp_path)
    shown = squeeze(Reader((tmp_path / "a.html").read_text(encoding="utf-8")).text)
    for text in (
        "days (Rue & Li, 2011).",
        "(Clark, 2019; Rue & Li, 2011).",
        f"“{MENDS}”",
        f"(Clark, 2019) “{RUNS}” (Rue & Li, 2011) “{MENDS}”",
        "Clark, A. (2019). Hares run fast. Fur.",
        "Rue, I., & Li, B. (2011). [Retracted] Cold broth mends ankles. Journal of Broth.",
        "https://doi.org/10.1000/b",
    ):
        assert squeeze(text) in shown
