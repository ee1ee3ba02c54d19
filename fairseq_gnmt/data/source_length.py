"""The longest source sentence that is translated, and sentences that are longer."""

import math
from typing import Any, Dict, List, Optional, Set, Tuple

import torch
from torch import LongTensor


def longest_source(max_positions: Any, max_tokens: Optional[int], source_bos: int) -> int:
    """Returns the largest number of tokens of a source sentence, EOS included.

    Args:
        max_positions: fairseq's limit: a number, or a pair for source and target.
        max_tokens: limit of a batch, or None.
        source_bos: number of BOS tokens that the data set adds to each sentence.
    """
    source = max_positions[0] if isinstance(max_positions, tuple) else max_positions
    return min(source, max_tokens or source) - source_bos


def fit_sources(sentences: List[LongTensor], longest: int, truncate: bool) -> Tuple[List[LongTensor], Set[int]]:
    """Shortens sentences of more than `longest` tokens so that all can be in one data set.

    With `truncate` they keep their first tokens and EOS. Otherwise only EOS is left, because they cannot be translated.

    Args:
        sentences: token indices, each sentence ends with EOS.
        longest: number of tokens, EOS included.

    Returns:
        The sentences, and the positions of those that cannot be translated.
    """
    kept = longest - 1 if truncate else 0
    too_long = {position for position, tokens in enumerate(sentences) if len(tokens) > longest}
    fitting = [
        tokens[[*range(kept), -1]] if position in too_long else tokens for position, tokens in enumerate(sentences)
    ]
    return fitting, set() if truncate else too_long


def no_translation() -> Dict[str, Any]:
    """Returns an empty hypothesis of probability 0, the answer to a source that is not translated."""
    nothing = torch.tensor([])
    scores = {"score": -math.inf, "positional_scores": nothing}
    return {"tokens": nothing.long(), **scores, "attention": nothing, "alignment": []}


def too_long_warning(place: str, length: int, longest: int) -> str:
    """Returns a sentence about a source of `length` tokens; `place` names it."""
    return (
        f"{place} has {length} tokens, but --max-source-positions and --max-tokens allow {longest}: "
        "it is not translated (--truncate-source cuts it)."
    )
