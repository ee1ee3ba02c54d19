"""Conversion between text and the token ids of a model, one sentence at a time."""

from typing import List, NamedTuple, Sequence

from gnmt.checkpoints.model_folder import Model
from gnmt.files.lines import replace_surrogates
from gnmt.search.results import Hypothesis
from gnmt.search.token_selection import SpecialTokens
from gnmt.tokenizers.vocabulary import BOS, EOS, PAD, UNK
from gnmt.tokenizers.word_alignment import align_words
from gnmt.translation.results import SentenceTranslation, TranslatedHypothesis


class EncodedSentence(NamedTuple):
    """Token ids of a source sentence and of the prefix of its translation."""

    text: str
    tokens: List[str]  # empty for a blank sentence, which is not translated
    ids: List[int]  # including EOS, and BOS if the model's sources begin with it
    prefix: List[int]  # forced first target tokens
    is_truncated: bool


class SentenceCodec:
    """Encodes sentences for a search and decodes its hypotheses, without state.

    Args:
        model: model of a model folder; all models of an ensemble share tokenizers and vocabularies.
    """

    def __init__(self, model: Model):
        starts_with_bos = model.config.source_bos
        self._tokenizers = model.tokenizers
        self._source, self._target = model.source_vocabulary, model.target_vocabulary
        self.special = SpecialTokens(
            PAD, EOS, UNK, decoder_start=BOS if starts_with_bos else EOS, source_bos=int(starts_with_bos)
        )

    def encode(self, text: str, max_length: int, prefix: str = "") -> EncodedSentence:
        """Returns the token ids of a sentence.

        Args:
            text: one sentence; an unpaired surrogate becomes U+FFFD.
            max_length: maximum number of tokens; the rest is truncated.
            prefix: beginning of the translation, as text.
        """
        text = replace_surrogates(text)
        tokens = self._tokenizers.source.encode(text) if text.strip() else []
        is_truncated = len(tokens) > max_length
        tokens = tokens[:max_length]
        ids = self.source_ids([self._source.index(token) for token in tokens])
        return EncodedSentence(text, tokens, ids, self.target_ids(prefix) if prefix else [], is_truncated)

    def source_ids(self, ids: Sequence[int]) -> List[int]:
        """Returns the ids of source tokens with EOS, and with BOS if the model's sources begin with it."""
        return [*[BOS] * self.special.source_bos, *ids, EOS]

    def target_ids(self, text: str) -> List[int]:
        """Returns a target text as ids without EOS; an unpaired surrogate becomes U+FFFD."""
        return [self._target.index(token) for token in self._tokenizers.target.encode(replace_surrogates(text))]

    def decode(
        self, sentence: EncodedSentence, hypotheses: Sequence[Hypothesis], replace_unk: bool = False
    ) -> SentenceTranslation:
        """Returns the translation of a sentence from its hypotheses.

        Args:
            sentence: result of `encode`.
            hypotheses: n-best list of the search, best first; empty for a blank sentence.
            replace_unk: replace each unknown token by the source token with the largest attention weight.
        """
        nbest = [self._decoded(hypothesis, sentence, replace_unk) for hypothesis in hypotheses]
        return SentenceTranslation(sentence.text, sentence.tokens, nbest, sentence.is_truncated)

    def _decoded(self, hypothesis: Hypothesis, sentence: EncodedSentence, replace_unk: bool) -> TranslatedHypothesis:
        attention = hypothesis.attention[:, self.special.source_bos :].clone()
        tokens = [self._target[index] for index in hypothesis.tokens.tolist() if index != EOS]
        if replace_unk:
            sources = attention[:, :-1].argmax(dim=1).tolist()
            unknown = self._target[UNK]
            tokens = [sentence.tokens[source] if token == unknown else token for token, source in zip(tokens, sources)]
        return TranslatedHypothesis(
            text=self._tokenizers.target.decode(tokens),
            score=float(hypothesis.score),
            tokens=tokens,
            positional_scores=hypothesis.log_probs.tolist(),
            attention=attention,
            word_alignment=align_words(sentence.tokens, tokens, attention),
        )
