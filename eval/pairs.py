"""How far a judge can be trusted: its verdicts beside those of people, on labelled pairs.

One JSON object a line: a statement (`statement` or `claim`), what it is to be judged by (`text`,
`abstract` or `sentences`, or `paper` / `title` of the library), a label (`supported` true or false,
or `label` SUPPORT, CONTRADICT or NONE), and, if wanted, a `kind` of error and a `group` (pairs of
one group are drawn together).
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from eval.questions import read_lines
from rag.errors import QuestionError
from rag.papers import Paper
from rag.text.markup import clean_markup
from rag.verification import VERDICTS, Claim

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from eval.judges import Judge

_DRAWS = 1000


@dataclass(frozen=True, slots=True)
class Pair:
    """A statement, the text to judge it by, and what people say."""

    claim: Claim
    supported: bool
    kind: str
    group: str


@dataclass(frozen=True, slots=True)
class Figure:
    """A figure of a judge with its 95% interval; `low` and `high` are None for one of a kind."""

    name: str
    n: int
    value: float
    low: float | None = None
    high: float | None = None


def read_pairs(path: str | Path, papers: Mapping[str, Paper]) -> list[Pair]:
    """Read labelled pairs.

    Args:
        path: JSON Lines.
        papers: id -> paper of the library, for pairs that name one.

    Raises:
        QuestionError: a line lacks something, names an unknown paper, or there is none.
    """
    path = Path(path)
    titles = {paper.title: paper for paper in papers.values()}
    pairs = []
    for number, line in read_lines(path):
        try:
            row = json.loads(line)
            pairs.append(_pair(row, papers, titles))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            said = error.args[0] if isinstance(error, KeyError) else "it is no JSON object"
            raise QuestionError(
                f"{path}, line {number} is no labelled pair: {said}.", path=path, line=number
            ) from error
    if not pairs:
        raise QuestionError(f"{path} holds no labelled pair.", path=path)
    return pairs


def _pair(row: dict[str, Any], papers: Mapping[str, Paper], titles: Mapping[str, Paper]) -> Pair:
    statement = row.get("statement") or row.get("claim")
    if not statement:
        raise KeyError("it has no statement")
    paper = _read_text(row) or _find_paper(row, papers, titles)
    supported, kind = _read_label(row)
    group = str(row.get("group") or row.get("doc_id") or paper.id)
    return Pair(Claim(str(statement), (paper,)), supported, kind, group)


def _read_label(row: dict[str, Any]) -> tuple[bool, str]:
    """Return whether the paper supports the statement, and the kind of pair."""
    if "supported" in row:
        supported = row["supported"]
        if not isinstance(supported, bool):
            raise KeyError("supported must be true or false")
        return supported, str(row.get("kind") or str(supported).lower())
    if "label" not in row:
        raise KeyError("it has no label: supported or label")
    if row["label"] not in {"SUPPORT", "CONTRADICT", "NONE"}:
        raise KeyError("its label is none of SUPPORT, CONTRADICT and NONE")
    return row["label"] == "SUPPORT", row["label"].lower()


def _read_text(row: dict[str, Any]) -> Paper | None:
    """Return the text that stands in the row itself as a paper."""
    if text := row.get("text") or row.get("abstract"):
        return Paper(str(row.get("group") or row.get("id") or text[:40]), "", str(text))
    if sentences := row.get("sentences"):
        text = " ".join(str(sentence).strip() for sentence in sentences)
        return Paper(str(row.get("doc_id") or text[:40]), str(row.get("title", "")), text)
    return None


def _find_paper(
    row: dict[str, Any], papers: Mapping[str, Paper], titles: Mapping[str, Paper]
) -> Paper:
    """Return the paper of the library that the row names by id or title."""
    if (identity := row.get("paper")) is not None:
        if identity not in papers:
            raise KeyError(f"there is no paper {identity} in the library")
        return papers[identity]
    title = clean_markup(str(row.get("title", "")))
    if title not in titles:
        raise KeyError("it has no text, and no paper of the library has its title")
    return titles[title]


def measure_judge(
    judge: Judge, pairs: Sequence[Pair], on_progress: Callable[[int, int], None] | None = None
) -> list[Figure]:
    """Return the figures of a judge on labelled pairs.

    Sensitivity is the share of supported statements called supported, specificity that of the
    others not called so. A verdict left open counts as wrong in neither; its share is told.

    Returns:
        accuracy balanced over the two labels, Cohen's kappa, sensitivity and specificity, then the
        share of right verdicts for each kind, then the share left unscored.
    """
    figures = {
        "balanced accuracy": _balanced_accuracy,
        "kappa": _kappa,
        "sensitivity": _sensitivity,
        "specificity": _specificity,
    }
    kept = list(_judge_pairs(judge, pairs, on_progress))
    return [
        *(_figure(name, figure, kept) for name, figure in figures.items()),
        *_kind_figures(kept),
        Figure("unscored", len(pairs), 1 - len(kept) / len(pairs)),
    ]


def _sensitivity(truth: NDArray[np.bool_], said: NDArray[np.bool_]) -> float:
    return float(said[truth].mean())


def _specificity(truth: NDArray[np.bool_], said: NDArray[np.bool_]) -> float:
    return float((~said)[~truth].mean())


def _balanced_accuracy(truth: NDArray[np.bool_], said: NDArray[np.bool_]) -> float:
    return (_sensitivity(truth, said) + _specificity(truth, said)) / 2


def _kappa(truth: NDArray[np.bool_], said: NDArray[np.bool_]) -> float:
    """Return Cohen's kappa, at most 1: the agreement beyond that of chance.

    `truth` holds both labels. Source: Cohen (1960), A coefficient of agreement for nominal scales.

    >>> _kappa(np.array([True, True, False, False]), np.array([True, False, False, False]))
    0.5
    """
    agreed = (truth == said).mean()
    by_chance = truth.mean() * said.mean() + (~truth).mean() * (~said).mean()
    return float((agreed - by_chance) / (1 - by_chance))


def _judge_pairs(
    judge: Judge, pairs: Sequence[Pair], on_progress: Callable[[int, int], None] | None
) -> Iterator[tuple[Pair, bool]]:
    """Yield each pair on which the judge has an opinion, with this opinion."""
    for start in range(0, len(pairs), 16):
        batch = pairs[start : start + 16]
        for pair, found in zip(batch, judge.check([p.claim for p in batch]), strict=True):
            opinion = VERDICTS[found.verdict].holds
            if opinion is not None:
                yield pair, opinion
        if on_progress:
            on_progress(start + len(batch), len(pairs))


def _kind_figures(kept: Sequence[tuple[Pair, bool]]) -> Iterator[Figure]:
    """Yield the share of right verdicts for each kind of pair."""
    right: dict[tuple[bool, str], list[bool]] = {}
    for pair, verdict in kept:
        right.setdefault((pair.supported, pair.kind), []).append(verdict == pair.supported)
    for (supported, kind), own in sorted(right.items()):
        label = f"{'true' if supported else 'false'}: {kind}, right"
        yield Figure(label, len(own), sum(own) / len(own))


def _figure(
    name: str,
    figure: Callable[[NDArray[Any], NDArray[Any]], float],
    kept: Sequence[tuple[Pair, bool]],
) -> Figure:
    """Return a figure with a bootstrap interval over groups, nan where only one label is there."""
    truth = np.array([pair.supported for pair, _ in kept])
    said = np.array([opinion for _, opinion in kept])
    if truth.all() or not truth.any():
        return Figure(name, len(truth), float("nan"))
    _, places = np.unique([pair.group for pair, _ in kept], return_inverse=True)
    members = [np.flatnonzero(places == group) for group in range(places.max() + 1)]
    draw = np.random.default_rng(0)
    found = []
    for _ in range(_DRAWS):
        chosen = np.concatenate(
            [members[n] for n in draw.integers(len(members), size=len(members))]
        )
        if 0 < truth[chosen].sum() < len(chosen):
            found.append(figure(truth[chosen], said[chosen]))
    low, high = np.quantile(found, [0.025, 0.975])
    return Figure(name, len(truth), float(figure(truth, said)), float(low), float(high))
