"""HTTP client over one persistent connection, with asyncio only, for little load on the processor."""

import asyncio
import json
from typing import Any, Dict, Optional, Tuple
from urllib.parse import urlsplit


class Client:
    """Sends one request after the other to a server."""

    def __init__(self, url: str):
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or 80
        self._streams: Optional[Tuple[asyncio.StreamReader, asyncio.StreamWriter]] = None

    async def post(self, path: str, fields: Any) -> Tuple[int, Any]:
        """Returns the status and the JSON of the response."""
        return await self.post_bytes(path, json.dumps(fields).encode("utf-8"))

    async def post_bytes(self, path: str, body: bytes) -> Tuple[int, Any]:
        await self.send(path, body)
        assert self._streams is not None
        reader = self._streams[0]
        status = int((await reader.readline()).split()[1])
        headers: Dict[bytes, bytes] = {}
        while (line := await reader.readline()) not in (b"\r\n", b""):
            name, _, value = line.partition(b":")
            headers[name.strip().lower()] = value.strip()
        content = await reader.readexactly(int(headers[b"content-length"]))
        if headers.get(b"connection", b"").lower() == b"close":
            self.close()
        return status, json.loads(content)

    async def send(self, path: str, body: bytes) -> None:
        """Sends a request without waiting for the response."""
        if self._streams is None:
            self._streams = await asyncio.open_connection(self._host, self._port)
        head = f"POST {path} HTTP/1.1\r\nHost: {self._host}\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
        self._streams[1].write(head.encode("ascii") + body)
        await self._streams[1].drain()

    def close(self) -> None:
        """Closes the connection, even if responses are outstanding."""
        if self._streams is not None:
            self._streams[1].close()
            self._streams = None
