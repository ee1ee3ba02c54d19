"""Unknown words of a translation, replaced by the source words that they attend to (Luong et al. 2015).

Words that no dictionary knows get entries in it, beyond those that the network has, so that the tokens of a hypothesis
still say all that it says: whatever joins them to text sees the copied words.
"""
from typing import Any, Dict, List, Mapping

from fairseq.data import Dictionary
from torch import Tensor

from gnmt.search.alignment import Alignment


def copy_unknown_words(
    hypothesis: Dict[str, Any], source_words: List[str], replacements: Mapping[str, str], dictionary: Dictionary
) -> Tensor:
    """The tokens (T,) of a hypothesis with a word for every unknown one.

    It is the source word at the position that the unknown one is aligned with, or what `replacements` has for it.
    """
    tokens: Tensor = hypothesis["tokens"].clone()
    alignment: Alignment = hypothesis["alignment"]
    for position in (tokens == dictionary.unk()).nonzero().flatten().tolist():
        word = source_words[alignment[position]]
        tokens[position] = dictionary.add_symbol(replacements.get(word, word))
    return tokens
