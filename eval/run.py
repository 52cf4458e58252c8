"""Questions x assistant -> one record each, in a folder that can be resumed.

`run.json` says what the run is: settings, versions and digests of questions, papers, index and
prompts. `records.jsonl` gets one line as each question is done, so a kill loses at most the
questions under way; a run is taken up again only where all of `run.json` is still true.
"""

from __future__ import annotations

import contextlib
from collections import deque
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from filelock import FileLock, Timeout
from pydantic import ValidationError

from eval.asking import Task, cluster_questions, make_record, plan_tasks
from eval.cost import usages
from eval.provenance import RunInfo, describe_run, hash_json, identity
from eval.questions import refuse_unusable
from eval.records import Record
from rag.errors import (
    DiskError,
    ModelUnavailable,
    QuestionError,
    RagError,
    RunMismatch,
    SettingsError,
)
from rag.files import write_atomically

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from eval.judges import Judge
    from eval.questions import Question
    from rag.assistant import Assistant


_LOCK = ".lock"
MOST_FAILURES = 5  # in a row, for the same reason; then a run stops


@dataclass(frozen=True)
class Run:
    """A run as it lies in its folder.

    Attributes:
        folder: of the run.
        info: what it is.
        records: done so far, in the order of the plan.
    """

    folder: Path
    info: RunInfo
    records: tuple[Record, ...]

    @property
    def state(self) -> Literal["complete", "partial"]:
        """Complete when every question of the set has its record, and none failed."""
        done = {(r.id, r.variant) for r in self.records if not r.failed}
        whole = done == set(self.info.plan) and not self.info.limited
        return "complete" if whole else "partial"


def run(
    assistant: Assistant,
    questions: Sequence[Question],
    folder: str | Path,
    *,
    judge: Judge,
    limit: int | None = None,
    seed: int = 0,
    workers: int = 1,
    budget: int | None = None,
    on_progress: Callable[[int, int], None] | None = None,
) -> Run:
    """Ask every question that has no record yet.

    Args:
        assistant: asked.
        questions: of one set.
        folder: of the run; made, or taken up again.
        judge: scores statements and facts.
        limit: ask only so many questions, chosen by `seed`; the run is partial then.
        seed: of the choice.
        workers: questions under way at once.
        budget: tokens, of the system and the judge; when they are spent no further question is
            begun.
        on_progress: told records done and planned.

    Raises:
        RunMismatch: the folder holds another run.
        ModelRejected: a language model refused the call; what was done is kept.
        ModelUnavailable: five questions in a row failed for the same reason; what was done is kept.
        DiskError: the folder cannot be written.
    """
    _check_arguments(limit, workers, budget)
    refuse_unusable(questions, [paper.id for paper in assistant.papers()])
    chosen = _choose_questions(questions, limit, seed)
    tasks = plan_tasks(chosen, cluster_questions(questions))
    info = describe_run(
        assistant,
        questions,
        judge,
        plan=[task.key for task in tasks],
        limited=len(chosen) < len(questions),
    )
    folder = Path(folder)
    with _lock_folder(folder):
        info, done, failed = _resume(folder, info)
        left = [task for task in tasks if task.key not in done]
        left.sort(key=lambda task: task.key in failed)
        told = on_progress or (lambda _done, _planned: None)
        told(len(done), len(tasks))
        spent = sum(_tokens(record) for record in done.values())
        found = _ask_all(assistant, judge, left, workers=workers, budget=budget, spent=spent)
        with (folder / "records.jsonl").open("a", encoding="utf-8") as file:
            for record in found:
                file.write(record.model_dump_json() + "\n")
                file.flush()
                done[record.id, record.variant] = record
                told(len(done), len(tasks))
        finished = read_run(folder)
    if identity(assistant, questions, judge) != info.identity:
        raise RunMismatch(
            f"The library or the prompts changed while the run in {folder} was under way; run it "
            "again into another folder."
        )
    return finished


@contextlib.contextmanager
def _lock_folder(folder: Path) -> Iterator[None]:
    """Make the folder, keep other writers out of it, and report what cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = FileLock(folder / _LOCK, timeout=0)
        with lock:
            yield
    except Timeout as error:
        raise RunMismatch(f"The run in {folder} is being written by another process.") from error
    except (NotADirectoryError, FileExistsError) as error:
        raise RunMismatch(f"{folder} is a file; --out takes a folder.") from error
    except OSError as error:
        raise DiskError(f"The run in {folder} cannot be written: {error.strerror}.") from error


def _check_arguments(limit: int | None, workers: int, budget: int | None) -> None:
    for name, value in (("limit", limit), ("workers", workers), ("budget", budget)):
        if value is not None and value < 1:
            raise SettingsError(f"{name} = {value} cannot be used; it is at least 1.")


def read_run(folder: str | Path) -> Run:
    """Read a run from its folder.

    Raises:
        RunMismatch: there is no run, or it cannot be read.
    """
    folder = Path(folder)
    try:
        info = RunInfo.model_validate_json((folder / "run.json").read_bytes())
        found = _read_records(folder / "records.jsonl")
    except OSError as error:
        raise RunMismatch(
            f"{folder} holds no evaluation run ({error.strerror}); `rag eval run --out {folder}` "
            "makes one."
        ) from error
    except (ValidationError, UnicodeDecodeError) as error:
        raise RunMismatch(f"The run in {folder} cannot be read; make it again.") from error
    order = [key for key in info.plan if key in found]
    if len(order) < len(found):
        raise RunMismatch(f"The run in {folder} has records of other questions; make it again.")
    return Run(folder, info, tuple(found[key] for key in order))


def _choose_questions(
    questions: Sequence[Question], limit: int | None, seed: int
) -> list[Question]:
    """Return the questions to ask, in order. A limit keeps those whose seeded hashes are least."""
    if not questions:
        raise QuestionError("There is no question to evaluate.")
    if limit is None or limit >= len(questions):
        return list(questions)
    ranked = sorted(questions, key=lambda q: hash_json([seed, q.id]))[:limit]
    kept = {question.id for question in ranked}
    return [question for question in questions if question.id in kept]


def _resume(
    folder: Path, info: RunInfo
) -> tuple[RunInfo, dict[tuple[str, str], Record], set[tuple[str, str]]]:
    """Return the run in the folder if it is the same one, else a new one.

    Returns:
        the run, its records, and what failed before and is asked again last.
    """
    done: dict[tuple[str, str], Record] = {}
    failed: set[tuple[str, str]] = set()
    if (folder / "run.json").exists():
        before = read_run(folder)
        _refuse_other_run(before, info)
        # a line that a kill tore is gone
        done = {(r.id, r.variant): r for r in before.records if not r.failed}
        failed = {(r.id, r.variant) for r in before.records if r.failed}
        info = info.model_copy(update={"started": before.info.started})
    elif any(entry.name != _LOCK for entry in folder.iterdir()):
        raise RunMismatch(f"{folder} is not empty and holds no run; take another folder.")
    lines = "".join(record.model_dump_json() + "\n" for record in done.values())
    write_atomically(folder / "records.jsonl", lines)
    write_atomically(folder / "run.json", info.model_dump_json(indent=1) + "\n")
    return info, done, failed


def _refuse_other_run(before: Run, info: RunInfo) -> None:
    now = info.identity
    if differing := sorted(name for name in now if before.info.identity.get(name) != now[name]):
        raise RunMismatch(
            f"{before.folder} holds a run with other {', '.join(differing)}; take another folder, "
            "or the same questions, library and settings."
        )
    if info.limited and not before.info.limited:
        raise RunMismatch(
            f"{before.folder} holds a run of all the questions; take another folder for --limit."
        )


def _read_records(path: Path) -> dict[tuple[str, str], Record]:
    """Return the records of a run. A last line that a kill tore is skipped."""
    whole, _, _ = path.read_text(encoding="utf-8").rpartition("\n")
    found = map(Record.model_validate_json, filter(None, whole.split("\n")))
    return {(record.id, record.variant): record for record in found}


def _ask_all(
    assistant: Assistant,
    judge: Judge,
    tasks: Sequence[Task],
    *,
    workers: int,
    budget: int | None,
    spent: int,
) -> Iterator[Record]:
    """Yield records as they are done, with at most `workers` tasks under way.

    After an error no task is begun, and those under way are done first.
    """
    every = [paper.id for paper in assistant.papers()]
    waiting = iter(tasks)
    under_way: set[Future[Record]] = set()
    recent: deque[str] = deque(maxlen=MOST_FAILURES)
    error: RagError | None = None
    with ThreadPoolExecutor(workers) as pool:
        while True:
            goes_on = error is None and (budget is None or spent < budget)
            for task in islice(waiting, workers - len(under_way) if goes_on else 0):
                under_way.add(pool.submit(make_record, assistant, judge, task, every))
            if not under_way:
                break
            ready, under_way = wait(under_way, return_when=FIRST_COMPLETED)
            for future in ready:
                try:
                    record = future.result()
                except RagError as raised:
                    error = error or raised
                    continue
                spent += _tokens(record)
                recent.append(record.failed)
                error = error or _find_outage(recent)
                yield record
    if error:
        raise error


def _find_outage(recent: Sequence[str]) -> ModelUnavailable | None:
    """Return the error of a run whose last questions all failed for the same reason."""
    if len(recent) < MOST_FAILURES or not recent[0] or len(set(recent)) > 1:
        return None
    return ModelUnavailable(
        f"The run stopped because {MOST_FAILURES} questions in a row have no answer of the model "
        f"({recent[0].removesuffix('.')}). Run the same command again to go on."
    )


def _tokens(record: Record) -> int:
    return sum(used.prompt_tokens + used.completion_tokens for used in usages(record))
