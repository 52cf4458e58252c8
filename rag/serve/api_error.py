"""Refusals and failures in the form of OpenAI's API."""

from __future__ import annotations

import logging
import math
from typing import Any

from starlette.responses import JSONResponse

from rag.errors import (
    CorpusError,
    IndexLocked,
    ModelRejected,
    ModelUnavailable,
    RagError,
    SettingsError,
)

BUSY_S = 5  # after which a refused client may try again
_RETRYABLE = (429, 500, 503)
_ERROR_TYPES = {429: "rate_limit_error", **dict.fromkeys((500, 502, 503), "server_error")}
_BUG = "Something went wrong on the server. Its log has the details."
_log = logging.getLogger("papertrail.serve")


class ApiError(Exception):
    """A refusal or failure in the form of OpenAI's API."""

    def __init__(
        self, status: int, message: str, *, code: str, param: str = "", wait_s: float | None = None
    ) -> None:
        super().__init__(message)
        self.status = status
        self.wait_s = wait_s
        self._error = {
            "message": message,
            "type": _ERROR_TYPES.get(status, "invalid_request_error"),
            "param": param or None,
            "code": code,
        }

    @property
    def body(self) -> dict[str, Any]:
        """Return the JSON that clients expect."""
        return {"error": self._error}

    def to_response(self, headers: dict[str, str] | None = None) -> JSONResponse:
        """Return the response. A client is told whether to try again."""
        sent = {"x-should-retry": str(self.status in _RETRYABLE).lower(), **(headers or {})}
        if self.wait_s is not None:
            sent["Retry-After"] = str(max(1, math.ceil(self.wait_s)))
        return JSONResponse(self.body, self.status, sent)


def to_api_error(error: Exception) -> ApiError:
    """Return the error of the API for what ended an answer."""
    if isinstance(error, SettingsError | CorpusError):
        return ApiError(400, str(error), code="invalid_value")
    if isinstance(error, ModelRejected):
        return ApiError(502, str(error), code="model_rejected")
    if isinstance(error, ModelUnavailable | IndexLocked):
        return ApiError(503, str(error), code="unavailable", wait_s=BUSY_S)
    if isinstance(error, RagError):
        return ApiError(502, str(error), code="library_failed")
    _log.error("a question failed", exc_info=error)
    return ApiError(500, _BUG, code="internal_error")
