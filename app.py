"""Serves the chat page, like `rag app`."""

from __future__ import annotations

import sys

from rag.cli import main

if __name__ == "__main__":
    sys.argv = [sys.argv[0], "app", *sys.argv[1:]]
    main()
