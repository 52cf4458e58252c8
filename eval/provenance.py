"""What a run is: settings, versions and digests of all that decides what its records hold."""

from __future__ import annotations

import hashlib
import json
import platform
import subprocess
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

from pydantic import BaseModel, ConfigDict, model_validator

from eval.questions import digest
from eval.records import Variant  # noqa: TC001 - pydantic reads it at run time
from rag import __version__
from rag.llm.servers import mask_url
from rag.prompts import load_prompt

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eval.judges import Judge
    from eval.questions import Question
    from rag.assistant import Assistant

_PACKAGES = ("chromadb", "tantivy", "onnxruntime", "llama-index-core", "openai",
             "numpy", "ir-measures")  # fmt: skip
_PROMPTS = ("answer", "plan", "verify", "repair", "judge")
_NEEDED = {"questions", "papers", "judge", "judge_sha256", "model", "writer", "version"}
_ROOT = Path(__file__).parents[1]


class RunInfo(BaseModel):
    """What a run is; two runs are the same where `identity` is.

    Attributes:
        started: UTC, ISO 8601.
        identity: all that decides what the records hold.
        plan: (question id, variant) of every record of the run.
        limited: whether fewer questions were asked than there are.
        about: commit, versions, machine; for readers.
    """

    model_config = ConfigDict(frozen=True)
    started: str
    identity: dict[str, Any]
    plan: list[tuple[str, Variant]]
    limited: bool
    about: dict[str, Any]

    @property
    def planned(self) -> int:
        """Records of the whole run."""
        return len(self.plan)

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if not set(self.identity) >= _NEEDED:
            raise ValueError("identity lacks a field")
        if not {"index", "papers", "questions", "splits", "judge", "commit"} <= set(self.about):
            raise ValueError("about lacks a field")
        return self


def identity(assistant: Assistant, questions: Sequence[Question], judge: Judge) -> dict[str, Any]:
    """Return all that decides what the records of a run hold."""
    settings = assistant.settings
    shown = settings.model_dump(
        mode="json", exclude={"origin", "data_dir", "cache_dir", "threads", "index"}
    )
    papers = sorted((p.id, p.title, p.abstract) for p in assistant.papers())
    return {
        "questions": digest(questions),
        "papers": hash_json(papers),
        "embedder": assistant.embedder.name,
        "writer": "model" if assistant.model else "quotes",
        "model": assistant.model.name if assistant.model else None,
        "judge": judge.name,
        "judge_sha256": judge.sha256,
        "settings": {
            name: mask_url(value) if value and name.endswith("_url") else value
            for name, value in shown.items()
            if not name.endswith(("_key", "_token"))
        },
        "prompts": {name: load_prompt(name, settings.prompts).sha256 for name in _PROMPTS},
        "version": __version__,
    }


def describe_run(
    assistant: Assistant,
    questions: Sequence[Question],
    judge: Judge,
    *,
    plan: list[tuple[str, Variant]],
    limited: bool,
) -> RunInfo:
    """Describe a run that begins now.

    Args:
        assistant: asked.
        questions: of the whole set.
        judge: scores the answers.
        plan: (question id, variant) of every record.
        limited: whether fewer questions are asked than there are.
    """
    about = {
        "index": assistant.settings.index or "bundled library",
        "papers": len(assistant.papers()),
        "questions": len(questions),
        "splits": sorted({question.split for question in questions}),
        "judge": judge.about,
        "tells_contradictions": judge.tells_contradictions,
        "commit": _git("rev-parse", "HEAD"),
        "dirty": bool(_git("status", "--porcelain")),
        "python": platform.python_version(),
        "system": f"{platform.system()} {platform.machine()}",
        "packages": {name: _version(name) for name in _PACKAGES},
    }
    started = datetime.now(UTC).isoformat(timespec="seconds")
    return RunInfo(
        started=started,
        identity=identity(assistant, questions, judge),
        plan=plan,
        limited=limited,
        about=about,
    )


def hash_json(value: object) -> str:
    """Return the sha256 of a JSON value."""
    return hashlib.sha256(json.dumps(value, ensure_ascii=False).encode()).hexdigest()


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def _git(*arguments: str) -> str | None:
    """Return the output of git in the checkout this runs from, None outside of one."""
    if not (_ROOT / ".git").exists():
        return None
    try:
        done = subprocess.run(  # noqa: S603 - fixed arguments, no shell
            ["git", *arguments],  # noqa: S607
            cwd=_ROOT, capture_output=True, text=True, timeout=20, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
