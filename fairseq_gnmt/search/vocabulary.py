"""What a search step does over the whole vocabulary.

Shapes: N rows, V vocabulary.
"""
from typing import Tuple

import torch
from torch import Tensor

GROUPS = 256  # measured best from 8,000 to 32,000 words
FEWEST_LOGITS = 1 << 17  # for fewer, one stage is as fast


def log_normalizer(logits: Tensor) -> Tensor:
    """logsumexp of each row, (N, 1).

    Softmax is done with a row before it takes the next one; torch.logsumexp makes several passes over all rows.
    """
    largest = logits.amax(dim=1, keepdim=True)
    return largest - logits.softmax(dim=1).amax(dim=1, keepdim=True).log()


def top_tokens(logits: Tensor, count: int) -> Tuple[Tensor, Tensor]:
    """The `count` largest logits of each row and their tokens, (N, count) each, as torch.topk gives them.

    In two stages: the largest `count` of a row are in the `count` groups with the largest maxima. Group g holds the
    tokens g, g + G, g + 2 G and so on, so that maxima are taken over whole rows of memory.
    """
    rows, vocabulary = logits.shape
    size = vocabulary // GROUPS
    if logits.numel() < FEWEST_LOGITS or vocabulary < GROUPS or count > GROUPS:
        return logits.topk(min(count, vocabulary), dim=1)
    grouped = logits[:, : size * GROUPS].view(rows, size, GROUPS)
    groups = grouped.amax(dim=1).topk(count, dim=1).indices
    members = torch.arange(0, size * GROUPS, GROUPS, device=logits.device)
    rest = torch.arange(size * GROUPS, vocabulary, device=logits.device).expand(rows, -1)
    tokens = torch.cat([(groups[:, :, None] + members).flatten(1), rest], dim=1)
    best, places = logits.gather(1, tokens).topk(count, dim=1)
    return best, tokens.gather(1, places)
