"""`rag serve` beside `Assistant.ask`: latency, the first checked text, and memory.

    python benchmarks/serve.py [questions]

Everything runs on loopback over the bundled library. The first and the last part quote sentences.
In the second a scripted model writes, checks, corrects and checks again, a second a call.
"""

from __future__ import annotations

import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from openai import OpenAI

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests"))
PAIRS = 40
QUESTIONS = 1000
TOPICS = ("ELECTRA", "byte-level models", "scene graphs", "adapters", "code models", "BERT")
CALL_S = 1.0
DRAFT = "ELECTRA detects replaced tokens [1]. It needs 12 GPUs [1]. It is efficient [1]."
CHECKED = "1 | s2 | supported | yes\n2 | none | unsupported | no\n3 | s3 | supported | yes"
REPAIRED = "2: It trains a discriminator [1]."


def main() -> None:
    """Prints the figures."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else QUESTIONS
    with tempfile.TemporaryDirectory() as home:
        compare_latency(home)
        time_first_text(home)
        measure_memory(home, count)


def compare_latency(home: str) -> None:
    """Ask each question in this process and over HTTP, in turns."""
    from rag import Assistant

    with served(home) as (url, _), Assistant.open() as assistant:
        client = connect(url)
        assistant.ask(question(0))
        ask(client, question(0))
        pairs = [
            (timed(assistant.ask, question(n)), timed(ask, client, question(n)))
            for n in range(PAIRS)
        ]
        streams = [
            timed(lambda n=n: list(ask(client, question(n), stream=True))) for n in range(PAIRS)
        ]
    direct = statistics.median(own for own, _ in pairs)
    added = [1000 * (over - own) for own, over in pairs]
    print(f"{'assistant.ask, median':40}{1000 * direct:8.1f} ms")
    print(f"{'added by rag serve, median':40}{statistics.median(added):8.1f} ms ({spread(added)})")
    print(f"{'rag serve / assistant.ask':40}{statistics.median(o / d for d, o in pairs):8.2f}")
    print(f"{'the same as a stream, median':40}{1000 * statistics.median(streams):8.1f} ms")


def time_first_text(home: str) -> None:
    """Time the first bytes, the first checked text and the end of a stream."""
    from model_server import ModelServer, Step

    texts = (DRAFT, CHECKED, REPAIRED, "1 | s2 | supported | yes")
    steps = [Step(text, first_byte_s=CALL_S, size=1000) for text in texts]
    with ModelServer(*steps, *steps) as model:
        own = {"PAPERTRAIL_CHAT_MODEL": "scripted", "PAPERTRAIL_CHAT_URL": model.url}
        with served(home, **own, PAPERTRAIL_CHAT_KEY="k") as (url, _):
            client = connect(url)
            ask(client, question(0))  # whatever is loaded with the first question
            started = time.perf_counter()
            chunks = ask(client, "how is ELECTRA trained?", stream=True)
            times = []
            for number, chunk in enumerate(chunks):
                text = chunk.choices[0].delta.content if chunk.choices else ""
                if number == 0 or text:
                    times.append(time.perf_counter() - started)
            whole = time.perf_counter() - started
    print(f"{'first chunk':40}{1000 * times[0]:8.1f} ms")
    print(f"{'first checked text':40}{times[1]:8.2f} s, {times[1] / whole:.0%} of the whole")
    print(f"{'the whole':40}{whole:8.2f} s, for {len(model.requests) // 2} calls of {CALL_S:.0f} s")


def measure_memory(home: str, count: int) -> None:
    """Ask many questions, half of them as a stream, and print the server's memory on the way."""
    with served(home) as (url, process):
        client = connect(url)
        for number in range(count + 1):
            reply = ask(client, question(number), stream=number % 2 == 0)
            if number % 2 == 0:
                list(reply)
            if number in (count // 10, count // 4, count // 2, count):
                print(
                    f"{f'memory after question {number}':40}{used_mb(process.pid):8.0f} MB",
                    flush=True,
                )


@contextmanager
def served(home: str, **variables: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """A server in a process of its own: its address, and the process."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PAPERTRAIL_DATA_DIR": home, **variables}
    command = [sys.executable, "-m", "rag", "serve", "--port", "0"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=environment)
    try:
        found = re.search(r"http://\S+/v1", process.stderr.readline() if process.stderr else "")
        if not found:
            sys.exit("the server did not start")
        yield found[0], process
    finally:
        process.terminate()
        process.wait(30)


def connect(url: str) -> OpenAI:
    """A client without retries."""
    return OpenAI(base_url=url, api_key="none", max_retries=0, timeout=300)


def ask(client: OpenAI, text: str, *, stream: bool = False) -> Any:
    """The reply to a question, or its chunks."""
    messages = [{"role": "user", "content": text}]
    return client.chat.completions.create(model="papertrail", messages=messages, stream=stream)


def question(number: int) -> str:
    """One of many unequal questions that the library answers."""
    return f"What is special about {TOPICS[number % len(TOPICS)]} in pre-training {number}?"


def timed(function: Any, *arguments: Any) -> float:
    """Seconds of a call."""
    started = time.perf_counter()
    function(*arguments)
    return time.perf_counter() - started


def used_mb(process: int) -> float:
    """Resident memory of a process; Linux."""
    pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def spread(values: list[float]) -> str:
    """Lowest to highest."""
    return f"{min(values):.1f} to {max(values):.1f}"


if __name__ == "__main__":
    main()
