"""Tests that int8 and bf16 decoding is bit-identical for every batch, padding and number of threads.

Expected values come from translating each sentence alone.
"""

from types import SimpleNamespace
from typing import Dict, List, Tuple

import pytest
import torch

from conftest import make_dictionary, make_model, with_threads
from fairseq_gnmt.search.generator import GNMTGenerator
from gnmt.inference.bf16_linear import has_bf16_products
from gnmt.search.options import SearchOptions

DICTIONARY = make_dictionary(600)  # more than search.token_selection.GROUPS
NO_OPTIONS = SimpleNamespace(generation=SimpleNamespace())
PAD, EOS = DICTIONARY.pad(), DICTIONARY.eos()
NBEST = 3
PRECISIONS = [
    "int8",
    pytest.param("bf16", marks=pytest.mark.skipif(not has_bf16_products(), reason="this processor has no bfloat16")),
]

Hypotheses = List[Tuple[List[int], float, List[float]]]  # tokens, score and the scores of the tokens


def large_weights(arch: str, seed: int, **options) -> torch.nn.Module:
    """Returns weights on a coarse grid, so that many activations are halfway between two integers."""
    model = make_model(arch, DICTIONARY, seed, **options)
    hidden_size = model.decoder.embed_tokens.embedding_dim
    for name, parameter in model.named_parameters():
        scale = 3.0 if "embed" in name else 3.0 / hidden_size**0.5
        torch.nn.init.uniform_(parameter, -scale, scale)
        with torch.no_grad():
            parameter.copy_((parameter / scale * 127).round() * (scale / 127))
    torch.nn.init.uniform_(model.decoder.output_projection.weight, -0.6, 0.6)
    model.prepare_for_inference_(NO_OPTIONS)
    return model


def random_sources(count: int, longest: int, seed: int) -> List[List[int]]:
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(1, longest + 1, (count,), generator=generator).tolist()
    return [torch.randint(4, len(DICTIONARY), (n,), generator=generator).tolist() + [EOS] for n in lengths]


def padded(sources: List[List[int]], left: int, right: int) -> torch.Tensor:
    """Returns a batch with at least the given padding on the left and right; rows are left-padded if left > 0."""
    width = max(map(len, sources))
    rows = []
    for source in sources:
        fill = [PAD] * (width - len(source))
        rows.append([PAD] * left + (fill + source if left else source + fill) + [PAD] * right)
    return torch.tensor(rows)


def translate(generator: GNMTGenerator, source: torch.Tensor) -> List[Hypotheses]:
    sample = {"net_input": {"src_tokens": source, "src_lengths": source.ne(PAD).sum(dim=1)}}
    return [
        [
            (hypothesis["tokens"].tolist(), float(hypothesis["score"]), hypothesis["positional_scores"].tolist())
            for hypothesis in nbest
        ]
        for nbest in generator.generate(generator.models, sample)
    ]


def differing(
    model, precision: str, compositions: int, sources: List[List[int]], largest_batch: int, **options
) -> Dict[int, str]:
    """Returns the batch compositions in which the hypotheses of a sentence differ from its translation alone."""
    generator = GNMTGenerator([model], DICTIONARY, SearchOptions(nbest=NBEST, **options), precision=precision)
    alone = [translate(generator, padded([source], 0, 0))[0] for source in sources]
    assert len({str(nbest) for nbest in alone}) == len(sources), "the translations of different sources must differ"
    choose = torch.Generator().manual_seed(7)
    differences = {}
    for composition in range(compositions):
        size = int(torch.randint(1, largest_batch + 1, (), generator=choose))
        chosen = torch.randint(len(sources), (size,), generator=choose).tolist()
        left, right = torch.randint(0, 9, (2,), generator=choose).tolist()
        left = left * int(torch.randint(0, 2, (), generator=choose))
        together = translate(generator, padded([sources[index] for index in chosen], left, 0 if left else right))
        for index, nbest in zip(chosen, together):
            if nbest != alone[index]:
                differences[composition] = f"sentence {index} of {chosen}: {nbest} is not {alone[index]}"
    return differences


@pytest.mark.parametrize(
    "arch,options",
    [
        ("gnmt_v2", {"hidden_size": 32}),
        ("gnmt", {"hidden_size": 48, "encoder_layers": 3, "decoder_layers": 3}),
        # not a multiple of any vector width
        ("gnmt_v2", {"hidden_size": 20, "encoder_layers": 2, "decoder_layers": 3}),
        ("gnmt_v2", {"hidden_size": 32, "encoder_layers": 3, "decoder_layers": 3, "activation_clip": 1.0}),
    ],
)
@pytest.mark.parametrize("precision", PRECISIONS)
def test_hypotheses_do_not_depend_on_the_batch(arch, options, precision):
    model = large_weights(arch, seed=3, **options)
    sources = random_sources(12, longest=22, seed=4)
    assert differing(model, precision, 12, sources, largest_batch=24, beam=4, max_len_b=8) == {}


@pytest.mark.parametrize("precision", PRECISIONS)
def test_hypotheses_do_not_depend_on_the_number_of_threads(precision):
    model = large_weights("gnmt_v2", seed=5, hidden_size=52, encoder_layers=2, decoder_layers=2)
    source = padded(random_sources(100, longest=4, seed=6), 0, 0)
    generator = GNMTGenerator([model], DICTIONARY, SearchOptions(nbest=NBEST, beam=4, max_len_b=2), precision=precision)
    with_one_thread, with_three_threads = with_threads((1, 3), lambda: translate(generator, source))
    assert with_one_thread == with_three_threads


@pytest.mark.slow
@pytest.mark.parametrize("arch", ["gnmt", "gnmt_v2_small"])
@pytest.mark.parametrize("precision", PRECISIONS)
def test_500_compositions(arch, precision):
    """The networks have their full width and depth, and a small vocabulary."""
    model = large_weights(arch, seed=8)
    sources = random_sources(30, longest=20, seed=9)
    assert differing(model, precision, 500, sources, largest_batch=10, beam=3, max_len_b=4) == {}


@torch.no_grad()
def test_float32_finds_the_same_tokens_in_every_batch():
    """Scores are equal up to rounding errors."""
    model = make_model("gnmt_v2", DICTIONARY, seed=3, hidden_size=32, init_range=0.5)
    model.prepare_for_inference_(NO_OPTIONS)
    sources = random_sources(12, longest=22, seed=4)
    generator = GNMTGenerator([model], DICTIONARY, SearchOptions(nbest=NBEST, beam=4, max_len_b=8))
    together = translate(generator, padded(sources, 3, 0))
    for source, nbest in zip(sources, together, strict=True):
        (alone,) = translate(generator, padded([source], 0, 0))
        assert [tokens for tokens, _, _ in nbest] == [tokens for tokens, _, _ in alone]
        assert [score for _, score, _ in nbest] == pytest.approx([score for _, score, _ in alone], abs=1e-5)
