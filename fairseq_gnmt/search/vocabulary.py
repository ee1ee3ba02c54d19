"""What a search step does over the whole vocabulary.

Shapes: N rows, V vocabulary.
"""
import math
from typing import List, NamedTuple, Tuple

import torch
from torch import Tensor

from fairseq_gnmt.search.history import Step, prefixes
from fairseq_gnmt.search.options import SearchOptions

GROUPS = 256  # measured best from 8,000 to 32,000 words
FEWEST_SCORES = 1 << 17  # for fewer, one stage is as fast


class SpecialTokens(NamedTuple):
    pad: int
    eos: int
    unk: int
    start: int  # decoding starts from it
    begin_marks: int = 0  # of a source sentence, which have no share in the length of its translation


def top_tokens(scores: Tensor, count: int) -> Tuple[Tensor, Tensor]:
    """The `count` largest scores of each row and their tokens, (N, count) each, as torch.topk gives them.

    In two stages: the largest `count` of a row are in the `count` groups with the largest maxima. Group g holds the
    tokens g, g + G, g + 2 G and so on, so that maxima are taken over whole rows of memory.
    """
    rows, vocabulary = scores.shape
    size = vocabulary // GROUPS
    if scores.numel() < FEWEST_SCORES or vocabulary < GROUPS or count > GROUPS:
        return scores.topk(min(count, vocabulary), dim=1)
    grouped = scores[:, : size * GROUPS].view(rows, size, GROUPS)
    groups = grouped.amax(dim=1).topk(count, dim=1).indices
    members = torch.arange(0, size * GROUPS, GROUPS, device=scores.device)
    rest = torch.arange(size * GROUPS, vocabulary, device=scores.device).expand(rows, -1)
    tokens = torch.cat([(groups[:, :, None] + members).flatten(1), rest], dim=1)
    best, places = scores.gather(1, tokens).topk(count, dim=1)
    return best, tokens.gather(1, places)


def restrict(
    probabilities: Tensor, forced: Tensor, history: List[Step], options: SearchOptions, special: SpecialTokens
) -> None:
    """Overwrites the probabilities (N, V) of what may not be said after a history.

    forced (N,): what a row must say, whatever is banned, and however unlikely; pad where it is free.
    """
    bound = (forced != special.pad).nonzero()[:, 0]
    said = probabilities[bound, forced[bound]].clamp_(min=torch.finfo(probabilities.dtype).tiny)

    probabilities[:, special.pad] = 0
    if options.unkpen:
        probabilities[:, special.unk] *= math.exp(-options.unkpen)
    if len(history) <= options.min_len:
        probabilities[:, special.eos] = 0
    if options.no_repeat_ngram_size:
        rows = torch.arange(len(probabilities), device=probabilities.device)
        ban_repeated_ngrams(probabilities, prefixes(history, rows), options.no_repeat_ngram_size)
    probabilities[bound] = 0
    probabilities[bound, forced[bound]] = said


def ban_repeated_ngrams(probabilities: Tensor, prefix: Tensor, size: int) -> None:
    """Overwrites the probabilities (N, V) of tokens that would end an n-gram which the prefix (N, t) holds already."""
    length = prefix.size(1)
    if length < size:
        return
    windows = prefix.unfold(1, size, 1)  # (N, length - size + 1, size)
    repeated = (windows[:, :, :-1] == prefix[:, None, length - size + 1 :]).all(dim=2)
    rows, starts = repeated.nonzero(as_tuple=True)
    probabilities[rows, windows[rows, starts, -1]] = 0
