"""What a run asked of its language models, writer and judge, in calls, tokens and money.

Money is the sum of what the user's price file said when each question was asked; none is guessed.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from decimal import Decimal
from typing import TYPE_CHECKING

from rag.llm.reply import NO_USAGE, Usage

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from eval.records import Record

_COST = re.compile(r"(\d+\.\d+)(?: (.+))?")  # as `rag.llm.cost` writes it


@dataclass(frozen=True, slots=True)
class Spent:
    """What one of the two models was asked for.

    Attributes:
        usage: calls and tokens, of all records.
        money: sums, one a currency, such as "0.001240 USD"; empty where no price is known.
        unpriced: records with calls whose price is not known.
    """

    usage: Usage
    money: tuple[str, ...]
    unpriced: int

    def __str__(self) -> str:
        """One line for people."""
        used = self.usage
        parts = [
            f"{used.calls:,} calls",
            f"{used.prompt_tokens:,} tokens read",
            f"{used.completion_tokens:,} written{', in part estimated' if used.estimated else ''}",
            *self.money,
        ]
        if self.money and self.unpriced:
            parts.append(f"{self.unpriced} not priced")
        return ", ".join(parts)


def usages(record: Record) -> tuple[Usage, Usage]:
    """Return the usage of the writer and of the judge in a record."""
    if record.answer is None:
        return record.usage, record.judge_usage
    given = record.answer["usage"]
    writer = Usage(
        int(given.get("calls", 0)),
        int(given.get("prompt_tokens", 0)),
        int(given.get("completion_tokens", 0)),
        bool(given.get("estimated", False)),
    )
    return writer, record.judge_usage


def sum_spending(records: Sequence[Record]) -> dict[str, Spent]:
    """Return calls, tokens and money of "writer" and "judge" over all records."""
    costs = [(r.answer.get("cost") if r.answer else None, r.judge_cost) for r in records]
    used = [usages(record) for record in records]
    return {
        "writer": _sum((u, cost) for (u, _), (cost, _) in zip(used, costs, strict=True)),
        "judge": _sum((u, cost) for (_, u), (_, cost) in zip(used, costs, strict=True)),
    }


def _sum(rows: Iterable[tuple[Usage, str | None]]) -> Spent:
    usage, unpriced = NO_USAGE, 0
    money: dict[str, Decimal] = {}
    for used, cost in rows:
        usage += used
        known = _COST.fullmatch(cost or "")
        if known:
            currency = known[2] or ""
            money[currency] = money.get(currency, Decimal(0)) + Decimal(known[1])
        unpriced += bool(used.calls and not known)
    sums = tuple(f"{amount} {currency}".strip() for currency, amount in money.items())
    return Spent(usage, sums, unpriced)
