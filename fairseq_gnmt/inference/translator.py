"""What a search runs: an encoder, and a decoder that makes steps."""
import copy
import functools
import logging
from typing import Callable, Dict, NamedTuple, Union
from weakref import WeakKeyDictionary

import torch
from torch import nn

from fairseq_gnmt.errors import UserError
from fairseq_gnmt.inference.accumulators import Accumulators
from fairseq_gnmt.inference.gates import joined_gates, packed_gates
from fairseq_gnmt.inference.packed_linear import inference_linear, packs
from fairseq_gnmt.inference.packed_lstm import PackedLSTM, packs_lstms
from fairseq_gnmt.inference.recurrence import HoistedLSTM, MakeLinear
from fairseq_gnmt.inference.reproducible_attention import ReproducibleAttention
from fairseq_gnmt.inference.snapshot import Snapshot
from fairseq_gnmt.inference.step_decoder import StepDecoder
from fairseq_gnmt.models.activations import REPRODUCIBLE
from fairseq_gnmt.models.decoder import GNMTDecoder
from fairseq_gnmt.models.encoder import GNMTEncoder
from fairseq_gnmt.models.gnmt import GNMTModel
from fairseq_gnmt.models.lstm import LSTM
from fairseq_gnmt.quantization.int8_linear import Int8Linear, rounded_rows
from fairseq_gnmt.quantization.integer_products import onednn_levels

logger = logging.getLogger(__name__)


class Translator(NamedTuple):
    encoder: GNMTEncoder
    decoder: Union[GNMTDecoder, StepDecoder]


class Prepared(NamedTuple):
    """The translators of a model, by precision, made from the weights of the snapshot."""

    snapshot: Snapshot
    translators: Dict[str, Translator]


_PREPARED: "WeakKeyDictionary[GNMTModel, Prepared]" = WeakKeyDictionary()


def translator_of(model: GNMTModel, quantize: str = "none") -> Translator:
    """The model's own two halves while it may still be trained, faster copies once it may not.

    Copies are made after fairseq's prepare_for_inference_, which forbids training, and again when the model's parameters
    have changed, which drops the old copies. Every search asks at its start. quantize is "none" or "int8". Raises UserError if a model in training, or one on a GPU, is to be quantised.
    """
    if not model.is_for_inference:
        if quantize != "none":
            raise UserError(f"--quantize {quantize} is for translation: leave it out in training.")
        return Translator(model.encoder, model.decoder)
    prepared = _PREPARED.get(model)
    if prepared is None or not prepared.snapshot.describes(model):
        prepared = _PREPARED[model] = Prepared(Snapshot(model), {})
    if quantize not in prepared.translators:
        prepared.translators[quantize] = _quantized(model) if quantize == "int8" else _packed(model)
    return prepared.translators[quantize]


def _packed(model: GNMTModel) -> Translator:
    encoder = model.encoder
    if encoder.clip.limit is None and packs_lstms(encoder.embed_tokens.weight):
        encoder = encoder_with(encoder, PackedLSTM)
    packed = packs(model.decoder.output_projection.weight)
    gates = packed_gates(model.decoder) if packed else joined_gates(model.decoder, inference_linear)
    return Translator(encoder, StepDecoder(model.decoder, gates, inference_linear))


def _quantized(model: GNMTModel) -> Translator:
    weight = model.decoder.output_projection.weight
    if weight.device.type != "cpu" or weight.dtype != torch.float32:
        raise UserError("--quantize int8 works on a CPU, without --fp16: give --cpu, or leave --quantize out.")
    if onednn_levels() is None:
        logger.warning("This torch has no 8-bit products: --quantize int8 gives the same numbers by floats, and no speed.")
    limit = model.encoder.clip.limit
    make_linear: MakeLinear = Int8Linear
    if limit is not None:  # hidden states, which are not clipped, lie within -1..1
        make_linear = functools.partial(Int8Linear, input_limit=max(limit, 1.0))
    # Embeddings are only looked up, so they stay floats; but those of a checkpoint in integers, whatever was loaded.
    rounded = functools.cache(lambda embedding: nn.Embedding.from_pretrained(rounded_rows(embedding.weight)))
    clip = model.encoder.clip if limit is None else Accumulators(limit)
    encoder = encoder_with(model.encoder, functools.partial(HoistedLSTM, make_linear=make_linear, activations=REPRODUCIBLE))
    encoder.embed_tokens, encoder.clip = rounded(model.encoder.embed_tokens), clip
    # Not shared: rounding hidden states apart costs more than it saves. And a table of words would have scales of its own,
    # which integer checkpoints (quantization.storage) do not have.
    gates = joined_gates(model.decoder, make_linear, rounded(model.decoder.embed_tokens), clip)
    attention = ReproducibleAttention(model.decoder.stack.attention, make_linear)
    return Translator(encoder, StepDecoder(model.decoder, gates, make_linear, clip, attention, REPRODUCIBLE))


def encoder_with(encoder: GNMTEncoder, make_layer: Callable[[LSTM], nn.Module]) -> GNMTEncoder:
    """A copy of the encoder with other LSTM layers in it; embeddings are shared."""
    copied = copy.copy(encoder)
    copied._modules = dict(encoder._modules)
    copied.first_layer = copy.copy(encoder.first_layer)
    copied.first_layer._modules = {name: make_layer(lstm) for name, lstm in encoder.first_layer.named_children()}
    copied.upper_layers = nn.ModuleList(make_layer(lstm) for lstm in encoder.upper_layers)
    return copied
