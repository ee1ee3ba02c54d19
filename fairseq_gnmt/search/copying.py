"""Replacement of unknown words in a translation by the source words with the largest attention (Luong et al. 2015).

Copied words outside the dictionary get temporary ids for one request (data.open_dictionary). The tokens of a hypothesis
then represent the whole translation, and every function that joins them to text includes the copied words.
"""

from typing import Any, Dict, List, Mapping

from torch import Tensor

from fairseq_gnmt.data.open_dictionary import OpenDictionary
from fairseq_gnmt.search.alignment import Alignment


def copy_unknown_words(
    hypothesis: Dict[str, Any], source_words: List[str], replacements: Mapping[str, str], dictionary: OpenDictionary
) -> Tensor:
    """Returns the tokens (T,) of a hypothesis with each unknown word replaced by its aligned source word.

    Args:
        hypothesis: hypothesis with tokens and alignment.
        source_words: words of the source.
        replacements: texts that replace source words; other source words are copied.
        dictionary: target dictionary.
    """
    tokens: Tensor = hypothesis["tokens"].clone()
    alignment: Alignment = hypothesis["alignment"]
    for position in (tokens == dictionary.unk()).nonzero().flatten().tolist():
        word = source_words[alignment[position]]
        tokens[position] = dictionary.id_of(replacements.get(word, word))
    return tokens
