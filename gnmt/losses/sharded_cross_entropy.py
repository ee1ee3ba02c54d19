"""Fused linear cross-entropy with an output layer that is sharded by tokens across processes.

Shapes: N non-padding tokens, H hidden size, V vocabulary size, V' tokens of the vocabulary in this process.
"""

from typing import Optional, Tuple

import torch
import torch.distributed as dist
from torch import Tensor

from gnmt.losses.chunks import CHUNK_TOKENS, chunks, minus_smoothed_target, take_gradients
from gnmt.training.vocabulary_shards import VocabularyShard, tokens_of_shard


def sharded_label_smoothed_loss(
    features: Tensor,
    weight: Tensor,
    bias: Tensor,
    target: Tensor,
    smoothing: float,
    logit_limit: Optional[float],
    shard: VocabularyShard,
) -> Tuple[Tensor, Tensor]:
    """Returns the loss, the sum over tokens of (1 - e) * nll + e * mean_V(-log p), and the summed nll, in nats.

    Only the loss has a gradient. All processes must call it with the same features and targets, and get the same loss.
    The gradient of the features is the gradient of the whole loss and equal on every process. Weights and biases have
    the gradient of their shard.

    Args:
        features: (N, H).
        weight: (V', H), rows of the shard.
        bias: (V',).
        target: (N,), tokens of the whole vocabulary.
        smoothing: label smoothing e.
        logit_limit: logits are clipped to -logit_limit .. logit_limit; None disables clipping.
        shard: shard of this process.
    """
    if not torch.is_grad_enabled():  # autograd.Function.forward always runs with grad mode off and cannot check this
        features, weight, bias = features.detach(), weight.detach(), bias.detach()
    return _GradientInForward.apply(features, weight, bias, target, smoothing, logit_limit, shard)


def reduced_statistics(logits: Tensor, columns: Tensor, is_local: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
    """Returns log sum_V exp(z), the target's logit and sum_V z of each token (N,) from the logits of all processes.

    Each process computes l, the logarithm of its sum of exponentials. The first reduction is the maximum m of l. The
    second reduction sums exp(l - m), the target's logit (0 on processes without the target) and the logits.

    Args:
        logits: (N, V'), logits of this process.
        columns: (N,), columns of the targets in the logits.
        is_local: (N,), True if the target belongs to the shard of this process.
    """
    local = logits.logsumexp(dim=1)
    largest = local.clone()
    dist.all_reduce(largest, dist.ReduceOp.MAX)
    target_logit = logits.gather(1, columns[:, None])[:, 0].masked_fill(~is_local, 0)
    sums = torch.stack([(local - largest).exp(), target_logit, logits.sum(dim=1)])
    dist.all_reduce(sums)
    return largest + sums[0].log(), sums[1], sums[2]


class _GradientInForward(torch.autograd.Function):
    """Label-smoothed loss whose gradients are computed in the forward pass, from the logits of one chunk at a time.

    For logits z, loss = lse(z) - (1 - e) z_y - e mean_V(z). Its gradient is softmax(z) - (1 - e) onehot(y) - e / V. Each
    process computes the columns of its tokens.
    """

    @staticmethod
    def forward(
        ctx,
        features: Tensor,
        weight: Tensor,
        bias: Tensor,
        target: Tensor,
        smoothing: float,
        limit: Optional[float],
        shard: VocabularyShard,
    ):
        needs_gradient = any(ctx.needs_input_grad)
        gradients = tuple(map(torch.zeros_like, (features, weight, bias))) if needs_gradient else None
        all_columns, all_local = tokens_of_shard(target, shard)
        loss, nll = features.new_zeros(()), features.new_zeros(())
        uniform = smoothing / shard.vocabulary_size

        for part in chunks(len(features), CHUNK_TOKENS):
            h, columns, is_local = features[part], all_columns[part], all_local[part]
            logits = torch.addmm(bias, h, weight.t())
            clipped = None
            if limit is not None:
                clipped = logits.abs() > limit
                logits.clamp_(-limit, limit)
            log_normalizer, target_logit, logit_sum = reduced_statistics(logits, columns, is_local)
            nll += (log_normalizer - target_logit).sum()
            loss += (log_normalizer - (1 - smoothing) * target_logit - uniform * logit_sum).sum()
            if gradients is None:
                continue
            probabilities = logits.sub_(log_normalizer[:, None]).exp_()
            gradient = minus_smoothed_target(probabilities, columns, smoothing, shard.vocabulary_size, is_local)
            if clipped is not None:
                gradient.masked_fill_(clipped, 0)
            torch.mm(gradient, weight, out=gradients[0][part])
            gradients[1].addmm_(gradient.t(), h)
            gradients[2].add_(gradient.sum(dim=0))

        if gradients is not None:
            dist.all_reduce(gradients[0])
        ctx.gradients = gradients
        ctx.mark_non_differentiable(nll)
        return loss, nll

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, scale: Tensor, _):
        return (*take_gradients(ctx, scale), *[None] * 4)
