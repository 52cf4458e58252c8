"""`rag eval` and `python -m eval`: new, check, run, report, compare, gate, judges, retrieval.

Exit status: 0, 1 a gate failed, 2 bad input, 3 failure (a judge too), 130 interrupted.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NoReturn

import typer

from eval.options import (
    BudgetOption,
    JudgeOption,
    LimitOption,
    QuestionsOption,
    RunArgument,
    SeedOption,
    SplitOption,
    WorkersOption,
    WriterOption,
    choose_writer,
    make_judge,
    open_library,
    parse_bounds,
)
from rag.cli.exits import Commands
from rag.cli.options import QuietOption, add_options

if TYPE_CHECKING:
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


@app.command()
def new(
    file: Annotated[Path, typer.Argument(help="File to write; it must not exist.")],
) -> None:
    """Write a commented example of a question file."""
    from eval.questions import write_example

    write_example(file)
    typer.echo(f"Wrote {file}; edit it, then `rag eval check --questions {file}`.", err=True)


@app.command()
@add_options("index", "embedder")
def check(
    *,
    questions: QuestionsOption = None,
    split: SplitOption = "all",
    settings: Settings,
    quiet: QuietOption = False,
) -> None:
    """Check questions: ids known, quotes verbatim, kinds complete, splits apart."""
    from eval.questions import problems, read_questions
    from rag.errors import QuestionError

    asked = read_questions(questions, split)
    with open_library(settings, quiet=quiet) as assistant:
        found = problems(asked, {paper.id: paper for paper in assistant.papers()})
    for problem in found:
        typer.echo(problem)
    if found:
        raise QuestionError(f"{len(found)} problems in {len(asked)} questions; mend them.")
    kinds = Counter(question.kind for question in asked)
    counted = ", ".join(f"{count} {kind}" for kind, count in kinds.items())
    typer.echo(f"{len(asked)} questions are in order: {counted}.")


@app.command()
@add_options(
    "index",
    "embedder",
    "k",
    "chat_model",
    "chat_url",
    "check_model",
    "check_url",
    "judge_model",
    "judge_url",
)
def run(
    *,
    out: Annotated[Path, typer.Option("--out", help="Folder of the run; taken up if begun.")],
    questions: QuestionsOption = None,
    split: SplitOption = "dev",
    writer: WriterOption = "quotes",
    judge: JudgeOption = "none",
    settings: Settings,
    limit: LimitOption = None,
    seed: SeedOption = 0,
    workers: WorkersOption = 1,
    budget: BudgetOption = None,
    quiet: QuietOption = False,
) -> None:
    """Ask every question, judge the answers, write the records and the reports."""
    from eval.questions import read_questions
    from eval.report import refuse_unscored
    from eval.run import run as run_questions
    from eval.tables import print_report
    from rag.cli.progress import show_progress
    from rag.errors import ModelUnavailable

    asked = read_questions(questions, "all" if questions else split)
    with open_library(choose_writer(settings, writer), quiet=quiet) as assistant:
        scorer = make_judge(judge, settings)
        with show_progress(quiet=quiet, title="Asking", unit="questions") as on_progress:
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
    found = print_report(out)
    failed = [record for record in done.records if record.failed]
    if failed:
        raise ModelUnavailable(
            f"{len(failed)} questions have no answer of the model ({failed[0].failed}); run the "
            "same command again to ask them again."
        )
    refuse_unscored(found)


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
    from eval.tables import print_report

    print_report(folder, labels)


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
        at_least=parse_bounds(least),
        at_most=parse_bounds(most),
        baseline=read_run(baseline) if baseline else None,
    )
    for failure in failures:
        typer.echo(failure)
    if failures:
        typer.echo(f"rag: the gate failed on {len(failures)} of its conditions.", err=True)
        raise typer.Exit(1)
    typer.echo("The gate is passed.")


@app.command()
@add_options("index", "embedder", "chat_model", "chat_url", "judge_model", "judge_url")
def judges(
    *,
    pairs: Annotated[Path, typer.Option("--pairs", help="Labelled pairs, JSON Lines.")],
    judge: JudgeOption = "model",
    settings: Settings,
    quiet: QuietOption = False,
) -> None:
    """Measure a judge on statements that people have labelled."""
    from eval.pairs import measure_judge, read_pairs
    from eval.tables import judge_table
    from rag.cli.progress import show_progress

    with open_library(choose_writer(settings, "quotes"), quiet=quiet) as assistant:
        labelled = read_pairs(pairs, {paper.id: paper for paper in assistant.papers()})
        scorer = make_judge(judge, settings)
        with show_progress(quiet=quiet, title="Judging", unit="pairs") as on_progress:
            figures = measure_judge(scorer, labelled, on_progress)
    judge_table(scorer, figures)


@app.command()
@add_options("embedder")
def retrieval(
    *,
    settings: Settings,
    beir: Annotated[Path, typer.Option("--beir", help="Folder of a dataset in BEIR form.")],
    split: Annotated[str | None, typer.Option(help="File of qrels, such as test.")] = None,
    index: Annotated[
        Path | None, typer.Option("--index", help="Folder to keep the dataset's index in.")
    ] = None,
    quiet: QuietOption = False,
) -> None:
    """Retrieval on a public dataset: the product beside BM25, dense and their fusion."""
    import tempfile

    from eval.beir import compare_systems, index_corpus, read_queries
    from eval.tables import retrieval_table
    from rag.cli.progress import show_progress

    queries = read_queries(beir, split)
    with tempfile.TemporaryDirectory() as folder:
        with show_progress(quiet=quiet, title="Indexing") as on_progress:
            built = index_corpus(beir, index or Path(folder), settings, on_progress)
        with (
            built as assistant,
            show_progress(quiet=quiet, title="Searching", unit="queries") as on_progress,
        ):
            found = compare_systems(assistant, queries, on_progress)
    retrieval_table(found, len(queries))


def main(arguments: list[str] | None = None, name: str = "python -m eval") -> NoReturn:
    """Runs the command."""
    app(args=arguments, prog_name=name)
    raise AssertionError("typer exits by itself")


@app.callback()
def demand_libraries() -> None:
    """Score answers on hand-written questions: retrieval, faithfulness, citations, abstention."""
    from importlib.util import find_spec

    from rag.errors import SettingsError

    missing = [name for name in ("ir_measures", "plotly") if find_spec(name) is None]
    if missing:
        raise SettingsError(
            f"`rag eval` needs {', '.join(missing)}; install them with "
            "`pip install 'papertrail-rag[eval]'`."
        )


if __name__ == "__main__":
    main()
