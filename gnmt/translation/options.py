"""User options of a translation; None means the model's own value."""

from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any, Optional

from gnmt.errors import OptionError
from gnmt.ranges import DEFAULT, Range, option
from gnmt.search.options import SamplingOptions, SearchOptions

if TYPE_CHECKING:  # imports torch, which commands that only read options do not need
    from gnmt.checkpoints.model_config import GenerationConfig

MAX_TOKENS = 1024  # maximum number of tokens of a sentence; longer sentences are truncated
POSITIVE = Range(1)
SEARCH = {entry.name: entry for entry in fields(SearchOptions)}


def of_search(name: str) -> Any:
    """Returns a field for an option of the search."""
    return field(default=SEARCH[name].default, metadata=SEARCH[name].metadata)


def of_model(name: str) -> Any:
    """Returns a field for an option of the search whose default is part of the model."""
    return field(default=None, metadata={**SEARCH[name].metadata, DEFAULT: "the model's"})


@dataclass(frozen=True)
class TranslationOptions:
    """Options of Translator.translate, documented there.

    Raises:
        UserError: if `batch_size` or `max_length` is below 1.
    """

    beam: Optional[int] = of_model("beam")
    nbest: int = of_search("nbest")
    length_norm_factor: Optional[float] = of_model("length_norm_factor")
    coverage_penalty: Optional[float] = of_model("coverage_penalty")
    no_repeat_ngram_size: int = of_search("no_repeat_ngram_size")
    prune_tokens: float = of_search("prune_tokens")
    prune_hypotheses: float = of_search("prune_hypotheses")
    replace_unk: bool = option(False, None, "replace unknown tokens by their aligned source tokens")
    sampling: Optional[SamplingOptions] = None
    split_sentences: bool = option(False, None, "split lines into sentences and translate each separately")
    batch_size: int = option(64, POSITIVE, "number of sentences translated at the same time")
    max_length: int = option(MAX_TOKENS, POSITIVE, "maximum tokens of a source sentence; the rest is truncated")

    def __post_init__(self):
        for name in ("batch_size", "max_length"):
            POSITIVE.check(name, getattr(self, name), OptionError)

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
