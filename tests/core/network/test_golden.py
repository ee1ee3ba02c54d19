"""Tests the network against golden arrays of NVIDIA's code with the same weights: encoder outputs, logits, attention
and loss.
"""

import pytest
import torch

from conftest import Golden, make_dictionary, make_model
from gnmt.checkpoints.nvidia_names import our_names
from gnmt.losses.fused_linear_cross_entropy import fused_label_smoothed_loss
from reference.plain_loss import plain_label_smoothed_loss

# float32 sums in another order
TOLERANCE = {"rtol": 0, "atol": 1e-5}
NVIDIA_PAD, NVIDIA_BOS, NVIDIA_EOS = 0, 2, 3


def with_our_ids(tokens: torch.Tensor, dictionary) -> torch.Tensor:
    """Permutes the embeddings: PAD, which is 0 in NVIDIA's code, is the only id that the network treats specially."""
    return permutation(dictionary).to(tokens.device)[tokens]


def permutation(dictionary) -> torch.Tensor:
    """Returns our id for each of NVIDIA's ids, whose PAD, UNK, BOS, EOS are 0 to 3."""
    special = torch.tensor([dictionary.pad(), dictionary.unk(), dictionary.bos(), dictionary.eos()])
    return torch.cat([special, torch.arange(4, len(dictionary))])


def load(golden: Golden):
    dictionary = make_dictionary(golden.vocabulary)
    embedding = golden.weights["encoder.embedder.weight"]
    layers = 1 + sum(name.startswith("decoder.rnn_layers") and name.endswith("weight_ih_l0") for name in golden.weights)
    model = make_model(
        "gnmt_v2",
        dictionary,
        hidden_size=embedding.size(1),
        encoder_layers=layers,
        decoder_layers=layers,
        no_share_embeddings=not torch.equal(embedding, golden.weights["decoder.embedder.weight"]),
    )
    ids = permutation(dictionary)
    weights = {name: golden.weights[nvidia_name] for nvidia_name, name in our_names(layers).items()}
    for name in ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "decoder.output_projection.weight"):
        weights[name] = torch.empty_like(weights[name]).index_copy(0, ids, weights[name])
    bias = "decoder.output_projection.bias"
    weights[bias] = torch.empty_like(weights[bias]).index_copy(0, ids, weights[bias])
    model.load_state_dict(weights)
    return model, dictionary


@pytest.fixture
def case(golden, device):
    model, dictionary = load(golden)
    golden.to(device)
    return golden, model.to(device), dictionary


def test_encoder(case):
    golden, model, dictionary = case
    source = with_our_ids(golden.source, dictionary)
    with torch.no_grad():
        outputs, padding_mask = model.encoder(source, golden.source_lengths)
    real = ~padding_mask
    assert padding_mask.any(), "the golden batch must have padding"
    torch.testing.assert_close(outputs[real], golden.encoder_out[real], **TOLERANCE)


def test_logits_and_attention(case):
    golden, model, dictionary = case
    source, target = with_our_ids(golden.source, dictionary), with_our_ids(golden.target, dictionary)
    with torch.no_grad():
        logits, extra = model(source, golden.source_lengths, target[:, :-1])
    nvidia_logits = golden.logits[:, :, permutation(dictionary).argsort()]
    real = target[:, :-1] != dictionary.pad()
    torch.testing.assert_close(logits[real], nvidia_logits[real], **TOLERANCE)
    torch.testing.assert_close(extra["attn"][0][real], golden.attention[real], **TOLERANCE)


def test_loss(case):
    golden, model, dictionary = case
    source, target = with_our_ids(golden.source, dictionary), with_our_ids(golden.target, dictionary)
    features, _ = model(source, golden.source_lengths, target[:, :-1], features_only=True)
    labels = target[:, 1:]
    real = labels != dictionary.pad()
    projection = model.decoder.output_projection
    fused, _ = fused_label_smoothed_loss(features[real], projection.weight, projection.bias, labels[real], 0.1)
    plain, _ = plain_label_smoothed_loss(projection(features)[real], labels[real], 0.1)
    assert fused.item() == pytest.approx(golden.loss, rel=1e-5)
    assert plain.item() == pytest.approx(golden.loss, rel=1e-5)
