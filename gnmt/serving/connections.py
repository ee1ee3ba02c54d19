"""HTTP connections with limits on the time and the bytes that a client takes.

uvicorn alone has no time limit for the head of a request (request line and header fields), or for a client that does
not read its response. A few hundred such clients (slowloris) would occupy all connections of a server. With the parser
httptools, uvicorn also limits neither the size of a head nor the number of pipelined requests.
"""

import asyncio
from typing import Any, Iterable, Optional

import httptools
from uvicorn.protocols.http.flow_control import service_unavailable
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

MAX_HEAD_BYTES = 1 << 16  # maximum size of the head of a request, and of the trailers of its body
MAX_WAITING_REQUESTS = 100  # maximum number of pipelined requests per connection that wait for an earlier response
CLIENT_SECONDS = 30.0  # maximum time until the next head of a request is complete, or for reading buffered output


class LimitedConnection(HttpToolsProtocol):
    """HTTP/1.1 connection that is closed if its client is too slow, or sends a long head or many requests at once.

    If all connections are in use, a new connection replaces the one that has waited longest for its client. If the
    server is processing a request on every other connection, the new connection gets status 503.

    The constructor takes the arguments of uvicorn's HttpToolsProtocol.
    """

    parser: Any  # httptools has no types

    def __init__(self, *arguments: Any, **options: Any):
        super().__init__(*arguments, **options)
        self._limit = self.config.limit_concurrency
        self.limit_concurrency = None  # of uvicorn's own check
        self._deadline: Optional[asyncio.TimerHandle] = None
        self._since = 0.0  # start of the current wait for the client, or of the current request
        self._unfinished_bytes = 0  # received since the last head, piece of a body or end of a request
        self._working_on: Any = None  # the request that is processed; uvicorn's `cycle` is the last of a queue

    @property
    def waits_for_client(self) -> bool:
        """Returns True unless the server is working on a whole request."""
        return not self._has_request() or self.cycle.more_body or self.flow.write_paused

    def connection_made(self, transport: asyncio.Transport) -> None:
        """Starts the deadline of the first head, and makes room for this connection."""
        super().connection_made(transport)
        self._watch()
        if self._limit is not None and len(self.connections) > self._limit:
            self._make_room(self._limit)

    def connection_lost(self, error: Optional[Exception]) -> None:
        """Removes the deadline, and tells the request that its client has disconnected."""
        self._stop_deadline()
        super().connection_lost(error)
        if self._working_on is not None and not self._working_on.response_complete:
            self._working_on.disconnected = True
            self._working_on.message_event.set()

    def data_received(self, data: bytes) -> None:
        """Reads from the client; a whole head ends the deadline, and a head that is too long ends the connection."""
        self._unset_keepalive_if_required()
        self._unfinished_bytes += len(data)
        try:
            self._parse(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            self.send_400_response("The request is not valid HTTP/1.1, or too many requests wait for a response.")
        else:
            if self._unfinished_bytes > MAX_HEAD_BYTES:
                self.send_400_response("The head of the request is too long.")
        self._watch()

    def _parse(self, data: bytes) -> None:
        """Parses data. A request with the header Upgrade, as Java's HttpClient sends it, is served in HTTP/1.1.

        httptools stops after the head of such a request, so the head is parsed again without this header.
        """
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            (end_of_head,) = upgrade.args
            lines = [b"%b %b HTTP/1.1" % (self.parser.get_method(), self.url)]
            lines += [b"%b: %b" % header for header in self.headers if header[0] not in (b"connection", b"upgrade")]
            self.parser = httptools.HttpRequestParser(self)
            self.parser.feed_data(b"\r\n".join([*lines, b"", data[end_of_head:]]))

    def _should_upgrade(self) -> bool:
        """Returns True, so that uvicorn ignores a head with the header Upgrade; `_parse` parses it again without it."""
        return True

    def on_headers_complete(self) -> None:
        """Starts the request, or queues it until earlier requests have responses."""
        self._unfinished_bytes = 0
        if len(self.pipeline) >= MAX_WAITING_REQUESTS:
            raise ValueError("too many requests")  # ends `feed_data` with an HttpParserError
        is_queued = self._has_request()
        super().on_headers_complete()
        if not is_queued:
            self._working_on = self.cycle

    def on_body(self, body: bytes) -> None:
        """Adds a piece of the body to the request."""
        self._unfinished_bytes = 0
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Ends the body of the request."""
        self._unfinished_bytes = 0
        super().on_message_complete()

    def on_response_complete(self) -> None:
        """Starts the deadline of the next head, unless it has already arrived."""
        self._stop_deadline()
        self._working_on = self.pipeline[-1][0] if self.pipeline else None
        super().on_response_complete()
        self._watch()

    def pause_writing(self) -> None:
        """Starts the deadline for reading the output."""
        super().pause_writing()
        self._watch()

    def resume_writing(self) -> None:
        """Ends the deadline for reading the output."""
        super().resume_writing()
        self._watch()

    def _make_room(self, limit: int) -> None:
        still_open = [connection for connection in self.connections if not connection.transport.is_closing()]
        if len(still_open) > limit:
            longest = _longest_wait(connection for connection in still_open if connection is not self)
            if longest is None:
                self.app = service_unavailable
            else:
                longest.transport.abort()

    def _watch(self) -> None:
        """Starts the deadline if the server waits for the client, and otherwise ends it."""
        if self._has_request() and not self.flow.write_paused:
            self._stop_deadline()
        elif self._deadline is None:
            self._since = self.loop.time()
            self._deadline = self.loop.call_later(CLIENT_SECONDS, self.transport.abort)

    def _has_request(self) -> bool:
        """Returns True from the end of a request's head to the end of its response."""
        return self.cycle is not None and not self.cycle.response_complete

    def _stop_deadline(self) -> None:
        if self._deadline is not None:
            self._deadline.cancel()
            self._deadline = None
            self._since = self.loop.time()


def _longest_wait(connections: Iterable[Any]) -> Optional[LimitedConnection]:
    """Returns the connection that has waited longest for its client; None if no connection waits."""
    waiting = [connection for connection in connections if connection.waits_for_client]
    return min(waiting, key=lambda connection: connection._since, default=None)
