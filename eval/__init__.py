"""Evaluation of cited answers: hand-written questions, metrics, judges and reports.

`evaluate` is the whole of it in one call; `rag eval` is the same from the command line.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from eval.judges import Judge
    from eval.questions import Question
    from eval.report import Report
    from rag.assistant import Assistant

__all__ = ["evaluate"]


def evaluate(
    assistant: Assistant,
    questions: Sequence[Question],
    *,
    out: str | Path | None = None,
    judge: Judge | None = None,
    **options: Any,
) -> Report:
    """Ask every question, judge the answers and compute the figures.

    Args:
        assistant: asked, with its own writer.
        questions: as `eval.questions.read_questions` gives them.
        out: folder of the run, taken up again if begun; None keeps nothing.
        judge: None scores nothing and reports facts only.
        options: of `eval.run.run`: limit, seed, workers, budget, on_progress.

    Raises:
        RunMismatch: the folder holds another run.
    """
    import tempfile

    from eval.judges import NoJudge
    from eval.report import make_report
    from eval.run import run

    judge = judge or NoJudge()
    with tempfile.TemporaryDirectory() as folder:
        return make_report(run(assistant, questions, out or folder, judge=judge, **options))
