"""Where errors of vendors become errors of `rag.errors`; no other module knows them."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

from rag.errors import ModelError, ModelRejected, ModelReplyInvalid, ModelUnavailable

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

# Statuses after which the same call may succeed: timeout, conflict, too many requests, and every
# failure of the server itself (500 and above).
PASSING_STATUSES = frozenset({408, 409, 425, 429})
LONGEST_QUOTE = 200
# What a server says may end up on a terminal: C0 but the newline, C1, marks that turn the direction
# of writing, and halves of characters, which nothing can print.
_UNPRINTABLE = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def to_model_error(error: Exception, model: str, secrets: Sequence[str] = ()) -> ModelError:
    """The error of ours that says what a vendor's error means.

    An HTTP status decides if there is one: 408, 409, 425, 429 and 500 or more mean unavailable and
    worth another try, other statuses from 300 (a redirect is not followed) mean rejected. Without a
    status, a failed connection or time-out (also as the cause of the vendor's error) means
    unavailable, a reply that does not parse means invalid, anything else unavailable for good.

    Args:
        error: what the vendor's client raised; the caller raises the result `from` it.
        model: the model's name, for the message.
        secrets: keys, which a server may repeat in its refusal; they are blotted out.
    """
    if isinstance(error, ModelError):
        return error
    said = _said(error, secrets)
    status = _status(error)
    if status is not None and status >= 300:
        return _of_status(status, model, said, _retry_after(error))
    if _is_time_out(error):
        return ModelUnavailable(
            f"The model {model} did not answer in time ({said}); set chat_timeout_s "
            "(PAPERTRAIL_CHAT_TIMEOUT_S) to more seconds, or check the server.",
            retryable=True,
        )
    if _is_connection_failure(error):
        return ModelUnavailable(
            f"The model {model} was not reached ({said}); check the network and the server's "
            "address, or try again.",
            retryable=True,
        )
    if isinstance(error, (ValueError, KeyError, IndexError, TypeError)):
        return ModelReplyInvalid(
            f"The reply of the model {model} cannot be read ({said}); check that the server speaks "
            "this protocol."
        )
    return ModelUnavailable(f"The model {model} failed ({said}); check its settings.")


def _said(error: Exception, secrets: Sequence[str]) -> str:
    """The server's words where there are some, else the error's; printable, without secrets."""
    words = _message_of(getattr(error, "body", None))
    text = _UNPRINTABLE.sub("", words or f"{type(error).__name__}: {error}")
    for secret in filter(None, secrets):
        # A server may repeat a key as Python or JSON write it.
        for written in {secret, repr(secret)[1:-1], json.dumps(secret)[1:-1]}:
            text = text.replace(written, "***")
    return text.strip().partition("\n")[0][:LONGEST_QUOTE]


def _message_of(body: object) -> str:
    """The message in the body of an error; "" where there is none."""
    while isinstance(body, Mapping):
        body = body.get("message") or body.get("error") or body.get("detail")
    return body if isinstance(body, str) else ""


def _of_status(status: int, model: str, said: str, retry_after_s: float | None) -> ModelError:
    if status in PASSING_STATUSES or status >= 500:
        when = f"in {retry_after_s:g} s, as the server asks" if retry_after_s else "later"
        return ModelUnavailable(
            f"The model {model} is not available now (HTTP {status}; {said}); try again {when}.",
            retryable=True,
            retry_after_s=retry_after_s,
        )
    return ModelRejected(
        f"The model {model} refused the call (HTTP {status}; {said}); check its name and the key."
    )


def _status(error: Exception) -> int | None:
    """The HTTP status in an error of openai, httpx or requests, or None."""
    for holder in (error, getattr(error, "response", None)):
        status = getattr(holder, "status_code", None)
        if isinstance(status, int):
            return status
    return None


def _retry_after(error: Exception) -> float | None:
    """The seconds that a server asks to wait; a date instead of seconds is not read."""
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    try:
        seconds = float(headers.get("retry-after", ""))
    except ValueError:
        return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _causes(error: BaseException | None) -> Iterator[BaseException]:
    """The error and what it was raised from."""
    while error is not None:
        yield error
        error = error.__cause__


def _is_time_out(error: Exception) -> bool:
    """Whether a server that was reached said nothing for too long."""
    import httpx

    return any(isinstance(e, (httpx.ReadTimeout, httpx.WriteTimeout)) for e in _causes(error))


def _is_connection_failure(error: Exception) -> bool:
    """Whether the error, or a cause of it, is of the network."""
    import httpx

    return any(isinstance(e, (httpx.TransportError, OSError)) for e in _causes(error))
