"""Shared by the tests of the page: a small library, a context over it, views collected."""

from __future__ import annotations

import asyncio
import os
import re
import select
import subprocess
import sys
from contextlib import contextmanager
from pathlib import Path

from rag import Assistant, Paper, load_settings
from rag.web import ServerOptions
from rag.web.actions import Actions
from rag.web.context import AppContext
from rag.web.session import Session

ROOT = Path(__file__).parents[1]
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
SECOND = "what does QUUX sort samples by?"
OFF_TOPIC = "who won the football world cup in 1998?"


def build(folder):
    """Build a library of two papers in a folder, and return that folder."""
    Assistant.build(PAPERS, folder / "papers").close()
    return folder / "papers"


def make_context(library, home, *, options=None, **settings):
    """Return a context whose libraries, conversations and caches lie in `home`."""
    given = {"index": f"{library}/", "data_dir": home / "data", "cache_dir": home / "cache"}
    return AppContext.create(load_settings(**{**given, **settings}), options or ServerOptions())


def open_page(user=None):
    """Return the session of a page that was just opened."""
    session = Session()
    session.claim(user)
    return session


def collect(views):
    """Return all views of an asynchronous stream as a list."""

    async def gather():
        return [view async for view in views]

    return asyncio.run(gather())


def act(context, session, **action):
    """Run an action and return its views."""
    return collect(Actions(context).run(session, action))


def ask(context, session, question=QUESTION, **options):
    """Ask a question and return the last view."""
    return collect(context.chat.ask(session, question, **options))[-1]


@contextmanager
def serve(home, *options, cache=None):
    """Serve the page in a process of its own. Yield the process and its address."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(ROOT),
        "PAPERTRAIL_DATA_DIR": str(home / "data"),
        "PAPERTRAIL_CACHE_DIR": str(cache or home / "cache"),
        "TMPDIR": str(home),
        "ALL_PROXY": "socks5h://127.0.0.1:9",  # which nothing here may use
    }
    command = [sys.executable, str(ROOT / "app.py"), "--port", "0", *options]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment) as process:
        try:
            ready, _, _ = select.select([process.stderr], [], [], 120)
            line = process.stderr.readline() if ready else ""
            found = re.search(r"http://[\w.:\[\]]+", line)
            assert found, f"the page did not start: {line}"
            yield process, found[0]
        finally:
            process.terminate()
            process.wait(60)
