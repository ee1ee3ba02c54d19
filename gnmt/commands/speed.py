"""Measurement of the speed and the memory of a model folder."""

import random
import statistics
import time
from functools import partial
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Sequence

LOADS = 3
SEED = 1
LENGTHS = (5, 40)  # tokens of a random sentence
PERCENT_OF_LATENCY = 95
MIB = 1 << 20


class Workload(NamedTuple):
    """Settings of one measurement."""

    model: Path
    precision: Optional[str]  # None: the model's own
    device: str
    threads: Optional[int]  # None: torch's setting
    lines: Sequence[str]  # text to translate; empty for random sentences
    sentences: int  # number of random sentences
    beam: Optional[int]  # None: the model's own
    batch_size: int
    repetitions: int
    single: int  # number of sentences translated one by one


def measure(workload: Workload) -> Dict[str, Any]:
    """Measures in this process, which should be new, because its peak memory is measured.

    Each measurement follows a warm-up and is repeated; medians are returned.

    Returns:
        Settings and figures by name.
    """
    from gnmt.translator import Translator

    def load() -> Translator:
        return Translator.from_pretrained(
            workload.model, precision=workload.precision, threads=workload.threads, device=workload.device
        )

    load_seconds = [_seconds(load) for _ in range(LOADS)]
    translator = load()
    lines = list(workload.lines) or random_lines(translator, workload.sentences)

    def translate(texts: Sequence[str]) -> List[Any]:
        return translator.translate(texts, beam=workload.beam, batch_size=workload.batch_size)

    translate(lines[: workload.batch_size])  # warm-up
    batch_seconds = [_seconds(lambda: translate(lines)) for _ in range(workload.repetitions)]
    translated = translate(lines)
    singles = [line for line in lines if line.strip()][: workload.single]
    latencies, steps = _one_by_one(translate, singles, workload.repetitions)
    return {
        **_settings(workload, translator, translated),
        "load_seconds": statistics.median(load_seconds),
        "sentences_per_second": len(lines) / statistics.median(batch_seconds),
        "seconds": batch_seconds,
        "latency_ms": 1000 * statistics.median(latencies),
        f"latency_ms_p{PERCENT_OF_LATENCY}": 1000 * _percentile(latencies, PERCENT_OF_LATENCY),
        "ms_per_step": 1000 * sum(latencies) / steps,
        "peak_memory_mib": peak_mebibytes(),
    }


def _settings(workload: Workload, translator, translated: Sequence[Any]) -> Dict[str, Any]:
    import torch

    return {
        "precision": translator.precision,
        "device": workload.device,
        "threads": torch.get_num_threads(),
        "batch_size": workload.batch_size,
        "beam": workload.beam or translator.model.generation.num_beams,
        "sentences": len(translated),
        "source_tokens": sum(len(part.source_tokens) for translation in translated for part in translation.sentences),
        "target_tokens": sum(len(translation.tokens) for translation in translated),
    }


def random_lines(translator, count: int) -> List[str]:
    """Returns sentences of random tokens, equal in every run.

    Args:
        translator: its source vocabulary contains the tokens.
        count: number of sentences.
    """
    generator = random.Random(SEED)
    words = translator.model.source_vocabulary.words
    sentences = [generator.choices(words, k=generator.randint(*LENGTHS)) for _ in range(count)]
    return [translator.model.tokenizers.source.decode(tokens) or words[0] for tokens in sentences]


def _one_by_one(translate: Callable[[Sequence[str]], List[Any]], lines: Sequence[str], repetitions: int):
    """Returns the median seconds of each line, and the number of steps of all lines, including EOS.

    Args:
        translate: translates a list of lines.
        lines: lines to translate.
        repetitions: number of repetitions.
    """
    latencies, steps = [], 0
    translate(lines[:1])  # warm-up
    for line in lines:
        latencies.append(statistics.median(_seconds(partial(translate, [line])) for _ in range(repetitions)))
        steps += len(translate([line])[0].tokens) + 1
    return latencies, steps


def _seconds(action: Callable[[], Any]) -> float:
    start = time.perf_counter()
    action()
    return time.perf_counter() - start


def _percentile(values: Sequence[float], percent: int) -> float:
    import numpy

    return float(numpy.percentile(values, percent))


def peak_mebibytes() -> float:
    """Returns the peak memory of this process in MiB: on the GPU if it uses one, otherwise resident memory."""
    import resource
    import sys

    import torch

    if torch.cuda.is_initialized():
        return torch.cuda.max_memory_allocated() / MIB
    status = Path("/proc/self/status")  # getrusage on Linux includes the parent process
    if status.exists():
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) * 1024 / MIB
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024) / MIB
