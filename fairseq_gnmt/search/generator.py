"""GNMT's beam search with the interface of fairseq's generators."""

from typing import Any, Dict, List, Optional, Sequence

from torch import Tensor

from fairseq_gnmt.models.gnmt import GNMTModel
from fairseq_gnmt.search.alignment import Alignment
from gnmt.search.beam_rules import BeamSearchRules
from gnmt.search.beam_search import translate_batch
from gnmt.search.ensemble import Ensemble
from gnmt.search.options import SearchOptions
from gnmt.search.results import Hypothesis
from gnmt.search.token_selection import SpecialTokens


class GNMTGenerator:
    """Translates fairseq's batches; called by fairseq-generate, fairseq-interactive and the hub."""

    def __init__(
        self,
        models: Sequence[GNMTModel],
        dictionary,
        options: SearchOptions,
        soft_alignment: bool = False,
        precision: Optional[str] = None,
        source_bos: bool = False,
    ):
        """Prepares a search.

        Args:
            models: one model, or an ensemble.
            dictionary: target dictionary.
            options: options of the search.
            soft_alignment: print attention weights instead of pairs of positions.
            precision: precision of decoding; None means the models' own.
            source_bos: sources and decoding begin with BOS (NVIDIA); otherwise decoding begins with EOS (fairseq).
        """
        self.models = list(models)
        self.pad = dictionary.pad()
        self.symbols_to_strip_from_output = {dictionary.eos()}
        self.soft_alignment = soft_alignment
        self.source_bos = int(source_bos)
        special = SpecialTokens(
            dictionary.pad(),
            dictionary.eos(),
            dictionary.unk(),
            decoder_start=dictionary.bos() if source_bos else dictionary.eos(),
            source_bos=self.source_bos,
        )
        self.ensemble = Ensemble(self.models, options.temperature, precision)
        self.rules = BeamSearchRules(special, options)

    def generate(
        self,
        models: Sequence[GNMTModel],
        sample: Dict[str, Any],
        prefix_tokens: Optional[Tensor] = None,
        constraints: Optional[Tensor] = None,
    ) -> List[List[Dict[str, Any]]]:
        """Returns the n-best hypotheses of every sentence of the batch, best first.

        A hypothesis has tokens (T,), including EOS, score (natural logarithm, normalised), positional_scores (T,),
        attention (S, T) over true source positions except BOS, and alignment.

        Args:
            models: models of the constructor.
            sample: batch of fairseq.
            prefix_tokens: forced first target tokens, or None.
            constraints: must be None; GNMT's search has no constraints.
        """
        assert constraints is None, "the task uses fairseq's own search for constraints"
        for model in self.models:
            model.eval()
        source = right_padded(sample["net_input"]["src_tokens"], self.pad)
        nbest_lists = translate_batch(self.ensemble, self.rules, source, prefix_tokens)
        return [list(map(self._for_fairseq, hypotheses)) for hypotheses in nbest_lists]

    def _for_fairseq(self, hypothesis: Hypothesis) -> Dict[str, Any]:
        # Inference tensors cannot be changed in place, so they are copied.
        tokens, score, log_probs, attention = (part.clone() for part in hypothesis)
        attention = attention[:, self.source_bos :]
        return {
            "tokens": tokens,
            "score": score,
            "positional_scores": log_probs,
            "attention": attention.t(),
            "alignment": Alignment(attention, self.soft_alignment),
        }


def right_padded(tokens: Tensor, pad: int) -> Tensor:
    """Returns sentences (B, S) with padding on the right.

    Args:
        tokens: (B, S), padded on either side.
        pad: id of PAD.
    """
    return tokens.gather(1, tokens.eq(pad).long().argsort(dim=1, stable=True))
