"""Tests slow clients, which do not finish a request or do not read the response.

Expected responses are written by hand.
"""

import socket
import threading
import time
from typing import List
from urllib.parse import urlsplit

import pytest
from model_folders import make_model_folder
from processes import SECONDS
from served import SEED, connect, gate_of, limited, served

from gnmt.serving import connections
from gnmt.translator import Translator

HALF_A_HEAD = b"POST /translate HTTP/1.1\r\nHost: x\r\nX-Slow: "
HALF_A_BODY = b"POST /translate HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 99\r\n\r\n{"
REFUSED_EARLY = b"POST /translate HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n"
PAGE = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
LIMIT = 20


@pytest.fixture(scope="module")
def translator(tmp_path_factory):
    return Translator.from_pretrained(make_model_folder(tmp_path_factory.mktemp("connections") / "model", SEED))


def opened(url: str, sent: bytes) -> socket.socket:
    parts = urlsplit(url)
    connection = socket.create_connection((parts.hostname, parts.port), timeout=SECONDS)
    connection.sendall(sent)
    return connection


def until_closed(connection: socket.socket) -> bytes:
    """Returns all data that the server sends before it closes the connection."""
    received = b""
    try:
        while part := connection.recv(65536):
            received += part
    except ConnectionResetError:
        pass
    return received


@pytest.mark.parametrize("sent", [b"", HALF_A_HEAD, HALF_A_BODY, PAGE], ids=["nothing", "head", "body", "idle"])
def test_a_server_full_of_slow_clients_still_answers(translator, sent):
    with served([translator], limited(connection_limit=LIMIT)) as server:
        slow: List[socket.socket] = [opened(server.url, sent) for _ in range(3 * LIMIT)]
        for _ in range(3):
            assert server.translate("the dog").status == 200
        for connection in slow:
            connection.close()


@pytest.mark.parametrize("first", [b"", PAGE, REFUSED_EARLY], ids=["new", "after a response", "after a refusal"])
def test_a_client_that_sends_a_head_byte_by_byte_is_cut_off(translator, monkeypatch, first):
    monkeypatch.setattr(connections, "CLIENT_SECONDS", 0.3)
    with served([translator]) as server, opened(server.url, first) as slow:
        end = time.monotonic() + SECONDS
        with pytest.raises(OSError):
            while time.monotonic() < end:
                slow.sendall(b"x" if first == REFUSED_EARLY else HALF_A_HEAD[:1])
                time.sleep(0.02)


CHUNKED = b"POST /translate HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n"


@pytest.mark.parametrize(
    "first, endless",
    [(b"GET /", b"x"), (HALF_A_HEAD, b"x"), (PAGE[:-2], b"X: y\r\n"), (CHUNKED, b"X: y\r\n")],
    ids=["address", "header", "headers", "trailers"],
)
def test_an_endless_head_is_refused(translator, first, endless):
    """A megabyte is 16 times the limit; the server closes the connection long before the deadline."""
    with served([translator]) as server, opened(server.url, first) as connection:
        start = time.monotonic()
        try:
            for _ in range(100):
                connection.sendall((endless * 10_000)[:10_000])
        except OSError:
            pass
        assert b"HTTP/1.1 400" in until_closed(connection) or time.monotonic() - start < connections.CLIENT_SECONDS
        assert server.translate("the dog").status == 200


def test_a_client_that_does_not_read_is_cut_off(translator, monkeypatch):
    monkeypatch.setattr(connections, "CLIENT_SECONDS", 0.3)
    with served([translator]) as server, opened(server.url, b"") as slow:
        slow.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        slow.settimeout(0.2)
        request = b"GET /openapi.json HTTP/1.1\r\nHost: x\r\n\r\n"
        end = time.monotonic() + SECONDS
        with pytest.raises((ConnectionResetError, BrokenPipeError)):
            while time.monotonic() < end:
                try:
                    slow.sendall(request * 100)
                except TimeoutError:
                    pass


def test_the_deadline_does_not_count_the_work_of_the_server(translator, monkeypatch):
    monkeypatch.setattr(connections, "CLIENT_SECONDS", 0.2)
    search = translator.search

    def delayed(options, joining_share):
        time.sleep(0.6)
        return search(options, joining_share)

    monkeypatch.setattr(translator, "search", delayed)
    with served([translator]) as server:
        assert server.translate("the dog").status == 200


def test_a_server_full_of_requests_refuses_further_ones(translator, monkeypatch):
    gate = gate_of(translator, monkeypatch)
    with served([translator], limited(connection_limit=3)) as server:
        gate.clear()
        fields = b'{"q": "the dog", "source": "en", "target": "de"}'
        request = HALF_A_BODY.removesuffix(b"{").replace(b"99", b"%d\r\nConnection: close" % len(fields)) + fields
        working = []
        while server.get("/health").status == 200:  # a connection whose request has not arrived yet may be replaced
            working.append(opened(server.url, request))
        assert server.get("/health").status == 503
        gate.set()
        responses = [until_closed(connection) for connection in working]
        assert sum(response.startswith(b"HTTP/1.1 200") for response in responses) == 3
        assert server.translate("the dog").status == 200


def test_several_requests_use_one_connection(translator):
    with served([translator]) as server:
        connection = connect(server.url)
        for _ in range(5):
            connection.request("GET", "/languages")
            response = connection.getresponse()
            assert response.status == 200
            response.read()
        connection.close()


def test_requests_that_arrive_together_are_all_answered(translator):
    closing = PAGE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    with served([translator]) as server, opened(server.url, PAGE * 4 + closing) as connection:
        assert until_closed(connection).count(b"HTTP/1.1 200") == 5


@pytest.mark.parametrize(
    "offer", [b"Upgrade, HTTP2-Settings\r\nUpgrade: h2c", b"keep-alive, Upgrade\r\nUpgrade: websocket"]
)
@pytest.mark.parametrize("pieces", [1, 2])
def test_a_request_that_offers_another_protocol_is_served(translator, offer, pieces):
    """Java's HttpClient offers HTTP/2 with its first request."""
    fields = b'{"q": "the dog", "source": "en", "target": "de"}'
    head = (
        HALF_A_BODY.removesuffix(b"\r\n{").replace(b"99", b"%d" % len(fields)) + b"Connection: " + offer + b"\r\n\r\n"
    )
    closing = PAGE.replace(b"\r\n\r\n", b"\r\nConnection: close\r\n\r\n")
    parts = [head + fields + closing] if pieces == 1 else [head, fields + closing]
    with served([translator]) as server, opened(server.url, b"") as connection:
        for part in parts:
            connection.sendall(part)
            time.sleep(0.1)
        received = until_closed(connection)
        assert received.count(b"HTTP/1.1 200") == 2
        assert received.count(b"translatedText") == 1


def test_too_many_requests_at_once_are_refused(translator):
    """Some of the first requests may have responses before the refusal."""
    number = 2 * connections.MAX_WAITING_REQUESTS
    with served([translator]) as server, opened(server.url, PAGE * number) as connection:
        received = until_closed(connection)
        assert received.count(b"HTTP/1.1 400") == 1 and received.count(b"HTTP/1.1 200") < number
        assert server.translate("the dog").status == 200


@pytest.mark.parametrize("number", [1, 3])
def test_a_client_that_disconnects_cancels_its_running_request(translator, monkeypatch, number):
    """Further requests of the connection have not begun."""
    gate, begun = gate_of(translator, monkeypatch), threading.Event()
    search = translator.search

    def noticed(options, joining_share):
        begun.set()
        return search(options, joining_share)

    monkeypatch.setattr(translator, "search", noticed)
    fields = b'{"q": "the dog", "source": "en", "target": "de"}'
    request = HALF_A_BODY.removesuffix(b"{").replace(b"99", b"%d" % len(fields)) + fields
    with served([translator]) as server:
        begun.clear()  # the warm-up has set it
        gate.clear()
        with opened(server.url, request * number):
            assert begun.wait(SECONDS)
        time.sleep(0.3)  # until the server has noticed
        gate.set()
        wait_for_metric(server, "gnmt_cancelled_sentences_total 1.0")
        assert server.translate("the dog").status == 200


def wait_for_metric(server, line: str) -> None:
    end = time.monotonic() + SECONDS
    while line not in server.get("/metrics").text.splitlines():
        assert time.monotonic() < end, line
        time.sleep(0.02)


def test_a_tunnel_is_refused(translator):
    with served([translator]) as server, opened(server.url, b"CONNECT x:1 HTTP/1.1\r\nHost: x\r\n\r\n") as connection:
        assert until_closed(connection).startswith(b"HTTP/1.1 400")
