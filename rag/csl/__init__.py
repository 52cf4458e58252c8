"""Citations and reference lists in CSL styles."""

from rag.csl.runs import Run

__all__ = ["Run"]
