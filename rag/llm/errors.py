"""Turn vendors' errors into those of `rag.errors`, and retry what passes by itself.

No other module knows the errors of openai and httpx.
"""

from __future__ import annotations

import json
import math
import random
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, TypeVar

from rag.errors import (
    ModelError,
    ModelRejected,
    ModelReplyInvalid,
    ModelUnavailable,
    ModelUnreachable,
    PromptTooLong,
)
from rag.llm.cancel import check_cancelled
from rag.llm.proxy import find_proxy
from rag.settings import is_loopback

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

Result = TypeVar("Result")

_MAX_WAIT_S = 30.0  # a server that asks for more (Retry-After) is not tried again
# Statuses after which the same request may succeed: timeout, conflict, too early, too many
# requests, and every failure of the server itself (500 and above).
_PASSING_STATUSES = frozenset({408, 409, 425, 429})
# Statuses that say nothing about what was sent: the key, or a server that is busy or away.
_OTHER_STATUSES = _PASSING_STATUSES | {401, 403, 502, 503, 504}
# Statuses of a prompt that is too long. Servers use them for other faults too.
_LENGTH_STATUSES = frozenset({400, 413, 422, 500})
# OpenAI's code context_length_exceeded, and what vLLM, llama.cpp, TGI and others say.
_LENGTH = re.compile(r"context.?(?:length|size|window)|\btokens\b", re.IGNORECASE)
_SYSTEM = re.compile(
    r"system.{0,9}(?:role|message|prompt|instruction)|role\W.{0,40}system",
    re.IGNORECASE | re.DOTALL,
)
_MAX_QUOTE_CHARS = 200
# What a server says may be printed on a terminal: C0 but the newline, C1, marks that turn the
# direction of writing, and halves of surrogate pairs.
_UNPRINTABLE = re.compile(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def retry(call: Callable[[], Result], retries: int) -> Result:
    """Return what a call returns. Repeat it after a `ModelError` that passes by itself.

    The wait is as long as the server asks (Retry-After), else random up to 0.5, 1, 2, 4 and then
    8 seconds.

    Args:
        call: may raise `ModelError`.
        retries: further tries after the first, at least 0.

    Raises:
        ModelError: the last failure, with the number of tries.
    """
    tries = 1
    while True:
        try:
            return call()
        except ModelError as error:
            wait_s = error.retry_after_s
            if wait_s is None:
                wait_s = random.uniform(0, min(8.0, 2.0 ** (tries - 2)))  # noqa: S311 - no secret
            if tries > retries or not error.retryable or wait_s > _MAX_WAIT_S:
                if tries == 1:
                    raise
                raise type(error)(
                    f"{error} It was tried {tries} times.",
                    retryable=error.retryable,
                    retry_after_s=error.retry_after_s,
                    shortenable=error.shortenable,
                ) from error.__cause__
        check_cancelled(wait_s=wait_s)
        tries += 1


def shorten(send: Callable[[int], Result], count: int) -> tuple[Result, int]:
    """Send as much as a model takes: so many things, then half of them, down to one.

    Args:
        send: sends a prompt with the first so many things.
        count: of all of them, at least 1.

    Returns:
        What `send` returns, and how many things it sent.

    Raises:
        ModelError: a failure of `send` that has other reasons, or the refusal of a single thing.
    """
    while True:
        try:
            return send(count), count
        except ModelError as error:
            if count == 1 or not error.shortenable:
                raise
        count //= 2


def describe_refusal(refused: int, sent: int, things: str) -> str:
    """Return the warning that `shorten` sent less than there is."""
    return (
        f"The server refused a prompt with {refused} {things}, so it got fewer ({sent}). Set "
        "chat_window (PAPERTRAIL_CHAT_WINDOW) to the tokens that the model can read."
    )


def is_about_length(error: Exception) -> bool:
    """Return whether a server says that a prompt is too long, by its code or in its message."""
    body = getattr(error, "body", None)
    status = _get_status(error) or (body and 400)  # an error in a stream has no status
    said = _LENGTH.search(f"{error} {body}") if status in _LENGTH_STATUSES else None
    return status == 413 or said is not None


def is_about_system(error: Exception) -> bool:
    """Return whether a model says that it takes no system message."""
    return _SYSTEM.search(f"{error} {getattr(error, 'body', None)}") is not None


def may_be_about_schema(failure: ModelError, cause: BaseException | None) -> bool:
    """Return whether a call with a schema may succeed without it.

    Servers refuse a schema with any status, in the stream, or by a reply that is empty.

    Args:
        failure: of the call.
        cause: what the vendor's client raised, if it did.
    """
    return not isinstance(failure, ModelUnreachable) and _get_status(cause) not in _OTHER_STATUSES


def to_chat_error(error: Exception, model: str, secrets: Sequence[str]) -> ModelError:
    """Return the error of ours like `to_model_error`, and whether a shorter prompt may succeed."""
    if is_about_length(error):
        return PromptTooLong(
            f"The prompt is too long for the model {model} ({_quote(error, secrets)}). Set "
            "chat_window (PAPERTRAIL_CHAT_WINDOW) to the tokens that it can read.",
            shortenable=True,
        )
    failure = to_model_error(error, model, secrets)
    if _get_status(error) not in (400, 422):
        return failure
    return ModelRejected(
        f"{failure} If its prompts are too long, set chat_window (PAPERTRAIL_CHAT_WINDOW).",
        shortenable=True,
    )


def to_model_error(error: Exception, model: str, secrets: Sequence[str] = ()) -> ModelError:
    """Return the error of ours that says what a vendor's error means.

    An HTTP status decides if there is one: 408, 409, 425, 429 and 500 or more mean unavailable and
    worth a retry, other statuses from 300 (a redirect is not followed) mean rejected. Without a
    status, a failed connection or time-out (also as the cause of the vendor's error) means
    unreachable, a reply that does not parse means invalid, anything else unavailable for good. A
    connection that this machine refuses is not worth a retry.

    Args:
        error: what the vendor's client raised. Raise the result `from` it.
        model: the model's name, for the message.
        secrets: keys, which a server may repeat in its refusal. They become "***".
    """
    import httpx

    if isinstance(error, ModelError):
        return error
    quote = _quote(error, secrets) + _name_proxy(error)
    status = _get_status(error)
    if status is not None and status >= 300:
        return _make_status_error(status, model, quote, _get_retry_after(error))
    if _has_cause(error, httpx.ReadTimeout, httpx.WriteTimeout):
        return ModelUnreachable(
            f"The model {model} did not answer in time ({quote}). Raise chat_timeout_s "
            "(PAPERTRAIL_CHAT_TIMEOUT_S), or check the server.",
            retryable=True,
        )
    if _has_cause(error, httpx.TransportError, OSError):
        return ModelUnreachable(
            f"Cannot reach the model {model} ({quote}). Check the network and the server's "
            "address, or try again.",
            retryable=not _is_refused_here(error),
        )
    if isinstance(error, (ValueError, LookupError, TypeError, AttributeError)):
        return ModelReplyInvalid(
            f"Cannot read the reply of the model {model} ({quote}). Check that its server "
            "speaks OpenAI's protocol, or that its LlamaIndex package is up to date."
        )
    return ModelUnavailable(f"The model {model} failed ({quote}). Check its settings.")


def hide_secrets(text: str, secrets: Iterable[str]) -> str:
    """Replace keys by "***", also as Python or JSON write them.

    The longest goes first, because one key may be the beginning of another.
    """
    forms = {
        form
        for secret in filter(None, secrets)
        for form in (secret, repr(secret)[1:-1], json.dumps(secret)[1:-1])
    }
    for form in sorted(forms, key=len, reverse=True):
        text = text.replace(form, "***")
    return text


def _quote(error: Exception, secrets: Sequence[str]) -> str:
    """Return the server's message, else the error's, in one printable line without secrets."""
    import openai

    says_enough = isinstance(error, openai.APIError) and str(error)
    named = str(error) if says_enough else f"{type(error).__name__}: {error}"
    text = _UNPRINTABLE.sub("", _find_message(getattr(error, "body", None)) or named)
    return (
        hide_secrets(text, secrets).strip().partition("\n")[0][:_MAX_QUOTE_CHARS].removesuffix(".")
    )


def _name_proxy(error: Exception) -> str:
    """Return that a request went through a proxy, with its host, or ""."""
    import openai

    proxy = find_proxy(str(error.request.url)) if isinstance(error, openai.APIError) else None
    return f", through the proxy {proxy.rpartition('@')[2]}" if proxy else ""


def _is_refused_here(error: Exception) -> bool:
    """Return whether this machine refused the connection: no server runs at the address."""
    import httpx
    import openai

    host = error.request.url.host if isinstance(error, openai.APIError) else ""
    return is_loopback(host) and _has_cause(error, httpx.ConnectError)


def _find_message(body: object) -> str:
    """Return the message in an error's body, or ""."""
    while isinstance(body, Mapping):
        body = body.get("message") or body.get("error") or body.get("detail")
    return body if isinstance(body, str) else ""


def _make_status_error(
    status: int, model: str, quote: str, retry_after_s: float | None
) -> ModelError:
    if status in _PASSING_STATUSES or status >= 500:
        when = f"in {retry_after_s:g} s, as the server asks" if retry_after_s else "later"
        return ModelUnavailable(
            f"The model {model} is not available (HTTP {status}: {quote}). Try again {when}.",
            retryable=True,
            retry_after_s=retry_after_s,
        )
    return ModelRejected(
        f"The model {model} refused the request (HTTP {status}: {quote}). Check its name and the "
        "key."
    )


def _get_status(error: BaseException | None) -> int | None:
    """Return the HTTP status in an error of openai, httpx, requests or Google, or None."""
    response = getattr(error, "response", None)
    for holder, name in ((error, "status_code"), (response, "status_code"), (error, "code")):
        status = getattr(holder, name, None)
        if isinstance(status, int) and 100 <= status < 600:
            return int(status)
    return None


def _get_retry_after(error: Exception) -> float | None:
    """Return the seconds that a server asks to wait. A date is ignored."""
    headers = getattr(getattr(error, "response", None), "headers", None) or {}
    try:
        seconds = float(headers.get("retry-after", ""))
    except ValueError:
        return None
    return max(0.0, seconds) if math.isfinite(seconds) else None


def _has_cause(error: BaseException | None, *kinds: type[Exception]) -> bool:
    """Return whether the error, or one that it was raised from, is of such a kind."""
    while error is not None and not isinstance(error, kinds):
        error = error.__cause__
    return error is not None
