"""NVIDIA's vocabulary and fairseq's dictionary: the same words under the same numbers, the first four apart.

NVIDIA has padding, unknown, begin, end; fairseq begin, padding, end, unknown.
"""
from typing import Dict, List

import torch
from fairseq.data import Dictionary
from torch import Tensor

from gnmt.errors import UserError

SPECIAL = ["<pad>", "<unk>", "<s>", r"<\s>"]  # the end mark with its backslash is theirs
UNKNOWN = 1


def our_ids(size: int) -> Tensor:
    """Our number of each of NVIDIA's numbers (V,), so that ours[our_ids(V)] = theirs."""
    dictionary = Dictionary()
    special = [dictionary.pad(), dictionary.unk(), dictionary.bos(), dictionary.eos()]
    return torch.cat([torch.tensor(special), torch.arange(len(special), size)])


def our_dictionary(idx2tok: Dict[int, str], size: int) -> Dictionary:
    """A dictionary of `size` entries from NVIDIA's table of words.

    Where that table has no word (two lines of its vocabulary file were the same) or one of fairseq's special symbols,
    there is a made-up one. Raises UserError if the table does not begin with NVIDIA's special symbols.
    """
    special = [idx2tok.get(index) for index in range(len(SPECIAL))]
    if special != SPECIAL:
        raise UserError(f"The vocabulary begins with {special}, but NVIDIA's begins with {SPECIAL}.")
    dictionary = Dictionary()
    taken = set(idx2tok.values()).union(dictionary.symbols)
    made_up = (word for word in map("madeupword{:04d}".format, range(2 * size)) if word not in taken)
    for index in range(len(SPECIAL), size):
        word = idx2tok.get(index)
        dictionary.add_symbol(next(made_up) if word is None or word in dictionary else word)
    return dictionary


def their_symbols(dictionary: Dictionary) -> List[str]:
    """Words by NVIDIA's numbers."""
    return SPECIAL + dictionary.symbols[len(SPECIAL) :]
