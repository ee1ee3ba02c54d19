"""Network prepared for decoding in the chosen precision: an encoder, and a decoder for one position at a time."""

import copy
import functools
import logging
from typing import Callable, Dict, NamedTuple, Optional, Protocol, Union
from weakref import WeakKeyDictionary

import torch
from torch import nn

from gnmt.errors import OptionError
from gnmt.inference.attention import batch_invariant_attention, fast_attention, is_registered
from gnmt.inference.bf16_linear import bf16_linear, has_bf16_products
from gnmt.inference.context import BatchInvariantContext, FastContext
from gnmt.inference.fast_decoder import FastDecoder
from gnmt.inference.fast_encoder import FastEncoder
from gnmt.inference.gates import adaptive_gate_products, fused_gate_products
from gnmt.inference.lstm import MakeLinear
from gnmt.inference.packed_linear import can_pack, inference_linear
from gnmt.inference.packed_lstm import PackedLSTM, can_pack_lstms
from gnmt.inference.snapshot import Snapshot
from gnmt.network.activations import BATCH_INVARIANT
from gnmt.network.clipping import Clip
from gnmt.network.decoder import Decoder
from gnmt.network.encoder import Encoder
from gnmt.network.lstm import LSTM
from gnmt.precision import check_precision
from gnmt.quantization.int8_kernels import onednn_activation_qmax
from gnmt.quantization.int8_linear import Int8Linear, dequantized_rows
from gnmt.quantization.int16 import Int16FakeQuantizer

logger = logging.getLogger(__name__)

DTYPES = {"fp32": torch.float32, "fp16": torch.float16, "bf16": torch.bfloat16}
NAMES = {dtype: name for name, dtype in DTYPES.items()}


class Network(Protocol):
    """Parts of a network that inference uses, as in `gnmt.network.gnmt.GNMTNetwork`."""

    encoder: Encoder
    decoder: Decoder
    is_for_inference: bool  # True after prepare_for_inference


class EncoderDecoder(NamedTuple):
    """Encoder and decoder of a network."""

    encoder: Encoder
    decoder: Decoder

    def copied_to(self, dtype: torch.dtype) -> "EncoderDecoder":
        """Returns a copy with weights of another type; shared weights stay shared."""
        encoder, decoder = copy.deepcopy(self)
        return EncoderDecoder(encoder.to(dtype), decoder.to(dtype))


class InferenceModel(NamedTuple):
    """Encoder and decoder that a search runs."""

    encoder: Union[Encoder, FastEncoder]
    decoder: Union[Decoder, FastDecoder]


class CachedModels(NamedTuple):
    """Inference models of a network by precision, built from the weights of the snapshot."""

    snapshot: Snapshot
    by_precision: Dict[str, InferenceModel]


_CACHE: "WeakKeyDictionary[Network, CachedModels]" = WeakKeyDictionary()


def default_precision(stored: str, device: torch.device) -> str:
    """Returns the default precision of decoding.

    Args:
        stored: precision in which the model is stored.
        device: device that decodes; fp32 is returned if it does not support the stored precision.
    """
    unsupported = "fp16" if device.type == "cpu" else "int8"
    return "fp32" if stored == unsupported else stored


def inference_model_for(model: Network, precision: Optional[str] = None) -> InferenceModel:
    """Returns faster copies of a network that is prepared for inference, and its own encoder and decoder otherwise.

    Copies are cached, and rebuilt when the network's parameters change. Every search calls this function first. A
    network in training, or with a decoder or an attention that does not support fast decoding, is used directly.

    Args:
        model: network to decode with.
        precision: one of gnmt.precision.PRECISIONS; None means the precision of the network's parameters.

    Raises:
        UserError: if the network does not support the precision: in training, without fast decoding, or on its
            device.
    """
    dtype = model.decoder.output_projection.weight.dtype
    stored_precision = NAMES.get(dtype, str(dtype))
    if precision is None:
        precision = stored_precision
    else:
        check_precision(precision)
    obstacle = _obstacle(model)
    if obstacle is not None:
        if precision != stored_precision:
            raise OptionError(f"--precision {precision} {obstacle}: use {stored_precision}.")
        return InferenceModel(model.encoder, model.decoder)
    cached = _CACHE.get(model)
    if cached is None or not cached.snapshot.describes(model):
        cached = _CACHE[model] = CachedModels(Snapshot(model), {})
    if precision not in cached.by_precision:
        cached.by_precision[precision] = (
            _float_model(model) if precision == stored_precision else _converted(model, precision)
        )
    return cached.by_precision[precision]


def _converted(model: Network, precision: str) -> InferenceModel:
    """Returns the model in a precision that differs from the network's."""
    weight = model.decoder.output_projection.weight
    if weight.dtype != torch.float32:
        raise OptionError(f"--precision {precision} needs a network in float32: leave --fp16 or --precision out.")
    if precision == "int8":
        if weight.device.type != "cpu":
            raise OptionError("--precision int8 works on a CPU: use a CPU, or give fp16.")
        return _int8_model(model)
    if weight.device.type == "cpu":
        if precision == "fp16":
            raise OptionError("--precision fp16 needs a GPU: give bf16, int8 or fp32.")
        return _bf16_model(model)
    return _float_model(EncoderDecoder(model.encoder, model.decoder).copied_to(DTYPES[precision]))


def _obstacle(model: Network) -> Optional[str]:
    """Returns the reason that a network has no faster copies, as the end of a message; None if it has."""
    if not model.is_for_inference:
        return "is for translation, not for training"
    if not model.decoder.supports_fast_decoding:
        return f"needs the layers of GNMT, which {type(model.decoder).__name__} does not have"
    attention = model.decoder.stack.attention
    if not is_registered(attention):
        return f"needs an attention that supports fast decoding, unlike {type(attention).__name__}"
    return None


def _float_model(model: Union[Network, EncoderDecoder]) -> InferenceModel:
    """Returns the model in the floating-point type of the network's weights."""
    encoder = model.encoder
    if encoder.clip.limit is None and can_pack_lstms(encoder.embed_tokens.weight):
        encoder = encoder_with(encoder, PackedLSTM)
    is_packed = can_pack(model.decoder.output_projection.weight)
    decoder = model.decoder
    products = adaptive_gate_products(decoder) if is_packed else fused_gate_products(decoder, inference_linear)
    attention = fast_attention(decoder.stack.attention, inference_linear)
    context = FastContext(decoder.stack, inference_linear)
    return InferenceModel(encoder, FastDecoder(decoder, products, inference_linear, attention, context))


def _int8_model(model: Network) -> InferenceModel:
    if onednn_activation_qmax() is None:
        logger.warning(
            "This torch has no 8-bit products: int8 computes the same results in floating point and is not faster."
        )
    limit = model.encoder.clip.limit
    make_linear: MakeLinear = Int8Linear
    if limit is not None:  # hidden states are not clipped, but are within -1..1
        make_linear = functools.partial(Int8Linear, input_limit=max(limit, 1.0))
    # Embeddings are only looked up, so they stay floats, rounded as in int8 checkpoints. A lookup table of products
    # would need its own scales, which int8 checkpoints (quantization.storage) do not have.
    target_embedding = rounded_embedding(model.decoder.embed_tokens)
    is_shared = model.encoder.embed_tokens is model.decoder.embed_tokens
    clip = model.encoder.clip if limit is None else Int16FakeQuantizer(limit)
    source_embedding = target_embedding if is_shared else rounded_embedding(model.encoder.embed_tokens)
    return _batch_invariant(model, "int8", make_linear, clip, source_embedding, target_embedding)


def rounded_embedding(embedding: nn.Embedding) -> nn.Embedding:
    """Returns a copy of an embedding, rounded as in int8 checkpoints."""
    return nn.Embedding.from_pretrained(dequantized_rows(embedding.weight))


def _bf16_model(model: Network) -> InferenceModel:
    if not has_bf16_products():
        logger.warning("This processor has no products in bfloat16: bf16 emulates them in float32 and is not faster.")
    embeddings = model.encoder.embed_tokens, model.decoder.embed_tokens
    return _batch_invariant(model, "bf16", bf16_linear, model.encoder.clip, *embeddings)


def _batch_invariant(
    model: Network,
    precision: str,
    make_linear: MakeLinear,
    clip: Clip,
    source_embedding: nn.Module,
    target_embedding: nn.Module,
) -> InferenceModel:
    """Returns a model that computes a row equally in every batch, provided that the linear layers do.

    Rows are not de-duplicated: a second conversion of the hidden states costs more time than de-duplication saves.

    Args:
        model: network whose weights are copied.
        precision: int8 or bf16.
        make_linear: builds the linear layers.
        clip: clips or rounds activations.
        source_embedding: replaces the encoder's embedding.
        target_embedding: replaces the decoder's embedding.
    """
    attention = batch_invariant_attention(model.decoder.stack.attention, make_linear, precision)
    encoder = FastEncoder(model.encoder, make_linear, clip, source_embedding)
    products = fused_gate_products(model.decoder, make_linear, target_embedding, clip)
    context = BatchInvariantContext(model.decoder.stack, make_linear)
    decoder = FastDecoder(model.decoder, products, make_linear, attention, context, clip, BATCH_INVARIANT)
    return InferenceModel(encoder, decoder)


def encoder_with(encoder: Encoder, make_layer: Callable[[LSTM], nn.Module]) -> Encoder:
    """Returns a copy of the encoder with other LSTM layers; embeddings are shared.

    Args:
        encoder: encoder to copy.
        make_layer: builds the layer that replaces an LSTM layer.
    """
    copied = copy.copy(encoder)
    copied._modules = dict(encoder._modules)
    copied.first_layer = copy.copy(encoder.first_layer)
    copied.first_layer._modules = {name: make_layer(lstm) for name, lstm in encoder.first_layer.named_children()}
    copied.upper_layers = nn.ModuleList(make_layer(lstm) for lstm in encoder.upper_layers)
    return copied
