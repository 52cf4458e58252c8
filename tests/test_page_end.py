"""The page when it is interrupted: a process of its own, with an open page."""

from __future__ import annotations

import asyncio
import json
import signal
import threading
from contextlib import asynccontextmanager, contextmanager

import httpx
import pytest
from page_app import PAPERS, build, serve

from rag import Assistant
from rag.serving.server import make_lifespan

SENTENCE = "rag: interrupted.\n"
PAGE = "abcdef"


@contextmanager
def served(library):
    """Yield the process that serves a library, and a client of its address."""
    with (
        serve(library.parent, "--index", f"{library}/") as (process, address),
        httpx.Client(base_url=address, timeout=120) as client,
    ):
        yield process, client


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, -15)])
def test_a_page_that_somebody_has_open_ends_quietly(tmp_path, number, status) -> None:
    with (
        served(build(tmp_path)) as (process, client),
        client.stream("GET", f"/gradio_api/heartbeat/{PAGE}") as heartbeat,
    ):
        assert "ALIVE" in next(heartbeat.iter_lines())
        process.send_signal(number)
        assert process.wait(60) == status
        assert process.stderr.read() == (SENTENCE if number == signal.SIGINT else "")
        assert list(tmp_path.glob("papertrail-*")) == []  # where uploads wait


def test_the_end_of_the_page_waits_for_none_of_its_threads() -> None:
    events: list[str | bool] = []
    gate = threading.Event()

    async def served() -> None:
        own = asynccontextmanager(nothing)
        around = make_lifespan(own, lambda: events.append("start"), lambda: events.append("end"))
        async with around(None):
            loop = asyncio.get_running_loop()
            loop.run_in_executor(None, lambda: events.append(gate.wait(60)))

    async def nothing(_application):
        yield None

    asyncio.run(served())
    assert events == ["start", "end"]  # and not what the thread adds after a minute
    gate.set()


def bridge(client):
    """Return the number of the function that the page's buttons call, and its inputs."""
    config = client.get("/config").json()
    element = next(c["id"] for c in config["components"] if c["props"].get("elem_id") == "bridge")
    return next(
        (each["id"], [None] * len(each["inputs"]))
        for each in config["dependencies"]
        if [element, "click"] in [list(target) for target in each["targets"]]
    )


@pytest.mark.slow
def test_an_interrupt_stops_the_adding_of_papers_and_the_library_stays_as_it_was(tmp_path) -> None:
    library = build(tmp_path)
    rows = [{"title": f"Paper {i}", "abstract": f"Words on {i}. " * 60} for i in range(1000)]
    with served(library) as (process, client):
        sent = client.post("/upload?name=x.jsonl", content="\n".join(map(json.dumps, rows)))
        action = {"act": "add", "files": [sent.json()["token"]]}
        function, inputs = bridge(client)
        event = {"data": inputs, "fn_index": function, "session_hash": PAGE, "event_data": action}
        assert client.post("/gradio_api/queue/join", json=event).status_code == 200
        with client.stream("GET", f"/gradio_api/queue/data?session_hash={PAGE}") as stream:
            assert any("Indexing: 32 of 1,000 papers" in line for line in stream.iter_lines())
            process.send_signal(signal.SIGINT)
            assert process.wait(60) == 130
        assert process.stderr.read() == SENTENCE
    with Assistant.open(library) as assistant:
        assert assistant.papers() == PAPERS
