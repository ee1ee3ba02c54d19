"""Limits of the server. Each is declared once with default, range and help, for the command line and the documentation."""

import time
from dataclasses import dataclass
from typing import Callable, Dict

from gnmt.ranges import Range, check_ranges, option
from gnmt.serving.refusals import Refusal, bad_request, too_large, unavailable

BYTES_PER_CHARACTER = 12  # in JSON: a character outside the basic plane takes two escapes \uXXXX
BODY_OVERHEAD = 65536  # bytes for the other fields of a request
REMEMBERED_CLIENTS = 10_000


@dataclass(frozen=True)
class Limits:
    """Limits on requests.

    Raises:
        UserError: if a limit is outside its range.
    """

    char_limit: int = option(5000, Range(1), "characters of the texts of a request, HTML tags included")
    batch_limit: int = option(100, Range(1), "texts of a request")
    sentence_limit: int = option(1000, Range(1), "sentences of a request")
    beam_limit: int = option(10, Range(1, 1000), "maximum beam of a request; also limits alternatives")
    file_limit: int = option(500_000, Range(1), "bytes of a file for /translate_file")
    file_char_limit: int = option(100_000, Range(1), "characters of a file for /translate_file")
    requests_per_minute: float = option(0, Range(0, 1e6, off=True), "requests of a client in a minute; 0: no limit")
    queue_limit: int = option(50_000, Range(1), "tokens that may wait for translation")
    deadline: float = option(60, Range(0, 86_400, above=True), "seconds until a request is cancelled")
    connection_limit: int = option(1000, Range(1, 1_000_000), "connections at the same time")
    shutdown_deadline: float = option(30, Range(0, 86_400), "seconds that running requests have after SIGTERM")

    def __post_init__(self):
        check_ranges(Limits, self)

    @property
    def body_bytes(self) -> int:
        """Maximum size of a request's body in bytes."""
        return max(BYTES_PER_CHARACTER * self.char_limit, self.file_limit) + BODY_OVERHEAD

    def check_texts(self, texts: list) -> None:
        """Raises Refusal for too many texts or characters."""
        if not texts:
            raise bad_request("There is no text: send at least one.")
        if len(texts) > self.batch_limit:
            raise too_large(
                f"The request has {len(texts)} texts, but at most {self.batch_limit} are allowed: send fewer."
            )
        characters = sum(map(len, texts))
        if characters > self.char_limit:
            raise too_large(
                f"The request has {characters} characters, but at most {self.char_limit} are allowed: send less text."
            )

    def check_prefixes(self, prefixes: list) -> None:
        """Raises Refusal for prefixes with too many characters."""
        characters = sum(map(len, prefixes))
        if characters > self.char_limit:
            raise too_large(f"The prefixes have {characters} characters, but at most {self.char_limit} are allowed.")

    def check_sentences(self, count: int) -> None:
        """Raises Refusal for too many sentences."""
        if count > self.sentence_limit:
            raise too_large(
                f"The request has {count} sentences, but at most {self.sentence_limit} are allowed: send less text."
            )

    def check_beam(self, beam: int, name: str = "beam") -> None:
        """Raises Refusal for a beam, or a number of alternatives, that is too large.

        Args:
            beam: beam size, or number of alternatives.
            name: field of the request, for the message.
        """
        if beam > self.beam_limit:
            raise bad_request(f"{name} is {beam}, but must be at most {self.beam_limit}.")

    def large_body(self) -> Refusal:
        """Returns the refusal of a body that is larger than any request within the other limits."""
        return too_large(
            f"The body has more than {self.body_bytes} bytes: send texts of at most {self.char_limit} characters, or a "
            f"file of at most {self.file_limit} bytes."
        )

    def late(self) -> Refusal:
        """Returns the refusal of a request after its deadline."""
        return unavailable(
            "deadline", f"The translation took more than {self.deadline:g} seconds: send less text or try later.", 5
        )


class RateLimiter:
    """Limits the request rate of each client, with bursts of up to one minute's requests.

    Generic cell rate algorithm (GCRA, ITU-T I.371): the state of a client is the time of its next full allowance.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._whole_again: Dict[str, float] = {}

    def check(self, client: str, per_minute: float) -> None:
        """Counts a request.

        Args:
            client: name of a key, or network address.
            per_minute: maximum number of requests per minute; 0 means no limit.

        Raises:
            Refusal: if the client has sent too many requests; this request is not counted.
        """
        if not per_minute:
            return
        now = self._clock()
        whole_again = max(now, self._whole_again.get(client, now)) + 60 / per_minute
        excess = whole_again - now - max(60, 60 / per_minute)
        if excess > 1e-9:
            raise Refusal(
                429,
                "rate",
                f"More than {per_minute:g} requests in a minute: try again in {excess:.0f} seconds.",
                excess,
            )
        if len(self._whole_again) >= REMEMBERED_CLIENTS:
            self._whole_again = {name: when for name, when in self._whole_again.items() if when > now}
        self._whole_again[client] = whole_again
