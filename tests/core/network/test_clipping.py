"""Tests quantisable training: the schedule of the clipping range by hand, and clipped activations of networks."""

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from conftest import make_dictionary, make_model
from gnmt.errors import UserError
from gnmt.inference.model import inference_model_for
from gnmt.network.clipping import ActivationClip, ClipSchedule
from gnmt.quantization.int16 import Int16FakeQuantizer

DICTIONARY = make_dictionary(23)
SOURCE = torch.tensor([[4, 5, 6, 7, 2], [1, 1, 8, 9, 2]])
TARGET = torch.tensor([[2, 10, 11, 12], [2, 13, 14, 15]])
NO_OPTIONS = SimpleNamespace(generation=SimpleNamespace())


def test_range_falls_linearly():
    schedule = ClipSchedule(8.0, 1.0, first=100, last=800)
    assert [schedule.limit(n) for n in (0, 100, 200, 450, 800, 9999)] == [8.0, 8.0, 7.0, 4.5, 1.0, 1.0]
    assert [ClipSchedule(8.0, 1.0, 0, 0).limit(n) for n in (0, 1)] == [1.0, 1.0]


def clipped_model(arch: str = "gnmt_v2", **options):
    model = make_model(arch, DICTIONARY, hidden_size=16, activation_clip=0.5, activation_clip_start=2.0, **options)
    for parameter in model.parameters():
        torch.nn.init.uniform_(parameter, -0.9, 0.9)
    return model


def test_range_is_set_by_updates_and_saved():
    model = clipped_model(activation_clip_from=10, activation_clip_until=20)
    model.set_num_updates(14)  # number of completed updates: the next one is the 15th
    assert model.encoder.clip.limit == model.decoder.stack.clip.limit == 1.25
    other = clipped_model(activation_clip_from=10, activation_clip_until=20)
    other.load_state_dict(model.state_dict())
    assert other.encoder.clip.limit == 1.25


@pytest.mark.parametrize("precision", [torch.float16, torch.bfloat16, torch.float64])
def test_other_precisions_keep_the_range(precision):
    """1.1 becomes 1.0996 in float16 and 1.1016 in bfloat16, but checkpoints store the nearest float32 number."""
    nearest = np.float32(1.1)
    model = clipped_model(activation_clip_from=10, activation_clip_until=20).to(precision)
    model.set_num_updates(15)  # 2.0 - 1.5 * 0.6
    assert model.encoder.clip.limit == nearest
    saved = model.state_dict()["encoder.clip.range"]
    assert saved.dtype == torch.float32 and saved.tolist() == [nearest]
    other = clipped_model(activation_clip_from=10, activation_clip_until=20).to(precision)
    other.load_state_dict(model.state_dict())
    assert other.encoder.clip.limit == nearest


def test_clipping_never_reads_the_device():
    """Tensors on the meta device have no values to read."""
    clip = ActivationClip(ClipSchedule(2.0, 0.5, 10, 20)).to("meta")
    clip.set_num_updates(15)
    assert clip(torch.empty(3, device="meta")).shape == (3,)


def test_a_model_without_clipping_can_be_refined():
    plain = make_model("gnmt_v2", DICTIONARY, hidden_size=16)
    assert not any("clip" in name for name in plain.state_dict())
    clipped_model().load_state_dict(plain.state_dict())


@torch.no_grad()
@pytest.mark.parametrize("arch", ["gnmt_v2", "gnmt"])
def test_what_is_clipped(arch, device):
    model = clipped_model(arch).to(device)
    source, target = SOURCE.to(device), TARGET.to(device)
    model.set_num_updates(0)
    outputs = model.encoder(source).outputs
    assert outputs.abs().max() == 0.5
    model.decoder.output_projection.weight.mul_(1000)
    assert model(source, None, target)[0].abs().max() == 25.0


@torch.no_grad()
@pytest.mark.parametrize("arch", ["gnmt_v2", "gnmt"])
def test_search_equals_training(arch, device):
    """Step-by-step decoding and the fast decoder give the same logits as one pass."""
    model = clipped_model(arch).to(device)
    source, target = SOURCE.to(device), TARGET.to(device)
    model.set_num_updates(0)
    logits, _ = model(source, None, target)
    model.prepare_for_inference_(NO_OPTIONS)
    for encoder, decoder in (inference_model_for(model), (model.encoder, model.decoder)):
        memory = decoder.precompute(encoder(source))
        state = decoder.initial_state(memory)
        for position in range(target.size(1)):
            step, _, state = decoder.step(target[:, position], memory, state)
            torch.testing.assert_close(step, logits[:, position], rtol=1e-4, atol=1e-5)  # sums in another order


def test_values_are_rounded_to_int16():
    torch.manual_seed(1)
    values = torch.randn(1000)
    integers = np.clip(np.rint(values.numpy().astype(np.float64) * 32767 / 0.75), -32767, 32767).astype(np.int16)
    rounded = Int16FakeQuantizer(0.75)(values)
    np.testing.assert_array_equal(np.rint(rounded.numpy().astype(np.float64) * 32767 / 0.75).astype(np.int16), integers)
    assert torch.equal(Int16FakeQuantizer(0.75)(rounded), rounded)


@torch.no_grad()
def test_int8_with_known_ranges_is_close():
    model = clipped_model()
    model.set_num_updates(0)
    model.prepare_for_inference_(NO_OPTIONS)
    results = []
    for encoder, decoder in (inference_model_for(model), inference_model_for(model, "int8")):
        memory = decoder.precompute(encoder(SOURCE))
        results.append(decoder.step(TARGET[:, 0], memory, decoder.initial_state(memory))[0].log_softmax(dim=1))
    assert (results[0] - results[1]).abs().max() < 0.5
    assert (results[0] - results[1]).abs().max() > 0  # int8 uses another arithmetic


@pytest.mark.parametrize(
    "options,words",
    [
        ({"activation_clip": 0.0}, "--activation-clip is 0.0, but must be above 0"),
        ({"activation_clip": 9.0}, "at most --activation-clip-start, 8.0"),
        ({"activation_clip_until": 5}, "require --activation-clip"),
        ({"activation_clip": 1.0, "activation_clip_from": 7, "activation_clip_until": 5}, "from is 7"),
    ],
)
def test_invalid_schedules_are_refused(options, words):
    with pytest.raises(UserError, match=words):
        make_model("gnmt_v2_tiny", DICTIONARY, **options)
