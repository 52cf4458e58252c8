"""Papers as reference managers and databases export them: BibTeX, RIS, MEDLINE and tables."""

from __future__ import annotations

import json
import warnings
from pathlib import Path

import pytest

from rag.errors import CorpusError
from rag.exporters import export_papers
from rag.papers import Paper
from rag.readers import Refused, bibtex, iter_papers, read_papers, ris, tables
from rag.readers.fields import RawRecord, split_urls
from rag.readers.latex import to_plain_text

FORMATS = Path(__file__).parent / "fixtures/formats"
COLUMNS = Path(__file__).parent / "fixtures/columns"  # a row as each of these writes it


def written(folder, content):
    path = folder / "papers.xyz"
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def papers(path):
    return [record for record in iter_papers(path) if isinstance(record, Paper)]


def refusals(path):
    return [(r.line, r.reason) for r in iter_papers(path) if isinstance(r, Refused)]


def seen(paper):
    """What the paper says, without its identity and its file."""
    return {k: v for k, v in paper.to_dict().items() if k not in {"id", "sources"}}


# --- BibTeX -------------------------------------------------------------------------------------


def test_strings_that_multiply_each_other_spoil_only_what_uses_them(tmp_path):
    text = '@string{a = "xxxxxxxxxx"}\n'
    for name, before in zip("bcdefghij", "abcdefghi", strict=True):
        text += f"@string{{{name} = {' # '.join([before] * 10)}}}\n"
    text += f"@misc{{q, title = {{Bomb}}, abstract = {' # '.join(['f'] * 10)}}}\n"
    text += "@misc{r, title = {On Rates}, abstract = {We test.}}\n"
    file = tmp_path / "strings.bib"
    file.write_text(text)
    bomb, rates = iter_papers(file)
    assert "@string entries make a value too long" in str(bomb)
    assert rates.title == "On Rates"


def test_a_bibtex_entry_gives_its_fields_as_plain_text():
    assert seen(papers(FORMATS / "papers.bib")[0]) == {
        "title": "Deep Nested Braces for Études",
        "abstract": "We gain 36% over strong baselines & keep x_1. It is “good”, 5% more.",
        "authors": ["Åsa Sjöberg", "Jan van der Berg", "Data Group, Inc.", "et al."],
        "year": 2020,
        "venue": "Proceedings of the Annual Meeting 2020",
        "url": "https://example.org/2020.acl-main.1",
        "doi": "10.18653/v1/2020.acl-main.1",
        "metadata": {"month": 7, "tags": ["nets, braces", "more"]},
        "citation_key": "sjoberg-2020-nets",
        "entry_type": "inproceedings",
    }


def test_a_power_in_an_entry_keeps_its_sign_and_an_ordinal_has_none(tmp_path):
    path = tmp_path / "powers.bib"
    path.write_text(
        r"@misc{a, title={The 5\textsuperscript{th} n\textsuperscript{2}}, author={A. Sea},"
        r" abstract={It takes 10\textsuperscript{6} H\textsubscript{2}O.}}"
    )
    (paper,) = papers(path)
    assert (paper.title, paper.abstract) == ("The 5th n^2", "It takes 10^6 H2O.")


def test_a_biblatex_entry_gives_its_fields_and_the_first_of_two_titles():
    assert seen(papers(FORMATS / "papers.bib")[1]) == {
        "title": "关于速率",
        "abstract": "",
        "authors": ["李明", "Ada Lovelace", "Martin King Jr."],
        "year": 2021,
        "venue": "Журнал",
        "arxiv_id": "2103.00001",
        "metadata": {"month": 3, "family_names": {"李明": "李"}},
        "citation_key": "Li2021",
        "entry_type": "article",
    }


def test_entries_of_one_key_are_both_kept_and_children_inherit_at_the_end():
    other, child = papers(FORMATS / "papers.bib")[2:]
    assert (other.title, other.arxiv_id) == ("Same Key, Other Paper", "1706.03762")
    assert (child.title, child.venue, child.year) == ("A Child", "The Volume of 2019", 2019)


@pytest.mark.parametrize("kind", ["collection", "book", "proceedings"])
def test_a_volume_that_only_hands_down_its_fields_is_no_paper(kind):
    volume = f"@{kind}{{V, title = {{The Volume}}, year = 2019}}\n"
    child = "@incollection{c, title = {A Child}, crossref = {v}}\n"
    for text in (volume + child, child + volume):
        [(_, found)] = bibtex.read(text.splitlines(keepends=True))
        assert (found.title, found.venue, found.year) == ("A Child", "The Volume", 2019)


@pytest.mark.parametrize(
    ("written", "tags"),
    [
        ("{tea; cups and {S}aucers}", ["tea", "cups and Saucers"]),
        ("{{tea; cups; R\\&D}}", ["tea", "cups", "R&D"]),  # braces around all, as some export it
        ("{{tea}, {cups}, {R\\&D}}", ["tea", "cups", "R&D"]),
        ("{{tea; hot}; cups}", ["tea; hot", "cups"]),
        ("{{tea; hot};}", ["tea; hot"]),
    ],
)
def test_a_semicolon_in_braces_sets_no_keywords_apart_beside_one_that_does(written, tags):
    entry = f"@article{{a, title = {{On Tea}}, keywords = {written}}}\n"
    [(_, found)] = bibtex.read([entry])
    assert found.metadata == {"tags": tags}


def test_entries_take_over_what_they_lack_from_shared_ones_which_are_no_papers():
    shared = """@xdata{J, journaltitle = {Journal of Tea}, year = 2019}
@XData{k, xdata = {j}, date = {2018-05}, keywords = {tea}}
"""
    article = "@article{a, title = {On Tea}, xdata = {K, none}, abstract = {We brew.}}\n"
    plain = "@article{b, title = {On Cups}, year = 2001, xdata = {j,k}}\n"
    for text in (shared + article + plain, article + plain + shared):
        found = [each for _, each in bibtex.read(text.splitlines(keepends=True))]
        cups, tea = {"tags": ["tea"]}, {"month": 5, "tags": ["tea"]}
        assert sorted(
            (each.title, each.venue, each.year, dict(each.metadata))
            for each in found
            if isinstance(each, RawRecord)
        ) == [("On Cups", "Journal of Tea", 2001, cups), ("On Tea", "Journal of Tea", 2018, tea)]
        assert len(found) == 2


def test_further_keys_of_an_entry_name_the_paper_and_go_out_again(tmp_path):
    text = "@article{devlin2018, ids = {devlin-etal-2019, bert}, title = {BERT}, year = 2019}"
    (paper,) = papers(written(tmp_path, text))
    assert paper.aliases == ("devlin-etal-2019", "bert")
    assert "  ids = {devlin-etal-2019, bert},\n" in export_papers([paper], "bibtex")


def test_details_of_an_entry_are_kept_and_those_of_its_volume_inherited(tmp_path):
    text = """@string{mar = "March"}
@InProceedings{Doe_2010:tea, title = {On Tea}, number = 2, pages = {17--29}, month = mar,
  year = 2010, crossref = {V}, papertrail-retraction = {Retracted in: Cups. 2012}}
@phdthesis{b, title = {On Cups}, school = {Tea School}, issue = {S1}, month = 12 # "~May",
  keywords = {cups, Retracted Publication}}
@proceedings{v, title = {Tea Days}, editor = {Roe, Ann and Poe, Ed and others}, volume = {7},
  publisher = {Tea Press}, month = jul, year = 2009}
"""
    cups, tea = papers(written(tmp_path, text))
    assert (tea.citation_key, tea.entry_type, tea.retraction) == (
        "Doe_2010:tea",
        "inproceedings",
        "Retracted in: Cups. 2012",
    )
    assert (tea.venue, tea.year) == ("Tea Days", 2010)
    details = {"volume": "7", "issue": "2", "publisher": "Tea Press", "pages": "17-29", "month": 3}
    assert tea.metadata == {**details, "editors": ["Ann Roe", "Ed Poe", "et al."]}
    assert (cups.entry_type, cups.retraction) == ("phdthesis", "Retracted Publication")
    assert cups.metadata == {
        "issue": "S1",
        "publisher": "Tea School",
        "month": "12 May",
        "tags": ["cups", "Retracted Publication"],
    }


@pytest.mark.parametrize(
    ("head", "key"),
    [
        ("@article{,", None),
        ("@Misc{ ,", None),
        ("@article{", None),
        ("@article{\n ", None),
        ("@article{Roe 2011,", "Roe 2011"),
        ("@article{[Roe2011]a,", "[Roe2011]a"),
        ("@article{(Roe, 2011),", "(Roe 2011)"),
        ("@article{{Roe 2011},", "Roe 2011"),
        ("@article{roe\n", "roe"),
        ("@article{roe\n ,", "roe"),
        ("@article{roe,,", "roe"),
        ("@techreport(roe,", "roe"),
        ("@article{DBLP:conf/a+b/R'o-e_1,", "DBLP:conf/a+b/R'o-e_1"),
    ],
)
def test_an_entry_with_any_key_or_none_is_read(tmp_path, head, key):
    end = ")" if "(" in head.partition("{")[0] else "}"
    entry = f"{head} author = {{Roe, Ann}},\n title = {{On Tea}}, year = 2011{end}\n"
    for before in ("", "% Encoding: UTF-8\n\n", "@misc{x, title = {Other}}\n"):
        paper = papers(written(tmp_path, before + entry))[-1]
        assert (paper.title, paper.authors, paper.year) == ("On Tea", ("Ann Roe",), 2011)
        assert paper.citation_key == key


@pytest.mark.parametrize(
    ("fields", "field"),
    [
        ("title = {On Tea}\n year = {2000}", "title"),
        ('title = "On Tea" year = 2000', "title"),
        ("title = {On Tea}, year = 2000\n note = jan # {x}", "year"),
    ],
)
def test_an_entry_that_lacks_a_comma_is_refused(tmp_path, fields, field):
    whole = '@misc{b, title = {If {a} = b, "c"}, url = http://x.org/?c=d, note = "e = f"}\n'
    path = written(tmp_path, f"{whole}@misc{{a,\n {fields},\n abstract = {{We brew.}}}}\n")
    assert [paper.title for paper in papers(path)] == ['If a = b, "c"']
    reason = f"cannot read the entry: a comma is missing after {field}."
    assert refusals(path) == [(2, reason)]


def test_a_book_that_says_something_or_stands_alone_is_a_paper():
    text = """@collection{alone, title = {Alone}}
@book{v, title = {Told}, abstract = {We tell.}}
@inbook{c, title = {A Child}, crossref = {v}}
"""
    found = [(line, one) for line, one in bibtex.read(text.splitlines(keepends=True))]
    assert [(line, one if isinstance(one, str) else one.title) for line, one in found] == [
        (2, "Told"),
        (3, "A Child"),
        (1, "Alone"),
    ]


def test_broken_entries_are_refused_with_their_lines_and_nothing_is_printed(capfd):
    found = refusals(FORMATS / "papers.bib")
    assert [line for line, _ in found] == [39, 43, 49]
    assert found[0][1] == "the record has no title. Add one."
    assert all("Check its braces; the file may be cut off." in reason for _, reason in found[1:])
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("tex", "text"),
    [
        (r"\( {b} \(x_{1}\) and \[ y \\[2pt] z \]", r"( b \(x_{1}\) and \[ y \\[2pt] z \]"),
        ("gains of 36% over BERT", "gains of 36% over BERT"),
        ("{BERT} gains 36% over R&D", "BERT gains 36% over R&D"),
        (r"A\\% b", "A % b"),
        (r"{\o}stergaard \o stergaard", "østergaard østergaard"),
        (r"Erd{\H o}s, {\v{S}}im{\'\i}k", "Erdős, Šimík"),
        (r"it costs $5, {says} \'E", "it costs $5, says É"),
        (r"see \url{https://a.org/b%20c} and \href{https://a.org}{this}",
         "see https://a.org/b%20c and this"),
        (r"\textbf{two words} here", "two words here"),
        (r"the \texttt{a\_b} c, \textsf{d e} f", "the a_b c, d e f"),
        (r"\mbox{state of} \textup{the} \textmd{art}", "state of the art"),
        (r"\textsc{Abc} \textrm{d} \underline{e} \emph{f} {\tt g h} i", "Abc d e f g h i"),
        (r"\uppercase{abc} \MakeUppercase{d {\'e}} \lowercase{F} g", "ABC D É f g"),
        (r"call \verb|f_a| now", "call f_a now"),
        (r"p {\textless} 5 {\textpm} 1{\textdegree}C, \S 3", "p < 5 ± 1°C, § 3"),
        (r"\c{c}\v s \d{h}\=a {\'\i} \^{}2 \~{}x", "çš ḥā í ^2 ~x"),
        (r"soft\-ware as\,in \cite[p. 5]{doe} a\quad b", "software as in a b"),
        (r"H\textsubscript{2}O\textsuperscript{\textregistered}", "H<sub>2</sub>O<sup>®</sup>"),
        (r"\url{https://a.org/~b\_c} \verb+~+", "https://a.org/~b_c ~"),
        (r"in \LaTeX{} and \TeX", "in LaTeX and TeX"),
        (r"\ensuremath{\alpha} and \nolinkurl{http://a.org}", "α and http://a.org"),
        (r"\alpha < 5% of \o re, $\alpha < 5$% of it", r"α < 5% of øre, $\alpha < 5$% of it"),
        (r"a---b -- ``so it is''", "a—b – “so it is”"),
        (r"50\% of R\&D, 36\\% more", "50% of R&D, 36 % more"),
        ("the {{B}ERT} of {T}wo{s} # {#1}", "the BERT of Twos # #1"),
        ("{-}- and -{-}", "-- and --"),
        ("one--two~three", "one–two three"),
        ("-----''' ````", "—–”' ““"),
        ("-" * 1_000_000, "—" * 333_333 + "-"),
        ("x {$" + "a b" * 100_000 + "$}", "x $" + "a b" * 100_000 + "$"),
        (r"\input{/etc/passwd} nothing", "nothing"),
        ("{{{all} of it}}", "all of it"),
        ("{open", "open"),
        ("a}b", "ab"),
        ("{" * 5000 + "deep", "deep"),
        ("", ""),
    ],
)  # fmt: skip
def test_tex_becomes_text_and_words_stay(tex, text):
    assert to_plain_text(tex) == text


def authors_of(entry):
    [(_, found)] = bibtex.read([f"@misc{{a, title = {{A}}, author = {{{entry}}}}}"])
    return found.authors


@pytest.mark.parametrize(
    ("names", "authors"),
    [
        (
            "given=Ada, family=Lovelace and family=Berg, given=Jan, prefix=van, useprefix=true",
            ("Ada Lovelace", "Jan van Berg"),
        ),
        (
            "given={Martin L.}, given-i={ML}, family=King, suffix=Jr. and Noether, E. and others",
            ("Martin L. King Jr.", "E. Noether", "et al."),
        ),
        (
            '"family={Data Group, Inc.}" and FAMILY = {M{\\"u}ller}, Given="Hans, P."',
            ("Data Group, Inc.", "Hans, P. Müller"),
        ),
        ("Lovelace, Ada and {others}", ("Ada Lovelace", "others")),
        ("{The Team} and Noether, E. et al.", ("The Team", "E. Noether", "et al.")),
        ("{others} and others", ("others", "et al.")),
        (r"Noether, E. and \emph{et~al.}", ("E. Noether", "et al.")),
        ("others", ()),
        ("{E=mc Group} and E=mc, A", ("E=mc Group", "A E=mc")),
        ("family=王, given=小明 and 李, {明} and Ng, 明", ("王小明", "李明", "明 Ng")),
        (f"Ada{' ' * 500_000}Lovelace\nAND\tNoether, E.", ("Ada Lovelace", "E. Noether")),
        ("family=, given=", ()),
        # a command that a name behind an "and" begins with stays with it
        (r"Ada Foo and \'{E}mile Zola", ("Ada Foo", "Émile Zola")),
        (r"A B and \O{}ystein Berg and \L{}ukasz K", ("A B", "Øystein Berg", "Łukasz K")),
        (r"A B and \"Omer, Can and {\O}dd {and Co}", ("A B", "Can Ömer", "Ødd and Co")),
        (r"\& Co and  \& Sons AND \textbraceleft{}X\textbraceright{}", ("& Co", "& Sons", "{X}")),
        (r"{A and {B} and \& C} and D", ("A and B and & C", "D")),
        # set apart by semicolons or commas
        ("Roe, A.; Poe, B.B.; Loe, C.", ("A. Roe", "B.B. Poe", "C. Loe")),
        ("Roe, A.; and Poe, B. and Loe, C.;", ("A. Roe", "B. Poe", "C. Loe")),
        ("{Tea; Cups} and B&uuml;rk, C.; Loe, D.", ("Tea; Cups", "C. Bürk", "D. Loe")),
        ("Roe A, van Poe BB, et al.", ("Roe A", "van Poe BB", "et al.")),
        ("A. Roe, B. B. Poe, and C. Loe", ("A. Roe", "B. B. Poe", "C. Loe")),
        ("Roe, A., Poe, B. and Loe, C.", ("A. Roe", "B. Poe", "C. Loe")),
        ("van Roe, Jr, Al and Poe Loe, Bo", ("Al van Roe Jr", "Bo Poe Loe")),
    ],
)
def test_names_of_bibtex_and_biblatex_are_put_together(names, authors):
    assert authors_of(names) == authors


@pytest.mark.parametrize(
    "text",
    [
        "# Papertrail\n\n```\n@article{a, title = {B}}\n```\n",
        "@media (max-width: 600px) {\n  a { color: red }\n}\n",
        "@dataclass(frozen=True)\nclass A:\n    x: int = 1\n",
        "Write to me @home.\n",
    ],
)
def test_texts_with_an_at_sign_are_not_taken_for_bibtex(text):
    assert not bibtex.recognises(text)


# --- RIS ----------------------------------------------------------------------------------------


def test_ris_records_give_their_fields_under_newer_and_older_tags():
    new, old = papers(FORMATS / "papers.ris")
    assert seen(new) == {
        "title": "Rates over Time",
        "abstract": "We measure rates over two lines.",
        "authors": ["Åsa Sjöberg", "Martin King Jr.", "et al."],
        "year": 2020,
        "venue": "Journal of Rates",
        "url": "https://example.org/rates",
        "doi": "10.1000/rates.1",
        "metadata": {"month": 7, "tags": ["rates", "time"]},
        "entry_type": "article",
    }
    assert seen(old) == {
        "title": "关于速率",
        "abstract": "An abstract under its older tag.",
        "authors": ["李明"],
        "metadata": {"family_names": {"李明": "李"}},
        "year": 2021,
        "venue": "A Conference",
        "url": "http://arxiv.org/abs/2103.00001v2",
        "arxiv_id": "2103.00001",
        "entry_type": "inproceedings",
    }


def test_ris_records_without_title_or_cut_off_are_refused_with_their_lines():
    assert refusals(FORMATS / "papers.ris") == [
        (17, "the record has no title. Add one."),
        (27, "the record does not end with ER. The file may be cut off; export it again."),
    ]


@pytest.mark.parametrize(
    ("before", "between"), [("", " "), ("  ", "  "), ("\t", " "), ("", ""), ("", "   ")]
)
def test_ris_that_is_indented_or_lacks_a_space_is_read(before, between):
    tags = ["TY - JOUR", "TI - Rates", "AU - Turing, Alan", "AB - We measure", "rates.", "ER -"]
    text = "Exported by hand\n\n"
    text += "".join(f"{before}{tag.replace(' -', between + '-')}\n" for tag in tags)
    assert ris.recognises(text)
    [(line, found)] = ris.read(text.splitlines(keepends=True))
    assert (line, found.title, found.authors) == (3, "Rates", ("Alan Turing",))
    assert found.abstract.split() == ["We", "measure", "rates."]
    assert list(ris.read([text.removesuffix("\n")])) == [(3, found)]


def test_ris_as_programs_bend_it_is_read_all_the_same():
    text = """Exported by hand
TY  - Journal Article
TI  -Rates
TI  - A second title that does not count
and does not go on
PY  - in press
Y1  - 2020/01/02
AU  - Turing, Alan
Noether, Emmy
KW  - rates
time
XX  - a tag nobody knows
and what it says
AB  -
We measure rates.

  AB  - is no tag here.
M1  - TY  - nor here
N1  - arXiv: 2103.00001v2
N1  - Read twice.
ER  -
Between two records
TY  - JOUR
T1  - Other
ER  -
"""
    lines = text.splitlines(keepends=True)
    [(line, rates), (_, other)] = ris.read(lines)
    assert (line, rates.title, rates.year) == (2, "Rates", 2020)
    assert rates.authors == ("Alan Turing", "Emmy Noether")
    assert rates.metadata == {"month": 1, "tags": ["rates", "time"]}
    assert " ".join(rates.abstract.split()) == "We measure rates. AB - is no tag here."
    assert rates.arxiv_id == "2103.00001"
    assert (other.title, other.authors, other.abstract) == ("Other", (), "")


@pytest.mark.parametrize("kind", ["", "TY  - JOUR\n", "TY  - Conference paper\n"])
def test_tags_of_a_ris_record_may_stand_before_its_type_or_without_one(tmp_path, kind):
    first = f"C1  - 7\nTI  - On Tea\nAB  - We brew.\n{kind}AU  - Roe, Ann\nER  - \n"
    second = f"\nAB  - We pour.\n{kind}PY  - 2011\nTI  - On Cups\nER  - \n{kind}TI  - Cut off\n"
    path = written(tmp_path, first + second)
    assert [(p.title, p.abstract, p.authors, p.year) for p in papers(path)] == [
        ("On Tea", "We brew.", ("Ann Roe",), None),
        ("On Cups", "We pour.", (), 2011),
    ]
    [(line, reason)] = refusals(path)
    assert line == (first + second).count("\n") - bool(kind)
    assert "does not end with ER" in reason


def test_a_type_behind_much_white_space_begins_a_ris_record():
    wide = " " * 300_000
    lines = [f"TY  -{wide}JOUR{wide}\n", "TI  - A\n", f"TY  -{wide}a b\n", "ER  -\n"]
    [(_, found), (line, reason)] = ris.read(lines)
    assert (found.title, found.entry_type) == ("A", "JOUR")
    assert (line, reason) == (3, "the record has no title. Add one.")


def test_details_of_a_ris_record_are_kept(tmp_path):
    tags = "TI  - On Tea\nVL  - 7\nIS  - 2\nPB  - Tea Press\nA3  - Poe, Ed\n"
    chapter = (
        f"TY  - CHAP\n{tags}SP  - e17\nEP  - e29\nA2  - Roe, Ann\nPY  - 2010/03/15/\nID  - 31\n"
    )
    book = f"TY  - BOOK\n{tags}SP  - 17-29\nEP  - 29\nA2  - Roe, Ann\nDA  - 2010///Winter\n"
    notes = "ID  - roe10\nN1  - Retracted: Retraction in: Cups. 2012\n"
    one, other = papers(written(tmp_path, f"{chapter}ER  - \n{book}{notes}ER  - \n"))
    shared = {"volume": "7", "issue": "2", "publisher": "Tea Press"}
    assert one.metadata == shared | {"pages": "e17-e29", "editors": ["Ann Roe"], "month": 3}
    assert other.metadata == shared | {"pages": "17-29", "editors": ["Ed Poe"], "month": "Winter"}
    assert (one.entry_type, one.citation_key) == ("incollection", None)
    assert (other.entry_type, other.citation_key) == ("book", "roe10")
    assert (one.retraction, other.retraction) == (None, "Retraction in: Cups. 2012")


@pytest.mark.parametrize(
    ("tag", "mark"),
    [
        ("M3  - Retracted Publication", "Retracted Publication"),
        ("KW  - tea\nKW  - Retracted Publication", "Retracted Publication"),
        ("KW  - Retracted articles\nKW  - Retracted publication", None),  # what it is about
        ("M3  - Article; Retracted Publication", "Article; Retracted Publication"),
        ("N1  - Retraction in: Cups. 2012;3:1", "Retraction in: Cups. 2012;3:1"),
        ("M3  - Retraction of Publication", None),
        ("KW  - Retracted tongue", None),
    ],
)
def test_a_mark_of_retraction_in_ris_is_kept(tmp_path, tag, mark):
    [paper] = papers(written(tmp_path, f"TY  - JOUR\nTI  - On Tea\n{tag}\nER  - \n"))
    assert paper.retraction == mark


@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("Roe A, Poe BB", ("Roe A", "Poe BB")),
        ("Roe, A.; Poe, Bo", ("A. Roe", "Bo Poe")),
        ("Roe, Ann and Poe, Bo & Loe, C.", ("Ann Roe", "Bo Poe", "C. Loe")),
        ("Roe, A., Poe, B. B., et al.", ("A. Roe", "B. B. Poe", "et al.")),
        ("Centre for Tea and Care", ("Centre for Tea and Care",)),
        ("Poe Loe, Bo", ("Bo Poe Loe",)),
    ],
)
def test_a_line_of_ris_may_hold_several_authors(tmp_path, line, names):
    [paper] = papers(written(tmp_path, f"TY  - JOUR\nTI  - On Tea\nAU  - {line}\nER  - \n"))
    assert paper.authors == names


@pytest.mark.parametrize(
    ("date", "year", "month"),
    [
        ("20200315//", 2020, 3),
        ("20200315", 2020, 3),
        ("20200000", 2020, None),
        ("15 Mar 2020", 2020, 3),
        ("2020-03-15T00:00:00Z", 2020, 3),
        ("no. 20200315", None, None),
        ("20209915", None, None),
    ],
)
def test_a_date_gives_year_and_month_in_every_format(tmp_path, date, year, month):
    for text in (
        f"TY  - JOUR\nTI  - On Tea\nY1  - {date}\nER  - \n",
        f"@misc{{a, title = {{On Tea}}, date = {{{date}}}}}\n",
    ):
        [paper] = papers(written(tmp_path, text))
        assert (paper.year, paper.metadata.get("month")) == (year, month)


# --- tables -------------------------------------------------------------------------------------


def test_a_table_of_zotero_gives_its_rows():
    first, second = papers(FORMATS / "zotero.csv")
    assert seen(first) == {
        "title": 'Rates, "quoted"',
        "abstract": "First line. Second line.",
        "authors": ["Åsa Sjöberg", "Maria Elena de la Cruz"],
        "year": 2020,
        "venue": "Journal of Rates",
        "url": "https://example.org/3",
        "doi": "10.1000/rates.3",
        "metadata": {
            "month": 7,
            "tags": ["rates", "time"],
            "family_names": {"Maria Elena de la Cruz": "de la Cruz"},
        },
        "citation_key": "AAAA",
        "entry_type": "article",
    }
    assert seen(second) == {
        "title": "关于速率",
        "abstract": "",
        "authors": ["Maria Elena de la Cruz"],
        "year": 2021,
        "metadata": {"month": 3, "family_names": {"Maria Elena de la Cruz": "de la Cruz"}},
        "citation_key": "BBBB",
        "entry_type": "article",
    }
    assert refusals(FORMATS / "zotero.csv") == [(5, "the record has no title. Add one.")]


@pytest.mark.parametrize(
    ("name", "title", "venue", "doi", "first"),
    [
        ("scopus.csv", "Rates", "Journal of Rates", "10.1000/rates.4", "Åsa Sjöberg"),
        ("wos.tsv", '"Rates" and a lone " mark', "J RATES", "10.1000/rates.5", "Asa Sjoberg"),
    ],
)
def test_tables_of_scopus_and_the_web_of_science_give_their_rows(name, title, venue, doi, first):
    [paper] = papers(FORMATS / name)
    assert seen(paper) | {"url": None} == {
        "title": title,
        "abstract": "We measure.",
        "authors": [first, "Martin King"],
        "year": 2020,
        "venue": venue,
        "doi": doi,
        "url": None,
        "metadata": {"tags": ["rates", "time"]},
    }


@pytest.mark.parametrize("path", sorted(COLUMNS.iterdir()), ids=lambda path: path.stem)
def test_columns_of_usual_exports_are_known(path):
    [paper] = papers(path)
    assert (paper.title, paper.year, paper.venue) == ("On Tea", 2010, "Cups")
    has_none = path.stem in {"pubmed", "google_scholar", "springer_link"}
    assert paper.abstract == ("" if has_none else "We brew.")
    initials = {("A Roe", "B Poe"), ("A. Roe", "B. Poe"), ("Roe A", "Poe B"), ("Roe A.", "Poe B.")}
    assert paper.authors in initials | {("Ann Roe", "Bo Poe")}
    assert paper.doi == (None if path.stem in {"google_scholar", "rayyan"} else "10.1000/tea")
    details = {"volume": "7", "issue": "2", "pages": "17-29", "publisher": "Tea Press", "month": 3}
    if path.stem == "ebsco":
        details["pages"] = "17"
    assert details.items() >= paper.metadata.items()
    has_mark = path.stem in {"openalex", "scopus"}
    assert paper.retraction == ("Retracted" if has_mark else None)
    has_type = path.stem in {"dimensions", "lens", "openalex", "publish_or_perish", "springer_link"}
    assert paper.entry_type == ("article" if has_type else None)
    assert paper.citation_key == ("rayyan-1" if path.stem == "rayyan" else None)


def test_a_column_that_looks_like_a_missing_field_is_named_once(tmp_path):
    header = "Title,Authors,Released in Year,Abstrct,Journal Name and ISSN,Screening Notes\n"
    path = written(tmp_path, header + "On Tea,Ann Roe,2010,We brew.,Cups,none\n" * 2)
    with pytest.warns(UserWarning, match="use --map") as warned:
        [first, _] = papers(path)
    assert (first.year, first.abstract, first.venue) == (None, "", None)
    assert [str(each.message).removeprefix(f"{path}: ") for each in warned] == [
        'Abstrct: use --map abstract="Abstrct"',
        'Released in Year: use --map year="Released in Year"',
        'Journal Name and ISSN: use --map venue="Journal Name and ISSN"',
    ]
    columns = {"abstract": "Abstrct", "year": "Released in Year", "venue": "Journal name and ISSN"}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        [first, _] = iter_papers(path, columns=columns)
    assert (first.year, first.abstract, first.venue) == (2010, "We brew.", "Cups")


def test_report_names_a_column_that_is_not_read(run, tmp_path):
    path = written(tmp_path, "Title,Authors,Released Year\nOn Tea,Ann Roe,2010\n")
    hint = f'{path}: Released Year: use --map year="Released Year"'
    assert f"note: {hint}\n" in run("index", str(path), "-i", f"{tmp_path}/mine/")
    assert json.loads(run("index", str(path), "-i", f"{tmp_path}/mine/", "--json"))["warnings"] == [
        hint
    ]


@pytest.mark.parametrize("mark", [",", ";", "\t"])
@pytest.mark.parametrize("spreadsheet", [False, True])
def test_columns_are_set_apart_by_comma_semicolon_or_tab(tmp_path, mark, spreadsheet):
    rows = [["TITEL", "Abstract", "PY"], ['"A, B; C"', "We test.", "2017.0"]]
    text = f"sep={mark}\n" * spreadsheet + "".join(mark.join(row) + "\n" for row in rows)
    [paper] = papers(written(tmp_path, text))
    assert (paper.title, paper.abstract, paper.year) == ("A, B; C", "We test.", 2017)


@pytest.mark.parametrize("column", ["Authors", "Author"])
@pytest.mark.parametrize(
    ("cell", "names"),
    [
        # initials behind every second comma belong to the name before it
        ("Vogt, V., Mohr, M., et al.", ("V. Vogt", "M. Mohr", "et al.")),
        ("Vogt, V., et al.", ("V. Vogt", "et al.")),
        ("Vogt, V. M., Mohr, J.-P., and Li, L.", ("V. M. Vogt", "J.-P. Mohr", "L. Li")),
        ("van der Berg, A., Mohr, M. & Şahin, Ş.", ("A. van der Berg", "M. Mohr", "Ş. Şahin")),
        ("Vogt, VM, Mohr, M", ("VM Vogt", "M Mohr")),
        ("Vogt, V.", ("V. Vogt",)),
        ("Turing, Alan", ("Alan Turing",)),
        ("Turing, Alan and Noether, Emmy", ("Alan Turing", "Emmy Noether")),
        ("Turing, Alan | Noether, Emmy", ("Alan Turing", "Emmy Noether")),
        (
            f"Turing,{' ' * 100_000}Alan (1){' ' * 20_000}and\tE. Noether",
            ("Alan Turing", "E. Noether"),
        ),
        ("李明", ("李明",)),
        ("欧阳, 小明", ("欧阳小明",)),
        ("Šulc, J. -L. and X. -Y. Li and A. - B. C", ("J.-L. Šulc", "X.-Y. Li", "A. - B. C")),
    ],
)
def test_a_cell_of_authors_gives_each_name(tmp_path, column, cell, names):
    [paper] = papers(written(tmp_path, f'Title,{column}\nA,"{cell}"\n'))
    assert paper.authors == names


def test_commas_may_stand_between_whole_names(tmp_path):
    rows = ["UN, WHO, EU", "Ada Lovelace, Alan Turing", "Turing A., King M., et al.",
            "A. Turing, B. Noether and C. Gauss"]  # fmt: skip
    lines = [f'{number},"{names}"\n' for number, names in enumerate(rows)]
    found = papers(written(tmp_path, "Title,Authors\n" + "".join(lines)))
    assert [paper.authors for paper in found] == [
        ("UN", "WHO", "EU"),
        ("Ada Lovelace", "Alan Turing"),
        ("Turing A.", "King M.", "et al."),
        ("A. Turing", "B. Noether", "C. Gauss"),
    ]


def test_a_mark_that_is_never_closed_spoils_its_own_row_only(tmp_path):
    rows = ['"A","fine"', 'B,"never closed', 'C,"closed"', "D,no marks", '"E","cut o']
    path = written(tmp_path, "title,abstract\n" + "\n".join(rows))
    assert [paper.title for paper in papers(path)] == ["A", "C", "D"]
    assert [line for line, _ in refusals(path)] == [3, 6]


def test_a_row_with_a_surplus_cell_is_read_as_far_as_its_cells_are_in_place(tmp_path):
    header = "Authors,Title,Year,Abstract,References,Publisher,Source\n"
    rows = [
        "Roe A.,Tea,2010,We brew.,,Ref; Ref,Press,Scopus",
        '"Poe B.",Cups,2011,We pour.,,"Poe, Hill\nLane 16, Town, 2011, Press, Article",x,Scopus',
        "Loe C.,Tea, hot, 2012,We boil.,,,Scopus",
        "Moe D.,Milk,2013,We stir, then pour.,,,x,Scopus",
        "Noe E.,Salt,2014,We salt.,,Press,Scopus",
    ]
    path = written(tmp_path, header + "\n".join(rows) + "\n")
    assert [(p.title, p.year, p.abstract, p.metadata) for p in papers(path)] == [
        ("Tea", 2010, "We brew.", {}),
        ("Cups", 2011, "We pour.", {}),
        ("Salt", 2014, "We salt.", {"publisher": "Press"}),
    ]
    assert [line for line, _ in refusals(path)] == [5, 6]


@pytest.mark.parametrize(
    ("header", "row"),
    [
        ("title,abstract,pmid,year", "On Cups,We drink.,2,2001"),
        ('\ufeff"Title",Abstract,PMID,Year', "On Cups,We drink.,2,2001"),
        ("year,title,abstract", "2001,On Cups,We drink."),
        ("doi,pmid,year,title,abstract,issue", '10.1000/1,2,2001,On Cups,"We\ndrink.",7'),
    ],
)
def test_a_further_header_names_the_columns_of_the_rows_below(tmp_path, header, row):
    start = "title,abstract,pmid,year\nTitle,We brew.,1,2000\n"
    found = read_papers(written(tmp_path, f"{start}{header}\n{row}\n"))
    shown = [(paper.title, " ".join(paper.abstract.split()), paper.year) for paper in found]
    assert shown == [("Title", "We brew.", 2000), ("On Cups", "We drink.", 2001)]


def test_lines_of_a_refused_row_are_no_papers(tmp_path):
    header = "Authors,Title,Year,Abstract,Address,Source\n"
    broken = 'Roe B.,Cups,2011,"We "pour" it.\nLane 16, Town, 2011, Press, Article",Scopus\n'
    swallowed = 'Poe C.,Milk,2012,"We stir.,x,y\nLoe D.,Salt,2013,We salt.,x,y\n'
    last = 'Noe F.,Rice,2014,"We cook.\nWe eat.",x,y\n'
    path = written(tmp_path, header + broken + swallowed + last)
    assert [(p.title, p.abstract) for p in papers(path)] == [
        ("Salt", "We salt."),
        ("Rice", "We cook. We eat."),
    ]
    assert [line for line, _ in refusals(path)] == [2, 3, 4]


def test_thousands_of_marks_that_are_never_closed_are_refused_one_by_one(tmp_path):
    path = written(tmp_path, "title,abstract\n" + 'a","b\n' * 3000 + "C,fine\n")
    assert [paper.title for paper in papers(path)] == ["C"]
    assert [line for line, _ in refusals(path)] == list(range(2, 3002))


def test_bare_marks_inside_a_cell_and_missing_cells_at_the_end_are_forgiven(tmp_path):
    path = written(tmp_path, 'title,abstract,year\n"He said "hi" there",x,2001\nB\nC,y,z,w\n')
    assert [paper.title for paper in papers(path)] == ['He said hi" there"', "B"]
    assert [line for line, _ in refusals(path)] == [4]


@pytest.mark.parametrize(
    "text",
    ["id,title\n1,On Rates\n", "abstract,year\nA,1\n", "Title\nA\n", "On Rates, by me\n\nWe", ","],
)
def test_only_a_title_column_and_another_known_one_make_a_table(text):
    assert not tables.recognises(text)


def test_columns_of_any_name_can_be_mapped(tmp_path):
    path = written(tmp_path, "Nr;Überschrift;Inhalt;Wer;Title\n7;A;We test.;Alan Turing;B\n")
    columns = {"title": "überschrift", "abstract": "Inhalt", "authors": "Wer"}
    [paper] = read_papers(path, columns=columns)
    assert (paper.title, paper.abstract, paper.authors) == ("A", "We test.", ("Alan Turing",))


def test_keys_of_json_records_can_be_mapped_too(tmp_path):
    record = '{"Titel": "A", "Inhalt": "We test.", "Jahr": 1999, "title": 5}'
    columns = {"title": "Titel", "abstract": "Inhalt", "year": "Jahr"}
    for text in (record, f"[{record}]"):
        [paper] = read_papers(written(tmp_path, text), columns=columns)
        assert (paper.title, paper.abstract, paper.year) == ("A", "We test.", 1999)
        assert paper.metadata == {}


def test_a_field_or_column_that_is_not_there_is_named(tmp_path):
    path = written(tmp_path, "Titel;Jahr\nA;1999\n")
    with pytest.raises(CorpusError, match='Cannot map a column to "titles"'):
        iter_papers(path, columns={"titles": "Titel"})
    with pytest.raises(CorpusError, match=r'no column "Inhalt"\. The columns are Titel, Jahr\.$'):
        read_papers(path, columns={"abstract": "Inhalt"})


def test_addresses_are_set_apart_by_any_number_of_semicolons():
    text = "https://a.org/x;y ; https://b.org;;https://c.org;"
    assert split_urls([text]) == ["https://a.org/x;y", "https://b.org", "https://c.org"]
    many = ";" * 50_000
    assert split_urls([f"{many}x", many]) == [f"{many}x"]
