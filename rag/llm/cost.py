"""Compute what calls cost from a price file that the user keeps. No prices are shipped.

currency = "USD"
[models."my-model"]
prompt = 0.15         # per million tokens
completion = 0.60
"""

from __future__ import annotations

import tomllib
from typing import TYPE_CHECKING

from pydantic import BaseModel, Field, ValidationError

from rag.errors import SettingsError

if TYPE_CHECKING:
    from pathlib import Path

    from rag.llm.reply import Usage

_MILLION = 1_000_000


class _Price(BaseModel):
    prompt: float = Field(ge=0, allow_inf_nan=False)
    completion: float = Field(ge=0, allow_inf_nan=False)


class _Prices(BaseModel):
    currency: str = ""
    models: dict[str, _Price]


def compute_cost(usage: Usage, model: str, path: Path) -> str | None:
    """Return the cost of some usage with its currency, or None if the file has no such model.

    Raises:
        SettingsError: the file cannot be read or has the wrong format.
    """
    try:
        prices = _Prices.model_validate(tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError, ValidationError) as error:
        problem = str(error).splitlines()[0]
        raise SettingsError(f"Cannot read the price file {path}: {problem}.") from error
    price = prices.models.get(model)
    if price is None:
        return None
    spent = usage.prompt_tokens * price.prompt + usage.completion_tokens * price.completion
    return f"{spent / _MILLION:.6f} {prices.currency}".strip()
