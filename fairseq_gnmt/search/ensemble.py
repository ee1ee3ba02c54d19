"""One or several models as a search sees them: source in, then token by token.

Shapes: B sentences, N rows (B x hypotheses, those of a sentence together), S source positions, V vocabulary.
"""
from typing import List, NamedTuple, Sequence, Tuple

import torch
from torch import Tensor

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

    def __init__(self, models: Sequence[GNMTModel], temperature: float = 1.0):
        self.models = list(models)
        self.temperature = temperature

    def start(self, src_tokens: Tensor, src_lengths: Tensor) -> EnsembleState:
        memories = [model.decoder.remember(model.encoder(src_tokens, src_lengths)) for model in self.models]
        states = [model.decoder.stack.initial_state(memory) for model, memory in zip(self.models, memories)]
        return EnsembleState(memories, states)

    def step(self, tokens: Tensor, state: EnsembleState) -> Tuple[Tensor, Tensor, EnsembleState]:
        """tokens (N,), the last of each row. Returns logits (N, V), attention (N, S), both float32, new state.

        The softmax of the logits is the distribution of the next token; they need not be normalised.
        """
        steps = [
            self._step(model, tokens, memory, decoder_state)
            for model, memory, decoder_state in zip(self.models, *state)
        ]
        logits, attention, states = zip(*steps)
        if len(steps) == 1:
            return logits[0], attention[0], EnsembleState(state.memories, list(states))
        log_probs = torch.stack([one.log_softmax(dim=-1) for one in logits])
        return log_probs.logsumexp(dim=0), torch.stack(attention).mean(dim=0), EnsembleState(state.memories, list(states))

    def _step(self, model: GNMTModel, tokens: Tensor, memory: SourceMemory, state: DecoderState):
        decoder = model.decoder
        features, weights, state = decoder.stack(decoder.embed_tokens(tokens[:, None]), memory, state)
        logits = decoder.output_layer(features[:, 0]).float()
        if self.temperature != 1.0:
            logits = logits / self.temperature
        return logits, weights[:, 0].float(), state
