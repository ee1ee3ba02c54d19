"""What of a model's tokens is compared: the tokens themselves, or the words that they spell."""
from typing import List, Optional, Sequence

from fairseq.data import Dictionary
from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

from fairseq_gnmt.segmentation import encoders

NOT_WRITTEN = "\ufffe"  # by no output


class RewardTokenizer:
    """Words are those that sacreBLEU counts by default; marks and padding are no words.

    subwords names the kind of token, as fairseq does (`sentencepiece`, `subword_nmt`, ...) or as `--bpe words` and
    `--bpe mixed_word_char` do, or is None to compare tokens.
    """

    def __init__(self, dictionary: Dictionary, subwords: Optional[str]):
        encoders.join_tokens("", subwords)  # fairseq's complaint about a kind that it does not know
        self.symbols = list(dictionary.symbols)
        self.unknown = dictionary.unk()
        self.marks = {dictionary.bos(), dictionary.pad(), dictionary.eos()}
        self.subwords = subwords
        self.unknown_in_reference = dictionary.unk_string(escape=True) if subwords in encoders.NAMES else NOT_WRITTEN
        self.tokenizer = Tokenizer13a()

    def of_output(self, tokens: Sequence[int]) -> List[str]:
        return self._words([self.symbols[token] for token in tokens if token not in self.marks])

    def of_reference(self, tokens: Sequence[int]) -> List[str]:
        """As of an output, but an unknown word is like none of it: the output is not to be praised for it."""
        return self._words(
            [
                self.unknown_in_reference if token == self.unknown else self.symbols[token]
                for token in tokens
                if token not in self.marks
            ]
        )

    def _words(self, symbols: List[str]) -> List[str]:
        if self.subwords is None:
            return symbols
        return self.tokenizer(encoders.join_tokens(" ".join(symbols), self.subwords)).split()
