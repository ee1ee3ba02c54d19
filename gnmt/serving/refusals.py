"""Refusals of requests, each with a status, a message and a time to retry."""

import math
from typing import Dict, Optional

CLIENT_CLOSED_REQUEST = 499  # status in the metrics for a request whose client has disconnected; the number is nginx's


class Refusal(Exception):
    """Refusal of a request.

    Args:
        status: HTTP status.
        code: machine-readable reason.
        message: reason and remedy.
        retry_after: seconds after which the same request may succeed; None if it cannot succeed.
    """

    def __init__(self, status: int, code: str, message: str, retry_after: Optional[float] = None):
        super().__init__(message)
        self.status = status
        self.code = code
        self.message = message
        self.retry_after = retry_after

    @property
    def headers(self) -> Dict[str, str]:
        """Headers of the response."""
        return {} if self.retry_after is None else {"Retry-After": str(max(1, math.ceil(self.retry_after)))}

    @property
    def body(self) -> Dict[str, str]:
        """Body of the response; LibreTranslate's clients read `error`."""
        return {"error": self.message, "code": self.code}


def refusal_of(error: Exception) -> Refusal:
    """Returns the refusal of a request with a failed sentence, without the traceback of earlier requests."""
    if isinstance(error, Refusal):
        return error.with_traceback(None)  # the engine fails all sentences with one object
    return Refusal(500, "failed", "The translation failed. The server's log has the reason.")


def bad_request(message: str) -> Refusal:
    """Returns the refusal of an invalid request."""
    return Refusal(400, "bad_request", message)


def not_json() -> Refusal:
    """Returns the refusal of a body that is not JSON, not UTF-8 or too deep."""
    return bad_request("The body is not valid JSON: send a JSON object in UTF-8.")


def too_large(message: str) -> Refusal:
    """Returns the refusal of a request that exceeds a limit on its size."""
    return Refusal(413, "too_large", message)


def unavailable(code: str, message: str, retry_after: float) -> Refusal:
    """Returns the refusal of a request that the server cannot process now.

    Args:
        code: machine-readable reason.
        message: reason and remedy.
        retry_after: seconds after which the request may succeed.
    """
    return Refusal(503, code, message, retry_after)
