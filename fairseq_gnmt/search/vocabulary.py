"""What a search step does over the whole vocabulary.

Shapes: N rows, V vocabulary.
"""
from typing import Tuple

import torch
from torch import Tensor

GROUPS = 256  # measured best from 8,000 to 32,000 words
FEWEST_SCORES = 1 << 17  # for fewer, one stage is as fast


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
