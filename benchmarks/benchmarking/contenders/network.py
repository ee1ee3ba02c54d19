"""Our network, the same in every process: of a checkpoint, or with random weights from the seed."""

import math

import torch
from fairseq import checkpoint_utils
from fairseq.data import Dictionary
from torch import nn

import fairseq_gnmt  # noqa: F401  registers everything, and lets checkpoints be read
from benchmarking.contenders.fairseq_samples import task_of
from benchmarking.contenders.setting import UNWANTED_LOGIT, Setting
from fairseq_gnmt.models.gnmt import GNMTModel, GNMTv2
from gnmt.errors import UserError

LIVELY_RANGE = 6.4  # times 1 / sqrt(hidden size): twice NVIDIA's 0.1 at 1024


def our_network(setting: Setting) -> GNMTModel:
    """Raises UserError if the checkpoint has another network."""
    if setting.checkpoint is not None:
        model = load_checkpoint(setting)
        if not isinstance(model, GNMTModel):
            raise UserError(f"{setting.checkpoint} is a {type(model).__name__}, but must be a GNMT of this plugin.")
        return model
    torch.manual_seed(setting.seed)
    config = GNMTv2.config_class(
        hidden_size=setting.size.hidden,
        encoder_layers=setting.size.layers,
        decoder_layers=setting.size.layers,
        dropout=setting.dropout,
    )
    model = GNMTv2.build_model(config, task_of(setting.dictionary))
    enliven(model)
    if setting.search is not None:
        forbid_marks(model.decoder.output_projection, setting.dictionary)
    return model


def enliven(model: GNMTModel) -> None:
    """Large random weights everywhere, biases too, so that each shows in the loss and in the translations.

    As NVIDIA initialises them, attention that is wrong by 1% changes the loss by less than rounding does: comparing
    losses would then prove nothing. The speed does not depend on it.
    """
    weight_range = LIVELY_RANGE / math.sqrt(model.decoder.stack.hidden_size)
    for parameter in model.parameters():
        torch.nn.init.uniform_(parameter, -weight_range, weight_range)
    torch.nn.init.ones_(model.decoder.stack.attention.score_scale)


def load_checkpoint(setting: Setting) -> nn.Module:
    """Raises UserError for NVIDIA's conventions: the contenders' sources have no BOS tokens."""
    models, _, task = checkpoint_utils.load_model_ensemble_and_task(
        [str(setting.checkpoint)], {"data": str(setting.data)}
    )
    if getattr(task.cfg, "nvidia_conventions", False):
        raise UserError(
            f"{setting.checkpoint} was trained with --nvidia-conventions, which this benchmark does not follow."
        )
    return models[0]


def forbid_marks(projection: nn.Linear, dictionary: Dictionary) -> None:
    """Random weights would say special tokens at random, so that no two batches took equally long."""
    with torch.no_grad():
        projection.bias[: dictionary.nspecial] = UNWANTED_LOGIT
