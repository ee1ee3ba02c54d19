"""Corpus metrics by name. All are sacreBLEU metrics, so its intervals and significance tests can be used."""

from typing import Any, Callable, Dict, List, Sequence

from sacrebleu.metrics import BLEU, CHRF, TER
from sacrebleu.metrics.base import Metric, Score, Signature
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

from gnmt.evaluation.gleu import gleu, ngrams


class GLEUSignature(Signature):
    """Settings of GLEU that change its value."""

    def __init__(self, args: Dict[str, Any]):
        super().__init__(args)
        self.info.update({"case": "mixed", "tok": "13a", "mean": "sentences"})


class GLEU(Metric):
    """Mean GLEU of sentences, from 0 to 100 (Wu et al. 2016, section 5); with several references, the best one counts."""

    _SIGNATURE_TYPE = GLEUSignature

    def __init__(self) -> None:
        super().__init__()
        self._words = Tokenizer13a()

    def _preprocess_segment(self, sent: str) -> str:
        return self._words(sent)

    def _extract_reference_info(self, refs: Sequence[str]) -> Dict[str, Any]:
        return {"ref_ngrams": [ngrams(reference.split()) for reference in refs]}

    def _compute_segment_statistics(self, hypothesis: str, ref_kwargs: Dict[str, Any]) -> List[float]:
        output = ngrams(hypothesis.split())
        return [max(gleu(output, reference) for reference in ref_kwargs["ref_ngrams"]), 1.0]

    def _aggregate_and_compute(self, stats: Sequence[Sequence[float]]) -> Score:
        return self._compute_score_from_stats([sum(column) for column in zip(*stats)])

    def _compute_score_from_stats(self, stats: Sequence[float]) -> Score:
        total, sentences = map(float, stats)
        return Score("GLEU", 100 * total / sentences)


METRICS: Dict[str, Callable[[], Metric]] = {
    "bleu": BLEU,
    "nvidia_bleu": lambda: BLEU(lowercase=True, tokenize="intl"),
    "chrf": CHRF,
    "ter": TER,
    "gleu": GLEU,
}
TITLES = {"bleu": "BLEU", "nvidia_bleu": "BLEU (lc, intl)", "chrf": "chrF2", "ter": "TER", "gleu": "GLEU"}
LOWER_IS_BETTER = ("ter",)
