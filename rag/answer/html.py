"""Documents as a page of HTML, whole and without scripts. Text of papers and models is escaped."""

from __future__ import annotations

from html import escape
from string import ascii_lowercase
from typing import TYPE_CHECKING, Any

from rag.answer.tokens import list_runs, make_parser, parse_document

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from markdown_it.token import Token

    from rag.answer.document import Document
    from rag.csl import Run

_PAGE = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<title>{title}</title>
<style>
body {{ font: 1.05rem/1.55 Georgia, serif; max-width: 42rem; margin: 3rem auto; padding: 0 1rem;
  color: #1a1a1a; overflow-wrap: break-word }}
h1, h2, h3, h4, th {{ font-family: system-ui, sans-serif; line-height: 1.25 }}
h2 {{ font-size: 1.2rem; margin-top: 2.2rem }}
a {{ color: #0b57a4 }}
sup {{ line-height: 0 }}
code, pre {{ font-size: .9em; background: #f3f3f3 }}
pre {{ padding: .7rem; overflow-x: auto }}
table {{ border-collapse: collapse }}
th, td {{ border-bottom: 1px solid #ccc; padding: .3rem .8rem .3rem 0; text-align: left;
  vertical-align: top }}
blockquote {{ margin: .4rem 0 .4rem 2rem; padding-left: .8rem; border-left: 3px solid #ccc;
  color: #444 }}
.reference {{ padding-left: 2rem; text-indent: -2rem }}
.notes {{ font-size: .9rem; border-top: 1px solid #ccc; margin-top: 2.2rem }}
</style>
</head>
<body>
{body}</body>
</html>
"""


def render_html(document: Document) -> str:
    """Return a document as one page, with its footnotes at the end."""
    notes = document.notes
    numbers = {id(note): number for number, note in enumerate(notes, 1)}

    def render_aside(_self: Any, tokens: Sequence[Token], at: int, *_: Any) -> str:
        aside = tokens[at].meta["aside"]
        if aside.kind != "note":
            return _render_runs(list_runs(aside))
        number = numbers[id(aside)]
        mark = _spell(number) if document.has_raised_citations else number
        return f'<sup><a id="mark-{number}" href="#note-{number}">{mark}</a></sup>'

    parser = make_parser()
    parser.add_render_rule("aside", render_aside)
    body = parser.renderer.render(parse_document(document, parser), parser.options, {})
    if notes:
        items = (
            f'<li id="note-{number}">{_render_runs(note.runs)} <a href="#mark-{number}">↩</a></li>'
            for number, note in enumerate(notes, 1)
        )
        opening = '<ol type="a">' if document.has_raised_citations else "<ol>"
        body += "\n".join(['<section class="notes">', opening, *items, "</ol>", "</section>", ""])
    return _PAGE.format(title=escape(" ".join(document.title.split())), body=body)


def _spell(number: int) -> str:
    """Return a number as a list of type "a" has it.

    >>> _spell(2), _spell(28)
    ('b', 'ab')
    """
    before, letter = divmod(number - 1, 26)
    return (_spell(before) if before else "") + ascii_lowercase[letter]


def _render_runs(runs: Iterable[Run]) -> str:
    return "".join(map(_render_run, runs))


def _render_run(run: Run) -> str:
    shown = escape(run.text)
    for is_set, tag in ((run.bold, "b"), (run.italic, "i"), (run.superscript, "sup")):
        shown = f"<{tag}>{shown}</{tag}>" if is_set else shown
    if run.small_caps:
        shown = f'<span style="font-variant: small-caps">{shown}</span>'
    return f'<a href="{escape(run.url)}">{shown}</a>' if run.url else shown
