"""State of a beam search between two steps, except for the state of its model.

Shapes: B sentences of the batch, running or stopped, K hypotheses of a sentence, N = B x K rows, S source positions, P
tokens of the longest prefix. K is 1 at the first step of a batch, then up to the beam.
"""

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional as F

from gnmt.network.attention import longest_source
from gnmt.search.backpointers import BeamStep
from gnmt.search.pruning import NEG_INF


class BeamState(NamedTuple):
    """Input hypotheses of a step, and the state of their sentences."""

    sentence_ids: Tensor  # (B,)
    first_steps: Tensor  # (B,), step at which the sentence joined
    padding_mask: Tensor  # (B, S), True at padding, which is on the right
    prefix: Tensor  # (B, P), forced first target tokens; PAD means unconstrained
    limits: Tensor  # (B,), maximum number of tokens before EOS
    best_scores: Tensor  # (B, n-best), best final scores of finished hypotheses
    num_finished: Tensor  # (B,), number of finished hypotheses
    tokens: Tensor  # (B, K), last token of each hypothesis
    log_probs: Tensor  # (B, K), cumulative; -inf where a sentence has fewer hypotheses
    coverage: Tensor  # (B, K, S), sum of the attention on each source position; reordered with the hypotheses
    backpointers: Tensor  # (B, K), rows of the previous step that the hypotheses continue

    @property
    def beam(self) -> int:
        """Number of hypotheses of a sentence, K."""
        return self.tokens.size(1)

    def as_beam_step(self, attention: Tensor) -> BeamStep:
        """Returns the backpointers of these rows, with their attention weights (N, S)."""
        return BeamStep(self.backpointers.flatten(), self.tokens.flatten(), self.log_probs.flatten(), attention)

    def num_tokens(self, step: int) -> Tensor:
        """Returns the number of tokens (B,) of each sentence's hypotheses before a step."""
        return step - self.first_steps

    def select(self, indices: Tensor) -> "BeamState":
        """Returns the state of some sentences; columns that contain only padding are removed.

        Args:
            indices: of sentences in this batch, one per sentence of the result.
        """
        selected = BeamState._make(part[indices] for part in self)
        width = longest_source(selected.padding_mask)
        return selected._replace(
            padding_mask=selected.padding_mask[:, :width], coverage=selected.coverage[:, :, :width]
        )

    def join(self, others: "BeamState", pad: int) -> "BeamState":
        """Returns these sentences followed by others, widened to common S, K and P.

        Args:
            others: sentences to append.
            pad: id of PAD, which fills prefixes.
        """
        names = ("padding_mask", "tokens", "prefix")
        width, beam, prefix = (max(getattr(self, name).size(1), getattr(others, name).size(1)) for name in names)
        widened = [state._widened(width, beam, prefix, pad) for state in (self, others)]
        return BeamState._make(map(torch.cat, zip(*widened)))

    def _widened(self, width: int, beam: int, prefix: int, pad: int) -> "BeamState":
        """Returns these sentences with larger or equal sizes.

        Args:
            width: number of source positions S.
            beam: number of hypotheses K.
            prefix: number of prefix tokens P.
            pad: id of PAD.
        """
        sources, hypotheses = width - self.padding_mask.size(1), beam - self.beam
        return self._replace(
            padding_mask=F.pad(self.padding_mask, (0, sources), value=True),
            prefix=F.pad(self.prefix, (0, prefix - self.prefix.size(1)), value=pad),
            tokens=F.pad(self.tokens, (0, hypotheses), value=pad),
            log_probs=F.pad(self.log_probs, (0, hypotheses), value=NEG_INF),
            coverage=F.pad(self.coverage, (0, sources, 0, hypotheses)),
            backpointers=F.pad(self.backpointers, (0, hypotheses)),
        )
