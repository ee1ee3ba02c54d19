"""One or several models as a search sees them: source in, then token by token.

Shapes: B sentences, N rows (B x hypotheses, those of a sentence together), S source positions, V vocabulary.
"""
from typing import List, NamedTuple, Sequence, Tuple, Union

import torch
from torch import Tensor

from fairseq_gnmt.inference.step_decoder import StepState
from fairseq_gnmt.inference.translator import Translator, translator_of
from fairseq_gnmt.models.attention import SourceMemory
from fairseq_gnmt.models.decoder import DecoderState
from fairseq_gnmt.models.gnmt import GNMTModel


class EnsembleState(NamedTuple):
    translators: List[Translator]  # those that the search began with
    memories: List[SourceMemory]  # one of each model; moved only when sentences leave the batch
    states: List[Union[DecoderState, StepState]]

    def reorder(self, rows: Tensor) -> "EnsembleState":
        return self._replace(states=[state.reorder(rows) for state in self.states])

    def select_sentences(self, sentences: Tensor) -> "EnsembleState":
        return self._replace(memories=[memory.select(sentences) for memory in self.memories])


class Ensemble:
    """The models' probabilities averaged, and their attention."""

    def __init__(self, models: Sequence[GNMTModel], temperature: float = 1.0, quantize: str = "none"):
        self.models = models
        self.temperature = temperature
        self.quantize = quantize

    def start(self, src_tokens: Tensor, src_lengths: Tensor) -> EnsembleState:
        """Uses the models' parameters as they are now; fairseq may build a search before its models have any."""
        translators = [translator_of(model, self.quantize) for model in self.models]
        memories = [decoder.remember(encoder(src_tokens, src_lengths)) for encoder, decoder in translators]
        states = [one.decoder.initial_state(memory) for one, memory in zip(translators, memories)]
        return EnsembleState(translators, memories, states)

    def step(self, tokens: Tensor, state: EnsembleState) -> Tuple[Tensor, Tensor, EnsembleState]:
        """tokens (N,), the last of each row.

        Returns the probabilities (N, V) of the next token, attention (N, S), both float32, and the new state.
        """
        steps = [one.decoder.step(tokens, *own) for one, *own in zip(*state)]
        logits, attention, states = zip(*steps)
        probabilities = [probabilities_of(one, self.temperature) for one in logits]
        new_state = state._replace(states=list(states))
        return mean(probabilities), mean([one.float() for one in attention]), new_state


def probabilities_of(logits: Tensor, temperature: float) -> Tensor:
    """softmax(logits / temperature) in float32, in the memory of the logits (N, V) if these are float32."""
    logits = logits.float()
    if temperature != 1.0:
        logits /= temperature
    return torch.softmax(logits, dim=1, out=logits)


def mean(tensors: Sequence[Tensor]) -> Tensor:
    """The mean, added up in the order of the tensors; one tensor is its own mean, without a copy."""
    return tensors[0] if len(tensors) == 1 else sum(tensors[1:], tensors[0]) / len(tensors)
