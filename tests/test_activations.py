import pytest
import torch

from gnmt.network.activations import tanh


@pytest.mark.parametrize("capability", ["AVX2", "AVX512"])
@pytest.mark.parametrize("dtype, error", [(torch.float64, 1e-15), (torch.float32, 3e-7), (torch.float16, 0.0)])
def test_tanh_is_torchs(dtype, error, capability, monkeypatch):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    inputs = torch.cat([torch.linspace(-30, 30, 4001), torch.tensor([0.0, 1e-6, -1e-6, float("inf"), -float("inf")])])
    inputs = inputs.to(dtype)
    before = inputs.clone()
    torch.testing.assert_close(tanh(inputs), inputs.tanh(), rtol=0, atol=error)
    assert torch.equal(inputs, before)
    assert tanh(torch.tensor([float("nan")], dtype=dtype)).isnan()
