"""`python -m rag` and the console script run this: the `rag` command."""

from __future__ import annotations

import os
from typing import NoReturn


def main() -> NoReturn:
    """Run the command. Ctrl-C also ends it in one line while it is still being imported."""
    try:
        from rag.cli import main as run
    except KeyboardInterrupt:
        os.write(2, b"rag: interrupted.\n")
        os._exit(130)
    run()


if __name__ == "__main__":
    main()
