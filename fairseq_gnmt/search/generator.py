"""GNMT's beam search behind the interface of fairseq's generators."""
from typing import Any, Dict, List, Optional, Sequence

from torch import Tensor

from fairseq_gnmt.models.gnmt import GNMTModel
from fairseq_gnmt.search.alignment import Alignment, source_positions
from fairseq_gnmt.search.beam_search import BeamSearch, Translations
from fairseq_gnmt.search.ensemble import Ensemble
from fairseq_gnmt.search.options import SearchOptions
from fairseq_gnmt.search.vocabulary import SpecialTokens


class GNMTGenerator:
    """Translates fairseq's samples; what fairseq-generate, fairseq-interactive and the hub call."""

    def __init__(
        self,
        models: Sequence[GNMTModel],
        dictionary,
        options: SearchOptions,
        soft_alignment: bool = False,
        quantize: str = "none",
        begin_marks: bool = False,
    ):
        """begin_marks: every source begins with BOS, and decoding starts from it (NVIDIA), not from EOS (fairseq)."""
        self.models = list(models)
        self.pad = dictionary.pad()
        self.symbols_to_strip_from_output = {dictionary.eos()}
        self.soft_alignment = soft_alignment
        self.begin_marks = int(begin_marks)
        special = SpecialTokens(
            dictionary.pad(),
            dictionary.eos(),
            dictionary.unk(),
            start=dictionary.bos() if begin_marks else dictionary.eos(),
            begin_marks=self.begin_marks,
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

        `models` are those the generator was built with. A hypothesis has tokens (T,) with the end mark, score
        (natural logarithm, normalised), positional_scores (T,), attention (S, T) over true source positions
        but the begin mark, alignment.
        """
        assert constraints is None, "the task hands constraints to fairseq's own search"
        for model in self.models:
            model.eval()
        source = sample["net_input"]
        translations = changeable(self.search(source["src_tokens"], source["src_lengths"], prefix_tokens))
        positions = source_positions(source["src_tokens"], self.pad, self.begin_marks)
        return [
            [self._hypothesis(translations, index, words) for index in indices]
            for indices, words in zip(translations.of_sentence, positions)
        ]

    def _hypothesis(self, translations: Translations, index: int, source: slice) -> Dict[str, Any]:
        finished, written = translations.finished, translations.written
        length = int(finished.steps[index]) + 1
        attention = written.attention[index, :length, source]
        return {
            "tokens": written.tokens[index, :length],
            "score": finished.scores[index],
            "positional_scores": written.log_probs[index, :length].clone(),
            "attention": attention.t(),
            "alignment": Alignment(attention, self.soft_alignment),
        }


def changeable(translations: Translations) -> Translations:
    """The same in tensors that may be changed in place: those made in inference mode may not."""
    finished, written = (kind._make(part.clone() for part in kind) for kind in (translations.finished, translations.written))
    return translations._replace(finished=finished, written=written)
