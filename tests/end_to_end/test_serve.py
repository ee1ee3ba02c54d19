"""Tests `gnmt serve` as a process: start, signals, connections and errors.

Expected translations come from `Translator`.
"""

import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from urllib.parse import urlsplit

import pytest

pytest.importorskip("fastapi", reason="the extra `serve` is not installed")

from commands import ROOT

from model_folders import make_model_folder
from processes import SECONDS, wait_until
from served import SEED, Served, connect, random_texts

from gnmt.translator import Translator

READY = "ready: "


class Process:
    """A running `gnmt serve`."""

    def __init__(self, *arguments):
        command = [sys.executable, "-m", "gnmt", "serve", *map(str, arguments)]
        self.process = subprocess.Popen(
            command, cwd=ROOT, stderr=subprocess.PIPE, stdout=subprocess.DEVNULL, encoding="utf-8"
        )
        line = self.process.stderr.readline()
        assert line.startswith(READY), line + self.process.stderr.read()
        self.url = line.removeprefix(READY).strip()

    def end(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        code = self.process.wait(SECONDS)
        self.errors = self.process.stderr.read()
        return code


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    return make_model_folder(tmp_path_factory.mktemp("models") / "model", SEED)


@pytest.fixture
def serve(model):
    started = []

    def start(*options) -> Process:
        started.append(Process(model, "--port", 0, "--threads", 1, *options))
        return started[-1]

    yield start
    for command in started:
        command.process.kill()
        command.process.wait()
        command.process.stderr.close()


def accepts(url: str) -> bool:
    """Returns True if a server accepts new connections."""
    try:
        socket.create_connection((urlsplit(url).hostname, urlsplit(url).port)).close()
    except ConnectionRefusedError:
        return False
    return True


def test_sigterm_finishes_running_requests_and_refuses_new_ones(serve, model):
    texts = random_texts(300)  # takes seconds, so that the end of the server is seen on a busy machine
    translator = Translator.from_pretrained(model)
    expected = [translation.text for translation in translator.translate(texts)]
    process = serve("--slots", 1, "--char-limit", 100_000, "--batch-limit", 300)
    server = Served(process.url, translator)
    responses = []
    thread = threading.Thread(target=lambda: responses.append(server.translate(texts)))
    thread.start()
    wait_until(lambda: "gnmt_running_sentences 1.0" in server.get("/metrics").text)
    process.process.send_signal(signal.SIGTERM)
    wait_until(lambda: not accepts(process.url))
    assert not responses
    thread.join()
    assert [responses[0].status, responses[0].json["translatedText"]] == [200, expected]
    assert process.process.wait(SECONDS) == -signal.SIGTERM
    assert process.process.stderr.read() == ""


def test_requests_that_do_not_finish_end_with_the_deadline(serve):
    limits = ["--char-limit", 100_000, "--queue-limit", 100_000, "--batch-limit", 2000, "--sentence-limit", 2000]
    process = serve("--slots", 1, "--shutdown-deadline", 1, *limits)
    connection = connect(process.url)
    # takes many seconds on the fastest machine
    body = json.dumps({"q": ["the dog sees a cat and runs"] * 2000, "source": "en", "target": "de", "alternatives": 9})
    connection.request("POST", "/translate", body, {"Content-Type": "application/json"})
    wait_until(lambda: "gnmt_running_sentences 1.0" in Served(process.url, None).get("/metrics").text)
    assert process.end() == -signal.SIGTERM
    with suppress(http.client.HTTPException, ConnectionError):  # clients may also lose their connection
        assert connection.getresponse().status >= 500  # cancelled, not finished
    connection.close()


def test_no_process_is_forked_and_only_this_machine_is_served(serve):
    process = serve()
    server = Served(process.url, None)
    assert server.translate("the dog").status == 200
    assert process.url.startswith("http://127.0.0.1:")
    number = process.process.pid
    children = [path.read_text() for path in Path(f"/proc/{number}/task").glob("*/children")]
    assert "".join(children) == ""
    assert process.end(signal.SIGINT) == -signal.SIGINT and process.errors == ""


def test_idle_connections_over_the_limit_make_room_for_requests(serve):
    """Malformed requests do not stop the server, either."""
    process = serve("--connection-limit", 3)
    server = Served(process.url, None)
    idle = [connect(process.url) for _ in range(4)]
    for connection in idle:
        connection.connect()
    assert [server.get("/health").status for _ in range(4)] == [200] * 4
    for connection in idle:
        connection.close()
    address = process.url.removeprefix("http://").split(":")
    for data in (
        b"\x16\x03\x01\x00",
        b"GET / HTTP/1.1\r\n",
        b"POST /translate HTTP/1.1\r\nContent-Length: 9\r\n\r\n{",
        b"",
    ):
        with socket.create_connection((address[0], int(address[1]))) as raw:
            raw.sendall(data)
    wait_until(lambda: server.translate("the dog").status == 200)
    assert process.end() == -signal.SIGTERM


def statuses(server: Served, addresses: list, **fields: str) -> list:
    body = {"q": "the dog", "source": "en", "target": "de", **fields}
    return [server.post("/translate", body, **{"X-Forwarded-For": address}).status for address in addresses]


def test_a_proxy_names_the_clients(serve):
    process = serve("--proxy", "127.0.0.1", "--requests-per-minute", 1)
    assert statuses(Served(process.url, None), ["192.0.2.1", "192.0.2.2", "192.0.2.1"]) == [200, 200, 429]


def test_keys_are_needed_and_clients_cannot_name_themselves(serve, tmp_path):
    (tmp_path / "keys").write_text("alice alice-key-0123456789 1\n")
    server = Served(serve("--api-keys", tmp_path / "keys", "--requests-per-minute", 2).url, None)
    assert statuses(server, ["192.0.2.1"], api_key="alice-key-0123456789") == [200]
    assert statuses(server, ["192.0.2.1", "192.0.2.2"], api_key="alice-key-0123456789") == [429, 429]
    assert statuses(server, ["192.0.2.1", "192.0.2.2", "192.0.2.3"]) == [403, 403, 429]


@pytest.mark.parametrize(
    "options, words",
    [
        (["missing"], "missing is not a model folder"),
        (["MODEL", "--char-limit", 0], "--char-limit is 0, but must be at least 1"),
        (["MODEL", "--host", "192.0.2.1"], "192.0.2.1 port 5000 cannot be used"),
        (["MODEL", "MODEL", "--port", 0], "Two models translate from en into de"),
        (["MODEL", "--api-keys", "missing"], "missing does not exist"),
    ],
)
def test_mistakes_are_one_line(model, options, words):
    options = [model if option == "MODEL" else option for option in options]
    command = [sys.executable, "-m", "gnmt", "serve", *map(str, options)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", timeout=SECONDS)
    assert done.returncode == 1 and done.stderr.count("\n") == 1 and words in done.stderr


def test_a_pair_given_twice_is_refused_before_models_are_loaded(model, tmp_path):
    config = (model / "config.json").read_bytes()
    for name in ("one", "two"):  # without weights
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.json").write_bytes(config)
    command = [sys.executable, "-m", "gnmt", "serve", str(tmp_path / "one"), str(tmp_path / "two"), "--port", "0"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", timeout=SECONDS)
    assert (done.returncode, done.stderr) == (
        1, "error: Two models translate from en into de: serve one of them.\n",
    )  # fmt: skip


def test_a_public_address_without_keys_is_warned_about(model, tmp_path):
    (tmp_path / "keys").write_text("alice alice-key-0123456789\n")
    for options, first_word in (([], "warning:"), (["--api-keys", str(tmp_path / "keys")], READY.strip())):
        command = [sys.executable, "-m", "gnmt", "serve", str(model), "--host", "0.0.0.0", "--port", "0", *options]
        with subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE, encoding="utf-8") as process:
            line = process.stderr.readline()
            process.kill()
        assert line.split()[0] == first_word, line


def test_a_port_in_use_is_refused_before_the_model_is_loaded(model):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        command = [sys.executable, "-m", "gnmt", "serve", str(model), "--port", str(port)]
        done = subprocess.run(command, cwd=ROOT, capture_output=True, encoding="utf-8", timeout=SECONDS)
    assert done.returncode == 1 and done.stderr.startswith(f"error: 127.0.0.1 port {port} cannot be used (Address")
