"""Citations and reference lists in CSL styles."""

from rag.csl.references import Reference, StyledReferences
from rag.csl.runs import Run
from rag.csl.styles import STYLE_NAMES, CslStyle, load_style

__all__ = ["STYLE_NAMES", "CslStyle", "Reference", "Run", "StyledReferences", "load_style"]
