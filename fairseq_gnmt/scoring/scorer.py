"""`--scoring gnmt_bleu`: BLEU by two conventions, each with its signature."""

from dataclasses import dataclass

from fairseq.dataclass import FairseqDataclass
from fairseq.scoring import BaseScorer, register_scorer

from gnmt.evaluation.bleu import corpus_bleu, report


@dataclass
class GNMTBleuConfig(FairseqDataclass):
    """Configuration of `--scoring gnmt_bleu`, without options: each signature defines one way of counting."""


@register_scorer("gnmt_bleu", dataclass=GNMTBleuConfig)
class GNMTBleuScorer(BaseScorer):
    """BLEU scores with signatures, which `fairseq-generate --scoring gnmt_bleu` prints last.

    fairseq's `sacrebleu` scorer prints no signature. fairseq writes an unknown word in a reference as `<<unk>>`, which
    never matches `<unk>`. Both are scored unchanged.
    """

    def score(self) -> float:
        """Returns BLEU (0 to 100) with sacreBLEU's defaults."""
        return corpus_bleu(self.pred, self.ref)[0].score

    def result_string(self) -> str:
        return report(self.pred, self.ref)
