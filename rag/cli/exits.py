"""How commands end: errors are one line on standard error and an exit status.

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

INTERRUPTED = "rag: interrupted; nothing that was finished is lost."


class Commands(TyperGroup):
    """A group of commands whose failures are told in one sentence each."""

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        """The command that the first word names, or the first two, as in `rag index list`."""
        two = " ".join(args[:2])
        if two in self.commands and " " in two:
            return two, self.commands[two], args[2:]
        return super().resolve_command(ctx, args)

    def invoke(self, ctx: Any) -> Any:
        """Runs the command that was asked for."""
        from rag.errors import RagError

        _open_what_is_closed()
        try:
            return super().invoke(ctx)
        except RagError as error:
            raise _ended(f"rag: {error}", error.exit_code) from error
        except KeyboardInterrupt as error:
            raise _ended(INTERRUPTED, 130) from error
        except BrokenPipeError as error:  # whoever read our output has read enough
            _let_go_of_output()
            raise typer.Exit(0) from error
        except OSError as error:
            said = f"rag: the output cannot be written: {error.strerror or error}."
            _let_go_of_output()
            raise _ended(said, 3) from error


def exit_interrupted(sentence: str = INTERRUPTED) -> NoReturn:
    """Ends the process on an interrupt at once, whatever its threads are still doing.

    Nothing is lost by it, for an index that is being made survives a kill at any moment.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # once is enough
    from rag.cli.show import note

    _open_what_is_closed()
    note(sentence)
    sys.stderr.flush()
    os._exit(130)


def handle_late_interrupts() -> None:
    """Called when a command is done: an interrupt can stop only threads that it left behind.

    Taking the process down takes a while, in which nothing is left to be interrupted.
    """
    signal.signal(signal.SIGINT, lambda _number, _frame: exit_interrupted())
    atexit.register(signal.signal, signal.SIGINT, signal.SIG_IGN)  # after threads were waited for


def _open_what_is_closed() -> None:
    """A stream that the shell closed (`>&-`) reads as empty, and swallows what is written."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            stream = open(os.devnull, mode, encoding="utf-8")  # noqa: PTH123, SIM115 - stays open
            setattr(sys, name, stream)


def _ended(sentence: str, status: int) -> typer.Exit:
    from rag.cli.show import note

    note(sentence)
    return typer.Exit(status)


def _let_go_of_output() -> None:
    """So that the last flush of standard output fails in silence."""
    with contextlib.suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
