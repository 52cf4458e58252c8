"""Throughput of the bundled embedder against Chroma's own ONNX function, given the same model.

Both embed the same texts in turns within one run, so that a busy machine slows both alike; each
figure is the median of the rounds' ratios. Chroma's function cuts a text at 256 word pieces and
pads every text to 256, ours reads up to 512 and pads to the batch. Hence three comparisons:

- `whole`: titles with abstracts as they are (ours reads all of them, Chroma's a part);
- `cut`: the same texts cut beforehand to what Chroma's function reads, equal work for both;
- `titles`: short texts, about the length of questions.

Run: python benchmarks/embedding.py [PAPERS.jsonl] [--texts 64] [--rounds 5] [--chroma-model FILE]

Prints one JSON line. `--chroma-model` gives Chroma's function another ONNX file of the model than
the bundled one. The files are copied to a temporary folder; nothing is fetched.
"""

from __future__ import annotations

import argparse
import json
import shutil
import statistics
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rag.embedding.minilm import FOLDER, load_minilm, open_bundled_tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    Embed = Callable[[list[str]], object]

# Chroma's function fetches its archive unless all of these exist; it reads only the first two.
CHROMA_FILES = (
    "model.onnx",
    "tokenizer.json",
    "config.json",
    "special_tokens_map.json",
    "tokenizer_config.json",
    "vocab.txt",
)
# 256 positions less the two marks.
CHROMA_PIECES = 254


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Compare two embedders of the same model.")
    parser.add_argument("papers", type=Path, nargs="?", default=FOLDER.parent / "library.jsonl")
    parser.add_argument("--texts", type=int, default=64)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--chroma-model", type=Path, default=FOLDER / "model.onnx")
    options = parser.parse_args()
    whole = spread(texts_of(options.papers), options.texts)
    kinds = {"whole": whole, "cut": cut(whole), "titles": [text.split("\n")[0] for text in whole]}
    ours = load_minilm()
    with tempfile.TemporaryDirectory() as folder:
        theirs = chroma_function(Path(folder), options.chroma_model)
        figures = {
            kind: compare(ours.embed, theirs, texts, options.rounds)
            for kind, texts in kinds.items()
        }
    print(json.dumps({"texts": len(whole)} | figures))


def texts_of(path: Path) -> list[str]:
    """`title` and `abstract` of each line of a JSON Lines file."""
    papers = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    return [f"{paper['title']}\n{paper['abstract']}" for paper in papers]


def spread(texts: Sequence[str], count: int) -> list[str]:
    """`count` texts at even distances."""
    return list(texts[:: max(1, len(texts) // count)])[:count]


def cut(texts: Sequence[str]) -> list[str]:
    """The texts up to the last word piece that Chroma's function reads."""
    tokenizer = open_bundled_tokenizer(FOLDER)
    ends = [tokenizer.encode(text, add_special_tokens=False).offsets for text in texts]
    return [
        text[: offsets[:CHROMA_PIECES][-1][1]] for text, offsets in zip(texts, ends, strict=True)
    ]


def chroma_function(folder: Path, model: Path) -> Any:
    """Chroma's function over a model file of ours."""
    from chromadb.utils.embedding_functions.onnx_mini_lm_l6_v2 import ONNXMiniLM_L6_V2

    (folder / "onnx").mkdir()
    for name in CHROMA_FILES:
        (folder / "onnx" / name).write_text("{}", encoding="utf-8")
    shutil.copy(model, folder / "onnx" / "model.onnx")
    shutil.copy(FOLDER / "tokenizer.json", folder / "onnx" / "tokenizer.json")

    class TheSameModel(ONNXMiniLM_L6_V2):
        DOWNLOAD_PATH = folder

    function = TheSameModel()
    function.model = WithoutTokenTypes(function.model)
    return function


class WithoutTokenTypes:
    """A session that leaves out the input that our graph has folded into its tables."""

    def __init__(self, session: Any) -> None:
        self._session = session

    def run(self, outputs: Any, inputs: dict[str, Any]) -> Any:
        """Run on the ids and the mask alone."""
        return self._session.run(
            outputs, {name: inputs[name] for name in ("input_ids", "attention_mask")}
        )


def compare(ours: Embed, theirs: Embed, texts: list[str], rounds: int) -> dict[str, float]:
    """Texts per second of each, and the median of the rounds' ratios; one more round warms up."""
    seconds = [(timed(ours, texts), timed(theirs, texts)) for _ in range(rounds + 1)][1:]
    figures = {
        "ours_per_s": len(texts) / statistics.median(took for took, _ in seconds),
        "chroma_per_s": len(texts) / statistics.median(took for _, took in seconds),
        "ratio": statistics.median(theirs_s / ours_s for ours_s, theirs_s in seconds),
    }
    return {name: round(value, 2) for name, value in figures.items()}


def timed(embed: Embed, texts: list[str]) -> float:
    """The seconds that embedding the texts takes."""
    start = time.perf_counter()
    embed(texts)
    return time.perf_counter() - start


if __name__ == "__main__":
    main()
