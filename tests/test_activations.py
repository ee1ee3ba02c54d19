import pytest
import torch

from conftest import with_threads
from fairseq_gnmt.models.activations import REPRODUCIBLE, Activations, tanh


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


@pytest.mark.parametrize("name", Activations._fields)
def test_reproducible_activations_do_not_depend_on_the_position(name):
    """Slices of every offset and size modulo the width of a vector, and shares of three threads."""
    function = getattr(REPRODUCIBLE, name)
    inputs = torch.randn(100_003, generator=torch.Generator().manual_seed(1)) * 4
    whole = function(inputs.clone())
    torch.testing.assert_close(whole, getattr(torch, name.strip("_"))(inputs), rtol=1e-5, atol=1e-6)
    for start in range(33):
        for size in (*range(1, 34), 1000):
            assert torch.equal(function(inputs[start : start + size].clone()), whole[start : start + size])
    assert all(torch.equal(one, whole) for one in with_threads((2, 3), lambda: function(inputs.clone())))


def test_reproducible_activations_at_their_limits():
    inputs = torch.tensor([-1e4, -90.0, 0.0, 90.0, 1e4])
    assert REPRODUCIBLE.sigmoid_(inputs.clone()).tolist() == [0, 0, 0.5, 1, 1]
    assert REPRODUCIBLE.tanh(inputs).tolist() == [-1, -1, 0, 1, 1]
