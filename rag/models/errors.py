"""Where errors of vendors become errors of `rag.errors`; no other module knows them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from rag.errors import ModelError, ModelRejected, ModelReplyInvalid, ModelUnavailable

if TYPE_CHECKING:
    from collections.abc import Sequence

# Statuses after which the same call may succeed: timeout, conflict, too many requests, and every
# failure of the server itself (500 and above).
PASSING_STATUSES = frozenset({408, 409, 425, 429})
LONGEST_QUOTE = 200


def as_model_error(error: Exception, model: str, secrets: Sequence[str] = ()) -> ModelError:
    """The error of ours that says what a vendor's error means.

    An HTTP status decides if there is one: 408, 409, 425, 429 and 500 or more mean unavailable and
    worth another try, other statuses from 300 (a redirect is not followed) mean rejected. Without a
    status, a failed connection or timeout (also as the cause of the vendor's error) means
    unavailable, a reply that does not parse means invalid, anything else unavailable for good.

    Args:
        error: what the vendor's client raised; the caller raises the result `from` it.
        model: the model's name, for the message.
        secrets: keys, which a server may repeat in its refusal; they are blotted out.
    """
    if isinstance(error, ModelError):
        return error
    text = str(error)
    for secret in secrets:
        text = text.replace(secret, "***")
    said = f"{type(error).__name__}: {text.strip().partition(chr(10))[0][:LONGEST_QUOTE]}"
    status = _status(error)
    if status is not None and status >= 300:
        return _of_status(status, model, said, _retry_after(error))
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


def _of_status(status: int, model: str, said: str, retry_after_s: float | None) -> ModelError:
    if status in PASSING_STATUSES or status >= 500:
        return ModelUnavailable(
            f"The model {model} is not available now (HTTP {status}; {said}); try again later.",
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
        return max(0.0, float(headers.get("retry-after", "")))
    except ValueError:
        return None


def _is_connection_failure(error: BaseException | None) -> bool:
    """Whether the error, or a cause of it, is of the network."""
    import httpx

    while error is not None:
        if isinstance(error, (httpx.TransportError, OSError)):
            return True
        error = error.__cause__
    return False
