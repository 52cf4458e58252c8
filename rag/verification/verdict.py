"""The verdicts in one table, which summaries, Markdown, terminal, page, MCP and evaluation read.

A new verdict is a word of `Verdict`, a row of `VERDICTS`, and whoever gives it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Verdict = Literal[
    "quoted",
    "supported",
    "partly",
    "unsupported",
    "contradicted",
    "record",
    "unchecked",
    "uncited",
]
Level = Literal["good", "fact", "weak", "bad", "open"]


@dataclass(frozen=True, slots=True)
class VerdictKind:
    """Row of the table.

    Attributes:
        sign: for those who do not see the colour.
        meaning: in a few words.
        level: decides the colour. "good" is a reader's yes, "fact" is true of the text, "weak" and
            "bad" are doubts, "open" is undecided.
        given_by: "text" comparison, the paper's "record", a "reader" such as a language model, or
            "anyone".
    """

    sign: str
    meaning: str
    level: Level
    given_by: Literal["reader", "text", "record", "anyone"]

    @property
    def holds(self) -> bool | None:
        """Whether the papers back the statement. None while nobody has decided."""
        return None if self.level == "open" else self.level in ("good", "fact")


# In the order of summaries.
VERDICTS: dict[Verdict, VerdictKind] = {
    "supported": VerdictKind("✓", "supported", "good", "reader"),
    "quoted": VerdictKind("”", "quoted word for word, not checked by a reader", "fact", "text"),
    "record": VerdictKind("≡", "read from the paper's record", "fact", "record"),
    "partly": VerdictKind("~", "partly supported", "weak", "reader"),
    "unsupported": VerdictKind("✗", "not supported", "bad", "reader"),
    "contradicted": VerdictKind("≠", "contradicted", "bad", "reader"),
    "uncited": VerdictKind("?", "no source is cited", "weak", "anyone"),
    "unchecked": VerdictKind("·", "unchecked", "open", "anyone"),
}
READER_VERDICTS = [verdict for verdict, kind in VERDICTS.items() if kind.given_by == "reader"]
