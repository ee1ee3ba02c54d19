"""Tests beam search against exhaustive enumeration of all translations, and its independence of batch and padding."""

import math

import pytest
import torch

from gnmt.errors import UserError
from gnmt.search.beam_rules import BeamSearchRules, length_limits
from gnmt.search.beam_search import BeamSearch, translate_batch
from gnmt.search.options import SearchOptions
from gnmt.search.search_queue import QueuedSentence
from gnmt.search.token_selection import SpecialTokens
from reference.exhaustive_search import EOS, PAD, UNK, Scripted, ScriptedEnsemble, every_translation
from reference.tabulated_penalty import TabulatedLengthPenalty

SPECIAL = SpecialTokens(pad=PAD, eos=EOS, unk=UNK, decoder_start=EOS)
VOCABULARY = 6  # BOS, PAD, EOS, UNK and two words
EVERYTHING = 400  # a beam larger than the number of prefixes


def padded(sources, left: bool = False) -> torch.Tensor:
    width = max(map(len, sources))
    rows = [[PAD] * (width - len(s)) + s if left else s + [PAD] * (width - len(s)) for s in sources]
    return torch.tensor(rows)


def translate(model, sources, left=False, prefix=None, length_penalty=None, device="cpu", **options):
    """Returns the n-best list of each source as (score, tokens, log-probabilities of the tokens, attention)."""
    rules = BeamSearchRules(SPECIAL, SearchOptions(**options), length_penalty)
    return [
        list(map(as_tuple, hypotheses))
        for hypotheses in translate_batch(model, rules, padded(sources, left).to(device), prefix)
    ]


def as_tuple(hypothesis):
    return (
        float(hypothesis.score),
        tuple(hypothesis.tokens.tolist()),
        hypothesis.log_probs.tolist(),
        hypothesis.attention,
    )


SOURCES = [[4, 5, EOS], [5, EOS], [4, 4, 5, 5, EOS]]


@pytest.mark.parametrize("models", [1, 3])
@pytest.mark.parametrize("alpha,const,beta", [(0.0, 5.0, 0.0), (0.6, 5.0, 0.1), (1.0, 2.0, 0.5)])
@pytest.mark.parametrize("seed", [1, 2])
def test_equals_exhaustive_search(models, alpha, const, beta, seed, device):
    model = ScriptedEnsemble([Scripted(seed * 10 + i, VOCABULARY) for i in range(models)])
    options = dict(length_norm_factor=alpha, length_norm_const=const, coverage_penalty=beta)
    nbest = translate(model, SOURCES, beam=EVERYTHING, nbest=7, max_len_b=3, device=device, **options)
    for source, hypotheses in zip(SOURCES, nbest):
        expected = every_translation(model, source, 3, 1, alpha, const, beta)[:7]
        assert [tokens for _, tokens, _, _ in hypotheses] == [translation.tokens for translation in expected]
        for (score, _, log_probs, _), translation in zip(hypotheses, expected):
            assert score == pytest.approx(translation.score, abs=1e-5)
            assert log_probs == pytest.approx(translation.log_probs, abs=1e-5)


@pytest.mark.parametrize("seed", [10, 12, 13])
@pytest.mark.parametrize("table", [(0.5, 0.8, 3.0, 0.6, 0.4), (3.0, 1.0, 2.0, 0.5, 4.0)])
def test_early_stopping_with_a_penalty_that_is_not_monotonic(table, seed):
    """The penalty has a maximum at length 3, or several maxima. Early stopping must not miss the best translations."""
    model = ScriptedEnsemble([Scripted(seed, VOCABULARY, sharpness=2.0)])
    penalty = TabulatedLengthPenalty(table)
    options = dict(beam=EVERYTHING, nbest=1, max_len_b=4, coverage_penalty=0.1, length_penalty=penalty)
    for source, hypotheses in zip(SOURCES, translate(model, SOURCES, **options)):
        expected = every_translation(model, source, 4, 1, 0, 0, 0.1, lambda length: table[min(length, len(table)) - 1])[
            0
        ]
        assert hypotheses[0][1] == expected.tokens and hypotheses[0][0] == pytest.approx(expected.score, abs=1e-5)


def test_coverage_moves_with_its_hypothesis(device):
    """The returned attention belongs to the hypothesis at each position, and gives its coverage penalty."""
    model = ScriptedEnsemble([Scripted(3, VOCABULARY)])
    (hypotheses,) = translate(model, [SOURCES[2]], beam=4, nbest=4, max_len_b=6, device=device)
    assert len({tokens for _, tokens, _, _ in hypotheses}) == 4
    for score, tokens, log_probs, attention in hypotheses:
        expected = torch.stack([model.next(SOURCES[2], tokens[:at])[1] for at in range(len(tokens))])
        torch.testing.assert_close(attention, expected)
        coverage = 0.1 * expected.sum(dim=0).clamp(max=1).log().sum()
        assert score == pytest.approx(sum(log_probs) / ((5 + len(tokens)) / 6) ** 0.6 + float(coverage), abs=1e-5)


class ByHand:
    """Model with two words, a = 4 and b = 5, over a source of two tokens and EOS.

    Probabilities are a: 0.6, b: 0.4. After a, EOS has probability 1 and all attention is on source 0. After b, EOS has
    probability 1 and attention is uniform. Log-probability prefers a; coverage prefers b.
    """

    def start(self, src_tokens):
        return self

    def reorder(self, rows):
        return self

    def select_sentences(self, kept):
        return self

    def step(self, tokens, state):
        probabilities = torch.zeros(len(tokens), VOCABULARY)
        attention = torch.tensor([0.98, 0.01, 0.01]).repeat(len(tokens), 1)
        for row, token in enumerate(tokens.tolist()):
            if token == EOS:
                probabilities[row, 4], probabilities[row, 5] = 0.6, 0.4
                attention[row] = 1 / 3
            else:
                probabilities[row, EOS] = 1.0
                if token == 5:
                    attention[row] = 1 / 3
        return probabilities, attention, state


@pytest.mark.parametrize("beta,winner", [(0.0, 4), (1.0, 5)])
def test_coverage_changes_the_best_hypothesis(beta, winner):
    ((best, other),) = translate(ByHand(), [[4, 5, EOS]], beam=2, nbest=2, coverage_penalty=beta, length_norm_factor=0)
    assert best[1] == (winner, EOS)
    if beta:
        # b: log 0.4 + 3 log(2/3); a: log 0.6 + log 1 + 2 log(1/3 + 0.01)
        assert best[0] == pytest.approx(-0.9163 - 3 * 0.4055, abs=1e-3)
        assert other[0] == pytest.approx(-0.5108 - 2 * 1.0691, abs=1e-3)


def test_results_do_not_depend_on_the_batch():
    """Alone, in a batch, in another order and with padding on the other side."""
    model = ScriptedEnsemble([Scripted(5, 9)])
    generator = torch.Generator().manual_seed(1)
    sources = [torch.randint(4, 9, (n,), generator=generator).tolist() + [EOS] for n in (1, 7, 3, 5, 2, 4)]
    together = translate(model, sources, beam=3, nbest=3, max_len_a=1.5, max_len_b=2)
    backwards = translate(model, sources[::-1], left=True, beam=3, nbest=3, max_len_a=1.5, max_len_b=2)[::-1]
    for index, source in enumerate(sources):
        (alone,) = translate(model, [source], beam=3, nbest=3, max_len_a=1.5, max_len_b=2)
        for other in (together[index], backwards[index]):
            assert [t[1] for t in other] == [t[1] for t in alone]
            assert [t[0] for t in other] == pytest.approx([t[0] for t in alone], abs=1e-6)


@pytest.mark.parametrize("seed", range(8))
def test_nbest_does_not_change_the_best(seed):
    """Early stopping must not depend on the length of the n-best list."""
    model = ScriptedEnsemble([Scripted(seed, 8, sharpness=3.0)])
    lists = [translate(model, SOURCES, beam=4, nbest=n, max_len_b=12) for n in (1, 2, 4)]
    for of_one, of_two, of_four in zip(*lists):
        assert of_one[0][1] == of_two[0][1] == of_four[0][1]
        assert of_two[1][1] == of_four[1][1]


def test_beam_one_is_greedy():
    model = ScriptedEnsemble([Scripted(7, 9)])
    (((_, tokens, _, _),),) = translate(model, [[4, 5, EOS]], beam=1, max_len_b=8)
    greedy = []
    while EOS not in greedy and len(greedy) < 9:
        logits, _ = model.next((4, 5, EOS), tuple(greedy))
        logits[PAD] = float("-inf")
        if not greedy:
            logits[EOS] = float("-inf")
        greedy.append(EOS if len(greedy) == 8 else int(logits.argmax()))
    assert tokens == tuple(greedy)


def test_lengths():
    model = ScriptedEnsemble([Scripted(8, 7)])
    assert length_limits(torch.tensor([1, 2, 5]), 0.5, 2).tolist() == [0, 3, 4]  # empty; 1 + 2; 2.5 + 2
    empty, short, long = translate(
        model, [[EOS], [4, EOS], [4, 5, 4, 5, EOS]], beam=5, nbest=5, max_len_a=0.5, max_len_b=2, min_len=2
    )
    assert [tokens for _, tokens, _, _ in empty] == [(EOS,)]
    assert {len(tokens) - 1 for _, tokens, _, _ in short} <= {2, 3}
    assert {len(tokens) - 1 for _, tokens, _, _ in long} <= {2, 3, 4}


def test_prefix_is_kept_and_free_after_it(device):
    model = ScriptedEnsemble([Scripted(9, 8)])
    prefix = torch.tensor([[6, 7], [5, PAD], [PAD, PAD]], device=device)
    forced, half, free = translate(model, SOURCES, prefix=prefix, device=device, beam=3, nbest=3, max_len_b=5)
    assert all(tokens[:2] == (6, 7) for _, tokens, _, _ in forced)
    assert all(tokens[0] == 5 for _, tokens, _, _ in half)
    (alone,) = translate(model, [SOURCES[2]], beam=3, nbest=3, max_len_b=5)
    assert [t[1] for t in free] == [t[1] for t in alone]
    # the score of a forced token is its log-probability
    log_probs = model.next(SOURCES[0], ())[0]
    assert forced[0][2][0] == pytest.approx(float(log_probs[6]), abs=1e-5)


def test_prefix_is_forced_however_improbable():
    """The probability of token 5 underflows to 0."""

    class Reluctant(ByHand):
        def step(self, tokens, state):
            probabilities = torch.full((len(tokens), VOCABULARY), 0.2)
            probabilities[:, 5] = 0
            return probabilities, torch.full((len(tokens), 3), 1 / 3), state

    ((only,),) = translate(Reluctant(), [[4, 5, EOS]], prefix=torch.tensor([[5, EOS]]), beam=2)
    assert only[1] == (5, EOS) and math.isfinite(only[0])


def test_prefix_that_ends_the_sentence():
    model = ScriptedEnsemble([Scripted(9, 8)])
    ((only,),) = translate(model, [SOURCES[0]], prefix=torch.tensor([[6, EOS, PAD]]), beam=3, nbest=3)
    assert only[1] == (6, EOS)


def test_unknown_words_can_be_forbidden_or_favoured():
    model = ScriptedEnsemble([Scripted(11, 6, sharpness=0.1)])
    without = translate(model, SOURCES, beam=4, nbest=4, max_len_b=4, unkpen=100.0)
    assert all(UNK not in tokens for nbest in without for _, tokens, _, _ in nbest)
    favoured = translate(model, SOURCES, beam=4, nbest=1, max_len_b=4, unkpen=-80.0)
    assert all(set(nbest[0][1]) == {UNK, EOS} for nbest in favoured)


def test_no_ngram_is_repeated(device):
    model = ScriptedEnsemble([Scripted(12, 6, sharpness=0.5)])
    for nbest in translate(
        model, SOURCES, beam=4, nbest=4, max_len_b=9, min_len=7, no_repeat_ngram_size=2, device=device
    ):
        for _, tokens, _, _ in nbest:
            pairs = list(zip(tokens, tokens[1:]))
            assert len(pairs) == len(set(pairs))


def test_scores_that_are_not_numbers_are_refused():
    class Diverged(ByHand):
        def step(self, tokens, state):
            return torch.full((len(tokens), VOCABULARY), float("nan")), torch.ones(len(tokens), 3), state

    with pytest.raises(UserError, match="diverged"):
        translate(Diverged(), [[4, 5, EOS]])


@pytest.mark.parametrize(
    "option,value,words",
    [
        ("beam", 0, "beam is 0"),
        ("nbest", 6, "nbest is 6, but must be at most beam"),
        ("temperature", 0.0, "temperature"),
        ("unkpen", -81.0, "unkpen is -81.0, but must be at least -80"),
        ("length_norm_factor", -0.1, "length_norm_factor is -0.1"),
        ("length_norm_const", -1.0, "length_norm_const"),
        ("coverage_penalty", -0.5, "coverage_penalty"),
        ("max_len_b", -1, "max_len_b"),
        ("no_repeat_ngram_size", -2, "no_repeat_ngram_size"),
    ],
)
def test_options_out_of_range(option, value, words):
    with pytest.raises(UserError, match=words):
        SearchOptions(**{option: value})


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize(
    "options", [{}, dict(prune_tokens=1.5, prune_hypotheses=1.0), dict(no_repeat_ngram_size=2, min_len=3)]
)
def test_translations_do_not_depend_on_when_a_sentence_joins(seed, options):
    """Sentences join at random steps in random groups, with and without prefixes."""
    generator = torch.Generator().manual_seed(seed)
    draw = lambda low, high: int(torch.randint(low, high, (), generator=generator))
    model = ScriptedEnsemble([Scripted(seed, 9)])
    sources = [torch.randint(4, 9, (draw(0, 8),), generator=generator).tolist() + [EOS] for _ in range(12)]
    prefixes = [torch.randint(4, 9, (draw(0, 3),), generator=generator).tolist() for _ in sources]
    options = dict(beam=3, nbest=3, max_len_a=1.5, max_len_b=2, **options)
    search = BeamSearch(model, BeamSearchRules(SPECIAL, SearchOptions(**options)), leaving_share=seed % 3 / 4)
    waiting, translations = list(range(len(sources))), {}
    while waiting or len(search):
        if waiting and (not len(search) or draw(0, 3) == 0):
            ids = [waiting.pop(0) for _ in range(min(len(waiting), draw(1, 5)))]
            search.join([QueuedSentence(i, sources[i], prefixes[i]) for i in ids])
        for sentence_id, hypotheses in search.step():
            translations[sentence_id] = list(map(as_tuple, hypotheses))
    for index, source in enumerate(sources):
        prefix = torch.tensor([prefixes[index]]) if prefixes[index] else None
        (alone,) = translate(model, [source], prefix=prefix, **options)
        assert [t[1] for t in translations[index]] == [t[1] for t in alone]
        assert [t[0] for t in translations[index]] == pytest.approx([t[0] for t in alone], abs=1e-6)
        for (_, _, log_probs, attention), (_, _, lone_log_probs, lone_attention) in zip(translations[index], alone):
            assert log_probs == pytest.approx(lone_log_probs, abs=1e-6)
            torch.testing.assert_close(attention, lone_attention)
