"""The process of a server: its socket, and uvicorn around the application."""

import ipaddress
import socket
import sys
from typing import List, Optional

import uvicorn

from gnmt.errors import UserError
from gnmt.serving.connections import LimitedConnection
from gnmt.serving.limits import Limits
from gnmt.serving.middleware import Application

BACKLOG = 2048  # maximum number of connections that wait to be accepted
SWITCH_SECONDS = 0.0005  # maximum time that the engine's thread holds the interpreter lock while a request waits; Python's default is 0.005
KEEP_ALIVE_SECONDS = 30  # maximum time of a connection without a request


def bind(host: str, port: int) -> socket.socket:
    """Returns a bound socket that does not listen yet.

    Args:
        host: name or address of the interface.
        port: number of the port; 0 chooses a free port.

    Raises:
        UserError: if the address cannot be used.
    """
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(f"{host} port {port} cannot be used ({reason}): choose another --host or --port.") from error
    return bound


def address_of(bound: socket.socket) -> str:
    """Returns the URL of a socket."""
    host, port = bound.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def is_loopback(bound: socket.socket) -> bool:
    """Returns True if only this machine can connect to a socket."""
    return ipaddress.ip_address(bound.getsockname()[0]).is_loopback


def configuration(application: Application, limits: Limits, proxy: Optional[str] = None) -> uvicorn.Config:
    """Returns the settings of uvicorn: one process, no log of requests.

    Args:
        application: ASGI.
        limits: connections, and the deadline for the end.
        proxy: address of a trusted proxy, whose header X-Forwarded-For is used.
    """
    return uvicorn.Config(
        application, loop="asyncio", http=LimitedConnection, ws="none", lifespan="on", access_log=False, log_level="warning",
        limit_concurrency=limits.connection_limit, backlog=BACKLOG, timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=max(1, round(limits.shutdown_deadline)), server_header=False,
        proxy_headers=proxy is not None, forwarded_allow_ips=proxy or "",
    )  # fmt: skip


def run_server(application: Application, bound: socket.socket, limits: Limits, proxy: Optional[str]) -> None:
    """Serves until SIGTERM or Ctrl-C, then finishes the running requests.

    New connections are then refused, and unfinished requests are cancelled at the deadline.

    Args:
        application: ASGI.
        bound: socket to listen on.
        limits: connections, and the deadline for the end.
        proxy: address of a trusted proxy, whose header X-Forwarded-For is used.
    """
    sys.setswitchinterval(SWITCH_SECONDS)
    server = _AnnouncingServer(configuration(application, limits, proxy), address_of(bound))
    server.run(sockets=[bound])
    if not server.started:
        raise UserError("The server could not start: the lines above have the reason.")


class _AnnouncingServer(uvicorn.Server):
    """Server that prints its address when it is ready.

    Args:
        config: settings of uvicorn.
        address: URL to print.
    """

    def __init__(self, config: uvicorn.Config, address: str):
        super().__init__(config)
        self._address = address

    async def startup(self, sockets: Optional[List[socket.socket]] = None) -> None:
        await super().startup(sockets)
        if self.started:
            print(f"ready: {self._address}", file=sys.stderr, flush=True)
