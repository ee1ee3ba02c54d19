"""The options of GNMT's beam search."""
from dataclasses import dataclass, fields

from gnmt.errors import UserError

LEAST_UNKPEN = -80.0  # e^80 is still a float


@dataclass(frozen=True)
class SearchOptions:
    """fairseq's names where fairseq has the option; defaults are GNMT v2's."""

    beam: int = 5
    nbest: int = 1
    max_len_a: float = 0.0
    max_len_b: int = 200
    min_len: int = 1
    unkpen: float = 0.0
    temperature: float = 1.0
    no_repeat_ngram_size: int = 0
    length_norm_factor: float = 0.6
    length_norm_const: float = 5.0
    coverage_penalty: float = 0.1
    prune_tokens: float = 0.0
    prune_hypotheses: float = 0.0

    def __post_init__(self):
        for option in fields(self):
            kinds, wanted = (int, "a whole number") if option.type is int else ((int, float), "a number")
            self._require(isinstance(getattr(self, option.name), kinds), option.name, wanted)
        for name, least in (("beam", 1), ("nbest", 1), ("max_len_a", 0), ("max_len_b", 0), ("min_len", 0)):
            self._require(getattr(self, name) >= least, name, f"at least {least}")
        for name in ("no_repeat_ngram_size", "length_norm_factor", "length_norm_const", "coverage_penalty"):
            self._require(getattr(self, name) >= 0, name, "0 (off) or above")
        for name in ("prune_tokens", "prune_hypotheses"):
            self._require(getattr(self, name) >= 0, name, "0 (off) or above (the paper: 3.0)")
        self._require(self.unkpen >= LEAST_UNKPEN, "unkpen", f"at least {LEAST_UNKPEN}, which lets nothing but unknown words win")
        self._require(self.temperature > 0, "temperature", "above 0 (1 leaves the model as it is)")
        self._require(self.nbest <= self.beam, "nbest", f"at most --beam, which is {self.beam}")

    def _require(self, holds: bool, name: str, wanted: str) -> None:
        if not holds:
            raise UserError(f"--{name.replace('_', '-')} is {getattr(self, name)!r}, but must be {wanted}.")
