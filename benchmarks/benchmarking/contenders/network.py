"""Our network, equal in every process: from a checkpoint, or with random weights from the seed."""

import math

import torch
from fairseq import checkpoint_utils
from fairseq.data import Dictionary
from torch import nn

import fairseq_gnmt  # noqa: F401  registers the plugin's components and its reader of checkpoints
from benchmarking.contenders.fairseq_samples import task_of
from benchmarking.contenders.setting import UNWANTED_LOGIT, Setting
from fairseq_gnmt.models.gnmt import GNMTModel, GNMTv2
from gnmt.errors import UserError

LIVELY_RANGE = 6.4  # times 1 / sqrt(hidden size): twice NVIDIA's 0.1 at 1024


def our_network(setting: Setting) -> GNMTModel:
    """Returns our network on the device of the setting.

    Raises:
        UserError: if the checkpoint has another network.
    """
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
    """Sets large random weights and biases, so that each of them influences the loss and the translations.

    With NVIDIA's initialisation, an error of 1% in the attention changes the loss by less than rounding does. A
    comparison of losses would not detect it. The speed does not depend on the weights.
    """
    weight_range = LIVELY_RANGE / math.sqrt(model.decoder.stack.hidden_size)
    for parameter in model.parameters():
        torch.nn.init.uniform_(parameter, -weight_range, weight_range)
    torch.nn.init.ones_(model.decoder.stack.attention.score_scale)


def load_checkpoint(setting: Setting) -> nn.Module:
    """Returns the network of the checkpoint.

    Raises:
        UserError: for NVIDIA's conventions: the contenders' sources have no BOS.
    """
    models, _, task = checkpoint_utils.load_model_ensemble_and_task(
        [str(setting.checkpoint)], {"data": str(setting.data)}
    )
    if getattr(task.cfg, "nvidia_conventions", False):
        raise UserError(
            f"{setting.checkpoint} was trained with --nvidia-conventions, which this benchmark does not follow."
        )
    return models[0]


def forbid_marks(projection: nn.Linear, dictionary: Dictionary) -> None:
    """Forbids special tokens: random weights would emit EOS at random, and the lengths of translations would vary.

    Args:
        projection: output layer, whose biases are changed.
        dictionary: dictionary of the target language.
    """
    with torch.no_grad():
        projection.bias[: dictionary.nspecial] = UNWANTED_LOGIT
