"""Connections with a deadline for their client.

uvicorn alone has no time limit for the head of a request, or for a client that does not read its response. A few
hundred such clients (slowloris) would occupy all connections of a server.
"""

import asyncio
from typing import Any, Iterable, Optional

from uvicorn.protocols.http.flow_control import service_unavailable
from uvicorn.protocols.http.h11_impl import H11Protocol

CLIENT_SECONDS = 30.0  # maximum time until the next head of a request is complete, or for reading buffered output


class TimedConnection(H11Protocol):
    """HTTP/1.1 connection that is closed if its client is too slow.

    If all connections are in use, a new connection replaces the one that has waited longest for its client. It gets
    status 503 if all others have complete requests. The constructor takes the arguments of uvicorn's H11Protocol.
    """

    def __init__(self, *arguments: Any, **options: Any):
        super().__init__(*arguments, **options)
        self._limit = self.config.limit_concurrency
        self.limit_concurrency = None  # of uvicorn's own check
        self._deadline: Optional[asyncio.TimerHandle] = None
        self._since = 0.0  # start of the current wait for the client, or of the current request

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
        """Removes the deadline."""
        self._stop_deadline()
        super().connection_lost(error)

    def data_received(self, data: bytes) -> None:
        """Reads from the client; a whole head ends the deadline."""
        super().data_received(data)
        self._watch()

    def on_response_complete(self) -> None:
        """Starts the deadline of the next head, unless it has already arrived."""
        self._stop_deadline()
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


def _longest_wait(connections: Iterable[Any]) -> Optional[TimedConnection]:
    """Returns the connection that has waited longest for its client; None if no connection waits."""
    waiting = [connection for connection in connections if connection.waits_for_client]
    return min(waiting, key=lambda connection: connection._since, default=None)
