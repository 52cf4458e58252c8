"""Certain residue of TeX, HTML, JATS and MathML is cleaned, and nothing else changes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag.text.markup import clean_markup

ROOT = Path(__file__).parent.parent
LIBRARY = [
    json.loads(line)
    for line in (ROOT / "rag/data/library.jsonl").read_text(encoding="utf-8").splitlines()
]
ABSTRACTS = {record["id"]: record["abstract"] for record in LIBRARY}
# For every abstract of the library that cleaning changed: each fragment before and after.
CLEANED = json.loads((ROOT / "tests/fixtures/cleaned_abstracts.json").read_text(encoding="utf-8"))
MATHML = "<mml:math><mml:mrow>{}</mml:mrow></mml:math>"

MENDED = [
    # TeX
    (r"by 87\%, 131\%", "by 87%, 131%"),
    (r"R\&D, \$20, \#1, a\_b", "R&D, $20, #1, a_b"),
    (r"One For All (\textsc{Ofa}), which", "One For All (Ofa), which"),
    (r"\emph{scan and \textbf{snap}} dynamics", "scan and snap dynamics"),
    (r"the matrix \( A \), this", "the matrix A, this"),
    (r"\( x'(t) = Ax(t) + Bu(t) \), and", "x'(t) = Ax(t) + Bu(t), and"),
    (r"in \(\mathcal{O}(n^2) \leq \alpha\)", "in O(n^2) ≤ α"),
    (r"na\"ively, na{\"\i}ve, G\"odel, Erd\H{o}s", "naïvely, naïve, Gödel, Erdős"),
    (r"Universit\'{e}, Gar\c{c}on, Stra{\ss}e, S\o{}ren", "Université, Garçon, Straße, Søren"),
    (r"process, \eg, from; \ie. this", "process, e.g., from; i.e. this"),
    ("``reverse thinking'' -- prompting", '"reverse thinking" -- prompting'),
    ("a mild ''informative'' condition", 'a mild "informative" condition'),
    ("(or \"unlearn'') a skill", '(or "unlearn") a skill'),
    ("favouring `quality over quantity'.", "favouring 'quality over quantity'."),
    ("tasks~(the MLM) wav2vec~2.0 by~30%", "tasks (the MLM) wav2vec 2.0 by 30%"),
    ("available at~https://host.org/x", "available at https://host.org/x"),
    ("reconstruction~-- that of", "reconstruction -- that of"),
    ("from scratchx2013even for", "from scratch–even for"),
    ("Llama-2 (7B)x2014a model", "Llama-2 (7B)—a model"),
    ("6400times6400 images, 60times faster", "6400×6400 images, 60× faster"),
    ("a 6.5times reduction and 3-4times faster", "a 6.5× reduction and 3-4× faster"),
    (r"$6400\times6400$ and $\times$", "6400×6400 and ×"),
    ("from $1.5%$ to $20 %$ and $<5%$", "from 1.5% to 20 % and <5%"),
    ("a merely sim0.6 point, by sim3x.", "a merely ~0.6 point, by ~3x."),
    ("two\n lines\tand\u00a0more \x00 ", "two lines and more"),
    (r"{\textless}5{\textpm}1 \textdegree of {\ss} \o{}re {\new}", r"<5±1 ° of ß øre {\new}"),
    (r"$κ$, $SO(3)$, $2t$ and $\ce{CO2}$ of $5 or $6", "κ, SO(3), 2t and CO2 of $5 or $6"),
    # Formulas of one sign, comparisons and roots, as reference managers write them
    (r"We$<$5 (P $<$ .01, n$\geq$9) at $p < 0.05$", "We<5 (P < .01, n≥9) at p < 0.05"),
    (r"10$\,$000 Si$\slash$O of $\sqrt{2}$ and $O(\sqrt{n+1})$", "10 000 Si/O of √2 and O(√(n+1))"),
    (r"from $-3.5$ to $1,000$ or $5 \pm 0.1$", "from -3.5 to 1,000 or 5 ± 0.1"),
    # Parts of an abstract that Ovid joins by commas
    (
        "AIM (A): To see.,WHO'S IN, AND WHO NOT: Few.",
        "AIM (A): To see. WHO'S IN, AND WHO NOT: Few.",
    ),
    ("AIM: To see.,RESULTS: They rose.", "AIM: To see. RESULTS: They rose."),
    ("We saw tea.?, MAIN RESULTS: Up.", "We saw tea.? MAIN RESULTS: Up."),
    ("Aim: To see., Results and outlook: Up.", "Aim: To see. Results and outlook: Up."),
    # HTML, JATS and MathML
    ("<p>We test <i>in vitro</i>.</p><p>It works.</p>", "We test in vitro. It works."),
    ("<jats:p>H<jats:sub>2</jats:sub>O and Ca<jats:sup>2+</jats:sup></jats:p>", "H2O and Ca2+"),
    ("10<sup>-3</sup> of 10<sup>6</sup>, CO<inf>2</inf>", "10^-3 of 10^6, CO2"),
    ("10<SUP>6</SUP> of x<SUB>i</SUB>", "10^6 of x_i"),
    # Tags, entities and signs of publishers and aggregators
    ("of <scp>RNA</scp> in &lt;it&gt;Rana&lt;/it&gt;", "of RNA in Rana"),
    (
        '<AbstractText Label="AIM">To see.</AbstractText><AbstractText>We saw.</AbstractText>',
        "To see. We saw.",
    ),
    ('<Emphasis Type="Bold">A<Superscript>2</Superscript></Emphasis>', "A^2"),
    ("at 0<middle dot>5 &mgr;m, &Dgr;x &ap; &amp;amp;#8220;y&amp;#8221;", "at 0·5 µm, Δx ≈ “y”"),
    ("SiO/sub 2/ of 1.3/spl plusmn/0.1 /spl Omega/ and/or /sub", "SiO2 of 1.3±0.1 Ω and/or /sub"),
    ("<![CDATA[We test.]]><!-- or not -->", "We test."),
    ("<jats:title>Abstract</jats:title><jats:p>We test.</jats:p>", "We test."),
    (
        "<jats:sec><jats:title>Aims.</jats:title><jats:p>To test.</jats:p></jats:sec>",
        "Aims: To test.",
    ),
    ("<h4>Aim</h4>To see.<h4>Abstract</h4> We <h2>end</h2>", "Aim: To see. We end"),
    ("one<br/>two<BR />three", "one two three"),
    ("R&amp;D, p &lt; .05 &#8211; caf&eacute;&nbsp;&#x41;", "R&D, p < .05 – café A"),
    ("&amp;lt;1M and &lt;i&gt;E. coli&lt;/i&gt;", "<1M and E. coli"),
    (MATHML.format("<mml:mi>x</mml:mi><mml:mo>=</mml:mo><mml:mn>2</mml:mn>"), "x=2"),
    (MATHML.format("<mml:msup><mml:mi>x</mml:mi><mml:mn>2</mml:mn></mml:msup>"), "x^2"),
    ("<math><mfrac><mn>1</mn><mi>n</mi></mfrac></math>", "1/n"),
    (
        "2<sup>n</sup> states, 10<sup>x</sup> and 2<sup>n + 1</sup>",
        "2^n states, 10^x and 2^(n + 1)",
    ),
    ("<i>x</i><sup><i>n</i></sup>, x<sub>1</sub><sup>2</sup>", "x^n, x1^2"),
    (
        "the 5<sup>th</sup> m<sup>2</sup> of CD4<sup>+</sup> SO<sub>4</sub><sup>2-</sup>",
        "the 5th m^2 of CD4+ SO4^2-",
    ),
    (
        "K<sub>d</sub>, V<sub>max</sub>, x<sub>i</sub>, 10<sub>2</sub>, 5 <sup>13</sup>C",
        "Kd, Vmax, x_i, 10_2, 5 13C",
    ),
    (
        'of 2019<sup class="n"><a href="#r">1</a></sup> they say<sup>a,b</sup>',
        "of 2019^1 they say^(a,b)",
    ),
    ("O(n<sup>2</sup>), <i>R</i><sup>2</sup> and χ<sup>2</sup>", "O(n^2), R^2 and χ^2"),
    ("5 cm<sup>2</sup> s<sup>-1</sup> (kg d)<sup>−1</sup>", "5 cm^2 s^-1 (kg d)^−1"),
    (
        "(1 − p)<sup>n</sup> (n+1)<sup>2</sup> f(x)<sup>2</sup> |x|<sup>4</sup>.",
        "(1 − p)^n (n+1)^2 f(x)^2 |x|^4.",
    ),
    ("x<sub>i</sub><sup>2</sup> in L<sup>2</sup>, n<sup>1.5</sup>", "x_i^2 in L^2, n^1.5"),
    ("(log n)<sup>3</sup>", "(log n)^3"),
    (  # footnotes
        "seen<sup>2</sup> it (as told)<sup>3</sup> (2019)<sup>4</sup> (SD)<sup>2</sup>",
        "seen2 it (as told)3 (2019)4 (SD)2",
    ),
    (
        "x<sup>1</sup> a<sup>2,3</sup> Menière's<sup>2</sup> U.S.<sup>2</sup> end.<sup>3</sup>",
        "x1 a2,3 Menière's2 U.S.2 end.3",
    ),
    (  # isotopes and charges
        "<sup>14</sup>C δ<sup>13</sup>C P<sup>32</sup> Fe<sup>3+</sup> Cl<sup>-</sup>",
        "14C δ13C P32 Fe3+ Cl-",
    ),
    ("<math><mi>f</mi><mfenced><mi>x</mi><mi>y</mi></mfenced></math>", "f(x,y)"),
    (
        (
            "<math><msup><mfenced open='[' close=\"]\" separators=''><mi>x</mi></mfenced>"
            "<mn>2</mn></msup></math>"
        ),
        "[x]^2",
    ),
    ("E=mc<sup>2</sup> and E = mc<sup>2</sup>, mc<sup>2</sup>", "E=mc^2 and E = mc^2, mc2"),
    (r"n\textsuperscript{2}, 10\textsuperscript{6}, H\textsubscript{2}O", "n^2, 10^6, H2O"),
    (
        r"the 5\textsuperscript{th}, \textsuperscript{13}C, seen\textsuperscript{2}",
        "the 5th, 13C, seen2",
    ),
    ("seen<sup>as was told before</sup>", "seen as was told before"),
    ("<math><msup><mi>x</mi><mrow><mn>2</mn><mi>n</mi></mrow></msup></math>", "x^(2n)"),
    ("<math><mn>5</mn><msqrt><mn>2</mn></msqrt></math>", "5√2"),
    ("<math><mn>5</mn><mfrac><mn>1</mn><mn>2</mn></mfrac><mi>x</mi></math>", "5 1/2 x"),
    ("<math><msubsup><mi>x</mi><mi>i</mi><mn>2</mn></msubsup><mi>y</mi></math>", "x_i^2 y"),
    (
        "<math><mroot><mi>x</mi><mn>3</mn></mroot><mo>&#8290;</mo><mi>y</mi></math>",
        "x^(1/3)\u2062y",
    ),
    (
        (
            "<math><mfrac><mrow><mi>a</mi><mo>+</mo><msup><mi>b</mi><mn>2</mn></msup></mrow><mi>c</mi>"
            "</mfrac><msqrt><mi>a</mi><mo>+</mo><mn>1</mn></msqrt></math>"
        ),
        "(a+b^2)/c √(a+1)",
    ),
    (
        (
            "<math><munderover><mo>∑</mo><mrow><mi>i</mi><mo>=</mo><mn>1</mn></mrow><mi>n</mi>"
            "</munderover><mover><mi>x</mi><mo>¯</mo></mover><mo>=</mo><mfrac><mi>a</mi></mfrac></math>"
        ),
        "∑_(i=1)^n x¯=a",
    ),
    (
        (
            "10<math><msup><mrow/><mn>6</mn></msup></math> at 37<math><msup><mi/><mo>∘</mo></msup>"
            "</math>C or <math><msup><mn>5</mn><mo>∘</mo></msup></math>"
        ),
        "10^6 at 37°C or 5°",
    ),
    (MATHML.format("<mml:mi>x</mml:mi><mml:annotation>$x$</mml:annotation>") + " here", "x here"),
    (
        "in <jats:inline-formula><jats:alternatives><jats:tex-math>\\documentclass{minimal}"
        "\\begin{document}$$x_1$$\\end{document}</jats:tex-math>"
        + MATHML.format("<mml:mi>x</mml:mi>")
        + "</jats:alternatives></jats:inline-formula>, "
        + MATHML.format("<mml:mi>y</mml:mi>"),
        "in $$x_1$$, y",
    ),
    ('see <a href="https://a.org">this</a>', "see this"),
    ("<jats:p>cut off", "cut off"),
    ("We need p<b and q>c for <b>all</b> runs", "We need p<b and q>c for all runs"),
    ("values <i and j> 3 in <i>E. coli</i>", "values <i and j> 3 in E. coli"),
    ("<p class='x' id=y dir = \"l>r\" >one</p ><br clear=all/>two", "one two"),
    ("one<br>two", "one two"),
    (r"$\alpha$-divergence and $ \epsilon $", "α-divergence and ϵ"),
    (r"CO$_{\textrm{2}}$ and Ca$^{2+}$ at 20$^\circ$C", "CO₂ and Ca²⁺ at 20°C"),
    (r"10$^{-3}$ of the 5$^{th}$ H$_{\rm{max}}$", "10^-3 of the 5th H_max"),
    (r"$AdS_5$ and \(AdS_{5}\), $\mathcal{O}(n^2)$", "AdS_5 and AdS_5, O(n^2)"),
    (r"\alpha < 5, $\alpha < 5$% of it, $36\%$ more", "α < 5, α < 5% of it, 36% more"),
    (r"$k$-NN with $n \le 5\,000$, $a < b$ and $f(x)$", "k-NN with n ≤ 5 000, a < b and f(x)"),
    (r"$O(n\log n)$ of $2\sin x$, $x^{2}\log\log\alpha$", "O(n log n) of 2 sin x, x^2 log log α"),
    (
        r"$\log_2 n$, $\max(a, b)$, $\arg\min x$ and $(\ln2)$",
        "log_2 n, max(a, b), arg min x and (ln 2)",
    ),
    (r"37$^{\circ}$C, $37^{\circ}$C, $37^\circ$C of M$_{\odot}$", "37°C, 37°C, 37°C of M_⊙"),
    (r"$1.5%$ of it, $^{13}$C $A^{\top}B$ and ${}^{13}$C", "1.5% of it, ¹³C A^⊤B and ^13C"),
    (r"$x_{ij}$, $x_{i+1}y$ and $\mathbf{W}_{q}^{T}$", "x_ij, x_{i+1}y and W_q^T"),
]

LEFT_ALONE = [
    "at $5% and 6%$, for $1.5% of $2",
    "gains of 36% over BERT. Next, R&D at $20 and #1.",
    "an excess risk of mathcal{O}(mathcal{C_Phi/m} + 1/n)",
    "just 187 and \\800 each",
    "very slow and large (~billion parameters), ~3x",
    r"it\'s \"quoted\" and don\'t, C:\new\alpha, \foo{x}, \\emph{x}",
    "https://people.edu/~name/a~b",
    "10~20 tokens, x~N(0,1), ~/.cache",
    "sim2real with sim10k, simple, similarly",
    "sometimes two times four, timestamps",
    "matrix2013 0x2013ab",
    "f''(x) of 5'' and 'so'",
    "use `ls` of `the models' x`",
    "O(L^{{4}/{3}}) and k^{th}-order",
    "BERT_BASE -- 5 < 6",
    "",
    "as in Roe et al., Results: a Study, and etc., but",
    "models of <1M parameters, k < n, a <b> c and x<y>z",
    "<think>...</think> and <plus or minus> signs, <x@host.org>, &nosuch;",
    "the <mask> token, <s> and </s>, List<int>, <unk/>",
    "gains of 36% over AT&T; R&D; a && b, & c",
    "<p of it>",
    r"$\mathcal$, $$\alpha$$ of 5% are $\frac{a}{b}$ of it",
    "costs of $5, $6 and 7$, US$5M and A$6M, $5 million to $ 6",
    "$HOME/$USER of $MY_VAR/$OTHER_VAR, $PATH:$PWD and $a b$",
    "$MY_DIR/${OTHER}, ${MY_DIR}/${OTHER}, ${A}_$B and $A_B/$C",
    "costs of $5% and $6, $1.5 and 2%$ 3",
    r"C:\alpha and files/\beta",
]


@pytest.mark.parametrize(("before", "after"), MENDED)
def test_certain_residue_is_cleaned(before, after):
    assert clean_markup(before) == after


@pytest.mark.parametrize("text", LEFT_ALONE)
def test_what_is_unclear_stays_as_it_is(text):
    assert clean_markup(text) == text


@pytest.mark.parametrize(
    "part",
    [
        "<mml:math>",
        "<title>",
        "<jats:tex-math>\\documentclass",
        "<p ",
        "</",
        "&amp;",
        "<msup><mi>",
        "<sup><i>",
    ],
)
def test_a_megabyte_of_open_tags_is_read_through(part):
    text = part * (1_000_000 // len(part)) + "</p>"
    assert len(clean_markup(text)) <= len(text)


def test_every_cleaned_abstract_of_the_library_is_listed_before_and_after():
    assert len(LIBRARY) == 251
    assert len(CLEANED) == 25
    for paper, fragments in CLEANED.items():
        raw = ABSTRACTS[paper]
        for before, after in fragments:
            assert clean_markup(before) == after
            assert raw.count(after) == 1
            raw = raw.replace(after, before)
        assert clean_markup(raw) == ABSTRACTS[paper]


def test_cleaning_the_library_again_changes_nothing():
    for record in LIBRARY:
        assert clean_markup(record["title"]) == record["title"]
        assert clean_markup(record["abstract"]) == record["abstract"]


WORDS = st.from_regex(r"[A-Za-zÀ-ÿ0-9]{1,12}", fullmatch=True).filter(
    lambda word: not re.search(r"\dtimes|^sim\d|x201[34]", word)
)
MARKS = st.sampled_from(
    [" ", ", ", ". ", " % ", "% ", " $", " & ", " #", "\\% ", " ~", "\n", " ``",
     "'' ", " (", ") ", '"']
)  # fmt: skip


@given(st.lists(st.tuples(WORDS, MARKS), max_size=30))
def test_words_outside_the_residue_always_survive(pieces):
    text = "".join(word + mark for word, mark in pieces)
    assert re.findall(r"\w+", clean_markup(text)) == re.findall(r"\w+", text)


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="\\~`'\"")))
def test_text_without_marks_of_tex_keeps_every_character(text):
    if not re.search(r"x201[34]|\dtimes|sim\d", text):
        assert clean_markup(text) == re.sub(r"[\s\x00-\x1f\x7f-\x9f]+", " ", text).strip()


@given(st.text(alphabet="abE3. ~\\%{}()`'\"$emphtisx2014"))
def test_cleaning_never_fails_and_never_grows_a_text(text):
    assert len(clean_markup(text)) <= len(text) + text.count("\\")


@given(st.text(alphabet=' ab1<>/&;:-="\\$mlpsubtioxh'))
def test_cleaning_never_fails(text):
    assert isinstance(clean_markup(text), str)
