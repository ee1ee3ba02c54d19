"""Operations of a search step over the whole vocabulary: constraints, and the best continuations.

Shapes: B sentences, K hypotheses of a sentence, N = B x K rows, V vocabulary size, G groups of tokens, C candidates.
"""

import math
from typing import NamedTuple

import torch
from torch import Tensor

from gnmt.search.backpointers import NO_TOKEN, History
from gnmt.search.options import SearchOptions
from gnmt.search.pruning import keep_within

GROUPS = 512  # fastest for vocabularies from 8,000 to 32,000 tokens (measured), even for few rows
# Breaks ties by the index of a column. Float64 adds it without rounding to log-probabilities down to -16,000.
TIE_BREAKER = 2.0**-38


class SpecialTokens(NamedTuple):
    """Ids of special tokens."""

    pad: int
    eos: int
    unk: int
    decoder_start: int  # first token that the decoder reads: EOS (fairseq) or BOS (NVIDIA)
    source_bos: int = 0  # number of BOS tokens per source sentence; not counted in the length limit


class Candidates(NamedTuple):
    """Continuations of the hypotheses of each sentence, best first."""

    log_probs: Tensor  # (B, C), cumulative
    tokens: Tensor  # (B, C)
    hypotheses: Tensor  # (B, C), index of the continued hypothesis among the K of its sentence


def best_continuations(probabilities: Tensor, log_probs: Tensor, count: int, prune: float = 0.0) -> Candidates:
    """Returns the `count` best continuations of each sentence, or all if there are fewer.

    Works in two stages: the best `count` tokens are in the `count` groups with the largest maxima. Group g contains the
    tokens g, g + G, g + 2 G and so on, so maxima are taken over contiguous rows of memory. A small vocabulary has
    groups of one token.

    Args:
        probabilities: (N, V), of the next token of each row; overwritten.
        log_probs: (B, K), cumulative, of the rows.
        count: number of candidates C.
        prune: tokens more than this below the best of their row are dropped; 0 keeps all.
    """
    num_sentences, num_hypotheses = log_probs.shape
    vocabulary = probabilities.size(1)
    groups = GROUPS if vocabulary > GROUPS else vocabulary
    maxima = group_maxima(probabilities, groups).log_()
    best_of_row = maxima.amax(dim=1, keepdim=True)
    maxima = keep_within(maxima, best_of_row, prune).view(num_sentences, num_hypotheses, groups) + log_probs[:, :, None]
    chosen = topk_in_order(maxima.flatten(1), min(count, num_hypotheses * groups)).indices
    hypotheses, group = chosen // groups, chosen % groups

    # Members (B, count, tokens of a group).
    members = group[:, :, None] + torch.arange(0, vocabulary, groups, device=log_probs.device)
    missing = members >= vocabulary  # the last member of some groups
    members = members.clamp_(max=vocabulary - 1)
    places = (members + vocabulary * hypotheses[:, :, None]).flatten(1)
    token_log_probs = probabilities.view(num_sentences, -1).gather(1, places).view_as(members)
    token_log_probs = token_log_probs.masked_fill_(missing, 0).log_()
    best_of_hypothesis = best_of_row.view(num_sentences, -1).gather(1, hypotheses)[:, :, None]
    token_log_probs = keep_within(token_log_probs, best_of_hypothesis, prune)
    continued = (token_log_probs + log_probs.gather(1, hypotheses)[:, :, None]).flatten(1)
    best, places = topk_in_order(continued, min(count, num_hypotheses * vocabulary))
    return Candidates(best, members.flatten(1).gather(1, places), hypotheses.gather(1, places // members.size(2)))


class TopK(NamedTuple):
    """The largest values of each row, best first."""

    values: Tensor
    indices: Tensor


def topk_in_order(log_probs: Tensor, count: int) -> TopK:
    """Returns the `count` largest log-probabilities of each row; ties are broken by the smaller index.

    torch.topk breaks ties in an order that depends on the row length, and so on the other sentences of a batch. Logits
    that are rounded to bfloat16 have many ties.

    The order of different values is kept in rows of up to 16,384 columns (beam 32 with 512 groups). Hypotheses of a
    sentence are disjoint events, so at most one has a probability above 1/2. Two float32 log-probabilities of at most
    log 1/2 differ by at least 2^-24 = 16,384 x TIE_BREAKER. In longer rows, a smaller index also wins against a value
    that is larger by one rounding error. (A negative `unkpen` is an exception: it increases probabilities.)

    Args:
        log_probs: (N, V).
        count: number of values per row.
    """
    columns = torch.arange(log_probs.size(1), device=log_probs.device, dtype=torch.float64)
    indices = (log_probs.double() - columns.mul_(TIE_BREAKER)).topk(count, dim=1).indices
    return TopK(log_probs.gather(1, indices), indices)


def group_maxima(probabilities: Tensor, groups: int) -> Tensor:
    """Returns the largest probability (N, G) of each group of tokens g, g + G, g + 2 G and so on.

    Args:
        probabilities: (N, V).
        groups: number of groups G.
    """
    rows, vocabulary = probabilities.shape
    remainder = vocabulary % groups
    maxima = probabilities[:, : vocabulary - remainder].view(rows, -1, groups).amax(dim=1)
    if remainder:
        torch.maximum(maxima[:, :remainder], probabilities[:, -remainder:], out=maxima[:, :remainder])
    return maxima


def apply_constraints(
    probabilities: Tensor,
    forced: Tensor,
    history: History,
    num_tokens: Tensor,
    options: SearchOptions,
    special: SpecialTokens,
) -> None:
    """Zeroes, in place, the probability of every forbidden next token.

    Args:
        probabilities: (N, V), overwritten.
        forced: (B,), only allowed token of all rows of a sentence, even if banned or unlikely; PAD means
            unconstrained.
        history: backpointers of the search.
        num_tokens: (B,), number of tokens of each sentence's hypotheses before this step.
        options: options of the search.
        special: ids of the special tokens.
    """
    constrained = (forced != special.pad).nonzero()[:, 0]
    by_sentence = probabilities.view(len(forced), -1, probabilities.size(1))
    forced_probabilities = by_sentence[constrained, :, forced[constrained]].clamp_(
        min=torch.finfo(probabilities.dtype).tiny
    )

    probabilities[:, special.pad] = 0
    if options.unkpen:
        probabilities[:, special.unk] *= math.exp(-options.unkpen)
    if options.min_len:
        by_sentence[:, :, special.eos].masked_fill_((num_tokens < options.min_len)[:, None], 0)
    if options.no_repeat_ngram_size:
        row_num_tokens = num_tokens.repeat_interleave(by_sentence.size(1))
        ban_repeated_ngrams(probabilities, history.generated_tokens(row_num_tokens), options.no_repeat_ngram_size)
    if len(constrained):
        by_sentence[constrained] = 0
        by_sentence[constrained, :, forced[constrained]] = forced_probabilities


def ban_repeated_ngrams(probabilities: Tensor, tokens: Tensor, size: int) -> None:
    """Zeroes, in place, the probability of tokens that would repeat an n-gram of their hypothesis.

    Args:
        probabilities: (N, V), overwritten.
        tokens: (N, t), of the hypotheses; shorter hypotheses begin with NO_TOKEN.
        size: n.
    """
    length = tokens.size(1)
    if length < size:
        return
    windows = tokens.unfold(1, size, 1)  # (N, length - size + 1, size)
    repeated = (windows[:, :, :-1] == tokens[:, None, length - size + 1 :]).all(dim=2)
    rows, starts = (repeated & (windows[:, :, 0] != NO_TOKEN)).nonzero(as_tuple=True)
    probabilities[rows, windows[rows, starts, -1]] = 0
