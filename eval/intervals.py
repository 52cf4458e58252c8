"""Intervals and tests, drawn over clusters of questions that share a paper.

Questions about one paper succeed and fail together; drawing them one by one would make intervals
too narrow. Bootstraps are percentile ones with a fixed seed. Rates get Wilson's interval, which
holds where all values are the same but takes questions one by one.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from numpy.typing import NDArray

    from eval.records import Record

DRAWS = 2000
DRAWS_OVER_ALL = 400  # of figures that take all records together
LEVEL = 0.95


def mean_interval(
    values: Sequence[float], clusters: Sequence[str], seed: int = 0
) -> tuple[float, float]:
    """Bootstrap interval of a mean.

    Args:
        values: not empty.
        clusters: of each value.
        seed: of the draws.
    """
    sums, counts = _by_cluster(values, clusters)
    drawn = np.random.default_rng(seed).integers(len(sums), size=(DRAWS, len(sums)))
    return _percentiles(sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1))


def interval_over_all(
    records: Sequence[Record],
    figure: Callable[[Sequence[Record]], tuple[float, int] | None],
    seed: int = 0,
) -> tuple[float, float] | None:
    """Bootstrap interval of a figure over a set of records; None where it has no value."""
    groups: dict[str, list[Record]] = {}
    for record in records:
        groups.setdefault(record.cluster, []).append(record)
    members = list(groups.values())
    draw = np.random.default_rng(seed)
    found = []
    for _ in range(DRAWS_OVER_ALL):
        chosen = draw.integers(len(members), size=len(members))
        value = figure([record for n in chosen for record in members[n]])
        if value is not None:
            found.append(value[0])
    return _percentiles(np.array(found)) if found else None


def wilson_interval(successes: int, count: int) -> tuple[float, float]:
    """Wilson's interval of a rate."""
    from scipy.stats import binomtest

    found = binomtest(successes, count).proportion_ci(LEVEL, method="wilson")
    return float(found.low), float(found.high)


def permutation_p(differences: Sequence[float], clusters: Sequence[str], seed: int = 0) -> float:
    """Return the p value of a mean difference: signs are flipped cluster by cluster."""
    from scipy.stats import permutation_test

    sums, _ = _by_cluster(differences, clusters)
    if len(sums) < 2 or not np.any(sums):
        return 1.0
    found = permutation_test(
        (sums,),
        lambda x, axis: np.sum(x, axis=axis),
        permutation_type="samples",
        vectorized=True,
        n_resamples=5000,
        rng=np.random.default_rng(seed),
    )
    return float(found.pvalue)


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """P values adjusted for being several (Holm 1979).

    >>> {name: round(p, 3) for name, p in holm({"a": 0.01, "b": 0.04, "c": 0.03}).items()}
    {'a': 0.03, 'c': 0.06, 'b': 0.06}
    """
    adjusted: dict[str, float] = {}
    highest = 0.0
    for place, (name, p) in enumerate(sorted(p_values.items(), key=lambda item: item[1])):
        highest = max(highest, min(1.0, p * (len(p_values) - place)))
        adjusted[name] = highest
    return adjusted


def _by_cluster(
    values: Sequence[float], clusters: Sequence[str]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Sum and count of the values of each cluster."""
    _, places = np.unique(np.asarray(clusters), return_inverse=True)
    return (
        np.bincount(places, weights=np.asarray(values, dtype=np.float64)).astype(np.float64),
        np.bincount(places).astype(np.float64),
    )


def _percentiles(values: NDArray[np.float64]) -> tuple[float, float]:
    low, high = np.quantile(values, [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)
