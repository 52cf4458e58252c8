"""Options of `rag eval`, and what they turn into."""

from __future__ import annotations

import math
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eval.judges import Judge
    from rag.assistant import Assistant
    from rag.settings import Settings

QuestionsOption = Annotated[
    Path | None,
    typer.Option("--questions", help="Questions of your own (JSON Lines); default: the bundled."),
]
SplitOption = Annotated[
    str, typer.Option("--split", help="Of the bundled questions: dev, test or all.")
]
JudgeOption = Annotated[str, typer.Option("--judge", help="none, or model.")]
WriterOption = Annotated[str, typer.Option("--writer", help="quotes, or model (with --model).")]
LimitOption = Annotated[
    int | None,
    typer.Option("--limit", min=1, help="Ask only so many questions; the run is partial."),
]
SeedOption = Annotated[int, typer.Option("--seed", help="Chooses the questions of --limit.")]
WorkersOption = Annotated[int, typer.Option("--workers", min=1, max=32, help="Questions at once.")]
BudgetOption = Annotated[
    int | None, typer.Option("--budget", min=1, help="Tokens after which no question is begun.")
]
RunArgument = Annotated[Path, typer.Argument(help="Folder of a run.")]


def open_library(settings: Settings, *, quiet: bool) -> Assistant:
    """Open the library that the settings name."""
    from rag.cli.options import open_assistant

    assistant: Assistant = open_assistant(settings, quiet=quiet)
    return assistant


def choose_writer(settings: Settings, writer: str) -> Settings:
    """Return settings for the writer asked for. A model in the environment alone has no effect."""
    from rag.errors import SettingsError

    if writer in ("quotes", "extractive"):  # "extractive" until 0.2
        return settings.model_copy(update={"chat_model": None, "llm": None, "gguf": None})
    if writer != "model":
        raise SettingsError(f"--writer {writer} is not known; there are quotes and model.")
    if not settings.writer:
        raise SettingsError("--writer model needs a model; name it with --model, --llm or --gguf.")
    return settings


def make_judge(name: str, settings: Settings) -> Judge:
    """Make the judge that --judge names.

    Raises:
        SettingsError: there is no such judge, or it needs a model.
    """
    from eval.judges import ModelJudge, NoJudge
    from rag.errors import SettingsError
    from rag.llm import make_judge_model
    from rag.prompts import load_prompt

    if name == "none":
        return NoJudge()
    if name != "model":
        raise SettingsError(f"--judge {name} is not known; there are none and model.")
    chat = make_judge_model(settings)
    if chat is None:
        raise SettingsError("--judge model needs a model; name it with --judge-model or --model.")
    return ModelJudge(chat, load_prompt("judge", settings.prompts))


def parse_bounds(given: Sequence[str] | None) -> dict[str, float]:
    """Parse bounds such as "recall@5=.9" into measure -> bound.

    Raises:
        SettingsError: a text is none.
    """
    from rag.errors import SettingsError

    found = {}
    for text in given or ():
        name, _, value = text.partition("=")
        try:
            bound = float(value)
        except ValueError:
            bound = math.nan
        if not math.isfinite(bound):
            raise SettingsError(f"{text} is no bound; write it as recall@5=.9.")
        if name.strip() in found:
            raise SettingsError(f"{name.strip()} is bounded twice.")
        found[name.strip()] = bound
    return found
