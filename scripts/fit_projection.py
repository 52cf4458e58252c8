"""Fits rag/data/minilm/projection.npy: token vectors from 384 dimensions to 128.

The index keeps one vector per word piece, so their length decides its size. The projection is the
first principal directions of the token vectors of two collections: the bundled library and one
with other matter (a BEIR corpus.jsonl), each with half the weight. It ships with the model and is
no state of an index.

Directions of the centred and of the uncentred vectors are both fitted on most of the texts, and
the one that keeps the cosines of the held-out texts better is written. The embedder's name
contains a digest of the file, so a new projection makes existing indexes stale.

Run: python scripts/fit_projection.py CORPUS.jsonl [--library rag/data/library.jsonl]

The same input gives the same file on one machine; another linear algebra library may change the
last bits.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import random
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from build_minilm import REPOSITORY, TARGET, record, texts_of, write_section

from rag.embedding.encoder import Encoder, normalize_rows
from rag.embedding.minilm import DIM, open_bundled_tokenizer, open_network, open_stop_words
from rag.embedding.pieces import PieceReader

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

SEED = 20_240
SAMPLE = 1_000
HELD_OUT_EVERY = 5
COSINE_PAIRS = 200_000


def main(arguments: Sequence[str] | None = None) -> int:
    """Fit, write and describe the projection; returns the exit code."""
    parser = argparse.ArgumentParser(description="Fit the projection of token vectors.")
    parser.add_argument("corpus", type=Path, help="corpus.jsonl of a BEIR data set")
    parser.add_argument(
        "--library", type=Path, default=REPOSITORY / "rag" / "data" / "library.jsonl"
    )
    parser.add_argument("--dim", type=int, default=128)
    options = parser.parse_args(arguments)
    collections = [texts_of(options.library), sample_of(options.corpus)]
    tokens = [token_vectors(texts) for texts in collections]
    errors = {
        centred: held_out_error(tokens, options.dim, centred=centred) for centred in (False, True)
    }
    rows = [np.concatenate(texts) for texts in tokens]
    projection = principal_directions(rows, centred=errors[True] < errors[False])
    np.save(TARGET / "projection.npy", projection[:, : options.dim].astype(np.float16))
    record("projection.npy")
    describe(options, collections, errors)
    return 0


def sample_of(path: Path) -> list[str]:
    """`title` and `text` of a fixed sample of a BEIR corpus."""
    papers = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    papers.sort(key=lambda paper: paper["_id"])
    chosen = random.Random(SEED).sample(papers, min(SAMPLE, len(papers)))
    return [f"{paper['title']}\n{paper['text']}" for paper in chosen]


def token_vectors(texts: Sequence[str]) -> list[NDArray[np.float32]]:
    """Of each text the unit vectors (m, 384) of its content pieces, which are what is stored."""
    whole = Encoder(
        open_network(TARGET),
        PieceReader(open_bundled_tokenizer(TARGET)),
        name="unprojected",
        dim=DIM,
        stop_words=open_stop_words(TARGET),
        threads=2,
    )
    return [encoding.tokens[encoding.content] for encoding in whole.encode(texts)]


def principal_directions(
    collections: Sequence[NDArray[np.float32]], *, centred: bool
) -> NDArray[np.float64]:
    """Orthonormal columns (384, 384), the direction of most variance first.

    Each collection weighs the same, whatever its size. An eigenvector's sign is arbitrary: each
    column is turned so that its largest entry is positive.
    """
    moments, means = [], []
    for rows in collections:
        exact = rows.astype(np.float64)
        moments.append(exact.T @ exact / len(exact))
        means.append(exact.mean(axis=0))
    moment, mean = np.mean(moments, axis=0), np.mean(means, axis=0)
    _, vectors = np.linalg.eigh(moment - np.outer(mean, mean) if centred else moment)
    columns = vectors[:, ::-1]
    largest = np.take_along_axis(columns, np.abs(columns).argmax(axis=0)[None], axis=0)
    return columns * np.sign(largest)


def held_out_error(
    tokens: Sequence[Sequence[NDArray[np.float32]]], dim: int, *, centred: bool
) -> float:
    """Root mean square change of the cosine of two tokens from texts that were left out."""
    fitted = [
        np.concatenate([rows for at, rows in enumerate(texts) if at % HELD_OUT_EVERY])
        for texts in tokens
    ]
    projection = principal_directions(fitted, centred=centred)[:, :dim].astype(np.float32)
    changes = []
    for texts in tokens:
        held_out = np.concatenate(texts[::HELD_OUT_EVERY])
        pairs = np.random.default_rng(SEED).integers(len(held_out), size=(2, COSINE_PAIRS))
        before = (held_out[pairs[0]] * held_out[pairs[1]]).sum(axis=1)
        short = normalize_rows(held_out @ projection)
        after = (short[pairs[0]] * short[pairs[1]]).sum(axis=1)
        changes.append(np.mean((before - after) ** 2))
    return float(np.sqrt(np.mean(changes)))


def describe(
    options: argparse.Namespace, collections: Sequence[Sequence[str]], errors: dict[bool, float]
) -> None:
    """Write the projection's section of PROVENANCE.md and print the figures."""
    inputs = [
        f"- {path.parent.name}/{path.name} ({len(texts)} texts, sha256 {digest(path)})"
        for path, texts in zip((options.library, options.corpus), collections, strict=True)
    ]
    body = f"""
`projection.npy` (384, {options.dim}), fp16: principal directions of the token vectors of

{chr(10).join(inputs)}

each with half the weight, content pieces only. Made by `python scripts/fit_projection.py`, seed
{SEED}. Root mean square change of a held-out pair's cosine: {errors[False]:.4f} with uncentred,
{errors[True]:.4f} with centred directions; the better one was written.

- sha256 of `projection.npy`: {digest(TARGET / "projection.npy")}
"""
    write_section("The projection", body)
    print(body.strip())


def digest(path: Path) -> str:
    """The hex sha256 of a file."""
    return hashlib.sha256(path.read_bytes()).hexdigest()


if __name__ == "__main__":
    sys.exit(main())
