"""Output projection and loss in one, without ever holding all logits.

Shapes: N tokens (padding dropped), H hidden size, V vocabulary.
"""
from typing import Optional, Tuple

import torch
from torch import Tensor
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

CHUNK_TOKENS = 1024  # logits held at once: large enough for full matrix-multiplication speed


def projected_label_smoothed_loss(
    features: Tensor,
    weight: Tensor,
    bias: Tensor,
    target: Tensor,
    smoothing: float,
    logit_limit: Optional[float] = None,
) -> Tuple[Tensor, Tensor]:
    """features (N, H), weight (V, H), bias (V,), target (N,); logits are clipped to +-logit_limit, if it is given.

    Returns the sum over tokens of (1 - e) * nll + e * mean_V(-log p), with a gradient, and the summed nll,
    without one; both in float32 and nats.
    """
    if logit_limit is not None:
        return _clipped_loss(features, weight, bias, target, smoothing, logit_limit)
    if _half(features):
        return plain_label_smoothed_loss(F.linear(features, weight, bias), target, smoothing)
    return _projected_loss(features, weight, bias, target, features.new_ones(len(features)), smoothing)


def projected_weighted_nll(
    features: Tensor, weight: Tensor, bias: Tensor, target: Tensor, token_weights: Tensor
) -> Tensor:
    """As above, but the sum of token weight * nll; the token weights (N,) may be negative and get no gradient."""
    if _half(features):
        log_probs = F.linear(features, weight, bias).log_softmax(dim=-1, dtype=torch.float32)
        return -(token_weights * log_probs.gather(1, target[:, None])[:, 0]).sum()
    return _projected_loss(features, weight, bias, target, token_weights.type_as(features), 0.0)[0]


def _projected_loss(
    features: Tensor, weight: Tensor, bias: Tensor, target: Tensor, token_weights: Tensor, smoothing: float
) -> Tuple[Tensor, Tensor]:
    if not torch.is_grad_enabled():  # which the function below is not told
        features, weight, bias = features.detach(), weight.detach(), bias.detach()
    return _ProjectedLoss.apply(features, weight, bias, target, token_weights, smoothing)


def _half(features: Tensor) -> bool:
    """In half precision the loss scale must enter before the gradient is rounded, so autograd does it in order."""
    return features.dtype in (torch.float16, torch.bfloat16) or torch.is_autocast_enabled(features.device.type)


def plain_label_smoothed_loss(logits: Tensor, target: Tensor, smoothing: float) -> Tuple[Tensor, Tensor]:
    """The formula itself, on logits (N, V)."""
    log_probs = logits.log_softmax(dim=-1, dtype=torch.promote_types(logits.dtype, torch.float32))
    nll = -log_probs.gather(1, target[:, None]).sum()
    uniform = -log_probs.mean(dim=-1).sum()
    return (1 - smoothing) * nll + smoothing * uniform, nll.detach()


def _clipped_loss(
    features: Tensor, weight: Tensor, bias: Tensor, target: Tensor, smoothing: float, limit: float
) -> Tuple[Tensor, Tensor]:
    """By autograd, chunk by chunk; each chunk's logits are made again for the gradient."""

    def loss_of(h: Tensor, y: Tensor) -> Tuple[Tensor, Tensor]:
        return plain_label_smoothed_loss(F.linear(h, weight, bias).clamp(-limit, limit), y, smoothing)

    chunks = zip(features.split(CHUNK_TOKENS), target.split(CHUNK_TOKENS))
    losses, nlls = zip(*(checkpoint(loss_of, h, y, use_reentrant=False) for h, y in chunks))
    return sum(losses), sum(nlls)


class _ProjectedLoss(torch.autograd.Function):
    """Gradients are made chunk by chunk in the forward pass, while the chunk's logits are there.

    With logits z, loss = w (lse(z) - (1 - e) z_y - e mean_V(z)), so its gradient is w (softmax(z) - (1 - e) onehot(y)
    - e / V). The terms in e are of rank one and are kept out of the (N, V) arithmetic: mean_V(z) = h . mean_V(W)
    + mean(b). So are the token weights w, which scale rows of (N, H) before or after.
    """

    @staticmethod
    def forward(
        ctx, features: Tensor, weight: Tensor, bias: Tensor, target: Tensor, token_weights: Tensor, smoothing: float
    ):
        wanted = any(ctx.needs_input_grad)
        features_gradient = torch.empty_like(features) if wanted else None
        weight_gradient = torch.zeros_like(weight) if wanted else None
        bias_gradient = torch.zeros_like(bias) if wanted else None
        mean_weight = weight.mean(dim=0)
        weighted_features = features * token_weights[:, None]
        nll = features.new_zeros(())
        loss = -smoothing * (weighted_features.sum(dim=0).dot(mean_weight) + token_weights.sum() * bias.mean())

        for start in range(0, len(features), CHUNK_TOKENS):
            part = slice(start, start + CHUNK_TOKENS)
            h, y, w = features[part], target[part, None], token_weights[part, None]
            logits = torch.addmm(bias, h, weight.t())
            correct = logits.gather(1, y)
            largest = logits.amax(dim=1, keepdim=True)
            # In place, because softmax goes row by row. Its largest value gives the normalizer without one more pass.
            probabilities = torch.softmax(logits, dim=1, out=logits)
            normalizer = largest - probabilities.amax(dim=1, keepdim=True).log()
            nll += (normalizer - correct).sum()
            loss += (w * (normalizer - (1 - smoothing) * correct)).sum()
            if wanted:
                gradient = probabilities.scatter_add_(1, y, torch.full_like(correct, smoothing - 1))
                torch.addmm(mean_weight, gradient, weight, beta=-smoothing, out=features_gradient[part]).mul_(w)
                weight_gradient.addmm_(gradient.t(), weighted_features[part])
                bias_gradient.addmv_(gradient.t(), token_weights[part])

        if wanted:
            weight_gradient -= smoothing / len(weight) * weighted_features.sum(dim=0)
            bias_gradient -= smoothing / len(weight) * token_weights.sum()
        ctx.gradients = (features_gradient, weight_gradient, bias_gradient)
        ctx.mark_non_differentiable(nll)
        return loss, nll

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, scale: Tensor, _):
        if ctx.gradients is None:
            raise RuntimeError("The projected loss gives its gradient once; compute the loss again instead.")
        gradients, ctx.gradients = ctx.gradients, None
        return (*(gradient.mul_(scale) for gradient in gradients), None, None, None)
