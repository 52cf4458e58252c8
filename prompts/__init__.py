"""Prompt files for language models; `rag.prompts` finds and loads them."""
