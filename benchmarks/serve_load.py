"""Throughput and latency of `gnmt serve` on loopback, against the offline translator and one request at a time.

    python benchmarks/serve_load.py MODEL --input test.en --json load.json
    python benchmarks/serve_load.py MODEL --input test.en --precision int8 --threads 1 --clients 1 64

Each client sends one sentence, waits for its translation, and sends the next one. Every sentence is translated once in
each repetition. Client and server share the processors. Figures are medians of the repetitions; latencies are of all
repetitions together. Every translation is compared with the offline translation. The offline translator has the same
sentences, precision, threads and batch size, in a process that ends before the server starts.
"""

import argparse
import asyncio
import json
import sys
import time
from pathlib import Path
from typing import Any, Dict, List, Sequence, Tuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the checkout, installed or not

from benchmarking.figures import percentiles, spread  # noqa: E402
from benchmarking.http_client import Client  # noqa: E402
from benchmarking.translation_server import ServedModel, running_server, translate_offline  # noqa: E402
from gnmt.commands.bench import machine  # noqa: E402
from gnmt.commands.process import run_command  # noqa: E402
from gnmt.commands.report import markdown_table  # noqa: E402
from gnmt.commands.serve import languages_of  # noqa: E402
from gnmt.errors import UserError  # noqa: E402
from gnmt.files.lines import read_lines  # noqa: E402


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model", type=Path, metavar="MODEL", help="model folder")
    parser.add_argument("--input", type=Path, required=True, metavar="FILE", help="sentences, one per line")
    parser.add_argument(
        "--sentences", type=int, default=512, metavar="N", help="maximum number of sentences of the input"
    )
    parser.add_argument("--clients", type=int, nargs="+", default=[1, 16, 64], metavar="N", help="numbers of clients")
    parser.add_argument("--precision", metavar="P", help="precision of decoding (default: the model's)")
    parser.add_argument("--threads", type=int, metavar="N", help="threads of torch (default: torch's choice)")
    parser.add_argument("--slots", type=int, default=64, metavar="N", help="slots of the server, offline batch size")
    parser.add_argument("--repetitions", type=int, default=3, metavar="N", help="repetitions of each measurement")
    parser.add_argument("--json", type=Path, metavar="FILE", help="file for all figures")
    return parser.parse_args()


async def load(url: str, sentences: Sequence[str], languages: Tuple[str, str], clients: int):
    """Sends all sentences from `clients` clients; returns translations, latencies and the total seconds.

    Args:
        url: address of the server.
        sentences: sentences, one per request.
        languages: source and target language.
        clients: number of clients that send requests at the same time.
    """
    waiting = list(enumerate(sentences))[::-1]
    translations: List[str] = [""] * len(sentences)
    latencies: List[float] = []
    source, target = languages

    async def work() -> None:
        client = Client(url)
        while waiting:
            index, sentence = waiting.pop()
            start = time.perf_counter()
            status, answer = await client.post("/translate", {"q": sentence, "source": source, "target": target})
            latencies.append(time.perf_counter() - start)
            translations[index] = answer["translatedText"] if status == 200 else f"{status}: {answer}"
        client.close()

    start = time.perf_counter()
    await asyncio.gather(*(work() for _ in range(clients)))
    return translations, latencies, time.perf_counter() - start


def measure(
    url: str, sentences: List[str], languages: Tuple[str, str], expected: List[str], clients: int, repetitions: int
) -> Dict[str, Any]:
    asyncio.run(load(url, sentences[: 2 * clients], languages, clients))  # warm-up
    seconds, latencies, difference_count = [], [], 0
    for _ in range(repetitions):
        translations, run_latencies, elapsed = asyncio.run(load(url, sentences, languages, clients))
        seconds.append(elapsed)
        latencies += run_latencies
        difference_count += sum(first != second for first, second in zip(translations, expected))
    rate = spread(seconds).rate(len(sentences))
    milliseconds = {name: 1000 * value for name, value in percentiles(latencies).items()}
    return {
        "clients": clients,
        "sentences_per_second": list(rate),
        "latency_ms": milliseconds,
        "different": difference_count,
    }


def main() -> None:
    options = parse_options()
    sentences = [line.strip() for line in read_lines(options.input) if line.strip()][: options.sentences]
    if not sentences:
        raise UserError(f"{options.input} has blank lines only: give some text.")
    served = ServedModel(options.model, options.precision, options.threads, options.slots)
    languages = languages_of(options.model)
    expected, seconds = translate_offline(served, sentences, options.repetitions)
    offline = spread(seconds).rate(len(sentences))
    with running_server(served) as server:
        measured = [
            measure(server.url, sentences, languages, expected, clients, options.repetitions)
            for clients in options.clients
        ]
    single_client = next((result["sentences_per_second"][0] for result in measured if result["clients"] == 1), None)
    rows = []
    for result in measured:
        median, minimum, maximum = result["sentences_per_second"]
        latency = result["latency_ms"]
        rows.append({
            "clients": str(result["clients"]), "sentences/s": f"{median:.1f} ({minimum:.1f} - {maximum:.1f})",
            "of offline": f"{median / offline.median:.2f}", "of one client": f"{median / single_client:.1f}" if single_client else "",
            "p50, ms": f"{latency['p50']:.0f}", "p95, ms": f"{latency['p95']:.0f}", "p99, ms": f"{latency['p99']:.0f}",
            "different": str(result["different"]),
        })  # fmt: skip
    settings = machine()
    print(
        f"{options.model.name}: {len(sentences)} sentences, precision {options.precision or 'of the model'}, "
        f"{options.threads or 'default'} threads, {options.slots} slots; {settings['processor']}, torch {settings['torch']}\n"
        f"offline: {offline:.1f} sentences/s\n\n{markdown_table(rows)}"
    )
    if options.json:
        report = {**settings, "model": options.model.name, "precision": options.precision, "threads": options.threads,
                  "slots": options.slots, "sentences": len(sentences), "offline": list(offline), "measured": measured}  # fmt: skip
        options.json.write_text(json.dumps(report, indent=1) + "\n", encoding="utf-8")
    if any(result["different"] for result in measured):
        sys.exit("error: some translations differ from the translations of the offline translator")


if __name__ == "__main__":
    run_command(main)
