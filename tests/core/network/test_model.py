"""Tests the whole network: invariances, structure, initial values and options.

Expected values come from slow twins and published parameter counts.
"""

import math

import pytest
import torch

from conftest import make_dictionary, make_model
from gnmt.errors import UserError
from gnmt.network.dropout import Dropout, disable_dropout

ARCHITECTURES = ["gnmt_v2", "gnmt_v2_8_layers", "gnmt"]
# float32 sums in another order
CLOSE = {"rtol": 1e-4, "atol": 1e-5}
DICTIONARY = make_dictionary(23)


@pytest.fixture(params=ARCHITECTURES)
def model(request, device):
    model = make_model(request.param, DICTIONARY, hidden_size=12, dropout=0.3)
    for parameter in model.parameters():  # larger than the initial weights, so that differences are visible
        torch.nn.init.uniform_(parameter, -0.6, 0.6)
    return model.to(device)


def batch(lengths, left: bool, extra: int = 0, seed: int = 3, device="cpu"):
    """Returns sources of the given lengths, EOS included, padded on the left or right."""
    generator = torch.Generator().manual_seed(seed)
    width = max(lengths) + extra
    tokens = torch.full((len(lengths), width), DICTIONARY.pad())
    for row, length in enumerate(lengths):
        sentence = torch.randint(4, len(DICTIONARY), (length,), generator=generator)
        sentence[-1] = DICTIONARY.eos()
        start = width - length if left else 0
        tokens[row, start : start + length] = sentence
    return tokens.to(device), torch.tensor(lengths, device=device)


def previous_tokens(rows: int, positions: int, device="cpu"):
    tokens = torch.randint(4, len(DICTIONARY), (rows, positions), generator=torch.Generator().manual_seed(9))
    tokens[:, 0] = DICTIONARY.eos()
    return tokens.to(device)


LENGTHS = [5, 1, 3, 7]


@torch.no_grad()
def test_left_and_right_padding_give_the_same(model, device):
    previous = previous_tokens(4, 6, device)
    (left, lengths), (right, _) = batch(LENGTHS, left=True, device=device), batch(LENGTHS, left=False, device=device)
    logits_left, extra_left = model(left, lengths, previous)
    logits_right, extra_right = model(right, lengths, previous)
    torch.testing.assert_close(logits_left, logits_right, **CLOSE)
    for row, length in enumerate(LENGTHS):  # attention has the padding layout of the input
        torch.testing.assert_close(
            extra_left["attn"][0][row, :, 7 - length :], extra_right["attn"][0][row, :, :length], **CLOSE
        )


@torch.no_grad()
@pytest.mark.parametrize("left", [True, False])
def test_a_sentence_alone_equals_itself_in_a_padded_batch(model, left, device):
    previous = previous_tokens(4, 6, device)
    tokens, lengths = batch(LENGTHS, left, extra=2, device=device)
    together, extra = model(tokens, lengths, previous)
    for row, length in enumerate(LENGTHS):
        alone = tokens[row][tokens[row] != DICTIONARY.pad()][None]
        logits, alone_extra = model(alone, lengths[row : row + 1], previous[row : row + 1])
        torch.testing.assert_close(logits[0], together[row], **CLOSE)
        in_batch = extra["attn"][0][row][:, tokens[row] != DICTIONARY.pad()]
        torch.testing.assert_close(alone_extra["attn"][0][0], in_batch, **CLOSE)


@torch.no_grad()
def test_step_by_step_equals_one_pass(model, device):
    tokens, lengths = batch(LENGTHS, left=True, device=device)
    previous = previous_tokens(4, 6, device)
    whole, extra = model(tokens, lengths, previous)
    memory = model.decoder.precompute(model.encoder(tokens, lengths))
    state = model.decoder.stack.initial_state(memory)
    for position in range(6):
        embedded = model.decoder.embed_tokens(previous[:, position : position + 1])
        features, weights, state = model.decoder.stack(embedded, memory, state)
        torch.testing.assert_close(model.decoder.output_layer(features)[:, 0], whole[:, position], **CLOSE)
        torch.testing.assert_close(weights[:, 0], extra["attn"][0][:, position], **CLOSE)


@torch.no_grad()
def test_fairseqs_incremental_state_with_reordering(model, device):
    """Decodes as fairseq's own searches do: with whole prefixes, a cache, and rows that are reordered or removed."""
    tokens, lengths = batch(LENGTHS, left=True, device=device)
    previous = previous_tokens(4, 5, device)
    order = torch.tensor([2, 0, 0], device=device)
    encoder_out, cache = model.encoder(tokens, lengths), {}
    for position in range(1, 4):
        model.decoder(previous[:, :position], encoder_out, incremental_state=cache)
    model.decoder.reorder_incremental_state_scripting(cache, order)
    encoder_out = model.encoder.reorder_encoder_out(encoder_out, order)
    logits, _ = model.decoder(previous[order][:, :4], encoder_out, incremental_state=cache)
    whole, _ = model(tokens[order], lengths[order], previous[order][:, :4])
    torch.testing.assert_close(logits[:, -1], whole[:, -1], **CLOSE)


@torch.no_grad()
def test_rows_of_a_sentence_share_its_memory(model, device):
    """N = 2 rows for each sentence over a memory of B sentences equal rows with copied memories."""
    tokens, lengths = batch(LENGTHS, left=False, device=device)
    previous = previous_tokens(8, 1, device)
    memory = model.decoder.precompute(model.encoder(tokens, lengths))
    copied = memory.select(torch.arange(4, device=device).repeat_interleave(2))
    state = model.decoder.stack.initial_state(copied)
    embedded = model.decoder.embed_tokens(previous)
    for actual, expected in zip(
        model.decoder.stack(embedded, memory, state), model.decoder.stack(embedded, copied, state)
    ):
        torch.testing.assert_close(actual, expected, **CLOSE)


def test_every_parameter_gets_a_gradient(model, device):
    tokens, lengths = batch(LENGTHS, left=True, device=device)
    disable_dropout(model.train())  # cuDNN has no gradients in evaluation mode
    logits, _ = model(tokens, lengths, previous_tokens(4, 6, device))
    logits.square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in model.parameters())


def test_attention_query_is_the_paper_s_or_nvidia_s():
    """With a zero BOS embedding the paper's first query is zero, so attention is independent of the token; in v2 it is
    not.
    """
    tokens, lengths = batch([5], left=False)
    for arch, knows in (("gnmt", False), ("gnmt_v2", True)):
        model = make_model(arch, DICTIONARY, hidden_size=12)
        first = [model(tokens, lengths, torch.tensor([[token]]))[1]["attn"][0] for token in (5, 6)]
        assert torch.equal(*first) != knows


@pytest.mark.parametrize("layers", [(2, 5), (5, 2)])
def test_depths_may_differ(layers):
    model = make_model("gnmt_v2", DICTIONARY, hidden_size=8, encoder_layers=layers[0], decoder_layers=layers[1])
    assert len(model.encoder.upper_layers) == layers[0] - 1
    assert len(model.decoder.stack.upper_lstms) == layers[1] - 1
    assert model(*batch(LENGTHS, left=True), previous_tokens(4, 3))[0].shape == (4, 3, 23)


@pytest.mark.parametrize("arch,count", [("gnmt_v2", 160_671_297), ("gnmt_v2_8_layers", 244_622_913)])
def test_parameter_counts_of_nvidia(arch, count):
    with torch.device("meta"):
        model = make_model(arch, make_dictionary(32320))
    assert sum(parameter.numel() for parameter in model.parameters()) == count


@pytest.mark.parametrize("weights,embeddings", [(0.1, None), (0.04, None), (0.2, 0.8)])
def test_initial_distributions(weights, embeddings):
    model = make_model(
        "gnmt_v2", make_dictionary(500), hidden_size=64, init_range=weights, embedding_init_range=embeddings
    )
    for name, parameter in model.named_parameters():
        init_range = embeddings if embeddings and name.endswith("embed_tokens.weight") else weights
        if name.endswith(("bias_hh_l0", "score_bias")):
            assert (parameter == 0).all(), name
        elif name.endswith("score_scale"):
            assert parameter.item() == pytest.approx(1 / math.sqrt(64)), name
        else:
            assert parameter.abs().max() <= init_range, name
            deviation = init_range / math.sqrt(3 * parameter.numel())  # standard error of the mean of uniform numbers
            assert abs(parameter.mean().item()) < 5 * deviation, name
            # the kurtosis distinguishes uniform (1.8) from normal (3)
            assert parameter.abs().max() > 0.9 * init_range, name


def inputs_of_lstms(model, run):
    """Records inputs and outputs of each LSTM by name."""
    seen = {}

    def note(name):
        return lambda module, inputs, outputs: seen.__setitem__(name, (inputs[0], outputs[0]))

    hooks = [
        module.register_forward_hook(note(name))
        for name, module in model.named_modules()
        if name.split(".")[-1].endswith("lstm") or name.split(".")[-2:-1] in (["upper_layers"], ["upper_lstms"])
    ]
    run()
    for hook in hooks:
        hook.remove()
    return seen


def test_residual_and_context_positions():
    model = make_model("gnmt_v2", DICTIONARY, hidden_size=6)
    tokens, lengths = batch([5, 5], left=False)
    seen = inputs_of_lstms(model, lambda: model(tokens, lengths, previous_tokens(2, 4)))

    def came_from(name):
        return seen[name][0]

    def out_of(name):
        return seen[name][1]

    both = torch.cat(
        [out_of("encoder.first_layer.forward_lstm"), out_of("encoder.first_layer.backward_lstm").flip(1)], -1
    )
    torch.testing.assert_close(came_from("encoder.upper_layers.0"), both)
    second = out_of("encoder.upper_layers.0")  # no residual connection: the layer below has 2H outputs
    torch.testing.assert_close(came_from("encoder.upper_layers.1"), second)
    third = out_of("encoder.upper_layers.1") + second
    torch.testing.assert_close(came_from("encoder.upper_layers.2"), third)

    stack = "decoder.stack."
    first = out_of(stack + "query_lstm")
    context = came_from(stack + "upper_lstms.0")[..., 6:]
    torch.testing.assert_close(came_from(stack + "upper_lstms.0")[..., :6], first)
    second = out_of(stack + "upper_lstms.0")  # no residual connection over the layer that uses attention
    torch.testing.assert_close(came_from(stack + "upper_lstms.1"), torch.cat([second, context], -1))
    third = out_of(stack + "upper_lstms.1") + second
    torch.testing.assert_close(came_from(stack + "upper_lstms.2"), torch.cat([third, context], -1))


def test_dropout_positions():
    """Dropout is applied to the input of each LSTM only; both directions of the first share one mask."""
    model = make_model("gnmt_v2", DICTIONARY, hidden_size=64, dropout=0.5).train()
    tokens, lengths = batch([6, 6], left=False)
    seen = inputs_of_lstms(model, lambda: model(tokens, lengths, previous_tokens(2, 8)))
    assert len(seen) == 5 + 4
    for name, (inputs, _) in seen.items():
        assert 0.4 < (inputs == 0).float().mean() < 0.6, name
    forwards, backwards = (seen[f"encoder.first_layer.{side}_lstm"][0] for side in ("forward", "backward"))
    torch.testing.assert_close(forwards, backwards.flip(1))
    calls = []
    for module in model.modules():
        if isinstance(module, Dropout):
            module.register_forward_hook(lambda *_: calls.append(1))
    model(tokens, lengths, previous_tokens(2, 8))
    # one mask for each layer: none before the output projection, none on the attention query
    assert len(calls) == 4 + 4


def test_shared_and_separate_embeddings():
    shared = make_model("gnmt_v2", DICTIONARY, hidden_size=8)
    assert shared.encoder.embed_tokens is shared.decoder.embed_tokens
    separate = make_model(
        "gnmt_v2", DICTIONARY, hidden_size=8, target_dictionary=make_dictionary(30), no_share_embeddings=True
    )
    assert separate(*batch(LENGTHS, left=True), previous_tokens(4, 3))[0].shape == (4, 3, 30)
    with pytest.raises(UserError, match="--joined-dictionary"):
        make_model("gnmt_v2", DICTIONARY, hidden_size=8, target_dictionary=make_dictionary(30))


def test_output_weights_that_are_the_target_embeddings():
    tied = make_model("gnmt_v2", DICTIONARY, hidden_size=8, share_decoder_input_output_embed=True)
    count = sum(parameter.numel() for parameter in tied.parameters())
    untied = make_model("gnmt_v2", DICTIONARY, hidden_size=8)
    assert sum(parameter.numel() for parameter in untied.parameters()) - count == 8 * len(DICTIONARY)

    untied.load_state_dict(tied.state_dict())
    arguments = (*batch(LENGTHS, left=True), previous_tokens(4, 3))
    for model in (tied, untied):
        model.eval()
        model(*arguments)[0].square().sum().backward()
    torch.testing.assert_close(tied(*arguments)[0], untied(*arguments)[0])
    torch.testing.assert_close(
        tied.decoder.embed_tokens.weight.grad,
        untied.decoder.embed_tokens.weight.grad + untied.decoder.output_projection.weight.grad,
    )


@pytest.mark.parametrize(
    "trained,loaded,words",
    [
        ({}, {"share_decoder_input_output_embed": True}, "without --share-decoder-input-output-embed"),
        ({"no_share_embeddings": True}, {}, "with --no-share-embeddings"),
    ],
)
def test_weights_that_were_not_shared_are_not_loaded_where_they_are(trained, loaded, words):
    apart = make_model("gnmt_v2", DICTIONARY, hidden_size=8, **trained)
    shared = make_model("gnmt_v2", DICTIONARY, hidden_size=8, **loaded)
    before = [parameter.clone() for parameter in shared.parameters()]
    with pytest.raises(UserError, match=words):
        shared.load_state_dict(apart.state_dict())
    assert all(map(torch.equal, before, shared.parameters()))


@pytest.mark.parametrize(
    "options,words",
    [
        ({"hidden_size": 0}, "--hidden-size is 0"),
        ({"encoder_layers": 1}, "--encoder-layers is 1"),
        ({"decoder_layers": 0}, "--decoder-layers is 0"),
        ({"dropout": 1.0}, "--dropout is 1.0"),
        ({"init_range": 0.0}, "--init-range is 0.0"),
        ({"embedding_init_range": -1.0}, "--embedding-init-range is -1.0"),
    ],
)
def test_sizes_out_of_range(options, words):
    with pytest.raises(UserError, match=words):
        make_model("gnmt_v2", DICTIONARY, **options)


@torch.no_grad()
def test_half_precision_is_close_to_float32(device):
    model = make_model("gnmt_v2", DICTIONARY, hidden_size=16, device=device)
    tokens, lengths = batch(LENGTHS, left=True, device=device)
    previous = previous_tokens(4, 6, device)
    exact, _ = model(tokens, lengths, previous)
    logits, extra = model.half()(tokens, lengths, previous)
    assert logits.dtype == extra["attn"][0].dtype == torch.float16
    torch.testing.assert_close(logits.float(), exact, rtol=0, atol=5e-3)
