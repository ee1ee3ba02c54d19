"""Checks before the measurement: contenders with the same network must find the same translations."""

from typing import Dict, List, Sequence

from tqdm import tqdm

from benchmarking.alternation import Worker
from benchmarking.workload import Batch, Sentence
from gnmt.errors import UserError

# Share of the first batch that may differ: rounding decides between two words of nearly equal probability.
TIES = 0.05
OURS = "ours fp32"
GREEDY = 1

Translations = List[List[Sentence]]  # [batch][sentence], without EOS tokens


class TranslationChecks:
    """Check that is called with the workers; returns their translations, and stores its results in `sentences`."""

    def __init__(self, batches: Sequence[Batch], beam: int, forced: bool, other_networks: Sequence[str]):
        self.batches, self.beam, self.forced = batches, beam, forced
        self.other_networks = other_networks
        self.sentences: List[str] = []

    def __call__(self, workers: List[Worker]) -> Dict[str, Translations]:
        ours = next((worker for worker in workers if worker.name == OURS), None)
        for worker in workers:
            name, _, precision = worker.name.partition(" ")
            if worker.name == OURS:
                continue
            if name in self.other_networks:
                self.sentences.append(f"{worker.name}: another network, so its translations are not compared.")
            elif ours is not None and name != "ours" and precision in ("", "fp32"):
                # NVIDIA's search has another end condition, so all searches agree only with beam 1.
                self._compare(ours, worker, GREEDY if name == "nvidia" else self.beam)
        return {worker.name: self._translate(worker) for worker in workers}

    def _compare(self, ours: Worker, other: Worker, beam: int) -> None:
        """Compares translations by log-probability, which all searches support. Raises UserError if they differ.

        Args:
            ours: worker of our network.
            other: worker to compare.
            beam: beam size.
        """
        expected, actual = (worker.call("unnormalised", 0, beam) for worker in (ours, other))
        equal_count = sum(same_words(first, second) for first, second in zip(expected, actual))
        if len(expected) != len(actual) or len(expected) - equal_count > TIES * len(expected):
            raise UserError(
                f"{other.name} translates only {equal_count} of the {len(expected)} sentences of the first batch as our network "
                f"does, by log-probability with beam {beam}: the benchmark would compare nothing."
            )
        self.sentences.append(
            f"{other.name}: the same translations as ours, by log-probability with beam {beam}, for {equal_count} of "
            f"{len(expected)} sentences of the first batch."
        )

    def _translate(self, worker: Worker) -> Translations:
        numbers = tqdm(range(len(self.batches)), desc=worker.name, unit="batch")
        translations = [worker.call("run", number) for number in numbers]
        if self.forced:
            for batch, sentences in zip(self.batches, translations):
                check_steps(worker.name, batch, sentences)
        return translations


def same_words(first: Sentence, second: Sentence) -> bool:
    """Returns True for equal words. At a length limit, NVIDIA's search emits a last word and ours is forced to EOS."""
    shared = min(len(first), len(second))
    return abs(len(first) - len(second)) <= 1 and first[:shared] == second[:shared]


def check_steps(name: str, batch: Batch, translations: List[Sentence]) -> None:
    """Raises UserError unless each translation has a word for every step; the last word may be EOS.

    Args:
        name: name of the contender.
        batch: batch with the number of steps.
        translations: translations of the batch.
    """
    steps = batch.longest_target
    lengths = sorted({len(translation) for translation in translations})
    if len(translations) != len(batch.sources) or not set(lengths) <= {steps - 1, steps}:
        raise UserError(
            f"{name} was to take {steps} steps, but its {len(translations)} translations have {lengths} words."
        )
