"""Tests pruning against values worked out by hand and against a beam search on Python lists
(reference/plain_beam_search.py).
"""

import math

import pytest
import torch

from gnmt.errors import UserError
from gnmt.search.beam_rules import BeamSearchRules
from gnmt.search.options import SearchOptions
from gnmt.search.pruning import NEG_INF, keep_within, prune_running
from gnmt.search.beam_search import translate_batch
from gnmt.search.token_selection import SpecialTokens
from reference.exhaustive_search import EOS, PAD, UNK, Scripted, ScriptedEnsemble
from reference.plain_beam_search import plain_beam_search

SPECIAL = SpecialTokens(pad=PAD, eos=EOS, unk=UNK, decoder_start=EOS)
SOURCES = [(4, 5, EOS), (5, EOS), (4, 4, 5, 5, EOS)]


class Counting(ScriptedEnsemble):
    """Ensemble that records the number of rows at each step."""

    def start(self, src_tokens):
        self.rows = []
        return super().start(src_tokens)

    def step(self, tokens, state):
        self.rows.append(len(tokens))
        return super().step(tokens, state)


def translate(model, sources, **options):
    """Returns the hypotheses of each source as (score, tokens), best first."""
    width = max(map(len, sources))
    rows = torch.tensor([[*source, *[PAD] * (width - len(source))] for source in sources])
    nbest_lists = translate_batch(model, BeamSearchRules(SPECIAL, SearchOptions(**options)), rows)
    return [
        [(float(hypothesis.score), tuple(hypothesis.tokens.tolist())) for hypothesis in hypotheses]
        for hypotheses in nbest_lists
    ]


def test_tokens_far_behind_the_best_of_their_row():
    log_probs = torch.tensor([[-0.5, -3.5, -3.75], [-1.0, -1.25, NEG_INF]])
    assert keep_within(log_probs, log_probs[:, :1], 3.0).tolist() == [[-0.5, -3.5, NEG_INF], [-1.0, -1.25, NEG_INF]]
    assert keep_within(log_probs, log_probs[:, :1], 0) is log_probs


def test_hypotheses_far_behind_the_best_finished():
    best = torch.tensor([-2.0, NEG_INF])  # no hypothesis of the second sentence has finished
    assert keep_within(torch.tensor([[-2.0, -5.5], [NEG_INF, NEG_INF]]), best[:, None], 3.0).tolist() == [
        [-2.0, NEG_INF],
        [NEG_INF, NEG_INF],
    ]
    # -8 / 2 = -4 is kept, -11 / 2 = -5.5 is pruned
    assert prune_running(
        torch.tensor([[-8.0, -11.0], [-8.0, -90.0]]), torch.tensor([2.0, 2.0]), best, 3.0
    ).tolist() == [[-8.0, NEG_INF], [-8.0, -90.0]]


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("tokens,hypotheses", [(0, 0), (1.5, 0), (0, 1.0), (0, 0.2), (2.0, 0.5)])
def test_equals_the_plain_search(seed, tokens, hypotheses):
    model = ScriptedEnsemble([Scripted(seed, 9, sharpness=1.5)])
    # Future scores have no bound if unkpen < 0, so a sentence stops as in the plain search.
    options = dict(beam=4, nbest=4, max_len_b=7, length_norm_factor=0.6, coverage_penalty=0.1, unkpen=-1e-30)
    nbest_lists = translate(model, SOURCES, prune_tokens=tokens, prune_hypotheses=hypotheses, **options)
    for source, nbest in zip(SOURCES, nbest_lists):
        expected, _ = plain_beam_search(model, source, 7, 4, 0.6, 0.1, tokens or math.inf, hypotheses or math.inf)
        assert [tokens for _, tokens in nbest] == [tokens for _, tokens in expected][:4]
        assert [score for score, _ in nbest] == pytest.approx([score for score, _ in expected][:4], abs=1e-5)


@pytest.mark.parametrize("seed", range(4))
def test_large_thresholds_prune_nothing(seed):
    model = ScriptedEnsemble([Scripted(seed, 9)])
    options = dict(beam=5, nbest=5, max_len_b=8)
    assert translate(model, SOURCES, prune_tokens=1e4, prune_hypotheses=1e4, **options) == translate(
        model, SOURCES, **options
    )


def test_the_model_is_not_called_for_pruned_hypotheses():
    model = Counting([Scripted(2, 9, sharpness=3.0)])
    options = dict(beam=8, max_len_b=12, unkpen=-1e-30)
    translate(model, [SOURCES[0]], **options)
    everything = sum(model.rows)
    translate(model, [SOURCES[0]], prune_hypotheses=0.5, **options)
    _, needed_rows = plain_beam_search(model, SOURCES[0], 12, 8, 0.6, 0.1, math.inf, 0.5)
    assert sum(model.rows) == needed_rows < everything


def test_other_sentences_have_no_influence():
    model = ScriptedEnsemble([Scripted(5, 9, sharpness=2.0)])
    options = dict(beam=6, nbest=3, max_len_b=9, prune_tokens=3.0, prune_hypotheses=0.5)
    together = translate(model, SOURCES, **options)
    alone = [translate(model, [source], **options)[0] for source in SOURCES]
    assert [[tokens for _, tokens in nbest] for nbest in together] == [
        [tokens for _, tokens in nbest] for nbest in alone
    ]


@pytest.mark.parametrize("name", ["prune_tokens", "prune_hypotheses"])
def test_negative_thresholds_are_refused(name):
    with pytest.raises(UserError, match=f"^{name} is -1.0, but must be 0"):
        SearchOptions(**{name: -1.0})
