"""Attention of the decoding step: the interface, and the registry of its implementations.

An implementation is built from the attention module of a trained network. Each attention module can have two. The fast
implementation is used in the precision of the network. The batch-invariant implementation is used in int8, and in bf16
on a CPU: its results for a row are bitwise equal in every batch. A network whose attention is not registered decodes
with its own `Decoder.step`, and only in its own precision.

Shapes: B sentences of similar length, Q queries of a sentence (its hypotheses), N queries of all sentences, S source
positions, H hidden size.
"""

from typing import Any, Callable, Dict, NamedTuple, Optional, Protocol

from torch import Tensor, nn

from gnmt.errors import OptionError
from gnmt.inference.bahdanau_attention import BatchInvariantBahdanauAttention, FastBahdanauAttention
from gnmt.inference.lstm import MakeLinear
from gnmt.network.attention import NormalizedBahdanauAttention


class InferenceAttention(Protocol):
    """Attention weights of one target position at a time."""

    def project_keys(self, outputs: Tensor) -> Tensor:
        """Returns the projected keys (B, S, H); called once per sentence.

        Args:
            outputs: encoder outputs (B, S, H).
        """

    def project_query(self, query: Tensor) -> Tensor:
        """Returns the projected queries (N, H) of all sentences; called once per step.

        Args:
            query: (N, H).
        """

    def weights(self, queries: Tensor, keys: Tensor, padding_mask: Tensor) -> Tensor:
        """Returns the weights (B, Q, S), which are zero at padding.

        Args:
            queries: projected queries (B, Q, H).
            keys: projected keys (B, S, H).
            padding_mask: (B, S), True at padding.
        """


MakeAttention = Callable[[Any, MakeLinear], InferenceAttention]  # arguments: attention module of the network, linear


class AttentionImplementations(NamedTuple):
    """Constructors of the implementations of an attention module for decoding."""

    fast: MakeAttention
    batch_invariant: Optional[MakeAttention]  # None: int8, and bf16 on a CPU, are refused


# Keys are exact classes: a subclass may compute something else.
IMPLEMENTATIONS: Dict[type, AttentionImplementations] = {
    NormalizedBahdanauAttention: AttentionImplementations(FastBahdanauAttention, BatchInvariantBahdanauAttention)
}


def is_registered(attention: nn.Module) -> bool:
    """Returns True if the class of an attention module has an implementation for decoding."""
    return type(attention) in IMPLEMENTATIONS


def fast_attention(attention: nn.Module, make_linear: MakeLinear) -> InferenceAttention:
    """Returns the fast implementation of a registered attention.

    Args:
        attention: attention of the network.
        make_linear: builds linear layers from weight (O, I) and bias (O,).
    """
    return IMPLEMENTATIONS[type(attention)].fast(attention, make_linear)


def batch_invariant_attention(attention: nn.Module, make_linear: MakeLinear, precision: str) -> InferenceAttention:
    """Returns the batch-invariant implementation of a registered attention.

    Args:
        attention: attention of the network.
        make_linear: builds linear layers from weight (O, I) and bias (O,).
        precision: int8 or bf16, for the error message.

    Raises:
        UserError: if there is no batch-invariant implementation.
    """
    make = IMPLEMENTATIONS[type(attention)].batch_invariant
    if make is None:
        name = type(attention).__name__
        raise OptionError(
            f"--precision {precision} needs a batch-invariant implementation of {name}, which does not exist: use fp32."
        )
    return make(attention, make_linear)
