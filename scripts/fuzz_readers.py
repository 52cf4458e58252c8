"""Feeds damaged files to the readers; anything but papers and clean refusals ends it.

python scripts/fuzz_readers.py --minutes 10 --format papers.bib

Each input is a sample of tests/fixtures damaged at random, unpacked a megabyte at most. It must be
read within 5 seconds of processor time to papers that can be stored and to refusals, or raise
`CorpusError`. A failing input is written to a file and named; the same seed gives the same inputs
again.
"""

from __future__ import annotations

import argparse
import gzip
import io
import json
import random
import signal
import sys
import time
import traceback
from pathlib import Path

import zstandard

from rag.errors import CorpusError
from rag.readers import Refused, iter_papers
from rag.readers.source_stream import SourceStream

FIXTURES = Path(__file__).parents[1] / "tests" / "fixtures"
SAMPLES = {path.name: path for path in (*FIXTURES.glob("formats/*"), FIXTURES / "listing.txt")}
INPUT_S = 5
INPUT_BYTES = 1 << 20
# What the formats are made of, and what has spoilt text before.
TOKENS = [
    *(b"{", b"}", b"[", b"]", b'"', b"'", b"\\", b"%", b"$", b"~", b"@", b"#", b"=", b",", b";"),
    *(b"\n", b"\r", b"\r\n", b"\t", b"\0", b"\x1a", b"\xff", b"\xe9", b"\xc3", b"\xef\xbb\xbf"),
    *(b"\xff\xfe", b"\xed\xa0\x80", b"\\ud800", b"&amp;", b"&lt;", b"&#0;", b"&x;", b"<", b">"),
    *(b"<![CDATA[", b"]]>", b"<!--", b"<entry>", b"</entry>", b"<PubmedArticle>", b"<a>", b"</a>"),
    *(b"@article{a,", b"@string{", b"title = {", b"crossref = {", b"\\emph{", b"\\(", b"\\)"),
    *(b"TY  - ", b"ER  - ", b"AB  - ", b"PMID- 1\n", b"TI  - ", b"\n\n", b"title,abstract\n"),
    *(b"KW  - ", b"given={", b"family=", b"$_{", b"\\alpha ", b"<entry/>", b"</x:entry", b"entry>"),
    *(b'{"title":', b'"abstract":', b"null", b"NaN", b"1e999", b"-1", b"9" * 5000, b"[[[["),
    *(
        b" and ",
        b"10.1000/x",
        b"https://",
        b"arXiv:1706.03762",
        b"\xe2\x80\xa8",
        b"\xf0\x9f\x98\x80",
    ),
]


class TooSlow(BaseException):
    """Says where an input was being read when its time was up; no reader catches it."""


def main() -> int:
    """Runs until the time is up (0) or an input fails (1)."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--minutes", type=float, default=10.0)
    options.add_argument("--format", choices=sorted(SAMPLES), action="append", dest="formats")
    options.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1 << 32))
    options.add_argument("--keep", type=Path, default=Path("failed-input"))
    arguments = options.parse_args()
    print(f"seed {arguments.seed}", flush=True)
    signal.signal(signal.SIGPROF, _too_slow)
    for name in arguments.formats or sorted(SAMPLES):
        generator = random.Random(f"{arguments.seed} {name}")
        ends = time.monotonic() + 60 * arguments.minutes
        count, slowest = 0, 0.0
        while time.monotonic() < ends:
            count += 1
            content = damaged(SAMPLES[name].read_bytes(), generator)
            begun = time.process_time()
            problem = failure(content)
            slowest = max(slowest, time.process_time() - begun)
            if problem:
                arguments.keep.write_bytes(content)
                print(f"{name}, input {count}, kept as {arguments.keep}:\n{problem}")
                return 1
        print(f"{name}: {count} inputs, the slowest {slowest:.2f} s", flush=True)
    return 0


def _too_slow(_number: int, _frame: object) -> None:
    raise TooSlow(f"not read within {INPUT_S} s of processor time")


def damaged(content: bytes, generator: random.Random) -> bytes:
    """The sample after one to eight damages, seldom packed; unpacked it is never too long."""
    for _ in range(generator.choice([1, 1, 2, 3, 5, 8])):
        content = _damage(content, generator)[:INPUT_BYTES]
    packing = generator.random()
    if packing < 0.02:
        content = gzip.compress(content, 1)
    elif packing < 0.04:
        content = zstandard.compress(content, 1)
    packed = content
    while packing < 0.03:
        packed = _damage(content, generator)[:INPUT_BYTES]
        if _is_short(packed):  # else it may rightly take longer than an input may
            break
    return packed


def _is_short(packed: bytes) -> bool:
    """Whether it unpacks to no more bytes than an input has that is not packed."""
    opened = SourceStream(io.BytesIO(packed))
    size = 0
    while size <= INPUT_BYTES and (more := opened.read(1 << 16)):
        size += len(more)
    return size <= INPUT_BYTES


def _damage(content: bytes, generator: random.Random) -> bytes:
    at = generator.randint(0, len(content))
    end = min(len(content), at + generator.choice([1, 4, 30, 300]))
    before, part, after = content[:at], content[at:end], content[end:]
    # The same many times over finds what takes more than its share of time.
    put = generator.choice(
        [
            generator.randbytes(generator.randint(1, 6)),
            b"",
            part * generator.choice([2, 9, 300, 20_000]),
            generator.choice(TOKENS) * generator.choice([1, 50, 20_000]),
            SAMPLES[generator.choice(sorted(SAMPLES))].read_bytes()[generator.randrange(200) :],
            generator.choice(TOKENS) + part,
            generator.choice(TOKENS),
        ]
    )
    return before if generator.random() < 0.1 else before + put + after


def failure(content: bytes) -> str:
    """What is wrong with how an input is read; "" if nothing is."""
    signal.setitimer(signal.ITIMER_PROF, INPUT_S)
    try:
        for record in iter_papers(io.BytesIO(content)):
            if isinstance(record, Refused):
                _check_sentence(record.reason)
            else:
                json.dumps(record.to_dict(), ensure_ascii=False, allow_nan=False).encode()
                _check(bool(record.title and record.id and record.content_hash), "empty")
    except CorpusError as error:
        return "" if str(error).endswith(".") else f"no sentence: {error}"
    except (Exception, TooSlow):  # noqa: BLE001 - whatever it is, it is to be reported
        return traceback.format_exc(limit=-6)
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
    return ""


def _check_sentence(reason: str) -> None:
    _check(reason.endswith((".", '"', "...")) and "\n" not in reason, f"no sentence: {reason!r}")
    _check(len(reason) < 1000, f"a long sentence: {reason[:300]!r}")


def _check(holds: bool, said: str) -> None:  # noqa: FBT001
    if not holds:
        raise ValueError(said)


if __name__ == "__main__":
    sys.exit(main())
