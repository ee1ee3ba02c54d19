"""Tests the rate, independence and scaling of dropout masks.

Expected values are those of the Bernoulli distribution.
"""

import pytest
import torch

from gnmt.network.dropout import Dropout, draw_by_seed


@pytest.mark.parametrize("p", [0.1, 0.2, 0.5])
def test_share_scale_and_gradient(p):
    torch.manual_seed(5)
    inputs = torch.ones(1000, 401, requires_grad=True)
    outputs = Dropout(p)(inputs)
    kept = outputs != 0
    # 401,000 draws: the standard deviation of the share is below 0.0008
    assert kept.float().mean().item() == pytest.approx(1 - p, abs=0.004)
    torch.testing.assert_close(outputs[kept], torch.full_like(outputs[kept], 1 / (1 - p)), rtol=1e-4, atol=0)
    outputs.sum().backward()
    torch.testing.assert_close(inputs.grad, outputs.detach())


def test_every_lane_of_the_random_words_is_fair():
    """Four elements use one 64-bit random number; each must be unbiased, and pairs must be independent."""
    torch.manual_seed(6)
    kept = (Dropout(0.5)(torch.ones(200_000)) != 0).view(-1, 4).float()
    assert (kept.mean(dim=0) - 0.5).abs().max() < 0.01  # standard deviation 0.0022
    agreement = (kept.t() @ kept / len(kept)).fill_diagonal_(0.25)
    assert (agreement - 0.25).abs().max() < 0.01


def test_masks_follow_the_seed_and_change_with_it():
    layer, inputs = Dropout(0.3), torch.ones(50, 50)
    draws = []
    for seed in (1, 1, 2):
        torch.manual_seed(seed)
        draws.append(layer(inputs))
    assert torch.equal(draws[0], draws[1]) and not torch.equal(draws[0], draws[2])


def test_nothing_happens_outside_training_or_at_zero():
    inputs = torch.randn(3, 3)
    assert Dropout(0.5).eval()(inputs) is inputs
    assert Dropout(0.0)(inputs) is inputs


def test_a_mask_for_parts_equals_the_whole_mask():
    layer, inputs = Dropout(0.3), torch.ones(20, 12, 8)
    torch.manual_seed(7)
    whole = layer(inputs)
    torch.manual_seed(7)
    keep = layer.draw(inputs.shape, inputs.device)
    parts = [layer(inputs[:, part], keep[:, part]) for part in (slice(0, 5), slice(5, 12))]
    assert torch.equal(torch.cat(parts, dim=1), whole)
    assert layer.eval().draw(inputs.shape, inputs.device) is None


def test_masks_of_generators_with_drawn_seeds():
    """Successive masks are independent, and all depend on the seed of the CPU."""
    torch.manual_seed(8)
    first, second = (draw_by_seed((1000, 400), torch.device("cpu"), 0.2) for _ in range(2))
    torch.manual_seed(8)
    assert torch.equal(draw_by_seed((1000, 400), torch.device("cpu"), 0.2), first)
    assert first.float().mean().item() == pytest.approx(0.8, abs=0.004)
    assert (first & second).float().mean().item() == pytest.approx(0.64, abs=0.004)
