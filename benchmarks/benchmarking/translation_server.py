"""Server process of a measurement, and the expected translations."""

import multiprocessing
import signal
import subprocess
import sys
import time
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Iterator, List, NamedTuple, Optional, Sequence, Tuple

from gnmt.errors import UserError

READY = "ready: "
STOPPING_SECONDS = 60


class ServedModel(NamedTuple):
    """Settings of a server."""

    model: Path
    precision: Optional[str]
    threads: Optional[int]
    slots: int

    def options(self) -> List[str]:
        options = {"--precision": self.precision, "--threads": self.threads, "--slots": self.slots}
        return [str(part) for name, value in options.items() if value is not None for part in (name, value)]


class RunningServer(NamedTuple):
    url: str
    process: subprocess.Popen

    def resident_mib(self) -> float:
        """Returns the resident memory of the process."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * 4096 / (1 << 20)


@contextmanager
def running_server(served: ServedModel) -> Iterator[RunningServer]:
    """Starts `gnmt serve` on a free port, and ends it."""
    command = [sys.executable, "-m", "gnmt", "serve", str(served.model), "--port", "0", *served.options()]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, encoding="utf-8")
    assert process.stderr is not None
    try:
        line = process.stderr.readline()
        if not line.startswith(READY):
            raise UserError(f"The server has not started: {line.strip()}")
        yield RunningServer(line.removeprefix(READY).strip(), process)
    finally:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(STOPPING_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
        process.stderr.close()


def translate_offline(served: ServedModel, sentences: Sequence[str], repetitions: int) -> Tuple[List[str], List[float]]:
    """Returns the translations of the offline translator, and the seconds of each repetition after a warm-up.

    Runs in a fresh process, which ends before the server starts.

    Args:
        served: model and its options.
        sentences: sentences to translate.
        repetitions: number of measured repetitions.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as pool:
        return pool.submit(_translate, served, list(sentences), repetitions).result()


def _translate(served: ServedModel, sentences: List[str], repetitions: int) -> Tuple[List[str], List[float]]:
    from gnmt.translator import Translator

    translator = Translator.from_pretrained(served.model, precision=served.precision, threads=served.threads)
    translator.translate(sentences[: served.slots], split_sentences=True)
    seconds = []
    for _ in range(repetitions):
        start = time.perf_counter()
        translations = translator.translate(sentences, split_sentences=True, batch_size=served.slots)
        seconds.append(time.perf_counter() - start)
    return [translation.text for translation in translations], seconds
