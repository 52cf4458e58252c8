"""What reading costs: beside the parsers alone, beside plain JSON and punkt, and in memory.

python benchmarks/readers.py --papers 1000000

Files are made up in a temporary folder. Each figure is the median of rounds in which both sides
take turns, so that a busy machine slows both. Memory is what the process has grown by.
"""

from __future__ import annotations

import argparse
import json
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from rag import Paper, iter_papers, split_paper
from rag.llm.tokens import count_tokens
from rag.papers import PaperMerger
from rag.text.sentences import sentence_spans

if TYPE_CHECKING:
    from collections.abc import Callable

WORDS = ("rates", "models", "tokens", "long", "text", "attention", "gains", "data", "of", "the")
ROUNDS = 5


def main() -> None:
    """Prints one line a figure."""
    options = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    options.add_argument("--papers", type=int, default=100_000, help="lines for the memory figure")
    options.add_argument("--lines", type=int, default=5_000, help="JSON Lines that are passaged")
    options.add_argument("--records", type=int, default=3_000, help="records of each other format")
    options.add_argument("--memory", choices=("reading", "merging"), help=argparse.SUPPRESS)
    options.add_argument("--file", type=Path, help=argparse.SUPPRESS)
    arguments = options.parse_args()
    if arguments.memory:
        print(grown(arguments.file, merging=arguments.memory == "merging"))
        return
    with tempfile.TemporaryDirectory() as folder:
        compare_parsers(Path(folder), arguments.records)
        compare_passages(Path(folder), arguments.lines)
        measure_memory(Path(folder), arguments.papers)


def sentences(generator: random.Random, count: int) -> str:
    """An abstract of so many sentences."""
    several = (" ".join(generator.choices(WORDS, k=20)).capitalize() + "." for _ in range(count))
    return " ".join(several)


def written(
    path: Path, record: Callable[[int, str], str], count: int, ends: tuple[str, str]
) -> Path:
    """A file of so many records."""
    generator = random.Random(7)
    with path.open("w", encoding="utf-8") as file:
        file.write(ends[0])
        for number in range(count):
            file.write(record(number, sentences(generator, 8)))
        file.write(ends[1])
    return path


def surname(number: int) -> str:
    """A name that no other record has: what is remembered of names shall not help here."""
    letters = ""
    while number:
        number, place = divmod(number, 21)
        letters += "bcdfghjklmnpqrstvwxyz"[place] + "aeiou"[place % 5]
    return f"Rate{letters}"


def bibtex_entry(number: int, abstract: str) -> str:
    """An entry as the ACL Anthology writes them."""
    return (
        f"@inproceedings{{key-{number},\n"
        f'    title = "{{R}}ates of Number {number}",\n'
        f'    author = "{surname(number)}, Ada  and\n      {surname(number + 1)}n, Alan M.",\n'
        f'    booktitle = "Proceedings of Rates",\n    year = "2020",\n'
        f'    url = "https://example.org/{number}/",\n    doi = "10.1000/rates.{number}",\n'
        f'    pages = "1--9",\n    abstract = "{abstract}"\n}}\n'
    )


def ris_record(number: int, abstract: str) -> str:
    """A record as reference managers write them."""
    return (
        f"TY  - JOUR\nTI  - Rates of Number {number}\nAU  - {surname(number)}, Ada\n"
        f"AU  - {surname(number + 1)}n, Alan M.\n"
        f"PY  - 2020/01/02\nJO  - Journal of Rates\nSP  - 1\nEP  - 9\n"
        f"DO  - 10.1000/rates.{number}\nUR  - https://example.org/{number}\nKW  - rates\n"
        f"KW  - time\nAB  - {abstract}\nER  - \n\n"
    )


def pubmed_article(number: int, abstract: str) -> str:
    """An article as PubMed writes them."""
    return (
        f'<PubmedArticle>\n<MedlineCitation Status="MEDLINE">\n<PMID Version="1">{number}</PMID>\n'
        "<Article>\n<Journal>\n<JournalIssue>\n<PubDate><Year>2020</Year></PubDate>\n"
        "</JournalIssue>\n<Title>Journal of Rates</Title>\n</Journal>\n"
        f"<ArticleTitle>Rates of number {number}.</ArticleTitle>\n<Abstract>\n"
        f"<AbstractText>{abstract}</AbstractText>\n</Abstract>\n<AuthorList>\n<Author>\n"
        f"<LastName>{surname(number)}</LastName>\n<ForeName>Ada</ForeName>\n</Author>\n<Author>\n"
        f"<LastName>{surname(number + 1)}n</LastName>\n<ForeName>Alan M</ForeName>\n</Author>\n"
        "</AuthorList>\n"
        "</Article>\n</MedlineCitation>\n<PubmedData>\n<ArticleIdList>\n"
        f'<ArticleId IdType="doi">10.1000/rates.{number}</ArticleId>\n</ArticleIdList>\n'
        "</PubmedData>\n</PubmedArticle>\n"
    )


def json_line(number: int, abstract: str) -> str:
    """A record of our own."""
    record = {
        "title": f"Rates of Number {number}",
        "abstract": abstract,
        "authors": [f"Ada {surname(number)}", f"Alan M. {surname(number + 1)}n"],
        "year": 2020,
        "doi": f"10.1000/rates.{number}",
    }
    return json.dumps(record) + "\n"


def compare_parsers(folder: Path, count: int) -> None:
    """Speed of reading papers as a share of the parser's own speed.

    What bibtexparser gives by default still has its TeX in it and all names in one text; what a
    user runs to get usable text are its middlewares besides, so both are compared. These take so
    long that a tenth of the records must do.
    """
    bib = written(folder / "a.bib", bibtex_entry, count, ("", ""))
    ris = written(folder / "a.ris", ris_record, count, ("", ""))
    xml = written(
        folder / "a.xml",
        pubmed_article,
        count,
        ("<?xml version='1.0'?>\n<PubmedArticleSet>\n", "</PubmedArticleSet>\n"),
    )
    few = written(folder / "b.bib", bibtex_entry, max(1, count // 10), ("", ""))
    for name, path, parse in (
        ("BibTeX beside bibtexparser", bib, parse_bibtex),
        ("BibTeX beside it with TeX and names read", few, parse_bibtex_wholly),
        ("RIS beside rispy", ris, parse_ris),
        ("PubMed XML beside ElementTree", xml, parse_xml),
    ):
        count = sum(isinstance(each, Paper) for each in iter_papers(path))
        alone, read = in_turns(partial(parse, path), partial(read_all, path))
        print(f"{name:40}{alone / read:8.2f} of its speed ({count / read:,.0f} papers a second)")


def read_all(path: Path) -> None:
    """Reads a file and keeps nothing."""
    for _ in iter_papers(path):
        pass


def parse_bibtex(path: Path) -> None:
    """Reads with bibtexparser alone."""
    import bibtexparser

    bibtexparser.parse_file(str(path))


def parse_bibtex_wholly(path: Path) -> None:
    """Reads with bibtexparser and its middlewares for TeX and names."""
    import bibtexparser
    from bibtexparser.middlewares import (
        LatexDecodingMiddleware,
        SeparateCoAuthors,
        SplitNameParts,
    )

    more = [LatexDecodingMiddleware(), SeparateCoAuthors(), SplitNameParts()]
    bibtexparser.parse_file(str(path), append_middleware=more)


def parse_ris(path: Path) -> None:
    """Reads with rispy alone."""
    import rispy

    with path.open(encoding="utf-8") as file:
        rispy.load(file)


def parse_xml(path: Path) -> None:
    """Reads with ElementTree alone, each article let go."""
    from xml.etree.ElementTree import iterparse

    for _, element in iterparse(str(path)):
        if element.tag == "PubmedArticle":
            element.clear()


def compare_passages(folder: Path, count: int) -> None:
    """Seconds of reading and passaging as a multiple of the bare steps."""
    path = written(folder / "a.jsonl", json_line, count, ("", ""))
    sentence_spans("The tables of punkt are read. Once.")
    count_tokens("and those of tiktoken")
    bare, read = in_turns(partial(bare_steps, path), partial(passaged, path))
    name = "JSON Lines read and passaged"
    print(f"{name:40}{read / bare:8.2f} times json.loads, punkt and one count a sentence")


def bare_steps(path: Path) -> None:
    """The least that must be done: parse, find sentences, count their tokens."""
    from rag.llm.tokens import _load_encoding
    from rag.text.sentences import _punkt

    punkt, encoding = _punkt(), _load_encoding()
    with path.open(encoding="utf-8") as file:
        for line in file:
            for sentence in punkt.tokenize(json.loads(line)["abstract"]):
                len(encoding.encode(sentence, disallowed_special=()))


def passaged(path: Path) -> None:
    """Reads papers and cuts them into passages."""
    for paper in iter_papers(path):
        if isinstance(paper, Paper):
            split_paper(paper)


def in_turns(*works: Callable[[], None]) -> list[float]:
    """The median seconds of processor time of each work."""
    for work in works:
        work()
    taken: list[list[float]] = [[] for _ in works]
    for _ in range(ROUNDS):
        for seconds, work in zip(taken, works, strict=True):
            begun = time.process_time()
            work()
            seconds.append(time.process_time() - begun)
    return [statistics.median(seconds) for seconds in taken]


def measure_memory(folder: Path, count: int) -> None:
    """Bytes of memory a paper, each figure in a process of its own."""
    path = written(folder / "b.jsonl", json_line, count, ("", ""))
    for what in ("reading", "merging"):
        command = [sys.executable, __file__, "--memory", what, "--file", str(path)]
        bytes_grown = int(subprocess.run(command, check=True, capture_output=True).stdout)
        print(f"{f'memory of {what} {count:,} papers':40}{bytes_grown / count:8.0f} bytes a paper")


def grown(path: Path, *, merging: bool) -> int:
    """By how many bytes the process grows at most while it reads the file."""
    first = next(iter_papers(path))  # what is loaded once for all does not count
    before = most = resident()
    merger = PaperMerger([first] if isinstance(first, Paper) else ())
    for number, paper in enumerate(iter_papers(path)):
        if merging and isinstance(paper, Paper):
            merger.add(paper)
        if number % 1000 == 0:
            most = max(most, resident())
    return max(most, resident()) - before


def resident() -> int:
    """Bytes of memory that the process holds now (Linux)."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


if __name__ == "__main__":
    main()
