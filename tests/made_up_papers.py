"""Two papers that no model knows, and a question about the first."""

from __future__ import annotations

from rag import Paper

ZORP = Paper(
    "zorp-1",
    "ZORP: Sparse Attention for Long Text",
    "We propose ZORP. It attends to 64 tokens at a time. ZORP is 3.5 times faster than BERT.",
)
QUUX = Paper(
    "quux-2",
    "QUUX: Curriculum Order Matters",
    "QUUX sorts samples by length. Easy samples come first. Training takes 20% less time.",
)
QUESTION = "how fast is ZORP, the sparse attention for long text?"
