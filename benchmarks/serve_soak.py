"""Many requests to `gnmt serve` for minutes: every response is compared, and the memory of the server is measured.

    python benchmarks/serve_soak.py MODEL --input test.en --minutes 15 --precision int8

Each client sends one request after the other: a text of one to three sentences to /translate or, with other search options
in a tenth of the requests, to /v1/translate. A twentieth of the requests is disconnected early, and a twentieth is
malformed. Responses are compared with the offline translator. Prints the counts, and the resident memory every half
minute. The memory is constant if its slope over the second half of the time is near 0. Ends with exit code 1 after a
wrong, mixed or lost response.
"""

import argparse
import asyncio
import json
import random
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any, Dict, List, NamedTuple, Tuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the checkout, installed or not

import numpy  # noqa: E402

from benchmarking.http_client import Client  # noqa: E402
from benchmarking.translation_server import RunningServer, ServedModel, running_server, translate_offline  # noqa: E402
from gnmt.commands.process import run_command  # noqa: E402
from gnmt.commands.serve import languages_of  # noqa: E402
from gnmt.files.lines import read_lines  # noqa: E402

CUT = MALFORMED = 1 / 20
OTHER_OPTIONS = 1 / 10  # share of requests with other search options
MALFORMED_BODIES = (b"{", b"[]", b'{"q": 3}', b'{"q": "a", "source": "xx", "target": "yy"}', b"\xff", b'{"q": []}')


class Request(NamedTuple):
    path: str
    body: Dict[str, Any]
    expected: List[str]  # translations of its texts


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, metavar="MODEL", help="model folder")
    parser.add_argument("--input", type=Path, required=True, metavar="FILE", help="sentences, one per line")
    parser.add_argument(
        "--sentences", type=int, default=1000, metavar="N", help="maximum number of sentences of the input"
    )
    parser.add_argument("--minutes", type=float, default=15, metavar="N", help="length of the run")
    parser.add_argument("--clients", type=int, default=64, metavar="N", help="number of clients")
    parser.add_argument("--precision", metavar="P", help="precision of decoding (default: the model's)")
    parser.add_argument("--threads", type=int, metavar="N", help="threads of torch (default: torch's choice)")
    parser.add_argument("--slots", type=int, default=64, metavar="N", help="slots of the server")
    parser.add_argument("--seed", type=int, default=1, metavar="N", help="seed of the random requests")
    parser.add_argument(
        "--every", type=float, default=30, metavar="S", help="seconds between two measurements of the memory"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="file for counts and memory")
    return parser.parse_args()


def draw(generator: random.Random, pairs: List[Tuple[str, str]], languages: Tuple[str, str]) -> Request:
    selection = generator.choices(pairs, k=generator.randint(1, 3))
    texts, expected = ([pair[side] for pair in selection] for side in (0, 1))
    body: Dict[str, Any] = {"source": languages[0], "target": languages[1]}
    if generator.random() < OTHER_OPTIONS:  # nbest 2 has the same best translation, but needs a separate search
        return Request("/v1/translate", {**body, "texts": texts, "nbest": 2}, expected)
    return Request("/translate", {**body, "q": texts}, expected)


async def client(
    url: str, number: int, seed: int, pairs, languages, end: float, counts: Counter, failures: List[Any]
) -> None:
    generator = random.Random(1000 * seed + number)
    connection = Client(url)
    while time.monotonic() < end:
        request = draw(generator, pairs, languages)
        kind = generator.random()
        try:
            if kind < CUT:
                await connection.send(request.path, json.dumps(request.body).encode("utf-8"))
                await asyncio.sleep(generator.random() * 0.2)
                connection.close()
                counts["cut off"] += 1
            elif kind < CUT + MALFORMED:
                status, _ = await connection.post_bytes(request.path, generator.choice(MALFORMED_BODIES))
                counts[f"malformed, answered with {status}"] += 1
                if status != 400:
                    failures.append(["malformed", status])
            else:
                status, answer = await connection.post(request.path, request.body)
                counts[f"answered with {status}"] += 1
                translations = (
                    [translation["text"] for translation in answer["translations"]]
                    if "translations" in answer
                    else answer.get("translatedText")
                )
                if status != 200 or translations != request.expected:
                    failures.append([request.body, status, answer])
        except (OSError, EOFError, IndexError) as error:
            counts["lost"] += 1
            failures.append([request.body, repr(error)])
            connection.close()
    connection.close()


async def watch(
    server: RunningServer, start: float, end: float, interval: float, memory: List[Tuple[float, float]], counts
) -> None:
    while (now := time.monotonic()) < end:
        memory.append((now - start, server.resident_mib()))
        print(f"{memory[-1][0]:6.0f} s  {memory[-1][1]:7.1f} MiB  {sum(counts.values())} requests", flush=True)
        await asyncio.sleep(min(interval, max(0.0, end - now)))
    memory.append((time.monotonic() - start, server.resident_mib()))


def growth(memory: List[Tuple[float, float]]) -> float:
    """Returns the slope over the second half of the time, in MiB per hour."""
    second_half = [measurement for measurement in memory if measurement[0] >= memory[-1][0] / 2]
    seconds, sizes = (numpy.array(column) for column in zip(*second_half))
    return float(numpy.polyfit(seconds, sizes, 1)[0]) * 3600 if len(second_half) > 1 else 0.0


async def soak(server: RunningServer, options, pairs, languages):
    start = time.monotonic()
    end = start + 60 * options.minutes
    counts: Counter = Counter()
    failures: List[Any] = []
    memory: List[Tuple[float, float]] = []
    clients = (
        client(server.url, number, options.seed, pairs, languages, end, counts, failures)
        for number in range(options.clients)
    )
    await asyncio.gather(watch(server, start, end, options.every, memory, counts), *clients)
    return counts, failures, memory


def main() -> None:
    options = parse_options()
    sentences = [line.strip() for line in read_lines(options.input) if line.strip()][: options.sentences]
    served = ServedModel(options.model, options.precision, options.threads, options.slots)
    expected, _ = translate_offline(served, sentences, 1)
    pairs = list(zip(sentences, expected))
    with running_server(served) as server:
        counts, failures, memory = asyncio.run(soak(server, options, pairs, languages_of(options.model)))
    for name, count in sorted(counts.items()):
        print(f"{count:8}  {name}")
    print(
        f"{sum(counts.values()):8}  requests in all, {len(failures)} wrong; memory {growth(memory):+.1f} MiB an hour in the second half"
    )
    if options.json:
        report = {"counts": counts, "wrong": failures[:20], "memory": memory, "growth_mib_per_hour": growth(memory)}
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    if failures:
        sys.exit(
            f"error: {len(failures)} answers are wrong; the first: {json.dumps(failures[0], ensure_ascii=False)[:500]}"
        )


if __name__ == "__main__":
    run_command(main)
