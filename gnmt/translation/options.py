"""User options of a translation; None means the model's own value."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, Optional

from gnmt.errors import UserError
from gnmt.search.options import SamplingOptions, SearchOptions

if TYPE_CHECKING:  # imports torch, which commands that only read options do not need
    from gnmt.checkpoints.model_config import GenerationConfig

MOST_TOKENS = 1024  # maximum number of tokens of a sentence; longer sentences are truncated


@dataclass(frozen=True)
class TranslationOptions:
    """Options of Translator.translate, documented there.

    Raises:
        UserError: if `batch_size` or `max_length` is below 1.
    """

    beam: Optional[int] = None
    nbest: int = 1
    length_norm_factor: Optional[float] = None
    coverage_penalty: Optional[float] = None
    no_repeat_ngram_size: int = 0
    prune_tokens: float = 0.0
    prune_hypotheses: float = 0.0
    replace_unk: bool = False
    sampling: Optional[SamplingOptions] = None
    split_sentences: bool = False
    batch_size: int = 64
    max_length: int = MOST_TOKENS

    def __post_init__(self):
        for name in ("batch_size", "max_length"):
            if getattr(self, name) < 1:
                raise UserError(f"{name} is {getattr(self, name)}, but must be at least 1.")

    def search_options(self, defaults: "GenerationConfig") -> SearchOptions:
        """Returns the options of the search, with the defaults of a model.

        Raises:
            UserError: if an option is out of range.
        """
        factor, coverage = self.length_norm_factor, self.coverage_penalty
        return SearchOptions(
            beam=defaults.num_beams if self.beam is None else self.beam,
            nbest=self.nbest,
            max_len_a=defaults.max_len_a,
            max_len_b=defaults.max_len_b,
            length_norm_factor=defaults.length_norm_factor if factor is None else factor,
            length_norm_const=defaults.length_norm_const,
            coverage_penalty=defaults.coverage_penalty if coverage is None else coverage,
            no_repeat_ngram_size=self.no_repeat_ngram_size,
            prune_tokens=self.prune_tokens,
            prune_hypotheses=self.prune_hypotheses,
        )
