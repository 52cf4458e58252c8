"""`rag papers duplicates`, `merge` and `separate`: decide which papers are one work."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Annotated

import typer

from rag.cli.options import JsonOption, QuietOption, add_options, open_assistant
from rag.cli.printing import print_json, print_line, print_note

if TYPE_CHECKING:
    from rag.papers import Paper
    from rag.settings import Settings

IdsArgument = Annotated[
    list[str], typer.Argument(metavar="ID...", help="Ids, aliases or id prefixes.")
]


@add_options("index", "embedder")
def papers_duplicates(
    *,
    settings: Settings,
    decided: Annotated[
        bool, typer.Option("--decided", help="Show what you merged or keep apart instead.")
    ] = False,
    as_json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """List pairs of papers that may be one work, with the commands that decide."""
    from rag.decisions import list_decisions, list_duplicates

    with open_assistant(settings, quiet=quiet) as assistant:
        embedder = assistant.embedder
    if decided:
        decisions = list_decisions(settings, embedder)
        if as_json:
            print_json([[d.is_same, [paper.id for paper in d.papers]] for d in decisions])
            return
        for decision in decisions:
            print_line("merged:" if decision.is_same else "kept apart:")
            _print_papers(*decision.papers)
        return
    pairs = list_duplicates(settings, embedder)
    if as_json:
        print_json([{"ids": [p.first.id, p.second.id], "reason": p.reason} for p in pairs])
        return
    for pair in pairs:
        _print_papers(pair.first, pair.second)
        print_line(f"  {pair.reason}")
        for command in ("merge", "separate"):
            print_line(f"  rag papers {command} {_join_ids(settings, pair.first, pair.second)}")
    if not quiet:
        print_note(f"{len(pairs)} possible duplicate{'s' * (len(pairs) != 1)}.")


@add_options("index", "embedder")
def papers_merge(ids: IdsArgument, *, settings: Settings, quiet: QuietOption = False) -> None:
    """Merge papers into one, for good: updates, rebuilds and later imports keep to it."""
    from rag.decisions import merge_papers
    from rag.embedding import make_embedder

    paper = merge_papers(ids, settings=settings, embedder=make_embedder(settings))
    if not quiet:
        print_line(f'Merged into "{paper.title}" ({paper.id}).')
        print_line(f"Undo it with `rag papers separate {_join_ids(settings, paper)}`.")


@add_options("index", "embedder")
def papers_separate(ids: IdsArgument, *, settings: Settings, quiet: QuietOption = False) -> None:
    """Keep papers apart for good. One ID: take apart what was merged into that paper."""
    from rag.decisions import separate_papers
    from rag.embedding import make_embedder

    papers = separate_papers(ids, settings=settings, embedder=make_embedder(settings))
    if not quiet:
        print_line("Kept apart:")
        _print_papers(*papers)
        print_line(f"Undo it with `rag papers merge {_join_ids(settings, *papers)}`.")


def _print_papers(*papers: Paper) -> None:
    for paper in papers:
        sources = f", from {', '.join(paper.sources)}" if paper.sources else ""
        print_line(f"- {paper.reference} [{paper.id}]{sources}")


def _join_ids(settings: Settings, *papers: Paper) -> str:
    """Return ids and the library as words of a command."""
    index = ["-i", settings.index] if settings.index else []
    return shlex.join([*(paper.id for paper in papers), *index])
