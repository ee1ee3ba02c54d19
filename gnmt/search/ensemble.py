"""One or several networks as a model of a search (search.step_model): averages of their probabilities and attention.

Shapes: B sentences, N = B x K rows for K hypotheses (rows of a sentence are adjacent), S source positions, V vocabulary
size.
"""

from typing import Any, List, NamedTuple, Optional, Sequence, Tuple

import torch
from torch import Tensor

from gnmt.inference.model import InferenceModel, Network, inference_model_for


class EnsembleState(NamedTuple):
    """State of the decoders of an ensemble, and the encoded sentences."""

    inference_models: List[InferenceModel]  # fixed at the start of the search
    memories: List[Any]  # one per model: SourceMemory, or GroupedMemory of a FastDecoder
    states: List[Any]  # one per model: DecoderState, or FastDecoderState of a FastDecoder

    def reorder(self, rows: Tensor) -> "EnsembleState":
        """Returns a state with the given rows of the decoders; memories are not changed.

        Args:
            rows: indices into this state, one per row of the result.
        """
        return self._replace(states=[state.reorder(rows) for state in self.states])

    def select_sentences(self, indices: Tensor) -> "EnsembleState":
        """Returns the state with the memories of the given sentences; rows are not changed."""
        return self._replace(memories=[memory.select(indices) for memory in self.memories])

    def join_sentences(self, others: "EnsembleState", rows: int) -> "EnsembleState":
        """Returns this state followed by the states of new sentences.

        Args:
            others: state of the new sentences, one row each.
            rows: number of rows per sentence in the result; the row of a new sentence is repeated.
        """
        memories = [memory.join(joining) for memory, joining in zip(self.memories, others.memories)]
        states = [state.join_sentences(joining, rows) for state, joining in zip(self.states, others.states)]
        return self._replace(memories=memories, states=states)


class Ensemble:
    """Averages the probabilities and the attention weights of its models.

    Args:
        models: networks with a common vocabulary.
        temperature: divides the logits.
        precision: one of gnmt.precision.PRECISIONS; None means the precision of each network's parameters.
    """

    def __init__(self, models: Sequence[Network], temperature: float = 1.0, precision: Optional[str] = None):
        self.models = models
        self.temperature = temperature
        self.precision = precision

    def start(self, src_tokens: Tensor) -> EnsembleState:
        """Encodes src_tokens (B, S) with the current parameters of the models.

        Inference models are chosen here, because fairseq may build a search before it loads the parameters.
        """
        inference_models = [inference_model_for(model, self.precision) for model in self.models]
        memories: List[Any] = [decoder.precompute(encoder(src_tokens)) for encoder, decoder in inference_models]
        states = [model.decoder.initial_state(memory) for model, memory in zip(inference_models, memories)]
        return EnsembleState(inference_models, memories, states)

    def step(self, tokens: Tensor, state: EnsembleState) -> Tuple[Tensor, Tensor, EnsembleState]:
        """Advances one position.

        Args:
            tokens: (N,), last token of each row.
            state: state of the N rows.

        Returns:
            Probabilities (N, V) of the next token and attention weights (N, S), both float32, and the new state.
        """
        steps = [model.decoder.step(tokens, memory, decoder_state) for model, memory, decoder_state in zip(*state)]
        logits, attention, states = zip(*steps)
        probabilities = [probabilities_of(model_logits, self.temperature) for model_logits in logits]
        new_state = state._replace(states=list(states))
        return mean(probabilities), mean([weights.float() for weights in attention]), new_state


def probabilities_of(logits: Tensor, temperature: float) -> Tensor:
    """Returns softmax(logits / temperature) in float32; overwrites the logits (N, V) if they are float32."""
    logits = logits.float()
    if temperature != 1.0:
        logits /= temperature
    return torch.softmax(logits, dim=1, out=logits)


def mean(tensors: Sequence[Tensor]) -> Tensor:
    """Returns the mean, summed in the order of the tensors; a single tensor is returned without a copy."""
    return tensors[0] if len(tensors) == 1 else sum(tensors[1:], tensors[0]) / len(tensors)
