"""Error responses: their OpenAPI schema, and their creation from exceptions."""

import json
import logging
from typing import Any, Dict, Union

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.responses import Response

from gnmt.serving.refusals import CLIENT_CLOSED_REQUEST, Refusal, bad_request, not_json
from gnmt.serving.requests import JSON, ClientDisconnected, message_of

UNREAD = "There was an error parsing the body"  # FastAPI's words for JSON that is not UTF-8 or is too deep

logger = logging.getLogger(__name__)


class ErrorBody(BaseModel):
    """Body of every error."""

    error: str
    code: str


REASONS = {
    400: "the request must be changed",
    403: "the API key is missing or wrong",
    408: "the body arrived too slowly",
    413: "the request is too large",
    429: "too many requests of this client; Retry-After has the seconds to wait",
    500: "the server has failed",
    503: "the server is full or stopping, or the deadline has passed; Retry-After has the seconds to wait",
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
        is_json = error.errors()[0]["type"] != "json_invalid"
        return error_response(bad_request(message_of(error.errors())) if is_json else not_json())

    @application.exception_handler(HTTPException)
    async def refuse_route(request: Request, error: HTTPException) -> Response:
        unread = error.detail == UNREAD and request.headers.get("content-type", "").startswith(JSON)
        hint = ": /openapi.json lists the routes" if error.status_code == 404 else ""
        refusal = not_json() if unread else Refusal(error.status_code, "http", f"{error.detail}{hint}.")
        response = error_response(refusal)
        response.headers.update(error.headers or {})
        return response

    @application.exception_handler(ClientDisconnected)
    async def client_closed_request(request: Request, error: ClientDisconnected) -> Response:
        return Response(status_code=CLIENT_CLOSED_REQUEST)

    @application.exception_handler(Exception)
    async def fail(request: Request, error: Exception) -> Response:
        return error_response(Refusal(500, "failed", "The request failed. The server's log has the reason."))


def error_response(refusal: Refusal) -> Response:
    """Returns the response of a refusal."""
    content = json.dumps(refusal.body)  # ASCII, so that any text can be quoted
    return Response(content, refusal.status, refusal.headers, "application/json")
