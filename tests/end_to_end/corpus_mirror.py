"""A local web server for small archives, which can simulate failures."""

import gzip
import io
import random
import re
import tarfile
import threading
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Dict, Iterator, List, Optional, Tuple

SUBJECTS = [("the dog", "der Hund"), ("a cat", "eine Katze"), ("the child", "das Kind"), ("my friend", "mein Freund")]
VERBS = [("sees", "sieht"), ("finds", "findet"), ("likes", "mag"), ("paints", "malt"), ("needs", "braucht")]
OBJECTS = [
    ("the house", "das Haus"),
    ("a tree", "einen Baum"),
    ("the old bridge", "die alte Brücke"),
    ("bread", "Brot"),
]
PLACES = [("today", "heute"), ("in the town", "in der Stadt"), ("at the river", "am Fluss"), ("again", "wieder")]


def sentence_pairs(count: int, seed: int) -> List[Tuple[str, str]]:
    """Returns English and German sentences from a few words, determined by the seed."""
    choose = random.Random(seed)
    pairs = []
    for number in range(count):
        parts = [choose.choice(words) for words in (SUBJECTS, VERBS, OBJECTS, PLACES)]
        english, german = (" ".join(side) for side in zip(*parts))
        pairs.append((f"{english} , number {number} .", f"{german} , Nummer {number} ."))
    return pairs


def tar_gz(members: Dict[str, bytes]) -> bytes:
    """Returns a .tgz archive of the given files."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        for name, content in members.items():
            entry = tarfile.TarInfo(name)
            entry.size = len(content)
            archive.addfile(entry, io.BytesIO(content))
    return buffer.getvalue()


def gz(content: bytes) -> bytes:
    return gzip.compress(content, mtime=0)


class Mirror:
    """State of the server: files, simulated failures and received requests."""

    def __init__(self, files: Dict[str, bytes]) -> None:
        self.files = files  # path in the address -> content
        self.served_once: Dict[str, bytes] = {}  # replaces the true content in one request
        self.cut_once: Dict[str, int] = {}  # one request is cut after this number of bytes
        self.ends_at: Dict[str, int] = {}  # every connection is closed at this byte of the file
        self.knows_ranges = True
        self.requests: List[Tuple[str, Optional[str]]] = []  # path, Range header
        self.address = ""

    def asked_for(self, path: str) -> List[Optional[str]]:
        """Returns the Range headers of all requests for a path."""
        return [requested_range for requested, requested_range in self.requests if requested == path]


@contextmanager
def serve(files: Dict[str, bytes]) -> Iterator[Mirror]:
    """Context manager: a running server."""
    mirror = Mirror(files)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requested_range = self.headers.get("Range")
            mirror.requests.append((self.path, requested_range))
            if self.path not in mirror.files:
                self.send_error(404)
                return
            content = mirror.served_once.pop(self.path, mirror.files[self.path])
            start = (
                int(re.fullmatch(r"bytes=(\d+)-", requested_range)[1]) if requested_range and mirror.knows_ranges else 0
            )
            if start >= len(content) > 0:
                self.send_response(416)
                self.send_header("Content-Range", f"bytes */{len(content)}")
                self.send_header("Content-Length", "0")
                self.end_headers()
                return
            self.send_response(206 if start else 200)
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            stop = min(
                mirror.ends_at.get(self.path, len(content)), start + mirror.cut_once.pop(self.path, len(content))
            )
            self.wfile.write(content[start:stop])

        def log_message(self, *_: object) -> None:
            """Logs nothing, since requests are recorded in `mirror.requests`."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    mirror.address = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield mirror
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
