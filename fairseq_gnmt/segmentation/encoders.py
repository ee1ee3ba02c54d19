"""The word model and the mixed word/character model with the interface of fairseq's encoders.

fairseq-interactive and the hub encode and decode with --bpe; fairseq-generate only decodes. fairseq's --post-process
does not support these two schemes. --eval-bleu-remove-bpe supports them: the task calls `join_tokens`.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Optional

from fairseq.data.data_utils import post_process
from fairseq.data.encoders import register_bpe
from fairseq.dataclass import FairseqDataclass

from gnmt.errors import UserError
from gnmt.files.lines import one_line
from gnmt.tokenizers import word_tokenizer
from gnmt.tokenizers.word_vocabulary import load_vocabulary

NAMES = ("words", "mixed_word_char")


@dataclass
class WordsConfig(FairseqDataclass):
    """Configuration of `--bpe words`, without options: the definition of words needs no model."""


@register_bpe("words", dataclass=WordsConfig)
class WordEncoder:
    """fairseq's encoder `--bpe words`."""

    def __init__(self, cfg: WordsConfig):
        pass

    def encode(self, text: str) -> str:
        return word_tokenizer.encode_words(text)

    def decode(self, tokens: str) -> str:
        return one_line(word_tokenizer.decode(tokens))  # fairseq prints it on a line


@dataclass
class MixedWordCharConfig(FairseqDataclass):
    """Options of `--bpe mixed_word_char`."""

    mixed_word_char_model: Optional[str] = field(
        default=None, metadata={"help": "model file of `gnmt mixed_word_char train`"}
    )


@register_bpe("mixed_word_char", dataclass=MixedWordCharConfig)
class MixedWordCharEncoder:
    """fairseq's encoder `--bpe mixed_word_char`."""

    def __init__(self, cfg: MixedWordCharConfig):
        if cfg.mixed_word_char_model is None:
            raise UserError("--bpe mixed_word_char needs --mixed-word-char-model, the model of the training data.")
        self.vocabulary = load_vocabulary(Path(cfg.mixed_word_char_model))

    def encode(self, text: str) -> str:
        return self.vocabulary.encode(text)

    def decode(self, tokens: str) -> str:
        return one_line(word_tokenizer.decode(tokens))  # fairseq prints it on a line


def join_tokens(tokens: str, scheme: Optional[str]) -> str:
    """Returns the text of tokens.

    Args:
        tokens: tokens, separated by spaces.
        scheme: one of fairseq's schemes for --post-process, or a segmentation of this package.
    """
    return word_tokenizer.decode(tokens) if scheme in NAMES else post_process(tokens, scheme)
