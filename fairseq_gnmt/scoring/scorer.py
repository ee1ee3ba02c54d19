"""`--scoring gnmt_bleu`: BLEU with its signature, twice."""

from dataclasses import dataclass

from fairseq.dataclass import FairseqDataclass
from fairseq.scoring import BaseScorer, register_scorer

from gnmt.evaluation.bleu import corpus_bleu, report


@dataclass
class GNMTBleuConfig(FairseqDataclass):
    """`--scoring gnmt_bleu` has no options: a signature stands for one way of counting."""


@register_scorer("gnmt_bleu", dataclass=GNMTBleuConfig)
class GNMTBleuScorer(BaseScorer):
    """Scores that `fairseq-generate --scoring gnmt_bleu` prints last; the stock `sacrebleu` scorer shows no signature.

    fairseq escapes an unknown word in a reference as `<<unk>>`, so that it never matches `<unk>`; both count as they are.
    """

    def score(self) -> float:
        """BLEU (0 to 100) with sacreBLEU's defaults."""
        return corpus_bleu(self.pred, self.ref)[0].score

    def result_string(self) -> str:
        return report(self.pred, self.ref)
