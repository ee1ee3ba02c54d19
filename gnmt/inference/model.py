"""What a search runs: an encoder, and a decoder that makes steps."""
import copy
import functools
import logging
from typing import Callable, Dict, NamedTuple, Protocol, Union
from weakref import WeakKeyDictionary

import torch
from torch import nn

from gnmt.errors import UserError
from gnmt.inference.fast_decoder import FastDecoder
from gnmt.inference.gates import adaptive_gate_products, fused_gate_products
from gnmt.inference.packed_linear import inference_linear, packs
from gnmt.inference.packed_lstm import PackedLSTM, packs_lstms
from gnmt.inference.recurrence import LSTMWithHoistedInputProjection, MakeLinear
from gnmt.inference.reproducible_attention import ReproducibleAttention
from gnmt.inference.snapshot import Snapshot
from gnmt.network.activations import REPRODUCIBLE
from gnmt.network.decoder import Decoder
from gnmt.network.encoder import Encoder
from gnmt.network.lstm import LSTM
from gnmt.quantization.int16 import Int16FakeQuantizer
from gnmt.quantization.int8_kernels import onednn_activation_qmax
from gnmt.quantization.int8_linear import Int8Linear, rounded_rows

logger = logging.getLogger(__name__)


class Network(Protocol):
    """Parts of a network that inference uses: those of `gnmt.network.gnmt.GNMTNetwork`."""

    encoder: Encoder
    decoder: Decoder
    is_for_inference: bool  # True once the weights must not change any more


class InferenceModel(NamedTuple):
    encoder: Encoder
    decoder: Union[Decoder, FastDecoder]


class Prepared(NamedTuple):
    """The translators of a model, by precision, made from the weights of the snapshot."""

    snapshot: Snapshot
    translators: Dict[str, InferenceModel]


_PREPARED: "WeakKeyDictionary[Network, Prepared]" = WeakKeyDictionary()


def inference_model_for(model: Network, quantize: str = "none") -> InferenceModel:
    """The model's own two halves while it may still be trained, faster copies once it may not.

    Copies are made after fairseq's prepare_for_inference_, which forbids training, and again when the model's parameters
    have changed, which drops the old copies. Every search asks at its start. quantize is "none" or "int8". Raises UserError if a model in training, or one on a GPU, is to be quantised.
    """
    if not model.is_for_inference:
        if quantize != "none":
            raise UserError(f"--quantize {quantize} is for translation: leave it out in training.")
        return InferenceModel(model.encoder, model.decoder)
    prepared = _PREPARED.get(model)
    if prepared is None or not prepared.snapshot.describes(model):
        prepared = _PREPARED[model] = Prepared(Snapshot(model), {})
    if quantize not in prepared.translators:
        prepared.translators[quantize] = _quantized(model) if quantize == "int8" else _packed(model)
    return prepared.translators[quantize]


def _packed(model: Network) -> InferenceModel:
    encoder = model.encoder
    if encoder.clip.limit is None and packs_lstms(encoder.embed_tokens.weight):
        encoder = encoder_with(encoder, PackedLSTM)
    packed = packs(model.decoder.output_projection.weight)
    gates = adaptive_gate_products(model.decoder) if packed else fused_gate_products(model.decoder, inference_linear)
    return InferenceModel(encoder, FastDecoder(model.decoder, gates, inference_linear))


def _quantized(model: Network) -> InferenceModel:
    weight = model.decoder.output_projection.weight
    if weight.device.type != "cpu" or weight.dtype != torch.float32:
        raise UserError("--quantize int8 works on a CPU, without --fp16: give --cpu, or leave --quantize out.")
    if onednn_activation_qmax() is None:
        logger.warning("This torch has no 8-bit products: --quantize int8 gives the same numbers by floats, and no speed.")
    limit = model.encoder.clip.limit
    make_linear: MakeLinear = Int8Linear
    if limit is not None:  # hidden states, which are not clipped, lie within -1..1
        make_linear = functools.partial(Int8Linear, input_limit=max(limit, 1.0))
    # Embeddings are only looked up, so they stay floats; but those of a checkpoint in integers, whatever was loaded.
    rounded = functools.cache(lambda embedding: nn.Embedding.from_pretrained(rounded_rows(embedding.weight)))
    clip = model.encoder.clip if limit is None else Int16FakeQuantizer(limit)
    encoder = encoder_with(model.encoder, functools.partial(LSTMWithHoistedInputProjection, make_linear=make_linear, activations=REPRODUCIBLE))
    encoder.embed_tokens, encoder.clip = rounded(model.encoder.embed_tokens), clip
    # Not shared: rounding hidden states apart costs more than it saves. And a table of words would have scales of its own,
    # which integer checkpoints (quantization.storage) do not have.
    gates = fused_gate_products(model.decoder, make_linear, rounded(model.decoder.embed_tokens), clip)
    attention = ReproducibleAttention(model.decoder.stack.attention, make_linear)
    return InferenceModel(encoder, FastDecoder(model.decoder, gates, make_linear, clip, attention, REPRODUCIBLE))


def encoder_with(encoder: Encoder, make_layer: Callable[[LSTM], nn.Module]) -> Encoder:
    """A copy of the encoder with other LSTM layers in it; embeddings are shared."""
    copied = copy.copy(encoder)
    copied._modules = dict(encoder._modules)
    copied.first_layer = copy.copy(encoder.first_layer)
    copied.first_layer._modules = {name: make_layer(lstm) for name, lstm in encoder.first_layer.named_children()}
    copied.upper_layers = nn.ModuleList(make_layer(lstm) for lstm in encoder.upper_layers)
    return copied
