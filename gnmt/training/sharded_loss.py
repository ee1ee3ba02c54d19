"""Output projection and label-smoothed loss with a vocabulary that is divided over processes.

Shapes: N tokens (padding dropped), H hidden size, V vocabulary, V' vocabulary tokens of this process.
"""

from typing import Optional, Tuple

import torch
import torch.distributed as dist
from torch import Tensor

from gnmt.training.fused_loss import CHUNK_TOKENS, chunks, minus_smoothed_target, take_gradients
from gnmt.training.vocabulary_shards import VocabularyShard, held_symbols


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
    return _ShardedLoss.apply(features, weight, bias, target, smoothing, logit_limit, shard)


def reduced_statistics(logits: Tensor, rows: Tensor, held: Tensor) -> Tuple[Tensor, Tensor, Tensor]:
    """Returns log sum_V exp(z), the target's logit and sum_V z of each token (N,) from the logits of all processes.

    Each process computes l, the logarithm of its own sum of exponentials. The first reduction is the maximum m of l. The
    second reduction sums exp(l - m), the target's logit (0 on processes without the target) and the logits.

    Args:
        logits: (N, V'), logits of this process.
        rows: (N,), columns of the targets in the logits.
        held: (N,), True if the target belongs to the shard of this process.
    """
    own = logits.logsumexp(dim=1)
    largest = own.clone()
    dist.all_reduce(largest, dist.ReduceOp.MAX)
    correct = logits.gather(1, rows[:, None])[:, 0].masked_fill(~held, 0)
    sums = torch.stack([(own - largest).exp(), correct, logits.sum(dim=1)])
    dist.all_reduce(sums)
    return largest + sums[0].log(), sums[1], sums[2]


class _ShardedLoss(torch.autograd.Function):
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
        wanted = any(ctx.needs_input_grad)
        gradients = tuple(torch.zeros_like(one) for one in (features, weight, bias)) if wanted else None
        all_rows, all_held = held_symbols(target, shard)
        loss, nll = features.new_zeros(()), features.new_zeros(())
        uniform = smoothing / shard.vocabulary_size

        for part in chunks(len(features), CHUNK_TOKENS):
            h, rows, held = features[part], all_rows[part], all_held[part]
            logits = torch.addmm(bias, h, weight.t())
            clipped = None
            if limit is not None:
                clipped = logits.abs() > limit
                logits.clamp_(-limit, limit)
            normalizer, correct, total = reduced_statistics(logits, rows, held)
            nll += (normalizer - correct).sum()
            loss += (normalizer - (1 - smoothing) * correct - uniform * total).sum()
            if gradients is None:
                continue
            probabilities = logits.sub_(normalizer[:, None]).exp_()
            gradient = minus_smoothed_target(probabilities, rows, smoothing, shard.vocabulary_size, held)
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
