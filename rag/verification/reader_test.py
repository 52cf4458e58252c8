"""The reader's test: 24 labelled statements that show how far a model's verdicts can be trusted.

Half of them are false: inversions, swapped roles, other numbers and names, overclaims. They go
through the checker that checks answers, six in one call. `rag info --check` runs the test and
stores the result by model, server and prompt. It decides whether verdicts are coloured, and below
19 right they become "unchecked".
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import TypeAdapter, ValidationError

from rag.errors import DiskError, ModelUnavailable
from rag.files import explain_os_error, write_atomically
from rag.prompts import load_prompt
from rag.readers import read_papers
from rag.verification.quotation import Claim
from rag.verification.verdict import ReaderScore
from rag.verification.verify import make_checker

if TYPE_CHECKING:
    from rag.llm import ChatModel
    from rag.settings import Settings

DATA = Path(__file__).parents[1] / "data"
_BATCH = 6  # statements of one call
_RESULTS = TypeAdapter(dict[str, tuple[int, int]])


def run_reader_test(model: ChatModel, settings: Settings) -> ReaderScore:
    """Test a model, store its score and return it.

    "supported" is right for a true statement, and "partly", "unsupported" or "contradicted" for a
    false one. A statement without a readable verdict counts as wrong.

    Args:
        model: checks the statements, in four calls.
        settings: name the folder of prompts and the data folder.

    Raises:
        ModelError: the model gave no reply.
        DiskError: the score cannot be stored.
    """
    items = json.loads((DATA / "reader_test.json").read_bytes())["statements"]
    checker = make_checker(model, settings.prompts)
    papers = {paper.id: paper for paper in read_papers(DATA / "library.jsonl")}
    claims = [Claim(each["statement"], tuple(papers[p] for p in each["papers"])) for each in items]
    verdicts = []
    for start in range(0, len(claims), _BATCH):
        calls = checker.usage.calls
        verdicts += [found.verdict for found in checker.check(claims[start : start + _BATCH])]
        if checker.usage.calls == calls:  # a failed call says nothing about the model's verdicts
            raise ModelUnavailable(f"The reader's test stopped. {checker.notes[-1]}")
    right = sum(
        verdict == "supported"
        if item["kind"] == "true"
        else verdict in ("partly", "unsupported", "contradicted")
        for item, verdict in zip(items, verdicts, strict=True)
    )
    score = ReaderScore(model.name, right, len(items))
    _write_score(score, model, settings)
    return score


def read_score(model: ChatModel, settings: Settings) -> ReaderScore:
    """Return the stored score of a model, on its server and with the prompt in use."""
    key = _make_key(model, settings)
    right, total = _read_results(_find_file(settings)).get(key, (0, 0))
    return ReaderScore(model.name, right, total)


def _write_score(score: ReaderScore, model: ChatModel, settings: Settings) -> None:
    file = _find_file(settings)
    results = _read_results(file) | {_make_key(model, settings): (score.right, score.total)}
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = explain_os_error(error)
        raise DiskError(f"Cannot create the folder {file.parent} ({why}). Free it.") from error
    write_atomically(file, json.dumps(results, indent=1) + "\n")


def _read_results(file: Path) -> dict[str, tuple[int, int]]:
    """Return the scores in a file. One that is missing or damaged has none."""
    try:
        return _RESULTS.validate_json(file.read_bytes())
    except (OSError, ValidationError):
        return {}


def _find_file(settings: Settings) -> Path:
    return settings.data_dir / "reader_tests.json"


def _make_key(model: ChatModel, settings: Settings) -> str:
    """Return the name of a score. Another prompt or other statements make another one."""
    content = (DATA / "reader_test.json").read_bytes()
    prompt = load_prompt("verify", settings.prompts).sha256
    digest = hashlib.sha256(content + prompt.encode()).hexdigest()
    return f"{model.name} at {model.server}, test {digest[:12]}"
