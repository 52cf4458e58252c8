"""Makes the bundled library from the five listing pages it was given as.

Reads every file of a folder in order of name, cleans the texts, keeps each paper once with the
names of all the files it stands in, and writes JSON Lines in the order of first appearance. The
same files always give the same bytes. What it prints is recorded in `rag/data/PROVENANCE.md`.

Run: python scripts/build_library.py FOLDER [-o rag/data/library.jsonl]
"""

from __future__ import annotations

import argparse
import json
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from rag.papers import Paper, PaperMerger
from rag.readers import Refused, iter_papers

LIBRARY = Path(__file__).resolve().parent.parent / "rag" / "data" / "library.jsonl"


def main() -> None:
    """Writes the library and prints its counts."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="the folder that holds the listing pages")
    parser.add_argument("-o", "--output", type=Path, default=LIBRARY)
    arguments = parser.parse_args()
    for path in sorted(arguments.folder.iterdir()):
        print(f"{sha256(path.read_bytes()).hexdigest()}  {path.name}")
    merger = PaperMerger()
    entries = 0
    for record in iter_papers(arguments.folder):
        if isinstance(record, Refused):
            raise SystemExit(str(record))
        entries += 1
        decided = merger.add(with_file_names(record)).warning
        if decided:
            print(decided)
    lines = [json.dumps(paper.to_dict(), ensure_ascii=False) + "\n" for paper in merger.papers]
    library = "".join(lines).encode()
    arguments.output.write_bytes(library)
    links = sum(len(paper.links) for paper in merger.papers)
    print(f"{entries} entries, {len(lines)} papers, {links} links in abstracts")
    print(f"{sha256(library).hexdigest()}  {arguments.output.name}")


def with_file_names(paper: Paper) -> Paper:
    """The paper with the names of its files in place of their paths on this machine."""
    return replace(paper, sources=tuple(Path(source).name for source in paper.sources))


if __name__ == "__main__":
    main()
