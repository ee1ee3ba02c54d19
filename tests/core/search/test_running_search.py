"""Tests sentences that join and leave a running search.

Expected translations come from searching each sentence alone.
"""

import random

import pytest
import torch
from conftest import make_dictionary, make_model

from gnmt.search.beam_rules import BeamSearchRules
from gnmt.search.beam_search import BeamSearch, translate_batch
from gnmt.search.ensemble import Ensemble
from gnmt.search.options import SearchOptions
from gnmt.search.search_queue import QueuedSentence, SearchQueue
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


def translated_alone(ensemble, sentence) -> list:
    """Returns the hypotheses of a sentence in a search of its own."""
    search, results = BeamSearch(ensemble, RULES), []
    search.join([sentence])
    while len(search):
        results += search.step()
    ((_, hypotheses),) = results
    return hypotheses


def as_lists(hypotheses) -> list:
    return [[part.tolist() for part in hypothesis] for hypothesis in hypotheses]


@pytest.mark.parametrize("seed", range(3))
def test_groups_under_any_schedule(seed):
    """int8 results are bitwise equal to those of each sentence alone, with prefixes and cancelled sentences.

    Source lengths differ by more than grouped_memory.MAX_PADDING, so each join forms several groups.
    """
    model = make_model("gnmt_v2_tiny", make_dictionary(30), hidden_size=12, init_range=0.6)
    model.make_generation_fast_()
    ensemble = Ensemble([model], precision="int8")
    choose = random.Random(seed)
    sentences = {
        index: QueuedSentence(
            index,
            [*choose.choices(range(4, 30), k=choose.choice([0, 1, 40, 90])), EOS],
            choose.choices(range(4, 30), k=choose.choice([0, 0, 2])),
        )
        for index in range(16)
    }
    batch = BeamSearch(ensemble, RULES, leaving_share=choose.choice([0, 0.5]))
    search, waiting, cancelled, results, most_groups = SearchQueue(batch, 6, 0.25), list(sentences), set(), {}, 0
    while waiting or len(search):
        if waiting and choose.random() < 0.5:
            number = choose.randint(1, 4)
            search.add([sentences[index] for index in waiting[:number]])
            waiting = waiting[number:]
        if choose.random() < 0.1:
            leaving = choose.choice([index for index in sentences if index not in waiting])
            search.remove([leaving])
            cancelled |= {leaving} - set(results)
        results.update(search.step())
        if len(batch):
            (memory,) = batch._model_state.memories
            assert len(memory.groups) <= memory.num_sentences == len(batch)
            most_groups = max(most_groups, len(memory.groups))
    assert most_groups > 2 and cancelled
    assert set(results) == set(sentences) - cancelled
    for index, nbest in results.items():
        assert as_lists(nbest) == as_lists(translated_alone(ensemble, sentences[index]))


@pytest.mark.parametrize("precision", ["fp32", "int8", "bf16"])
@pytest.mark.parametrize("sources", [[[4] * 50 + [EOS], [PAD]], [[PAD]]], ids=["beside a long sentence", "alone"])
def test_a_source_of_only_padding(precision, sources):
    """Such a row changes no other sentence; its translation, limited by its length of 0, is EOS."""
    model = make_model("gnmt_v2_tiny", make_dictionary(30), hidden_size=12, init_range=0.6)
    model.make_generation_fast_()
    ensemble = Ensemble([model], precision=precision)
    rules = BeamSearchRules(SPECIAL, SearchOptions(beam=2, max_len_a=0.1, max_len_b=0))
    *others, empty = translate_batch(ensemble, rules, padded(sources))
    assert empty[0].tokens.tolist() == [EOS] and empty[0].attention.shape == (1, 0)
    expected = translate_batch(ensemble, rules, padded(sources[:-1])) if others else []
    assert [nbest[0].tokens.tolist() for nbest in others] == [nbest[0].tokens.tolist() for nbest in expected]
