"""Middleware: limits on request bodies, response headers, and request metrics."""

import asyncio
import time
from typing import Any, Awaitable, Callable, MutableMapping, Optional

from starlette.requests import ClientDisconnect

from gnmt.serving.limits import Limits
from gnmt.serving.metrics import Metrics
from gnmt.serving.refusals import CLIENT_CLOSED_REQUEST, Refusal
from gnmt.serving.responses import error_response

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Scope, Receive, Send], Awaitable[None]]

BODY_SECONDS = 30.0  # maximum time for receiving a body
HEADERS = [
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (b"content-security-policy", b"default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
     b"img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"),
]  # fmt: skip


class BodyLimit:
    """Refuses bodies that are too large or too slow.

    Args:
        application: called with bodies within the limits.
        limits: contains the maximum size of a body in bytes.
    """

    def __init__(self, application: Application, limits: Limits):
        self._application = application
        self._limits = limits

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._application(scope, receive, send)
        length = dict(scope["headers"]).get(b"content-length", b"")
        if length.isdigit() and int(length) > self._limits.body_bytes:
            return await error_response(self._limits.large_body())(scope, receive, send)
        body = _Body(receive, send, self._limits)
        try:
            await self._application(scope, body.receive, body.send)
        except (Refusal, ClientDisconnect):
            if body.refusal is None and not body.is_cut:
                raise
        if body.refusal is not None and not body.has_begun:
            await error_response(body.refusal)(scope, receive, send)
        return None


class _Body:
    """The body of a request. If it is refused or incomplete, the application's own response is not sent.

    Args:
        receive: ASGI function that returns the parts of the body.
        send: ASGI function that sends the response.
        limits: contains the maximum size in bytes.
    """

    def __init__(self, receive: Receive, send: Send, limits: Limits):
        self._receive, self._send, self._limits = receive, send, limits
        self._end = asyncio.get_running_loop().time() + BODY_SECONDS
        self._received = 0
        self._is_complete = False
        self.has_begun = False  # the response
        self.is_cut = False  # the client has disconnected before the end of the body
        self.refusal: Optional[Refusal] = None

    async def receive(self) -> Message:
        if self._is_complete:  # the application waits for the client to disconnect
            return await self._receive()
        try:
            async with asyncio.timeout_at(self._end):
                message = await self._receive()
        except TimeoutError as error:
            self.refusal = Refusal(408, "slow", f"The body took more than {BODY_SECONDS:g} seconds.")
            raise self.refusal from error
        if message["type"] == "http.disconnect":
            self.is_cut = True
            return message
        self._received += len(message.get("body", b""))
        self._is_complete = not message.get("more_body", False)
        if self._received > self._limits.body_bytes:
            self.refusal = self._limits.large_body()
            raise self.refusal
        return message

    async def send(self, message: Message) -> None:
        if self.refusal is None and not self.is_cut:
            self.has_begun = True
            await self._send(message)


class HeadersAndMetrics:
    """Adds security headers to responses, and counts and times requests.

    Args:
        application: wrapped ASGI application.
        metrics: metrics to update.
    """

    def __init__(self, application: Application, metrics: Metrics):
        self._application = application
        self._metrics = metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            return await self._application(scope, receive, send)
        start = time.monotonic()
        status: Optional[int] = None

        async def observed(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message.get("headers", []), *HEADERS]
            await send(message)

        try:
            await self._application(scope, receive, observed)
            status = status or CLIENT_CLOSED_REQUEST
        finally:
            route = getattr(scope.get("route"), "path", "other")
            self._metrics.requests.labels(route, str(status or 500)).inc()
            self._metrics.request_seconds.labels(route).observe(time.monotonic() - start)
