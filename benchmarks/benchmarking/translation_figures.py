"""Conversion of translations and their times to the rows of a table."""

from typing import Any, Dict, List, Optional, Sequence, Tuple

import torch

from benchmarking.contenders.setting import Setting
from benchmarking.figures import percentiles
from benchmarking.operations import translation_operations
from gnmt.commands.report import ABSENT
from benchmarking.session import Measured
from benchmarking.workload import Sentence
from gnmt.evaluation.bleu import corpus_bleu


class TranslationFigures:
    """Figures of a benchmark of translation; `measured.checked` contains the translations."""

    def __init__(
        self,
        measured: Measured,
        setting: Setting,
        other_networks: Sequence[str],
        post_process: Optional[str],
        references: Optional[List[str]],
    ):
        self.measured, self.setting = measured, setting
        self.other_networks = other_networks
        self.post_process = post_process
        self.sentences = sum(len(batch.sources) for batch in setting.batches)
        self.scores: Dict[str, Tuple[float, str]] = {}
        if not setting.forced:
            references = references or self._references()
            self.scores = {name: self._bleu(name, references) for name in measured.names}

    def rows(self) -> List[Dict[str, str]]:
        return [self._row(name) for name in self.measured.names]

    def notes(self) -> List[str]:
        """Returns the signatures of BLEU, and the number of sentences in the latency."""
        signatures = sorted({signature for _, signature in self.scores.values()})
        notes = [f"BLEU: sacreBLEU {signature}." for signature in signatures]
        if self._single():
            samples = len(self._latencies(self.measured.names[0]))
            notes.append(f"Latency: of {samples} translations of {self.sentences} sentences, one at a time.")
        return notes

    def as_json(self) -> Dict[str, Any]:
        names = self.measured.names
        return {
            "latency_ms": {name: percentiles(self._latencies(name)) for name in names} if self._single() else None,
            "bleu": {
                name: {"score": score, "signature": signature} for name, (score, signature) in self.scores.items()
            },
            "target_tokens": {name: self._target_tokens(name) for name in names},
            "steps": self._steps() if self.setting.forced else None,
        }

    def _row(self, name: str) -> Dict[str, str]:
        total, base = self.measured.total(name), self.measured.names[0]
        target = self._target_tokens(name)
        tokens = target + sum(batch.source_tokens for batch in self.setting.batches)
        row = {
            "contender": name,
            "sentences/s": f"{total.rate(self.sentences):.1f}",
            "ms per step": f"{total.divided(self._steps() / 1000):.1f}" if self.setting.forced else ABSENT,
            "target tokens/s": f"{total.rate(target):.0f}",
            "source + target tokens/s": f"{total.rate(tokens):.0f}",
        }
        if self._single():
            row.update({f"{key} ms": f"{value:.1f}" for key, value in percentiles(self._latencies(name)).items()})
        row["% of peak"] = self._share_of_peak(name)
        row["peak memory MiB"] = f"{self.measured.peaks[name]:.0f}"
        row["BLEU"] = f"{self.scores[name][0]:.2f}" if name in self.scores else ABSENT
        row[f"time / {base}"] = ABSENT if name == base else f"{self.measured.ratio(name, base):.2f}"
        return row

    def _share_of_peak(self, name: str) -> str:
        """Returns the share of the peak; only if the number of steps is known, and for GNMT's network."""
        if not self.setting.forced or name.split()[0] in self.other_networks:
            return ABSENT
        operations = translation_operations(self.setting.size, self.setting.batches, self.setting.search.beam)
        return f"{100 * self.measured.share_of_peak(name, operations):.1f}"

    def _steps(self) -> int:
        return sum(batch.longest_target for batch in self.setting.batches)

    def _target_tokens(self, name: str) -> int:
        """Returns the number of tokens of the best translations with EOS, or of all steps if they are forced."""
        if self.setting.forced:
            return sum(len(batch.sources) * batch.longest_target for batch in self.setting.batches)
        return sum(len(sentence) + 1 for batch in self.measured.checked[name] for sentence in batch)

    def _single(self) -> bool:
        return all(len(batch.sources) == 1 for batch in self.setting.batches)

    def _latencies(self, name: str) -> List[float]:
        """Returns the milliseconds of each sentence in each repetition."""
        return [1000 * seconds for repetition in self.measured.seconds[name] for seconds in repetition]

    def _bleu(self, name: str, references: List[str]) -> Tuple[float, str]:
        hypotheses = self._in_order(self.measured.checked[name], escape_unknown=False)
        numbers = sorted(number for batch in self.setting.batches for number in batch.numbers)
        score, signature = corpus_bleu(hypotheses, [references[number] for number in numbers])
        return score.score, signature

    def _references(self) -> List[str]:
        targets = [batch.targets for batch in self.setting.batches]
        texts = iter(self._in_order(targets, escape_unknown=True))
        numbers = sorted(number for batch in self.setting.batches for number in batch.numbers)
        text_by_number = dict(zip(numbers, texts))
        return [text_by_number.get(number, "") for number in range(numbers[-1] + 1)]

    def _in_order(self, batches: Sequence[List[Sentence]], escape_unknown: bool) -> List[str]:
        """Returns detokenised text in the order of the data set, in the form in which fairseq-generate prints it.

        Args:
            batches: translations of each batch.
            escape_unknown: mark unknown words as in references.
        """
        numbered_sentences = [
            (number, sentence)
            for batch, sentences in zip(self.setting.batches, batches)
            for number, sentence in zip(batch.numbers, sentences)
        ]
        string = self.setting.dictionary.string
        return [
            string(torch.tensor(sentence, dtype=torch.long), self.post_process, escape_unk=escape_unknown)
            for _, sentence in sorted(numbered_sentences, key=lambda pair: pair[0])
        ]
