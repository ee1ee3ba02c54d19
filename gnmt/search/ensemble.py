"""One or several models behind the interface of a search: encodes a source, then decodes token by token.

Shapes: B sentences, N rows (B x hypotheses, those of a sentence together), S source positions, V vocabulary.
"""
from functools import cached_property
from typing import List, NamedTuple, Sequence, Tuple, Union

import torch
from torch import Tensor

from gnmt.inference.fast_decoder import FastDecoderState
from gnmt.inference.model import InferenceModel, Network, inference_model_for
from gnmt.network.attention import SourceMemory
from gnmt.network.decoder import DecoderState


class EnsembleState(NamedTuple):
    memories: List[SourceMemory]  # one per model; copied only when sentences leave the batch
    states: List[Union[DecoderState, FastDecoderState]]

    def reorder(self, rows: Tensor) -> "EnsembleState":
        return EnsembleState(self.memories, [state.reorder(rows) for state in self.states])

    def select_sentences(self, sentences: Tensor) -> "EnsembleState":
        return EnsembleState([memory.select(sentences) for memory in self.memories], self.states)


class Ensemble:
    """Averages the probabilities and the attention weights of its models."""

    def __init__(self, models: Sequence[Network], temperature: float = 1.0, quantize: str = "none"):
        self.models = models
        self.temperature = temperature
        self.quantize = quantize

    @cached_property
    def inference_models(self) -> List[InferenceModel]:
        """Built lazily: fairseq may construct the generator before it calls `prepare_for_inference_`."""
        return [inference_model_for(model, self.quantize) for model in self.models]

    def start(self, src_tokens: Tensor, src_lengths: Tensor) -> EnsembleState:
        memories = [decoder.precompute(encoder(src_tokens)) for encoder, decoder in self.inference_models]
        states = [one.decoder.initial_state(memory) for one, memory in zip(self.inference_models, memories)]
        return EnsembleState(memories, states)

    def step(self, tokens: Tensor, state: EnsembleState) -> Tuple[Tensor, Tensor, EnsembleState]:
        """tokens (N,), the last of each row.

        Returns the probabilities (N, V) of the next token, attention (N, S), both float32, and the new state.
        """
        steps = [one.decoder.step(tokens, *own) for one, *own in zip(self.inference_models, *state)]
        logits, attention, states = zip(*steps)
        probabilities = [probabilities_of(one, self.temperature) for one in logits]
        new_state = EnsembleState(state.memories, list(states))
        return mean(probabilities), mean([one.float() for one in attention]), new_state


def probabilities_of(logits: Tensor, temperature: float) -> Tensor:
    """softmax(logits / temperature) in float32, in the memory of the logits (N, V) if these are float32."""
    logits = logits.float()
    if temperature != 1.0:
        logits /= temperature
    return torch.softmax(logits, dim=1, out=logits)


def mean(tensors: Sequence[Tensor]) -> Tensor:
    """One tensor is its own mean, without a copy."""
    return tensors[0] if len(tensors) == 1 else torch.stack(tensors).mean(dim=0)
