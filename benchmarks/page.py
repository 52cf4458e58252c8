"""The page under load: twenty people at once, memory over 200 questions, the time to come up.

Run: python benchmarks/page.py

Everything runs on loopback with verbatim sentences. The yardsticks are a lone person's wait, the
memory after question 50, and the time to import gradio, llama_index.core and chromadb.
"""

from __future__ import annotations

import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from contextlib import contextmanager, suppress
from pathlib import Path
from secrets import token_hex
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
PEOPLE = 20
LONE = 10
QUESTIONS = 200
EARLY = 50
STARTS = 3
IMPORTS = "import gradio, llama_index.core, chromadb"
TOPICS = ("ELECTRA", "byte-level models", "scene graphs", "adapters", "code models", "BERT")


def main() -> None:
    """Prints the ratios; the exit status is 1 where somebody got no answer."""
    ratios = [start_s() / import_s() for _ in range(STARTS)]
    print(f"{'coming up / importing':38}{statistics.median(ratios):8.2f} ({spread(ratios)})")
    with served() as (address, process):
        asked(address, 0)  # whatever is loaded with the first question
        alone = [asked(address, number) for number in range(LONE)]
        lone = statistics.median(alone)
        print(f"{'first text, one person':38}{lone:8.2f} s")
        waits = together(address)
        p95 = sorted(waits)[int(0.95 * (len(waits) - 1))]
        print(f"{'first text, twenty people, p95':38}{p95:8.2f} s, {p95 / lone:.1f} x one person's")
        sizes = memory(address, process.pid)
        print(
            f"{'memory after question 200':38}{sizes[-1]:8.0f} MB, "
            f"{sizes[-1] / sizes[0] - 1:+.1%} of question 50"
        )
    if len(waits) < PEOPLE:
        sys.exit(f"only {len(waits)} of {PEOPLE} people got an answer")


def import_s() -> float:
    """Seconds to import what the page is made of."""
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", IMPORTS], check=True, capture_output=True)
    return time.perf_counter() - started


def start_s() -> float:
    """Seconds until the page answers a browser."""
    started = time.perf_counter()
    with served() as (address, _):
        while True:
            with suppress(httpx.HTTPError):
                if httpx.get(address, trust_env=False).status_code == 200:
                    return time.perf_counter() - started
            time.sleep(0.05)


@contextmanager
def served() -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The page in a process of its own: its address, and the process."""
    with tempfile.TemporaryDirectory() as home:
        environment = {**os.environ, "PYTHONPATH": str(ROOT), "PAPERTRAIL_DATA_DIR": home}
        command = [sys.executable, str(ROOT / "app.py"), "--port", "0"]
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
        try:
            found = re.search(
                r"http://[\w.:]+", process.stderr.readline() if process.stderr else ""
            )
            if not found:
                sys.exit("the page did not start")
            yield found[0], process
        finally:
            process.terminate()
            process.wait(30)


class Person:
    """A browser's side of one page: its events over HTTP, as the page's own script sends them."""

    def __init__(self, address: str) -> None:
        self.client = httpx.Client(base_url=address, timeout=300, trust_env=False)
        self.name = token_hex(8)
        config = self.client.get("/config").json()
        ids = {c["props"].get("elem_id"): c["id"] for c in config["components"]}
        self.event = next(
            d["id"]
            for d in config["dependencies"]
            if ids["question"] in d["inputs"] and len(d["targets"]) > 1
        )

    def ask(self, question: str) -> float:
        """Seconds until the first text of the answer; waits for all of it."""
        body = {"data": [None, question], "fn_index": self.event, "session_hash": self.name}
        started = time.perf_counter()
        self.client.post("/gradio_api/queue/join", json=body).raise_for_status()
        first = 0.0
        where = {"session_hash": self.name}
        with self.client.stream("GET", "/gradio_api/queue/data", params=where) as events:
            for line in events.iter_lines():
                if not first and "marker" in line:
                    first = time.perf_counter() - started
                if line.startswith("data:") and ended(json.loads(line[5:])):
                    break
        if not first:
            raise RuntimeError("a question got no answer")
        return first


def ended(message: dict[str, Any]) -> bool:
    """Whether an event is the last of an answer."""
    return message.get("msg") in ("process_completed", "close_stream")


def asked(address: str, number: int) -> float:
    """Seconds that somebody new waits for the first text."""
    return Person(address).ask(question(number))


def question(number: int) -> str:
    """A question that the library answers."""
    return f"What is special about {TOPICS[number % len(TOPICS)]} in pre-training?"


def together(address: str) -> list[float]:
    """The waits of people who ask at the same moment."""
    people = [Person(address) for _ in range(PEOPLE)]
    ready = threading.Barrier(PEOPLE)
    waits: list[float] = []

    def run(number: int) -> None:
        ready.wait()
        waits.append(people[number].ask(question(number)))

    threads = [threading.Thread(target=run, args=(number,)) for number in range(PEOPLE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return waits


def memory(address: str, process: int) -> tuple[float, float]:
    """Megabytes in use after an early question and after the last; a few people take turns."""
    early = 0.0
    people = [Person(address) for _ in range(4)]
    for number in range(1, QUESTIONS + 1):
        people[number % 4].ask(question(number))
        if number == EARLY:
            early = used_mb(process)
    return early, used_mb(process)


def used_mb(process: int) -> float:
    """Resident memory of a process; Linux."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def spread(values: list[float]) -> str:
    """Lowest to highest."""
    return f"{min(values):.2f} to {max(values):.2f}"


if __name__ == "__main__":
    main()
