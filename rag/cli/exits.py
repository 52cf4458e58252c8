"""Exit statuses of the commands. Errors are one line on standard error.

0 success (an abstention too), 1 a gate failed, 2 bad input, 3 failure, 130 interrupted.
"""

from __future__ import annotations

import atexit
import contextlib
import os
import signal
import sys
from typing import Any, NoReturn

import typer
from typer.core import TyperGroup

from rag.cli.printing import print_note
from rag.errors import RagError

INTERRUPTED = "rag: interrupted."
_RESUMABLE = ("index", "run")  # commands that go on from where they were interrupted


class Commands(TyperGroup):
    """Group of commands that reports each failure in one sentence."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """Return the command for the first word, or for two words as in `rag index list`."""
        two = " ".join(args[:2])
        if two in self.commands and " " in two:
            return two, self.commands[two], args[2:]
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Run the command and turn errors into exit statuses."""
        _replace_closed_streams()
        try:
            return super().invoke(ctx)
        except RagError as error:
            raise _make_exit(f"rag: {error}", error.exit_code) from error
        except KeyboardInterrupt as error:
            kept = " Finished work is kept." if ctx.invoked_subcommand in _RESUMABLE else ""
            raise _make_exit(INTERRUPTED + kept, 130) from error
        except BrokenPipeError as error:  # the reader of our output has read enough
            _discard_output()
            raise typer.Exit(0) from error
        except OSError as error:
            message = f"rag: cannot write the output: {error.strerror or error}."
            _discard_output()
            raise _make_exit(message, 3) from error


def exit_interrupted() -> NoReturn:
    """End the process at once, whatever its threads are doing.

    An index that is being written survives it, as it survives a kill.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # once is enough
    _replace_closed_streams()
    print_note(INTERRUPTED)
    sys.stderr.flush()
    os._exit(130)


def handle_late_interrupts() -> None:
    """Let an interrupt after the command stop only threads that it left behind.

    Shutting down takes a while. Once the threads have ended, there is nothing to interrupt.
    """
    signal.signal(signal.SIGINT, lambda _number, _frame: exit_interrupted())
    atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)  # runs after threads have ended


def _replace_closed_streams() -> None:
    """Replace a stream that the shell closed (`>&-`) by an empty one."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            stream = open(os.devnull, mode, encoding="utf-8")  # noqa: PTH123, SIM115 - stays open
            setattr(sys, name, stream)


def _make_exit(message: str, status: int) -> typer.Exit:
    print_note(message)
    return typer.Exit(status)


def _discard_output() -> None:
    """Let the last flush of standard output fail in silence."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
