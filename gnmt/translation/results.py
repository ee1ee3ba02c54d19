"""Results of a translation: text, sentences, and the n-best list of each sentence."""

from dataclasses import dataclass, field
from typing import List, Optional

from torch import Tensor

from gnmt.errors import UserError
from gnmt.tokenizers.word_alignment import Link


@dataclass(frozen=True)
class TranslatedHypothesis:
    """Entry of an n-best list."""

    text: str
    score: float  # log-probability / length penalty + coverage penalty; natural logarithm
    tokens: List[str]
    positional_scores: List[float]  # log-probability of each token, the last for EOS
    attention: Tensor = field(repr=False)  # (T + 1, S + 1) over target and source tokens; EOS is the last of both
    word_alignment: List[Link]


@dataclass(frozen=True)
class SentenceTranslation:
    """Translation of one sentence."""

    source: str
    source_tokens: List[str]
    nbest: List[TranslatedHypothesis]  # best first; empty for a blank sentence
    is_truncated: bool  # the source had more tokens than allowed, and the rest was not translated

    @property
    def text(self) -> str:
        """Text of the best hypothesis; the source if there is none."""
        return self.nbest[0].text if self.nbest else self.source


@dataclass(frozen=True)
class Translation:
    """Translation of a text."""

    text: str
    sentences: List[SentenceTranslation]  # one, unless the text was split

    @property
    def score(self) -> float:
        """Sum of the scores of its sentences."""
        return sum(sentence.nbest[0].score for sentence in self.sentences if sentence.nbest)

    @property
    def tokens(self) -> List[str]:
        """Target tokens of all sentences."""
        return [token for sentence in self.sentences if sentence.nbest for token in sentence.nbest[0].tokens]

    @property
    def nbest(self) -> List[TranslatedHypothesis]:
        """N-best list of a text with one sentence.

        Raises:
            UserError: if the text has several sentences.
        """
        return self._only_sentence().nbest

    @property
    def positional_scores(self) -> List[float]:
        """Log-probability of each token and of EOS.

        Raises:
            UserError: if the text has several sentences.
        """
        return self.nbest[0].positional_scores if self.nbest else []

    @property
    def attention(self) -> Optional[Tensor]:
        """Attention weights (T + 1, S + 1), EOS last; None for a blank text.

        Raises:
            UserError: if the text has several sentences.
        """
        return self.nbest[0].attention if self.nbest else None

    @property
    def word_alignment(self) -> List[Link]:
        """Pairs of source and target words.

        Raises:
            UserError: if the text has several sentences.
        """
        return self.nbest[0].word_alignment if self.nbest else []

    def _only_sentence(self) -> SentenceTranslation:
        if len(self.sentences) != 1:
            raise UserError(f"The text has {len(self.sentences)} sentences: use `sentences`.")
        return self.sentences[0]
