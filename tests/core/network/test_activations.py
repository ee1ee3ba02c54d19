"""Tests the activation functions against torch, and their independence of batch and threads."""

import pytest
import torch

from conftest import with_threads
from gnmt.network import activations
from gnmt.network.activations import BATCH_INVARIANT, Activations, tanh


@pytest.mark.parametrize("vendor", ["AuthenticAMD", "GenuineIntel", ""])
@pytest.mark.parametrize("capability", ["AVX2", "AVX512"])
@pytest.mark.parametrize("dtype, error", [(torch.float64, 1e-15), (torch.float32, 3e-7), (torch.float16, 0.0)])
def test_tanh_is_torchs(dtype, error, capability, vendor, monkeypatch):
    monkeypatch.setattr(activations, "processor", lambda: {"vendor_id": vendor})
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    inputs = torch.cat([torch.linspace(-30, 30, 4001), torch.tensor([0.0, 1e-6, -1e-6, float("inf"), -float("inf")])])
    inputs = inputs.to(dtype)
    before = inputs.clone()
    torch.testing.assert_close(tanh(inputs), inputs.tanh(), rtol=0, atol=error)
    assert torch.equal(inputs, before)
    assert tanh(torch.tensor([float("nan")], dtype=dtype)).isnan()


@pytest.mark.parametrize("name", Activations._fields)
def test_batch_invariant_activations_do_not_depend_on_the_position(name):
    """Rows are computed alone, at each position of a batch, and with several threads."""
    function = getattr(BATCH_INVARIANT, name)
    for width in (7, 32, 96):
        inputs = torch.randn(120_000 // width, width, generator=torch.Generator().manual_seed(width)) * 4
        (whole,) = with_threads((1,), lambda: function(inputs.clone()))
        torch.testing.assert_close(whole, getattr(torch, name.strip("_"))(inputs), rtol=1e-5, atol=1e-6)
        for start in range(2):
            for rows in (1, 2, 3, 32768 // width, 32768 // width + 1, 65536 // width + 1, len(inputs) - 1):
                part = slice(start, start + rows)
                for actual in with_threads((1, 2, 3, 5), lambda: function(inputs[part].clone())):
                    assert torch.equal(actual, whole[part]), (width, start, rows)


def test_batch_invariant_activations_at_their_limits():
    for inputs in (
        torch.tensor([-1e4, -90.0, 0.0, 90.0, 1e4]),
        torch.tensor([-1e4, -90.0, 0.0, 90.0, 1e4] * 32).view(5, 32),
    ):
        expected = [{-1e4: 0.0, -90.0: 0.0, 0.0: 0.5, 90.0: 1.0, 1e4: 1.0}[x] for x in inputs.flatten().tolist()]
        assert BATCH_INVARIANT.sigmoid_(inputs.clone()).flatten().tolist() == pytest.approx(expected, abs=1e-37)
        assert BATCH_INVARIANT.tanh(inputs).flatten().tolist() == [2 * value - 1 for value in expected]
