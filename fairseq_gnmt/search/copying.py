"""Unknown words of a translation, replaced by the source words that they attend to (Luong et al. 2015).

Copied words that the dictionary does not know get numbers for the time of the request (data.open_dictionary), so that the
tokens of a hypothesis represent the whole translation: whatever joins them to text sees the copied words.
"""

from typing import Any, Dict, List, Mapping

from torch import Tensor

from fairseq_gnmt.data.open_dictionary import OpenDictionary
from gnmt.search.alignment import Alignment


def copy_unknown_words(
    hypothesis: Dict[str, Any], source_words: List[str], replacements: Mapping[str, str], dictionary: OpenDictionary
) -> Tensor:
    """The tokens (T,) of a hypothesis with a word for every unknown one.

    It is the source word at the position that the unknown one is aligned with, or what `replacements` has for it.
    """
    tokens: Tensor = hypothesis["tokens"].clone()
    alignment: Alignment = hypothesis["alignment"]
    for position in (tokens == dictionary.unk()).nonzero().flatten().tolist():
        word = source_words[alignment[position]]
        tokens[position] = dictionary.number(replacements.get(word, word))
    return tokens
