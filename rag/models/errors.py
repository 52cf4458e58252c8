"""Where errors of vendors become errors of `rag.errors`; no other module knows them."""

from __future__ import annotations

from rag.errors import ModelError, ModelRejected, ModelReplyInvalid, ModelUnavailable

# Statuses after which the same call may succeed: timeout, conflict, too many requests, and every
# failure of the server itself (500 and above).
PASSING_STATUSES = frozenset({408, 409, 425, 429})
LONGEST_QUOTE = 200


def as_model_error(error: Exception, model: str) -> ModelError:
    """The error of ours that says what a vendor's error means.

    An HTTP status decides if there is one: 408, 409, 425, 429 and 500 or more mean unavailable and
    worth another try, other statuses from 400 mean rejected. Without a status, a failed connection
    or timeout (also as the cause of the vendor's error) means unavailable, a reply that does not
    parse means invalid, a missing package or anything else unavailable for good.

    Args:
        error: what the vendor's client raised; the caller raises the result `from` it.
        model: the model's name, for the message.
    """
    if isinstance(error, ModelError):
        return error
    said = f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0][:LONGEST_QUOTE]}"
    status = _status(error)
    if status is not None and status >= 400:
        return _of_status(status, model, said)
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


def _of_status(status: int, model: str, said: str) -> ModelError:
    if status in PASSING_STATUSES or status >= 500:
        return ModelUnavailable(
            f"The model {model} is not available now (HTTP {status}; {said}); try again later.",
            retryable=True,
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


def _is_connection_failure(error: BaseException | None) -> bool:
    """Whether the error, or a cause of it, is of the network."""
    import httpx

    while error is not None:
        if isinstance(error, (httpx.TransportError, OSError)):
            return True
        error = error.__cause__
    return False
