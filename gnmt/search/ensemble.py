"""One or several models behind the interface of a search: encodes a source, then decodes token by token.

Shapes: B sentences, N rows (B x hypotheses, those of a sentence together), S source positions, V vocabulary.
"""

from typing import Any, List, NamedTuple, Optional, Sequence, Tuple

import torch
from torch import Tensor

from gnmt.inference.model import InferenceModel, Network, inference_model_for
from gnmt.network.attention import SourceMemory


class EnsembleState(NamedTuple):
    """State of the decoders of an ensemble, and the encoded sentences."""

    inference_models: List[InferenceModel]  # those that the search began with
    memories: List[SourceMemory]  # one per model; copied only when sentences leave the batch
    states: List[Any]  # of the models' decoders

    def reorder(self, rows: Tensor) -> "EnsembleState":
        return self._replace(states=[state.reorder(rows) for state in self.states])

    def select_sentences(self, sentences: Tensor) -> "EnsembleState":
        return self._replace(memories=[memory.select(sentences) for memory in self.memories])

    def join_sentences(self, others: "EnsembleState", rows: int) -> "EnsembleState":
        """Returns this state followed by new sentences, which have one row each and get `rows` equal ones."""
        memories = [one.join(other) for one, other in zip(self.memories, others.memories)]
        states = [one.join_sentences(other, rows) for one, other in zip(self.states, others.states)]
        return self._replace(memories=memories, states=states)


class Ensemble:
    """Averages the probabilities and the attention weights of its models."""

    def __init__(self, models: Sequence[Network], temperature: float = 1.0, precision: Optional[str] = None):
        self.models = models
        self.temperature = temperature
        self.precision = precision

    def start(self, src_tokens: Tensor) -> EnsembleState:
        """Uses the models' parameters as they are now; fairseq may build a search before its models have any."""
        inference_models = [inference_model_for(model, self.precision) for model in self.models]
        memories = [decoder.precompute(encoder(src_tokens)) for encoder, decoder in inference_models]
        states = [one.decoder.initial_state(memory) for one, memory in zip(inference_models, memories)]
        return EnsembleState(inference_models, memories, states)

    def step(self, tokens: Tensor, state: EnsembleState) -> Tuple[Tensor, Tensor, EnsembleState]:
        """tokens (N,), the last of each row.

        Returns the probabilities (N, V) of the next token, attention (N, S), both float32, and the new state.
        """
        steps = [one.decoder.step(tokens, memory, own) for one, memory, own in zip(*state)]
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
