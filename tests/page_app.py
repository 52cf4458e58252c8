"""What the tests of the page share: a small library, rooms over it, views collected."""

from __future__ import annotations

import asyncio

from rag import Assistant, Paper, load_settings
from rag.web import ServerOptions
from rag.web.context import AppContext
from rag.web.session import Session

PAPERS = [
    Paper(
        "zorp-1",
        "ZORP: Sparse Attention for Long Text",
        "We propose ZORP, a sparse attention for long text. It attends to 64 tokens at a time. "
        "ZORP is 3.5 times faster than BERT on long text.",
        authors=("Ada Clark", "Bo Li"),
        year=2021,
        venue="Journal of Attention",
        url="https://example.org/zorp",
    ),
    Paper(
        "quux-2",
        "QUUX: Curriculum Order Matters",
        "QUUX sorts samples by length. Easy samples come first. Training takes 20% less time.",
        authors=("Cy Dorn",),
        year=2023,
    ),
]
QUESTION = "how fast is ZORP, the sparse attention for long text?"
OFF_TOPIC = "who won the football world cup in 1998?"


def build(folder):
    """A library of two papers in a folder, and that folder."""
    Assistant.build(PAPERS, folder / "papers").close()
    return folder / "papers"


def make_context(library, home, *, options=None, **settings):
    """Rooms whose libraries, conversations and caches lie in `home`."""
    given = {"index": f"{library}/", "data_dir": home / "data", "cache_dir": home / "cache"}
    return AppContext.furnished(load_settings(**{**given, **settings}), options or ServerOptions())


def claimed(user=None):
    """A session as a page that was just opened has it."""
    session = Session()
    session.claim(user)
    return session


def collect(views):
    """All views of an asynchronous stream, as a list."""

    async def gather():
        return [view async for view in views]

    return asyncio.run(gather())
