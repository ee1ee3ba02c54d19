"""GNMT's beam search behind the interface of fairseq's generators."""
from typing import Any, Dict, List, Optional, Sequence

from torch import Tensor

from fairseq_gnmt.models.gnmt import GNMTModel
from gnmt.search.alignment import Alignment, source_positions
from gnmt.search.beam_search import BeamSearch, BeamSearchOutput
from gnmt.search.ensemble import Ensemble
from gnmt.search.options import SearchOptions
from gnmt.search.vocabulary import SpecialTokens


class GNMTGenerator:
    """Translates fairseq's samples; what fairseq-generate, fairseq-interactive and the hub call."""

    def __init__(
        self,
        models: Sequence[GNMTModel],
        dictionary,
        options: SearchOptions,
        soft_alignment: bool = False,
        quantize: str = "none",
        source_bos: bool = False,
    ):
        """source_bos: every source begins with BOS, and decoding starts from it (NVIDIA), not from EOS (fairseq)."""
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
        self.search = BeamSearch(Ensemble(self.models, options.temperature, quantize), special, options)

    def generate(
        self,
        models: Sequence[GNMTModel],
        sample: Dict[str, Any],
        prefix_tokens: Optional[Tensor] = None,
        constraints: Optional[Tensor] = None,
    ) -> List[List[Dict[str, Any]]]:
        """Returns the n-best hypotheses of every sentence of the sample, in its order, best first.

        `models` are those the generator was built with. A hypothesis has tokens (T,), EOS included, score
        (natural logarithm, normalised), positional_scores (T,), attention (S, T) over true source positions
        except BOS, and alignment.
        """
        assert constraints is None, "the task hands constraints to fairseq's own search"
        for model in self.models:
            model.eval()
        source = sample["net_input"]
        translations = clone_out_of_inference_mode(self.search(source["src_tokens"], source["src_lengths"], prefix_tokens))
        positions = source_positions(source["src_tokens"], self.pad, self.source_bos)
        return [
            [self._hypothesis(translations, index, words) for index in indices]
            for indices, words in zip(translations.of_sentence, positions)
        ]

    def _hypothesis(self, translations: BeamSearchOutput, index: int, source: slice) -> Dict[str, Any]:
        finished, backtraced = translations.finished, translations.backtraced
        length = int(finished.steps[index]) + 1
        attention = backtraced.attention[index, :length, source]
        return {
            "tokens": backtraced.tokens[index, :length],
            "score": finished.scores[index],
            "positional_scores": backtraced.log_probs[index, :length].clone(),
            "attention": attention.t(),
            "alignment": Alignment(attention, self.soft_alignment),
        }


def clone_out_of_inference_mode(translations: BeamSearchOutput) -> BeamSearchOutput:
    """Copies the tensors: those made in inference mode cannot be changed in place."""
    finished, backtraced = (kind._make(part.clone() for part in kind) for kind in (translations.finished, translations.backtraced))
    return translations._replace(finished=finished, backtraced=backtraced)
