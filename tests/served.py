"""A server in a thread of the test process, and plain HTTP requests to it."""

import asyncio
import http.client
import json
import random
import threading
from contextlib import contextmanager
from typing import Any, Dict, Iterator, List, NamedTuple, Optional
from urllib.parse import urlencode, urlsplit

import uvicorn
from model_folders import make_model_folder
from processes import SECONDS

from gnmt.serving.application import DEFAULTS, Settings, make_application
from gnmt.serving.limits import Limits
from gnmt.serving.server import address_of, bind, configuration
from gnmt.translator import Translator

SEED = 10  # seed of a network whose translations differ
SOURCE_WORDS = "the dog cat sees runs . a , and".split()


class Response(NamedTuple):
    """An HTTP response."""

    status: int
    headers: Dict[str, str]
    text: str

    @property
    def json(self) -> Any:
        return json.loads(self.text)


class Served(NamedTuple):
    """A running server."""

    url: str
    translator: Translator  # translator of its first model, for comparison; use it only while no request is running

    def ask(self, method: str, path: str, body: bytes = b"", headers: Optional[Dict[str, str]] = None) -> Response:
        connection = connect(self.url)
        try:
            connection.request(method, path, body, headers or {})
            response = connection.getresponse()
            text = response.read().decode("utf-8")
            return Response(response.status, {name.lower(): value for name, value in response.getheaders()}, text)
        finally:
            connection.close()

    def get(self, path: str, **headers: str) -> Response:
        return self.ask("GET", path, headers=headers)

    def post(self, path: str, fields: Any, **headers: str) -> Response:
        """Sends JSON in a POST request."""
        return self.ask("POST", path, json.dumps(fields).encode(), {"Content-Type": "application/json", **headers})

    def post_form(self, path: str, **fields: Any) -> Response:
        body = urlencode(fields, doseq=True).encode()
        return self.ask("POST", path, body, {"Content-Type": "application/x-www-form-urlencoded"})

    def translate(self, q: Any, **fields: Any) -> Response:
        return self.post("/translate", {"q": q, "source": "en", "target": "de", **fields})

    def detailed(self, texts: List[str], **fields: Any) -> Response:
        return self.post("/v1/translate", {"texts": texts, "source": "en", "target": "de", **fields})


def connect(url: str) -> http.client.HTTPConnection:
    parts = urlsplit(url)
    return http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=SECONDS)


@contextmanager
def served(translators: List[Translator], settings: Settings = DEFAULTS) -> Iterator[Served]:
    """Context manager: serves translators on a free port."""
    bound = bind("127.0.0.1", 0)
    application = make_application(translators, settings)
    server = uvicorn.Server(configuration(application, settings.limits))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[bound])), daemon=True)
    url = address_of(bound)
    thread.start()
    while not server.started:
        assert thread.is_alive(), "the server did not start"
        thread.join(0.01)
    try:
        yield Served(url, translators[0])
    finally:
        server.should_exit = True
        thread.join(SECONDS)


def make_translator(folder, **options) -> Translator:
    return Translator.from_pretrained(make_model_folder(folder, SEED, **options))


def gate_of(translator: Translator, monkeypatch) -> threading.Event:
    """Returns an open gate for all steps of a translator's searches; while it is closed, no sentence can finish."""
    search, gate = translator.search, threading.Event()

    def gated(options, joining_share):
        made = search(options, joining_share)
        step = made.step

        def gated_step():
            assert gate.wait(SECONDS)
            return step()

        made.step = gated_step
        return made

    monkeypatch.setattr(translator, "search", gated)
    gate.set()
    return gate


def limited(**limits) -> Settings:
    return Settings(Limits(**limits))


def random_texts(count: int, seed: int = 1) -> List[str]:
    generator = random.Random(seed)
    return [" ".join(generator.choices(SOURCE_WORDS, k=generator.randint(1, 9))) for _ in range(count)]
