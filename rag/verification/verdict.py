"""The verdicts in one table, which summaries, Markdown, terminal, page, MCP and evaluation read.

A new verdict is a word of `Verdict`, a row of `VERDICTS`, and whoever gives it. `choose_level`
decides its colour, on page and terminal.
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
NO_REASON = "the model gave no reason"
PASS_MARK = 19  # of the 24 statements of the reader's test


@dataclass(frozen=True, slots=True)
class ReaderScore:
    """Model that checks answers, and its result in the reader's test.

    Attributes:
        name: of the model.
        right: statements of the test that it judged right.
        total: statements of the test. 0 for a model that has not taken it.
    """

    name: str
    right: int = 0
    total: int = 0

    @property
    def tested(self) -> Literal["passed", "failed", "untested"]:
        """Result of the test."""
        if not self.total:
            return "untested"
        return "passed" if self.right >= PASS_MARK else "failed"

    @property
    def result(self) -> str:
        """Result in words, for the reader of an answer."""
        if self.tested == "untested":
            return "not tested yet: rag info --check tests it"
        if self.tested == "failed":
            return f"this model's checks were right {self.right} of {self.total} times"
        return f"{self.right} of {self.total} right in its test"


def choose_level(verdict: Verdict, checker: ReaderScore | None) -> Level:
    """Return the level of a verdict. That of a reader is "open" unless it passed its test."""
    kind = VERDICTS[verdict]
    is_open = kind.given_by == "reader" and (checker is None or checker.tested != "passed")
    return "open" if is_open else kind.level
