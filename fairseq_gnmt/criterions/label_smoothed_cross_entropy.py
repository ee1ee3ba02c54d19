"""Label-smoothed cross-entropy, fused with the output projection.

Smoothing follows NVIDIA's GNMT. The loss is the sum over non-padding tokens of (1 - e) * nll + e * mean_V(-log p), with the
mean over the whole vocabulary. fairseq's own smoothing is equal if its epsilon is e * (V - 1) / V.

Shapes: B sentences, T target positions, H hidden size, V vocabulary size.
"""

import math
from dataclasses import dataclass, field
from functools import partial
from types import SimpleNamespace
from typing import Any, Callable, Dict, Tuple

import torch
from fairseq import utils
from fairseq.criterions import FairseqCriterion, register_criterion
from fairseq.dataclass import FairseqDataclass
from fairseq.logging import metrics
from omegaconf import II
from torch import Tensor, nn

from gnmt.errors import UserError
from gnmt.losses.fused_linear_cross_entropy import fused_label_smoothed_loss
from gnmt.losses.sharded_cross_entropy import sharded_label_smoothed_loss
from gnmt.ranges import Range, check_ranges
from gnmt.training.batch_shares import gather_batch, rows_of_process
from gnmt.training.sharded_layers import ShardedProjection
from gnmt.training.vocabulary_shards import VocabularyShard


@dataclass
class GNMTLabelSmoothedCrossEntropyConfig(FairseqDataclass):
    """Options of the criterion `gnmt_label_smoothed_cross_entropy`."""

    label_smoothing: float = field(
        default=0.1, metadata={"help": "probability mass spread over the vocabulary", "range": Range(0, 1, below=True)}
    )
    sentence_avg: bool = II("optimization.sentence_avg")


@register_criterion("gnmt_label_smoothed_cross_entropy", dataclass=GNMTLabelSmoothedCrossEntropyConfig)
class GNMTLabelSmoothedCrossEntropy(FairseqCriterion):
    """Label-smoothed cross-entropy, computed together with the output projection.

    Args:
        task: fairseq's task.
        label_smoothing: probability that is spread over the vocabulary.
        sentence_avg: divides the gradient by sentences instead of tokens.
    """

    def __init__(self, task, label_smoothing: float, sentence_avg: bool):
        super().__init__(task)
        check_ranges(GNMTLabelSmoothedCrossEntropyConfig, SimpleNamespace(label_smoothing=label_smoothing))
        self.label_smoothing = label_smoothing
        self.sentence_avg = sentence_avg

    def forward(self, model, sample, reduce=True):
        """Computes the loss of a batch.

        Args:
            model: GNMT model.
            sample: batch of fairseq.
            reduce: unused; fairseq requests unreduced losses neither in training nor in validation.

        Returns:
            The summed loss in nats, the divisor of the gradient, and the logging output.
        """
        projection = projection_of(model)
        if isinstance(projection, ShardedProjection):
            features = shared_features(model, sample["net_input"], projection.shard)
        else:
            features, _ = model(**sample["net_input"], features_only=True)
        return self.loss_from_features(model, features, sample)

    def loss_from_features(self, model, features: Tensor, sample) -> Tuple[Tensor, int, Dict[str, Any]]:
        """Computes the loss from decoder features.

        Args:
            model: GNMT model.
            features: (B, T, H), for the targets (B, T).
            sample: batch of fairseq.

        Returns:
            The summed loss in nats, the divisor of the gradient, and the logging output.
        """
        projection = projection_of(model)
        # With --layer-devices, features and batch are on different devices.
        target = sample["target"].to(features.device)
        positions = non_padding_positions(target, self.padding_idx, sample["ntokens"])
        loss_of_tokens: Callable[..., Tuple[Tensor, Tensor]] = fused_label_smoothed_loss
        if isinstance(projection, ShardedProjection):
            loss_of_tokens = partial(sharded_label_smoothed_loss, shard=projection.shard)
        loss, nll = loss_of_tokens(
            features=features.flatten(0, 1).index_select(0, positions),
            weight=projection.weight,
            bias=projection.bias,
            target=target.flatten().index_select(0, positions),
            smoothing=self.label_smoothing,
            logit_limit=model.decoder.logit_limit,
        )
        loss, nll = loss.to(sample["target"].device), nll.to(sample["target"].device)
        sentences = sample["target"].size(0)
        sample_size = sentences if self.sentence_avg else sample["ntokens"]
        logging_output = {
            "loss": loss.detach(),
            "nll_loss": nll,
            "ntokens": sample["ntokens"],
            "nsentences": sentences,
            "sample_size": sample_size,
        }
        return loss, sample_size, logging_output

    @classmethod
    def reduce_metrics(cls, logging_outputs) -> None:
        """Aggregates over processes; losses are logged in bits, as in fairseq."""
        sums = {
            key: sum(log.get(key, 0) for log in logging_outputs)
            for key in ("loss", "nll_loss", "ntokens", "sample_size")
        }
        loss, nll = ratio(sums["loss"], sums["sample_size"]), ratio(sums["nll_loss"], sums["ntokens"])
        metrics.log_scalar("loss", loss / math.log(2), sums["sample_size"], round=3)
        metrics.log_scalar("nll_loss", nll / math.log(2), sums["ntokens"], round=3)
        metrics.log_derived("ppl", lambda meters: utils.get_perplexity(meters["nll_loss"].avg))

    @staticmethod
    def logging_outputs_can_be_summed() -> bool:
        return True


def projection_of(model) -> nn.Module:
    """Returns the output projection of a model.

    Raises:
        UserError: if the decoder has none, as in some models of fairseq.
    """
    projection = getattr(getattr(model, "decoder", None), "output_projection", None)
    if projection is None:
        raise UserError(
            f"GNMT's criterions need a model with decoder.output_projection, which {type(model).__name__} does not have: use "
            "--arch gnmt_v2, or a criterion of fairseq."
        )
    return projection


def ratio(total: Any, count: Any) -> Any:
    """Returns total / max(count, 1): a process may have no sentence in an update or validation."""
    return total / (count.clamp(min=1) if torch.is_tensor(count) else max(count, 1))


def shared_features(model, net_input: Dict[str, Tensor], shard: VocabularyShard) -> Tensor:
    """Returns the decoder features (B, T, H) of a batch; each process computes some sentences.

    Args:
        model: GNMT model.
        net_input: inputs of the model for the whole batch.
        shard: shard of this process.
    """
    batch = len(net_input["src_tokens"])
    rows = rows_of_process(batch, shard.rank, shard.shards).to(net_input["src_tokens"].device)
    features, _ = model(**{name: value[rows] for name, value in net_input.items()}, features_only=True)
    return gather_batch(features, batch)


def non_padding_positions(target: Tensor, pad: int, count: int) -> Tensor:
    """Returns the indices (count,) of the tokens of a flattened target that are not padding, in order.

    A stable sort puts non-padding tokens first.

    Args:
        target: (B, T).
        pad: id of PAD.
        count: number of non-padding tokens; counting them on a GPU would block the CPU.
    """
    return target.flatten().eq(pad).byte().argsort(stable=True)[:count]
