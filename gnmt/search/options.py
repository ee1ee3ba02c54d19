"""Options of GNMT's beam search: name, default, range and help are declared once."""

from dataclasses import dataclass

from gnmt.errors import OptionError
from gnmt.ranges import Range, check_ranges, option


@dataclass(frozen=True)
class SearchOptions:
    """Options of one search, with fairseq's names where fairseq has the option; defaults are GNMT v2's.

    Raises:
        UserError: if an option is outside its range, or `nbest` is larger than `beam`.
    """

    beam: int = option(5, Range(1, 10_000), "number of hypotheses that continue at each step, per sentence")
    nbest: int = option(1, Range(1, 10_000), "number of hypotheses to return per sentence")
    max_len_a: float = option(
        0.0,
        Range(0, 1_000),
        "a in the maximum number of tokens before EOS, a * x + b, where x is the length of the source",
    )
    max_len_b: int = option(200, Range(0, 10_000_000), "b in the maximum number of tokens before EOS, a * x + b")
    min_len: int = option(1, Range(0, 10_000_000), "minimum number of tokens before EOS")
    unkpen: float = option(
        0.0,
        Range(-80.0, 1e9, hint="at -80 all words are unknown words"),
        "subtracted from the log-probability of <unk>",
    )
    temperature: float = option(
        1.0, Range(0, 1e9, above=True, hint="1 leaves the model as it is"), "divides the logits"
    )
    no_repeat_ngram_size: int = option(
        0, Range(0, 10_000_000, off=True), "forbid n-grams of this size to occur twice; 0: off"
    )
    length_norm_factor: float = option(
        0.6, Range(0, 100, off=True), "a in the length penalty ((c + length) / (c + 1))^a; 0: none"
    )
    length_norm_const: float = option(5.0, Range(0, 1e6, off=True), "c in the length penalty")
    coverage_penalty: float = option(
        0.1,
        Range(0, 1e6, off=True),
        "weight of the coverage penalty on source tokens with little attention; 0: none",
    )
    prune_tokens: float = option(
        0.0,
        Range(0, 1e9, off=True, hint="the paper: 3.0"),
        "prune tokens whose log-probability is lower than the best of their hypothesis by more than this; 0: none (paper: 3.0)",
    )
    prune_hypotheses: float = option(
        0.0,
        Range(0, 1e9, off=True, hint="the paper: 3.0"),
        "prune hypotheses whose score is lower than the best finished one by more than this; 0: none (paper: 3.0)",
    )

    def __post_init__(self):
        check_ranges(SearchOptions, self, OptionError)
        if self.nbest > self.beam:
            raise OptionError(f"--nbest is {self.nbest!r}, but must be at most --beam, which is {self.beam!r}.")


@dataclass(frozen=True)
class SamplingOptions:
    """Options of random sampling, the alternative to beam search.

    Raises:
        UserError: if an option is outside its range.
    """

    temperature: float = option(
        1.0, Range(0, 1e6, above=True), "divides the logits; values below 1 favour probable tokens"
    )
    top_k: int = option(0, Range(0, 10_000_000), "sample from this number of most probable tokens; 0: from all")
    top_p: float = option(
        1.0, Range(0, 1, above=True), "sample from the most probable tokens whose probabilities sum to this"
    )
    seed: int = option(1, Range(0, 2**62), "random seed; sentence i uses seed + i")

    def __post_init__(self):
        check_ranges(SamplingOptions, self, OptionError)
