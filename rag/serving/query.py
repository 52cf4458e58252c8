"""`PaperQuery`: a question of a program, with the restrictions that every server takes."""

from __future__ import annotations

from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from rag.index import Filter
from rag.text.terms import LONGEST_QUESTION_CHARS

_Year = Annotated[int, Field(ge=0, le=9999)]
_Names = Annotated[
    tuple[Annotated[str, Field(min_length=1, max_length=500)], ...] | None, Field(max_length=100)
]


class PaperQuery(BaseModel):
    """A question. An unknown field is refused, since ignoring a filter misleads."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)

    question: str = Field(
        min_length=1,
        max_length=LONGEST_QUESTION_CHARS,
        description="The question in plain words, complete in itself.",
    )
    k: int | None = Field(
        None, ge=1, le=50, description="Papers to retrieve. Default: the server's setting."
    )
    years: list[_Year | None] | None = Field(
        None,
        min_length=2,
        max_length=2,
        description="Only papers from these years: first and last, both included. null leaves an "
        "end open: [2020, null] is 2020 and later.",
    )
    authors: _Names = Field(
        None, description="Only papers by any of these: full names, or one word of a name."
    )
    venues: _Names = Field(None, description="Only papers from any of these venues: full names.")
    tags: _Names = Field(None, description="Only papers with any of these tags or keywords.")
    collections: _Names = Field(
        None, description="Only papers in any of these collections of Zotero: names or paths."
    )
    ids: _Names = Field(None, description="Only the papers with these ids.")
    retracted: bool | None = Field(
        None, description="true: only papers marked as retracted. false: only the others."
    )

    @property
    def where(self) -> Filter | None:
        """Filter of the papers, or None. Years in the wrong order raise SettingsError."""
        where = Filter(
            years=(self.years[0], self.years[1]) if self.years else None,
            authors=self.authors or (),
            venues=self.venues or (),
            tags=self.tags or (),
            collections=self.collections or (),
            ids=self.ids or None,
            retracted=self.retracted,
        )
        return where if where != Filter() else None
