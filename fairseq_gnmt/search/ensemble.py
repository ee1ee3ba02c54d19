"""One or several models as a search sees them: source in, then token by token.

Shapes: B sentences, N rows (B x hypotheses, those of a sentence together), S source positions, V vocabulary.
"""
from typing import List, NamedTuple, Sequence, Tuple

import torch
from torch import Tensor

from fairseq_gnmt.inference.translator import translator_of
from fairseq_gnmt.models.attention import SourceMemory
from fairseq_gnmt.models.decoder import DecoderState
from fairseq_gnmt.models.gnmt import GNMTModel


class EnsembleState(NamedTuple):
    memories: List[SourceMemory]  # one of each model; moved only when sentences leave the batch
    states: List[DecoderState]

    def reorder(self, rows: Tensor) -> "EnsembleState":
        return EnsembleState(self.memories, [state.reorder(rows) for state in self.states])

    def select_sentences(self, sentences: Tensor) -> "EnsembleState":
        return EnsembleState([memory.select(sentences) for memory in self.memories], self.states)


class Ensemble:
    """The models' probabilities averaged, and their attention."""

    def __init__(self, models: Sequence[GNMTModel], temperature: float = 1.0, quantize: str = "none"):
        self.translators = [translator_of(model, quantize) for model in models]
        self.temperature = temperature

    def start(self, src_tokens: Tensor, src_lengths: Tensor) -> EnsembleState:
        memories = [decoder.remember(encoder(src_tokens, src_lengths)) for encoder, decoder in self.translators]
        states = [one.decoder.initial_state(memory) for one, memory in zip(self.translators, memories)]
        return EnsembleState(memories, states)

    def step(self, tokens: Tensor, state: EnsembleState) -> Tuple[Tensor, Tensor, EnsembleState]:
        """tokens (N,), the last of each row. Returns logits (N, V), attention (N, S), both float32, new state.

        The softmax of the logits is the distribution of the next token; they need not be normalised.
        """
        steps = [one.decoder.step(tokens, *own) for one, *own in zip(self.translators, *state)]
        logits, attention, states = zip(*steps)
        new_state = EnsembleState(state.memories, list(states))
        logits = [one.float() for one in logits]
        if self.temperature != 1.0:
            logits = [one / self.temperature for one in logits]
        if len(logits) == 1:
            return logits[0], attention[0].float(), new_state
        log_probs = torch.stack([one.log_softmax(dim=-1) for one in logits])
        return log_probs.logsumexp(dim=0), torch.stack(attention).float().mean(dim=0), new_state
