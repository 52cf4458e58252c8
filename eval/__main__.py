"""`rag eval` and `python -m eval`: new, check, run, report, compare, gate, judges, retrieval.

Exit status: 0, 1 a gate failed, 2 bad input, 3 failure (a judge too), 130 interrupted.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer

from rag.cli.exits import Commands
from rag.cli.options import (
    ConfigOption,
    IndexOption,
    ModelOption,
    PapersOption,
    QuietOption,
    UrlOption,
    settings_of,
)

if TYPE_CHECKING:
    from collections.abc import Sequence

    from eval.judges import Judge
    from eval.questions import Question
    from rag.assistant import Assistant
    from rag.settings import Settings

app = typer.Typer(
    name="rag eval",
    cls=Commands,
    help="Score answers on hand-written questions: retrieval, faithfulness, citations, abstention.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)

QuestionsOption = Annotated[
    Path | None,
    typer.Option("--questions", help="Questions of your own (JSON Lines); default: the bundled."),
]
SplitOption = Annotated[
    str, typer.Option("--split", help="Of the bundled questions: dev, test or all.")
]
JudgeOption = Annotated[str, typer.Option("--judge", help="offline, or model.")]
JudgeModelOption = Annotated[
    str | None,
    typer.Option("--judge-model", help="Model of the judge; default: the one that --model names."),
]
RunArgument = Annotated[Path, typer.Argument(help="Folder of a run.")]


@app.command()
def new(
    file: Annotated[Path, typer.Argument(help="File to write; it must not exist.")],
) -> None:
    """Write a commented example of a question file."""
    from rag.errors import DiskError, QuestionError

    example = (Path(__file__).parent / "example.jsonl").read_text(encoding="utf-8")
    try:
        with file.open("x", encoding="utf-8") as out:
            out.write(example)
    except FileExistsError as error:
        raise QuestionError(f"{file} is there already; name another file.") from error
    except OSError as error:
        raise DiskError(f"{file} cannot be written: {error.strerror}.") from error
    typer.echo(f"Wrote {file}; edit it, then `rag eval check --questions {file}`.", err=True)


@app.command()
def check(
    *,
    questions: QuestionsOption = None,
    split: SplitOption = "all",
    index: IndexOption = None,
    quiet: QuietOption = False,
    config: ConfigOption = None,
) -> None:
    """Check questions: ids known, quotes verbatim, kinds complete, splits apart."""
    from eval.questions import problems, read_questions
    from rag.errors import QuestionError

    asked = read_questions(questions, split)
    with _assistant(settings_of(config, index=index), quiet=quiet) as assistant:
        found = problems(asked, {paper.id: paper for paper in assistant.papers()})
    for problem in found:
        typer.echo(problem)
    if found:
        raise QuestionError(f"{len(found)} problems in {len(asked)} questions; mend them.")
    kinds = {
        kind: sum(q.kind == kind for q in asked) for kind in dict.fromkeys(q.kind for q in asked)
    }
    typer.echo(
        f"{len(asked)} questions are in order: "
        + ", ".join(f"{count} {kind}" for kind, count in kinds.items())
        + "."
    )


@app.command()
def run(
    *,
    out: Annotated[Path, typer.Option("--out", help="Folder of the run; taken up if begun.")],
    questions: QuestionsOption = None,
    split: SplitOption = "dev",
    index: IndexOption = None,
    k: PapersOption = None,
    writer: Annotated[
        str, typer.Option(help="extractive, or model (with --model).")
    ] = "extractive",
    model: ModelOption = None,
    url: UrlOption = None,
    judge: JudgeOption = "offline",
    judge_model: JudgeModelOption = None,
    limit: Annotated[
        int | None, typer.Option(min=1, help="Ask only so many questions; the run is partial.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Chooses the questions of --limit.")] = 0,
    workers: Annotated[int, typer.Option(min=1, max=32, help="Questions at once.")] = 1,
    budget: Annotated[
        int | None, typer.Option(min=1, help="Tokens after which no question is begun.")
    ] = None,
    quiet: QuietOption = False,
    config: ConfigOption = None,
) -> None:
    """Ask every question, judge the answers, write the records and the reports."""
    from eval.questions import read_questions
    from eval.run import run as run_questions
    from rag.cli.progress import progress

    asked = _asked(questions, split, read_questions)
    settings = _writer_settings(
        settings_of(config, index=index, k=k, chat_model=model, chat_url=url), writer
    )
    with _assistant(settings, quiet=quiet) as assistant:
        scorer = _judge(
            judge, judge_model, settings_of(config, chat_model=model, chat_url=url), assistant
        )
        with progress(quiet=quiet, title="Asking", unit="questions") as on_progress:
            done = run_questions(
                assistant, asked, out, judge=scorer, limit=limit, seed=seed, workers=workers,
                budget=budget, on_progress=on_progress,
            )  # fmt: skip
    if done.state == "partial":
        typer.echo(
            f"The run is partial: {len(done.records)} of {done.info.planned} records"
            f"{', limited' if done.info.limited else ''}; it can be reported, not gated.",
            err=True,
        )
    _print_report(out)


@app.command()
def report(
    folder: RunArgument,
    *,
    labels: Annotated[
        Path | None,
        typer.Option(help="Hand-labelled statements of the answers (id, statement, supported)."),
    ] = None,
) -> None:
    """Print a run's figures; write report.json and report.html beside its records."""
    _print_report(folder, labels)


@app.command()
def compare(
    before: RunArgument, after: RunArgument, *, flips: Annotated[int, typer.Option(min=0)] = 20
) -> None:
    """Compare two runs of the same questions, pair by pair."""
    from eval.compare import compare as compare_runs
    from eval.run import read_run
    from eval.tables import comparison_table

    comparison_table(compare_runs(read_run(before), read_run(after)), flips)


@app.command()
def gate(
    folder: RunArgument,
    *,
    least: Annotated[
        list[str] | None, typer.Option("--min", help="Floor, such as recall@5=.9; repeatable.")
    ] = None,
    most: Annotated[
        list[str] | None, typer.Option("--max", help="Ceiling, such as false_answer=.3.")
    ] = None,
    baseline: Annotated[
        Path | None, typer.Option(help="Run that this one may not fall behind.")
    ] = None,
) -> None:
    """Pass or fail a complete run; exit status 1 if it fails.

    Always gated: no number of no source, every quote verbatim, a judge that answered.
    """
    from eval.compare import gate as gate_run
    from eval.run import read_run

    failures = gate_run(
        read_run(folder),
        at_least=_bounds(least),
        at_most=_bounds(most),
        baseline=read_run(baseline) if baseline else None,
    )
    for failure in failures:
        typer.echo(failure)
    if failures:
        typer.echo(f"rag: the gate failed on {len(failures)} of its conditions.", err=True)
        raise typer.Exit(1)
    typer.echo("The gate is passed.")


@app.command()
def judges(
    *,
    pairs: Annotated[Path, typer.Option("--pairs", help="Labelled pairs, JSON Lines.")],
    judge: JudgeOption = "offline",
    model: ModelOption = None,
    url: UrlOption = None,
    index: IndexOption = None,
    quiet: QuietOption = False,
    config: ConfigOption = None,
) -> None:
    """Measure a judge on statements that people have labelled."""
    from eval.pairs import measured, read_pairs
    from eval.tables import judge_table
    from rag.cli.progress import progress

    settings = settings_of(config, index=index, chat_model=model, chat_url=url)
    with _assistant(_writer_settings(settings, "extractive"), quiet=quiet) as assistant:
        labelled = read_pairs(pairs, {paper.id: paper for paper in assistant.papers()})
        scorer = _judge(judge, None, settings, assistant)
        with progress(quiet=quiet, title="Judging", unit="pairs") as on_progress:
            figures = measured(scorer, labelled, on_progress)
    judge_table(scorer, figures)


@app.command()
def retrieval(
    *,
    beir: Annotated[Path, typer.Option("--beir", help="Folder of a dataset in BEIR form.")],
    split: Annotated[str | None, typer.Option(help="File of qrels, such as test.")] = None,
    index: Annotated[
        Path | None, typer.Option("--index", help="Folder to keep the dataset's index in.")
    ] = None,
    quiet: QuietOption = False,
    config: ConfigOption = None,
) -> None:
    """Retrieval on a public dataset: the product beside BM25, dense and their fusion."""
    import tempfile

    from eval.beir import compared, papers_of, queries_of
    from eval.tables import retrieval_table
    from rag.assistant import Assistant
    from rag.cli.progress import progress

    queries = queries_of(beir, split)
    with tempfile.TemporaryDirectory() as folder:
        with progress(quiet=quiet, title="Indexing") as on_progress:
            built = Assistant.build(
                papers_of(beir), index or Path(folder), settings=settings_of(config),
                on_progress=on_progress,
            )  # fmt: skip
        with (
            built as assistant,
            progress(quiet=quiet, title="Searching", unit="queries") as on_progress,
        ):
            found = compared(assistant, queries, on_progress)
    retrieval_table(found, len(queries))


def _asked(questions: Path | None, split: str, read: Any) -> list[Question]:
    found: list[Question] = read(questions, "all" if questions else split)
    return found


def _assistant(settings: Settings, *, quiet: bool) -> Assistant:
    from rag.cli.options import opened

    assistant: Assistant = opened(settings, quiet=quiet)
    return assistant


def _writer_settings(settings: Settings, writer: str) -> Settings:
    """The settings with the writer asked for; a model in the environment alone chooses nothing."""
    from rag.errors import SettingsError

    if writer == "extractive":
        return settings.model_copy(update={"chat_model": None})
    if writer != "model":
        raise SettingsError(f"--writer {writer} is not known; there are extractive and model.")
    if not settings.chat_model:
        raise SettingsError("--writer model needs a model; name it with --model.")
    return settings


def _judge(name: str, model: str | None, settings: Settings, assistant: Assistant) -> Judge:
    from eval.judges import ModelJudge, OfflineJudge
    from rag.errors import SettingsError
    from rag.minilm import MiniLM, load_minilm
    from rag.models import make_chat_model
    from rag.prompts import load_prompt

    if name == "offline":
        embedder = assistant.embedder
        return OfflineJudge(lambda: embedder if isinstance(embedder, MiniLM) else load_minilm())
    if name != "model":
        raise SettingsError(f"--judge {name} is not known; there are offline and model.")
    if model:
        settings = settings.model_copy(update={"chat_model": model})
    chat = make_chat_model(settings)
    if chat is None:
        raise SettingsError("--judge model needs a model; name it with --judge-model or --model.")
    return ModelJudge(chat, load_prompt("judge", settings.prompts))


def _print_report(folder: Path, labels: Path | None = None) -> None:
    from eval.html import write_report
    from eval.report import report_of
    from eval.run import read_run
    from eval.tables import report_table

    found = report_of(read_run(folder), labels=labels)
    write_report(found, folder)
    report_table(found)
    typer.echo(f"Wrote {folder / 'report.json'} and {folder / 'report.html'}.", err=True)


def _bounds(given: Sequence[str] | None) -> dict[str, float]:
    from rag.errors import SettingsError

    found = {}
    for text in given or ():
        name, _, value = text.partition("=")
        try:
            found[name.strip()] = float(value)
        except ValueError:
            raise SettingsError(f"{text} is no bound; write it as recall@5=.9.") from None
    return found


def main(arguments: list[str] | None = None, name: str = "python -m eval") -> NoReturn:
    """Runs the command."""
    app(args=arguments, prog_name=name)
    raise AssertionError("typer exits by itself")


@app.callback()
def demand_libraries() -> None:
    """Score answers on hand-written questions: retrieval, faithfulness, citations, abstention."""
    from importlib.util import find_spec

    from rag.errors import SettingsError

    missing = [name for name in ("ir_measures", "plotly", "sklearn") if find_spec(name) is None]
    if missing:
        raise SettingsError(
            f"`rag eval` needs {', '.join(missing)}; install them with "
            "`pip install 'papertrail-rag[eval]'`."
        )


if __name__ == "__main__":
    main()
