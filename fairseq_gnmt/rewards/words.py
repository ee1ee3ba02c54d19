"""Units in which rewards compare a sample with its reference: the model's tokens, or the words of their text."""

from typing import List, Optional, Sequence

from fairseq.data import Dictionary
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

from fairseq_gnmt.segmentation import encoders

NOT_WRITTEN = "\ufffe"  # never occurs in an output


class RewardTokenizer:
    """Splits token sequences into words as sacreBLEU does by default; BOS, EOS and PAD are removed.

    Args:
        dictionary: target dictionary.
        subwords: segmentation of the tokens: one of fairseq's (`sentencepiece`, `subword_nmt`, ...), `words` or
            `mixed_word_char`; None compares tokens.
    """

    def __init__(self, dictionary: Dictionary, subwords: Optional[str]):
        encoders.join_tokens("", subwords)  # raises fairseq's error for an unknown segmentation
        self.symbols = list(dictionary.symbols)
        self.unknown = dictionary.unk()
        self.special = {dictionary.bos(), dictionary.pad(), dictionary.eos()}
        self.subwords = subwords
        self.unknown_in_reference = dictionary.unk_string(escape=True) if subwords in encoders.NAMES else NOT_WRITTEN
        self.tokenizer = Tokenizer13a()

    def of_output(self, tokens: Sequence[int]) -> List[str]:
        """Returns the words of an output."""
        return self._words([self.symbols[token] for token in tokens if token not in self.special])

    def of_reference(self, tokens: Sequence[int]) -> List[str]:
        """Returns the words of a reference. UNK never matches, so the model is not rewarded for producing UNK."""
        return self._words(
            [
                self.unknown_in_reference if token == self.unknown else self.symbols[token]
                for token in tokens
                if token not in self.special
            ]
        )

    def _words(self, symbols: List[str]) -> List[str]:
        if self.subwords is None:
            return symbols
        return self.tokenizer(encoders.join_tokens(" ".join(symbols), self.subwords)).split()
