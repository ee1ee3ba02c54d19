"""Maximum length of source sentences, and treatment of longer sentences."""

import math
from typing import Any, Dict, List, Optional, Set, Tuple

import torch
from torch import LongTensor


def longest_source(max_positions: Any, max_tokens: Optional[int], source_bos: int) -> int:
    """Returns the maximum number of tokens of a source sentence, including EOS.

    Args:
        max_positions: fairseq's limit: a number, or a pair for source and target.
        max_tokens: limit of a batch, or None.
        source_bos: number of BOS tokens that the data set adds to each sentence.
    """
    source = max_positions[0] if isinstance(max_positions, tuple) else max_positions
    return min(source, max_tokens or source) - source_bos


def fit_sources(sentences: List[LongTensor], longest: int, truncate: bool) -> Tuple[List[LongTensor], Set[int]]:
    """Shortens sentences of more than `longest` tokens, so that all can be in one data set.

    Args:
        sentences: token ids; each sentence ends with EOS.
        longest: maximum number of tokens, including EOS.
        truncate: keep the first tokens and EOS; otherwise only EOS is kept, and the sentence is not translated.

    Returns:
        The sentences, and the positions of the sentences that are not translated.
    """
    kept_tokens = longest - 1 if truncate else 0
    too_long = {position for position, tokens in enumerate(sentences) if len(tokens) > longest}
    shortened = [
        tokens[[*range(kept_tokens), -1]] if position in too_long else tokens
        for position, tokens in enumerate(sentences)
    ]
    return shortened, set() if truncate else too_long


def no_translation() -> Dict[str, Any]:
    """Returns an empty hypothesis of probability 0, the result for a source that is not translated."""
    empty = torch.tensor([])
    scores = {"score": -math.inf, "positional_scores": empty}
    return {"tokens": empty.long(), **scores, "attention": empty, "alignment": []}


def too_long_warning(place: str, length: int, longest: int) -> str:
    """Returns the warning about a source that is too long.

    Args:
        place: name of the sentence in the warning.
        length: number of tokens.
        longest: maximum number of tokens.
    """
    return (
        f"{place} has {length} tokens, but --max-source-positions and --max-tokens allow {longest}: "
        "it is not translated (--truncate-source cuts it)."
    )
