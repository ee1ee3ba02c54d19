"""Groups of the source memory: sizes worked out by hand, and decoding against a memory with one group."""

from functools import partial

import pytest
import torch

from gnmt.inference.grouped_memory import GroupedMemory, group_sizes, join_columns, split_by_length
from gnmt.inference.model import inference_model_for
from gnmt.network.attention import SourceMemory
from gnmt.network.config import NetworkConfig
from gnmt.network.encoder import EncoderOutput
from gnmt.network.gnmt import GNMTNetwork

PAD, EOS = 1, 2
LENGTHS = [90, 89, 40, 39, 39, 3]  # more than MAX_PADDING positions between 89 and 40, and between 39 and 3


@pytest.mark.parametrize(
    "lengths, max_padding, expected",
    [
        ([], 5, []),
        ([7], 0, [1]),
        ([7, 7, 6], 0, [2, 1]),
        ([7, 7, 6], 1, [3]),
        # 9 8 8 has 2 padding positions, a 4 would make it 7; 4 3 2 has 3, another 2 would make it 5.
        ([9, 8, 8, 4, 3, 2, 2], 4, [3, 3, 1]),
        # 2 2 3 has 2, a 4 would make it 5; 4 8 8 has 4, a 9 would make it 7.
        ([2, 2, 3, 4, 8, 8, 9], 4, [3, 3, 1]),
        ([1, 9, 1], 8, [2, 1]),
    ],
)
def test_group_sizes(lengths, max_padding, expected):
    assert group_sizes(lengths, max_padding=max_padding) == expected


@pytest.mark.parametrize(
    "lengths, expected",
    [([], []), ([4, 4], [2]), ([5, 4, 3], [1, 2]), ([3, 4, 5, 6], [2, 2]), ([6, 4, 6, 4], [1, 1, 1, 1])],
)
def test_longer_sentences_are_in_separate_groups(lengths, expected):
    assert group_sizes(lengths, boundary=4) == expected


def test_padding_is_removed_on_the_right_only():
    outputs = torch.arange(2 * 60).view(2, 60, 1)
    padding_mask = torch.ones(2, 60, dtype=torch.bool)
    padding_mask[0, 50:58] = False  # padding on both sides
    padding_mask[1, :3] = False
    (left, left_mask), (right, right_mask) = split_by_length(EncoderOutput(outputs, padding_mask))
    assert torch.equal(left, outputs[:1, :58]) and torch.equal(left_mask, padding_mask[:1, :58])
    assert torch.equal(right, outputs[1:, :3]) and not right_mask.any()


def memory_of(*sizes: int) -> GroupedMemory:
    """Returns a memory with groups of these numbers of sentences; keys count the sentences, values are their doubles."""
    groups, first = [], 0
    for size in sizes:
        numbers = torch.arange(first, first + size)[:, None, None].expand(size, 2, 1)
        groups.append(SourceMemory(numbers, 2 * numbers, torch.zeros(size, 2, dtype=torch.bool)))
        first += size
    return GroupedMemory(tuple(groups))


def sentences_of(memory: GroupedMemory) -> list:
    """Returns the number of each sentence, by group."""
    return [group.keys[:, 0, 0].tolist() for group in memory.groups]


def test_select_keeps_whole_groups_without_a_copy():
    memory = memory_of(2, 3, 1)
    selected = memory.select(torch.tensor([0, 1, 3]))
    assert sentences_of(selected) == [[0, 1], [3]] and selected.num_sentences == 3
    assert selected.groups[0] is memory.groups[0]
    assert selected.groups[1].values[:, 0, 0].tolist() == [6]


def test_join_appends_groups():
    joined = memory_of(2).join(memory_of(1, 2))
    assert sentences_of(joined) == [[0, 1], [0], [1, 2]]


def test_split_rows():
    """Three rows of each of three sentences."""
    rows = torch.arange(9)[:, None]
    first, second = memory_of(1, 2).split_rows(rows)
    assert first[..., 0].tolist() == [[0, 1, 2]] and second[..., 0].tolist() == [[3, 4, 5], [6, 7, 8]]
    first += 100
    assert rows[:3, 0].tolist() == [100, 101, 102]  # views


def test_join_columns_fills_with_zeros():
    wide, narrow = torch.ones(1, 2, 3), torch.ones(2, 2, 1)
    expected = [[1, 1, 1]] * 2 + [[1, 0, 0]] * 4
    assert join_columns([wide, narrow]).tolist() == expected


@torch.no_grad()
@pytest.mark.parametrize("precision", ["fp32", "bf16", "int8"])
def test_a_step_does_not_depend_on_the_groups(precision, monkeypatch):
    """int8 and bf16 bit for bit; in float32 the sums of padded products may differ in the last bits."""
    torch.manual_seed(3)
    network = GNMTNetwork(NetworkConfig(20, 20, hidden_size=12))
    for parameter in network.parameters():
        torch.nn.init.uniform_(parameter, -0.6, 0.6)
    network.prepare_for_inference()
    encoder, decoder = inference_model_for(network, precision)
    src_tokens = torch.full((len(LENGTHS), max(LENGTHS)), PAD)
    for row, length in zip(src_tokens, LENGTHS):
        row[:length] = torch.randint(4, 20, (length,))

    def two_steps():
        memory = decoder.precompute(encoder(src_tokens))
        _, _, state = decoder.step(torch.full((len(LENGTHS),), EOS), memory, decoder.initial_state(memory))
        rows = torch.arange(len(LENGTHS)).repeat_interleave(2)
        logits, weights, _ = decoder.step(torch.arange(len(rows)) + 4, memory, state.reorder(rows))
        return len(memory.groups), logits, weights

    groups, logits, weights = two_steps()
    assert groups == 3
    # With any padding, only long sources of int8 and bf16 have a group of their own.
    monkeypatch.setattr("gnmt.inference.grouped_memory.group_sizes", partial(group_sizes, max_padding=1000))
    groups, expected_logits, expected_weights = two_steps()
    assert groups == (1 if precision == "fp32" else 2)
    error = 1e-5 if precision == "fp32" else 0
    torch.testing.assert_close(logits, expected_logits, rtol=0, atol=error)
    torch.testing.assert_close(weights, expected_weights, rtol=0, atol=error)
