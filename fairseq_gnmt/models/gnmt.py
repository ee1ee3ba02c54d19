"""The GNMT model for fairseq: options and named architectures."""

import dataclasses
from dataclasses import dataclass, field
from functools import partial
from typing import Dict, List, Optional, Tuple

import torch
from fairseq.data import Dictionary
from fairseq.dataclass import ChoiceEnum, FairseqDataclass
from fairseq.dataclass.utils import merge_with_parent
from fairseq.models import FairseqEncoderDecoderModel, register_model
from omegaconf import DictConfig
from torch import Tensor, nn

from fairseq_gnmt.models.encoder_decoder import GNMTDecoder, GNMTEncoder
from fairseq_gnmt.models.hub import GNMTHub
from gnmt.checkpoints.stored_weights import difference
from gnmt.errors import UserError
from gnmt.network.clipping import ClipSchedule
from gnmt.network.config import DROPOUT, INITIAL_WEIGHTS, LAYERS, SIZES, NetworkConfig
from gnmt.network.gnmt import build_halves, initialize
from gnmt.network.placement import PlaceableNetwork
from gnmt.quantization.storage import to_floats
from gnmt.ranges import check_ranges
from gnmt.training.batch_shares import sum_gradients
from gnmt.training.sharded_layers import shard_weights, sharded_layers, split_parameters


@dataclass
class GNMTConfig(FairseqDataclass):
    """Options of every GNMT architecture; the defaults are NVIDIA's GNMT v2."""

    hidden_size: int = field(
        default=1024, metadata={"help": "hidden size: units of embeddings, LSTMs and attention", "range": SIZES}
    )
    encoder_layers: int = field(
        default=4,
        metadata={"help": "number of encoder layers, including the bidirectional one", "range": LAYERS},
    )
    decoder_layers: int = field(
        default=4,
        metadata={
            "help": "number of decoder layers, including the layer that queries the attention",
            "range": LAYERS,
        },
    )
    dropout: float = field(
        default=0.2,
        metadata={"help": "dropout probability on the input of every LSTM layer", "range": DROPOUT},
    )
    no_share_embeddings: bool = field(
        default=False, metadata={"help": "use separate source and target embeddings (dictionaries may then differ)"}
    )
    share_decoder_input_output_embed: bool = field(
        default=False,
        metadata={"help": "use the target embeddings as the weights of the output projection (fewer parameters)"},
    )
    init_range: float = field(
        default=0.1, metadata={"help": "initialise weights uniformly in -RANGE..RANGE", "range": INITIAL_WEIGHTS}
    )
    embedding_init_range: Optional[float] = field(
        default=None,
        metadata={
            "help": "initialise embeddings uniformly in -RANGE..RANGE (default: --init-range)",
            "range": INITIAL_WEIGHTS,
        },
    )
    attention_query: ChoiceEnum(["current", "previous"]) = field(  # type: ignore[valid-type]  # of fairseq
        default="current",
        metadata={
            "help": "position of the bottom layer's output that queries the attention: current (v2) or previous (paper)"
        },
    )
    activation_clip: Optional[float] = field(
        default=None,
        metadata={"help": "quantisable training: final limit D of cell states and layer outputs (paper: 1.0)"},
    )
    activation_clip_start: float = field(default=8.0, metadata={"help": "initial D, which decreases linearly"})
    activation_clip_from: int = field(default=0, metadata={"help": "update at which D starts to decrease"})
    activation_clip_until: int = field(default=0, metadata={"help": "update at which D reaches --activation-clip"})
    checkpoint_activations: bool = field(
        default=False,
        metadata={"help": "recompute LSTM layers in the backward pass instead of storing their activations"},
    )


class GNMTModel(PlaceableNetwork, FairseqEncoderDecoderModel):
    """GNMT network with fairseq's interfaces: residual LSTM encoder and decoder with attention."""

    @classmethod
    def build_model(cls, cfg, task) -> "GNMTModel":
        if isinstance(cfg, DictConfig):  # hydra and checkpoints may have fewer or more options than this version
            cfg = merge_with_parent(cls.config_class(), cfg, remove_missing=True)
        check_ranges(GNMTConfig, cfg)
        check_task(task)
        source, target = task.source_dictionary, task.target_dictionary
        if not cfg.no_share_embeddings and source != target:
            raise UserError(
                f"The source dictionary ({len(source)} entries) and the target dictionary ({len(target)}) differ, "
                "but their embeddings are shared. Run fairseq-preprocess with --joined-dictionary, or train with "
                "--no-share-embeddings."
            )
        config = network_config(cfg, source, target)
        model = cls(*build_halves(config, partial(GNMTEncoder, source), partial(GNMTDecoder, target)))
        initialize(model, config)
        return model

    @classmethod
    def from_pretrained(cls, *args, **kwargs) -> GNMTHub:
        """Loads a model as fairseq does; with the keyword `replace_unk=""`, unknown source words are copied."""
        hub = super().from_pretrained(*args, **kwargs)
        return GNMTHub(hub.cfg, hub.task, list(hub.models))

    def forward(
        self, src_tokens: Tensor, src_lengths: Tensor, prev_output_tokens: Tensor, features_only: bool = False
    ) -> Tuple[Tensor, Dict[str, List[Tensor]]]:
        """Computes all target positions at once.

        Args:
            src_tokens: (B, S), padded on either side.
            src_lengths: unused; lengths are read off the padding.
            prev_output_tokens: (N, T); rows of the same sentence are adjacent.
            features_only: return features instead of logits.

        Returns:
            The outputs of `GNMTDecoder.forward`.
        """
        encoder_out = self.encoder(src_tokens, src_lengths)
        return self.decoder(prev_output_tokens, encoder_out, features_only=features_only)

    @property
    def is_for_inference(self) -> bool:
        """True after fairseq's prepare_for_inference_."""
        return self._is_generation_fast

    def upgrade_state_dict(self, state_dict: Dict[str, Tensor]) -> None:
        """Converts int8 checkpoints and checkpoints without clipping; called by fairseq before it loads weights."""
        to_floats(state_dict)
        for name, buffer in self.named_buffers(remove_duplicate=False):
            state_dict.setdefault(name, buffer)
        check_shared_weights(self, state_dict)
        check_weight_names(self, state_dict)
        shard_weights(self, state_dict)
        super().upgrade_state_dict(state_dict)

    def all_reduce_grads(self) -> None:
        """Sums gradients over processes with --vocabulary-parallel; fairseq calls this method before an update."""
        if sharded_layers(self):
            sum_gradients(split_parameters(self)[0])


def check_task(task) -> None:
    """Checks that a task of fairseq's own does not load a model that was trained with BOS on its sources.

    Raises:
        UserError: if it does.
    """
    stored = task.state.state_dict if hasattr(task, "state") else {}
    if stored.get("nvidia_conventions") and not getattr(task.cfg, "nvidia_conventions", False):
        raise UserError("The model was trained with --nvidia-conventions: give --task gnmt_translation.")


def check_weight_names(model: nn.Module, state_dict: Dict[str, Tensor]) -> None:
    """Checks the names of the weights in a state dict.

    Args:
        model: GNMT model.
        state_dict: weights by name.

    Raises:
        UserError: for missing weights, and for weights that the network does not have.
    """
    if differences := difference(model.state_dict(), state_dict):
        raise UserError(
            f"{getattr(state_dict, 'source', 'The checkpoint')} {' and '.join(differences)}. Its architecture and sizes must "
            "equal this network's: use another checkpoint, or start in a new --save-dir."
        )


def check_shared_weights(model: nn.Module, state_dict: Dict[str, Tensor]) -> None:
    """Checks that weights which the model shares are equal in the checkpoint; loading would keep only one of them.

    Args:
        model: GNMT model.
        state_dict: weights by name.

    Raises:
        UserError: if they differ.
    """
    names: Dict[int, str] = {}
    for name, parameter in model.named_parameters(remove_duplicate=False):
        first_name = names.setdefault(id(parameter), name)
        if first_name == name or not {first_name, name} <= state_dict.keys():
            continue
        first_weight, weight = state_dict[first_name].float(), state_dict[name].float()
        if first_weight.shape != weight.shape or not torch.allclose(
            first_weight, weight, rtol=0, atol=0, equal_nan=True
        ):
            difference = (
                "without --share-decoder-input-output-embed" if "output" in name else "with --no-share-embeddings"
            )
            raise UserError(f"The checkpoint was trained {difference}, but this model is not: use the same option.")


def network_config(cfg, source: Dictionary, target: Dictionary) -> NetworkConfig:
    """Returns the configuration of the network for fairseq's options.

    Args:
        cfg: options of the model.
        source: source dictionary.
        target: target dictionary.

    Raises:
        UserError: for an option outside its range.
    """
    return NetworkConfig(
        source_vocabulary_size=len(source),
        target_vocabulary_size=len(target),
        padding_index=source.pad(),
        hidden_size=cfg.hidden_size,
        encoder_layers=cfg.encoder_layers,
        decoder_layers=cfg.decoder_layers,
        dropout=cfg.dropout,
        share_embeddings=not cfg.no_share_embeddings,
        tie_output=cfg.share_decoder_input_output_embed,
        attention_query=str(cfg.attention_query),
        clip=clip_schedule(cfg),
        init_range=cfg.init_range,
        embedding_init_range=cfg.embedding_init_range,
        checkpoint_activations=cfg.checkpoint_activations,
    )


def clip_schedule(cfg) -> Optional[ClipSchedule]:
    """Returns the clipping schedule of the options; None without clipping.

    Raises:
        UserError: if the limits or updates are not in order.
    """
    end, start, first_update, last_update = (
        cfg.activation_clip, cfg.activation_clip_start, cfg.activation_clip_from, cfg.activation_clip_until
    )  # fmt: skip
    if end is None:
        if (start, first_update, last_update) != (8.0, 0, 0):
            raise UserError("--activation-clip-start, -from and -until require --activation-clip (the paper: 1.0).")
        return None
    if not 0 < end <= start:
        raise UserError(
            f"--activation-clip is {end}, but must be above 0 and at most --activation-clip-start, {start}."
        )
    if not 0 <= first_update <= last_update:
        raise UserError(
            f"--activation-clip-from is {first_update} and --activation-clip-until {last_update}, but must be updates in this order."
        )
    return ClipSchedule(start, end, first_update, last_update)


def register_preset(name: str, class_name: str, **numbers) -> type:
    """Registers GNMTModel under a further name, with different defaults of its options.

    Each preset has its own dataclass, so that its defaults are equal on the command line, in hydra and in checkpoints.
    fairseq ignores the defaults of `register_model_architecture` in hydra and checkpoints.

    Args:
        name: name of the architecture.
        class_name: name of the new class.
        numbers: new defaults, by option.
    """
    options = [
        (option.name, option.type, field(default=numbers.pop(option.name, option.default), metadata=option.metadata))
        for option in dataclasses.fields(GNMTConfig)
    ]
    assert not numbers, f"unknown options {numbers}"
    config_class = dataclasses.make_dataclass(f"{class_name}Config", options, bases=(GNMTConfig,))
    config_class.__module__ = __name__
    preset = type(class_name, (GNMTModel,), {"config_class": config_class, "__module__": __name__})
    return register_model(name, dataclass=config_class)(preset)


GNMTModel.config_class = GNMTConfig
GNMTv2 = register_preset("gnmt_v2", "GNMTv2")  # NVIDIA's defaults: WMT16 en-de
GNMTv2EightLayers = register_preset("gnmt_v2_8_layers", "GNMTv2EightLayers", encoder_layers=8, decoder_layers=8)
# About 30,000 sentence pairs. The smaller the hidden size, the larger the initial weights must be, or the decoder
# ignores the source: 0.2 is 0.1 * sqrt(1024 / 256). Embeddings are larger again, because each LSTM layer halves its inputs at first.
GNMTv2Small = register_preset("gnmt_v2_small", "GNMTv2Small", hidden_size=256, init_range=0.2, embedding_init_range=0.4)
# For tests and first trials.
GNMTv2Tiny = register_preset("gnmt_v2_tiny", "GNMTv2Tiny", hidden_size=32, encoder_layers=3, decoder_layers=3)
# Wu et al. (2016): deeper; attention is queried with the previous step's output, so layers can be pipelined.
GNMT = register_preset("gnmt", "GNMT", encoder_layers=8, decoder_layers=8, attention_query="previous")
