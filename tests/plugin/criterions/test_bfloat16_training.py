"""Tests training with matrix products in bfloat16 and other operations in float32.

Expected values are computed in float64.
"""

import copy
import math
from types import SimpleNamespace

import pytest
import torch

from conftest import make_dictionary, make_model
from fairseq_gnmt.criterions.label_smoothed_cross_entropy import GNMTLabelSmoothedCrossEntropy
from fairseq_gnmt.criterions.mixed_objective import GNMTMixedObjective
from fairseq_gnmt.patches.bfloat16 import check_bfloat16_on_cpu
from gnmt.errors import UserError
from gnmt.network.product_precision import product_precision, products_in

DICTIONARY = make_dictionary(100)
TASK = SimpleNamespace(target_dictionary=DICTIONARY)
ROUNDING = 2**-8  # largest relative rounding error of bfloat16
WIDTH, SENTENCES, LENGTH = 32, 16, 9
# Roundings of a value between two neighbouring layers, forward and backward; see test_lstm_recurrence.
ROUNDINGS_OF_A_LAYER = 7


def network(arch: str = "gnmt_v2", **options):
    """Returns a network with weights of variance 1 / H and embeddings within 1, whose loss depends on each layer."""
    model = make_model(arch, DICTIONARY, hidden_size=WIDTH, dropout=0.0, **options).train()
    for parameter in model.parameters():
        torch.nn.init.uniform_(parameter, -((3 / WIDTH) ** 0.5), (3 / WIDTH) ** 0.5)
    torch.nn.init.uniform_(model.encoder.embed_tokens.weight, -1, 1)
    torch.nn.init.ones_(model.decoder.stack.attention.score_scale)
    return model


def batch() -> dict:
    torch.manual_seed(5)
    target = torch.randint(4, len(DICTIONARY), (SENTENCES, LENGTH))
    target[:, -1] = DICTIONARY.eos()
    source = target.flip(1).contiguous()
    source[3, :4] = DICTIONARY.pad()
    read = torch.cat([target[:, -1:], target[:, :-1]], dim=1)
    net_input = {"src_tokens": source, "src_lengths": None, "prev_output_tokens": read}
    return {"net_input": net_input, "target": target, "ntokens": target.numel()}


def loss_and_gradients(model, precision: torch.dtype) -> tuple:
    criterion = GNMTLabelSmoothedCrossEntropy(TASK, 0.1, True)
    with products_in(precision, "cpu"):
        loss = criterion(model, batch())[0]
    names, parameters = zip(*model.named_parameters())
    return loss, dict(zip(names, torch.autograd.grad(loss, parameters)))


@pytest.mark.parametrize(
    "arch, options",
    [
        ("gnmt_v2", {}),
        ("gnmt_v2_8_layers", {}),
        ("gnmt", {}),
        ("gnmt_v2", {"share_decoder_input_output_embed": True}),
        ("gnmt_v2", {"checkpoint_activations": True}),
    ],
)
def test_gradients_are_close_to_float64(arch, options):
    """Compares relative errors of the gradients, as vectors.

    Rounding errors have random signs, so n relative errors of at most u add up to about u sqrt(n / 3). Here n is the
    number of roundings of a layer times the number of layers of both stacks. The loss is a mean over tokens whose
    logits are rounded independently, so its error is below u.
    """
    model = network(arch, **options)
    loss, gradients = loss_and_gradients(model, torch.bfloat16)
    exact_loss, exact = loss_and_gradients(copy.deepcopy(model).double(), torch.float32)
    assert loss.item() == pytest.approx(exact_loss.item(), rel=ROUNDING)
    layers = 2 + len(model.encoder.upper_layers) + len(model.decoder.stack.upper_lstms)
    allowed = ROUNDING * math.sqrt(ROUNDINGS_OF_A_LAYER * layers / 3)
    for name, gradient in gradients.items():
        assert gradient.dtype == torch.float32
        if gradient.numel() == 1:  # the scale of the attention: a sum of terms with both signs, which may be near 0
            continue
        error = ((gradient - exact[name]).norm() / exact[name].norm()).item()
        assert 1e-4 < error < allowed, name


def test_the_clipped_network_is_close_to_float64():
    """Only the loss is compared: rounding can move values across the limit, where gradients are discontinuous."""
    model = network(activation_clip=0.5, activation_clip_start=0.5)
    exact_loss, _ = loss_and_gradients(copy.deepcopy(model).double(), torch.float32)
    loss, gradients = loss_and_gradients(model, torch.bfloat16)
    assert loss.item() == pytest.approx(exact_loss.item(), rel=ROUNDING)
    assert all(gradient.isfinite().all() for gradient in gradients.values())


def test_float32_products_are_the_usual_arithmetic():
    model = network()
    _, plain = loss_and_gradients(model, torch.float32)
    criterion = GNMTLabelSmoothedCrossEntropy(TASK, 0.1, True)
    expected = torch.autograd.grad(criterion(model, batch())[0], list(model.parameters()))
    assert all(map(torch.equal, plain.values(), expected))
    assert product_precision(torch.zeros(1)) == torch.float32
    with products_in(torch.bfloat16, "cpu"):
        assert product_precision(torch.zeros(1)) == torch.bfloat16


def test_drawing_samples_leaves_no_weights_without_gradient():
    """autocast would cache the converted weights of a pass without gradient."""
    model = network("gnmt_v2_tiny", encoder_layers=2, decoder_layers=2)
    criterion = GNMTMixedObjective(TASK, 0.5, 3, 1.0, None, 0.0, True)
    with products_in(torch.bfloat16, "cpu"):
        loss = criterion(model, batch())[0]
    loss.backward()
    for name, parameter in model.named_parameters():
        assert parameter.grad is not None and parameter.grad.norm() > 0, name


def test_activations_are_kept_in_bfloat16():
    """Counts the bytes saved for backward, without weights."""
    model = network()

    def kept(precision: torch.dtype) -> int:
        weight_pointers = {parameter.data_ptr() for parameter in model.parameters()}
        saved: dict = {}

        def keep(tensor: torch.Tensor) -> torch.Tensor:
            if tensor.data_ptr() not in weight_pointers:
                saved[tensor.data_ptr()] = tensor
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(keep, lambda tensor: tensor), products_in(precision, "cpu"):
            model(**batch()["net_input"], features_only=True)
        return sum(tensor.numel() * tensor.element_size() for tensor in saved.values())

    assert kept(torch.bfloat16) < 0.7 * kept(torch.float32)


def common(**options) -> SimpleNamespace:
    return SimpleNamespace(common=SimpleNamespace(**{"bf16": True, "memory_efficient_bf16": False, **options}))


def test_a_warning_names_the_faster_precision(caplog):
    check_bfloat16_on_cpu(common(), lambda: 4.0)
    assert not caplog.records or all(record.levelname == "INFO" for record in caplog.records)
    check_bfloat16_on_cpu(common(), lambda: 0.5)
    assert "slower than float32 on this processor: a matrix product takes 2.0 times as long" in caplog.text


def test_weights_in_bfloat16_are_refused():
    with pytest.raises(UserError, match="on a CPU give --bf16"):
        check_bfloat16_on_cpu(common(memory_efficient_bf16=True))
