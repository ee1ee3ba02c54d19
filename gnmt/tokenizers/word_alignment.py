"""Word alignment from the attention between tokens.

Shapes: S source tokens, T target tokens.
"""

from typing import List, NamedTuple, Sequence

import torch
from torch import Tensor

from gnmt.tokenizers.word_tokenizer import SPACE_MARK

CONTINUED = "@@"  # at the end of a token of subword-nmt


class Link(NamedTuple):
    """Target word and the source word with its largest attention weight, counted from 0."""

    source: int
    target: int


def words_of(tokens: Sequence[str]) -> List[int]:
    """Returns the index of the word that each token belongs to.

    A token with a space mark begins a word. If no token has a space mark, every token begins a word, except after a
    token that ends in "@@".
    """
    marked = any(token.startswith(SPACE_MARK) for token in tokens)
    words: List[int] = []
    for position, token in enumerate(tokens):
        begins = token.startswith(SPACE_MARK) if marked else not (position and tokens[position - 1].endswith(CONTINUED))
        words.append((words[-1] if words else -1) + int(begins or not words))
    return words


def align_words(source_tokens: Sequence[str], target_tokens: Sequence[str], attention: Tensor) -> List[Link]:
    """Returns a link from each target word to the source word with the largest attention.

    The attention of a target word is averaged over its tokens, and summed over the tokens of a source word.

    Args:
        source_tokens: S tokens.
        target_tokens: T tokens.
        attention: (at least T, at least S), target by source; further rows and columns, such as EOS, are ignored.
    """
    if not source_tokens or not target_tokens:
        return []
    sources, targets = (torch.tensor(words_of(tokens)) for tokens in (source_tokens, target_tokens))
    weights = attention[: len(targets), : len(sources)]
    columns = weights.new_zeros(len(targets), int(sources[-1]) + 1).index_add(1, sources, weights)
    rows = columns.new_zeros(int(targets[-1]) + 1, columns.size(1)).index_add(0, targets, columns)
    return [Link(source, target) for target, source in enumerate(rows.argmax(dim=1).tolist())]
