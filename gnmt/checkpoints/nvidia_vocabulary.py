"""Vocabularies of NVIDIA and of this package: equal words and ids, except for the first four.

NVIDIA's special tokens are PAD, UNK, BOS, EOS; ours are fairseq's, BOS, PAD, EOS, UNK.
"""

from typing import Dict, List

import torch
from torch import Tensor

from gnmt.errors import UserError
from gnmt.tokenizers.vocabulary import BOS, EOS, PAD, SPECIAL_TOKENS, UNK, Vocabulary

SPECIAL = ["<pad>", "<unk>", "<s>", r"<\s>"]  # the backslash of EOS is NVIDIA's
UNKNOWN = 1


def our_ids(size: int) -> Tensor:
    """Returns our id of each of NVIDIA's ids (V,), so that ours[our_ids(V)] = theirs."""
    return torch.cat([torch.tensor([PAD, UNK, BOS, EOS]), torch.arange(len(SPECIAL), size)])


def our_vocabulary(idx2tok: Dict[int, str], size: int) -> Vocabulary:
    """Returns a vocabulary from NVIDIA's table of words.

    Missing words (from equal lines of its vocabulary file) and fairseq's special symbols are replaced by new words.

    Args:
        idx2tok: words by NVIDIA's ids.
        size: number of entries of the vocabulary.

    Raises:
        UserError: if the table does not begin with NVIDIA's special symbols.
    """
    special = [idx2tok.get(index) for index in range(len(SPECIAL))]
    if special != SPECIAL:
        raise UserError(f"The vocabulary begins with {special}, but NVIDIA's begins with {SPECIAL}.")
    taken = {*idx2tok.values(), *SPECIAL_TOKENS}
    made_up = (word for word in map("madeupword{:04d}".format, range(2 * size)) if word not in taken)
    words: List[str] = []
    used = set(SPECIAL_TOKENS)
    for index in range(len(SPECIAL), size):
        word = idx2tok.get(index)
        words.append(next(made_up) if word is None or word in used else word)
        used.add(words[-1])
    return Vocabulary(words)


def their_symbols(vocabulary: Vocabulary) -> List[str]:
    """Returns the words in the order of NVIDIA's ids."""
    return SPECIAL + vocabulary.words
