"""Fused linear cross-entropy: output projection and label-smoothed loss, without the logits of all tokens in memory.

Shapes: N non-padding tokens, n tokens of a chunk, H hidden size, V vocabulary size.
"""

from typing import Any, List, Optional, Tuple

import torch
from torch import Tensor

from gnmt.losses.chunks import CHUNK_TOKENS, chunks, minus_smoothed_target, take_gradients
from gnmt.network.product_precision import product_precision

CACHED_ELEMENTS = 1 << 18  # logits that are processed together: they fit the second-level cache of a CPU


def fused_label_smoothed_loss(
    features: Tensor,
    weight: Tensor,
    bias: Tensor,
    target: Tensor,
    smoothing: float,
    logit_limit: Optional[float] = None,
) -> Tuple[Tensor, Tensor]:
    """Computes the label-smoothed loss (1 - e) * nll + e * mean_V(-log p), summed over tokens.

    Args:
        features: (N, H).
        weight: (V, H).
        bias: (V,).
        target: (N,).
        smoothing: e.
        logit_limit: logits are clipped to -logit_limit..logit_limit; None disables clipping.

    Returns:
        The loss (differentiable) and the summed nll (not differentiable), both in nats, in float32 or more precise.
    """
    return _fused_loss(features, weight, bias, target, features.new_ones(len(features)), smoothing, logit_limit)


def fused_weighted_nll(features: Tensor, weight: Tensor, bias: Tensor, target: Tensor, token_weights: Tensor) -> Tensor:
    """Returns the sum of token weight * nll.

    Args:
        features: (N, H).
        weight: (V, H).
        bias: (V,).
        target: (N,).
        token_weights: (N,), may be negative; they get no gradient.
    """
    return _fused_loss(features, weight, bias, target, token_weights, 0.0, None)[0]


def _fused_loss(
    features: Tensor,
    weight: Tensor,
    bias: Tensor,
    target: Tensor,
    token_weights: Tensor,
    smoothing: float,
    logit_limit: Optional[float],
) -> Tuple[Tensor, Tensor]:
    if not torch.is_grad_enabled():  # autograd.Function.forward always runs with grad mode off and cannot see this
        features, weight, bias = features.detach(), weight.detach(), bias.detach()
    precision = product_precision(features)
    if logit_limit is None and precision != torch.float16:
        return _GradientInForward.apply(features, weight, bias, target, token_weights, smoothing, precision)
    return _RecomputedLogits.apply(features, weight, bias, target, token_weights, smoothing, logit_limit, precision)


class _GradientInForward(torch.autograd.Function):
    """Loss whose gradients are computed chunk by chunk in the forward pass, while the chunk's logits are available.

    With logits z, loss = w (lse(z) - (1 - e) z_y - e mean_V(z)), so its gradient is w (softmax(z) - (1 - e) onehot(y)
    - e / V). Softmax and sums are in float32 or more precise, on rows that fit the processor's cache.
    """

    @staticmethod
    def forward(
        ctx,
        features: Tensor,
        weight: Tensor,
        bias: Tensor,
        target: Tensor,
        token_weights: Tensor,
        smoothing: float,
        precision: torch.dtype,
    ):
        needs_gradient = any(ctx.needs_input_grad)
        accumulation_dtype = torch.promote_types(precision, torch.float32)
        features_in_precision, weight_in_precision, bias_in_precision = (
            tensor.to(precision) for tensor in (features, weight, bias)
        )
        token_weights = token_weights.to(accumulation_dtype)
        features_gradient: Any = torch.empty_like(features) if needs_gradient else None
        weight_gradient = None
        bias_gradient = torch.zeros_like(bias, dtype=accumulation_dtype) if needs_gradient else None
        # Two tensors, because fairseq changes losses in place.
        loss, nll = token_weights.new_zeros(()), token_weights.new_zeros(())

        for part in chunks(len(features), CHUNK_TOKENS * (2 if precision.itemsize == 2 else 1)):
            logits = torch.addmm(bias_in_precision, features_in_precision[part], weight_in_precision.t())
            for rows in _rows_in_cache(logits):
                z, y, w = logits[rows].to(accumulation_dtype), target[part][rows, None], token_weights[part][rows, None]
                target_logit, mean_logit = z.gather(1, y), z.mean(dim=1, keepdim=True)
                largest = z.amax(dim=1, keepdim=True)
                # In place, because softmax processes rows one by one. Its largest value gives lse(z) without another pass.
                probabilities = torch.softmax(z, dim=1, out=z)
                log_normalizer = largest - probabilities.amax(dim=1, keepdim=True).log()
                nll += (log_normalizer - target_logit).sum()
                loss += (w * (log_normalizer - (1 - smoothing) * target_logit - smoothing * mean_logit)).sum()
                if needs_gradient:
                    gradient = minus_smoothed_target(probabilities, y[:, 0], smoothing, len(weight)).mul_(w)
                    bias_gradient += gradient.sum(dim=0)
                    logits[rows] = gradient
            if needs_gradient:
                features_gradient[part] = logits @ weight_in_precision
                weight_gradient = _plus_product(
                    weight_gradient, logits.t(), features_in_precision[part], accumulation_dtype
                )
        if needs_gradient and weight_gradient is None:  # no tokens
            weight_gradient = torch.zeros_like(weight, dtype=accumulation_dtype)

        ctx.gradients = (features_gradient, weight_gradient, bias_gradient)
        ctx.dtypes = (features.dtype, weight.dtype, bias.dtype)
        ctx.mark_non_differentiable(nll)
        return loss, nll

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, scale: Tensor, _):
        gradients = take_gradients(ctx, scale)
        return (*(gradient.to(dtype) for gradient, dtype in zip(gradients, ctx.dtypes)), *[None] * 4)


class _RecomputedLogits(torch.autograd.Function):
    """Loss for float16 and for clipped logits; the logits of each chunk are recomputed in the backward pass.

    float16 gradients must be multiplied by the loss scale before rounding: a probability of 1e-8 is 0 in float16. The
    scale is known only in the backward pass. Softmax and sums over chunks are in float32, or in float64 for float64
    features.
    """

    @staticmethod
    def forward(
        ctx,
        features: Tensor,
        weight: Tensor,
        bias: Tensor,
        target: Tensor,
        token_weights: Tensor,
        smoothing: float,
        limit: Optional[float],
        precision: torch.dtype,
    ):
        ctx.save_for_backward(features, weight, bias, target, token_weights)
        ctx.smoothing, ctx.limit, ctx.precision = smoothing, limit, precision
        accumulation_dtype = torch.promote_types(precision, torch.float32)
        loss, nll = (torch.zeros((), dtype=accumulation_dtype, device=features.device) for _ in range(2))
        for part in chunks(len(features), CHUNK_TOKENS):
            logits = _logits(features[part], weight, bias, precision)
            if limit is not None:
                logits.clamp_(-limit, limit)
            log_probs = logits.log_softmax(dim=1, dtype=accumulation_dtype)
            losses = -log_probs.gather(1, target[part, None])[:, 0]
            nll += losses.sum()
            smoothed = (1 - smoothing) * losses - smoothing * log_probs.mean(dim=1)
            loss += (smoothed * token_weights[part]).sum()
        ctx.mark_non_differentiable(nll)
        return loss, nll

    @staticmethod
    @torch.autograd.function.once_differentiable
    def backward(ctx, scale: Tensor, _):
        features, weight, bias, target, token_weights = ctx.saved_tensors
        accumulation_dtype = torch.promote_types(ctx.precision, torch.float32)
        weight_in_precision, scales = weight.to(ctx.precision), scale * token_weights.to(accumulation_dtype)
        features_gradient = torch.empty_like(features)
        weight_gradient, bias_gradient = (
            torch.zeros_like(weight, dtype=accumulation_dtype),
            torch.zeros_like(bias, dtype=accumulation_dtype),
        )
        for part in chunks(len(features), CHUNK_TOKENS):
            logits = _logits(features[part], weight, bias, ctx.precision)
            gradient = _logits_gradient(
                logits, target[part], scales[part], ctx.smoothing, ctx.limit, accumulation_dtype
            )
            bias_gradient += gradient.sum(dim=0)
            gradient = gradient.to(ctx.precision)
            features_gradient[part] = gradient @ weight_in_precision
            weight_gradient += gradient.t() @ features[part].to(ctx.precision)
        return features_gradient, weight_gradient.type_as(weight), bias_gradient.type_as(bias), *[None] * 5


def _logits_gradient(
    logits: Tensor,
    target: Tensor,
    scales: Tensor,
    smoothing: float,
    limit: Optional[float],
    accumulation_dtype: torch.dtype,
) -> Tensor:
    """Returns scale * (softmax - (1 - e) onehot - e / V), 0 at clipped logits.

    Args:
        logits: (n, V).
        target: (n,).
        scales: (n,), factor of each token's gradient.
        smoothing: e.
        limit: logits are clipped to -limit..limit; None disables clipping.
        accumulation_dtype: type of the arithmetic.
    """
    clipped = logits if limit is None else logits.clamp(-limit, limit)
    probabilities = clipped.softmax(dim=1, dtype=accumulation_dtype)
    gradient = minus_smoothed_target(probabilities, target, smoothing, logits.size(1)).mul_(scales[:, None])
    return gradient if limit is None else gradient.masked_fill_(logits.abs() > limit, 0)


def _logits(features: Tensor, weight: Tensor, bias: Tensor, precision: torch.dtype) -> Tensor:
    return torch.addmm(bias.to(precision), features.to(precision), weight.t().to(precision))


def _plus_product(total: Optional[Tensor], left: Tensor, right: Tensor, accumulation_dtype: torch.dtype) -> Tensor:
    """Returns total + left @ right, in place; the sum is in `accumulation_dtype`, the product in the type of its operands."""
    if total is None:
        return (left @ right).to(accumulation_dtype)
    return total.addmm_(left, right) if left.dtype == accumulation_dtype else total.add_(left @ right)


def _rows_in_cache(logits: Tensor) -> List[slice]:
    """Returns slices of the rows of logits (n, V) that fit the second-level cache of a CPU; all rows on a GPU."""
    size = max(1, len(logits)) if logits.device.type != "cpu" else max(1, CACHED_ELEMENTS // logits.size(1))
    return chunks(len(logits), size)
