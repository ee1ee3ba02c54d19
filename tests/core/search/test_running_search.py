"""Tests sentences that join and leave a running search.

Expected translations come from searching each sentence alone.
"""

import pytest
import torch
from conftest import make_dictionary, make_model

from gnmt.search.beam_rules import BeamSearchRules
from gnmt.search.beam_search import BeamSearch, translate_batch
from gnmt.search.ensemble import Ensemble
from gnmt.search.options import SearchOptions
from gnmt.search.search_queue import QueuedSentence
from gnmt.search.token_selection import SpecialTokens

PAD, EOS = 1, 2
SPECIAL = SpecialTokens(pad=PAD, eos=EOS, unk=3, decoder_start=EOS)
RULES = BeamSearchRules(SPECIAL, SearchOptions(beam=4, nbest=4, max_len_a=1.0, max_len_b=3))


def padded(sources) -> torch.Tensor:
    width = max(map(len, sources))
    return torch.tensor([[*source, *[PAD] * (width - len(source))] for source in sources])


@pytest.mark.parametrize("arch", ["gnmt_v2_tiny", "gnmt"])
@pytest.mark.parametrize("precision, prepared", [(None, False), (None, True), ("int8", True), ("bf16", True)])
def test_a_sentence_is_translated_as_if_it_were_alone(arch, precision, prepared):
    """Scores are equal up to float32 rounding."""
    dictionary = make_dictionary(30)
    models = [make_model(arch, dictionary, seed, hidden_size=16, init_range=0.6) for seed in (1, 2)]
    for model in models:
        if prepared:
            model.make_generation_fast_()
    ensemble = Ensemble(models, precision=precision)
    generator = torch.Generator().manual_seed(5)
    sources = [
        torch.randint(4, 30, (int(length),), generator=generator).tolist() + [EOS]
        for length in torch.randint(0, 9, (14,), generator=generator)
    ]
    search, waiting, nbest_lists = BeamSearch(ensemble, RULES), list(range(14)), {}
    while waiting or len(search):
        if waiting and torch.rand((), generator=generator) < 0.5:
            ids, waiting = waiting[:3], waiting[3:]
            search.join([QueuedSentence(index, sources[index]) for index in ids])
        if len(search):
            nbest_lists.update(search.step())
    for index, source in enumerate(sources):
        (alone,) = translate_batch(ensemble, RULES, padded([source]))
        assert [hypothesis.tokens.tolist() for hypothesis in nbest_lists[index]] == [
            hypothesis.tokens.tolist() for hypothesis in alone
        ]
        for actual, expected in zip(nbest_lists[index], alone):
            assert float(actual.score) == pytest.approx(float(expected.score), abs=2e-5)
            torch.testing.assert_close(actual.attention, expected.attention, atol=2e-5, rtol=0)


def test_a_search_can_be_used_again():
    model = make_model("gnmt_v2_tiny", make_dictionary(30), init_range=0.6)
    search, runs = BeamSearch(Ensemble([model]), RULES), []
    for _ in range(2):
        search.join([QueuedSentence(0, [5, 6, EOS]), QueuedSentence(1, [7, EOS])])
        results = {}
        while len(search):
            results.update(
                (translation.sentence_id, translation.hypotheses[0].tokens.tolist()) for translation in search.step()
            )
        runs.append(results)
    assert len(runs[0]) == 2 and runs[0] == runs[1]
