"""Error responses: their OpenAPI schema, and their creation from exceptions."""

import json
import logging
from typing import Any, Dict, Union

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import Response

from gnmt.serving.refusals import Refusal, bad_request
from gnmt.serving.requests import NOBODY, ClientGone, sentence_of

logger = logging.getLogger(__name__)


class ErrorBody(BaseModel):
    """Body of every error."""

    error: str
    code: str


REASONS = {
    400: "the request must be changed",
    403: "the API key is missing or wrong",
    408: "the body came too slowly",
    413: "the request is too large",
    429: "too many requests of this client; Retry-After says when to try again",
    500: "the server has failed",
    503: "the server is full or stopping, or the deadline has passed; Retry-After says when to try again",
}
ERRORS: Dict[Union[int, str], Dict[str, Any]] = {
    status: {"model": ErrorBody, "description": reason} for status, reason in REASONS.items()
}


def answer_errors(application: FastAPI) -> None:
    """Adds exception handlers, so that the body of every error response has an `error` sentence."""

    @application.exception_handler(Refusal)
    async def refuse(request: Request, refusal: Refusal) -> Response:
        return error_response(refusal)

    @application.exception_handler(RequestValidationError)
    async def refuse_fields(request: Request, error: RequestValidationError) -> Response:
        return error_response(bad_request(sentence_of(error.errors())))

    @application.exception_handler(HTTPException)
    async def refuse_route(request: Request, error: HTTPException) -> Response:
        response = error_response(Refusal(error.status_code, "http", f"{error.detail}."))
        response.headers.update(error.headers or {})
        return response

    @application.exception_handler(ClientGone)
    async def answer_nobody(request: Request, error: ClientGone) -> Response:
        return Response(status_code=NOBODY)

    @application.exception_handler(Exception)
    async def fail(request: Request, error: Exception) -> Response:
        return error_response(Refusal(500, "failed", "The request has failed: the server's log has the reason."))


def error_response(refusal: Refusal) -> Response:
    """Returns the response of a refusal."""
    content = json.dumps(refusal.body)  # ASCII, so that any text can be quoted
    return Response(content, refusal.status, refusal.headers, "application/json")
