"""Texts in translation: splits them into sentences, and joins translated sentences in order."""

import itertools
from collections import deque
from typing import Deque, Dict, Iterator, List, NamedTuple, Optional, Sequence

from gnmt.search.results import SearchResult
from gnmt.search.search_queue import QueuedSentence
from gnmt.tokenizers.sentences import Sentence, split_sentences
from gnmt.translation.results import SentenceTranslation, Translation
from gnmt.translation.sentence_codec import EncodedSentence, SentenceCodec


class _PendingText(NamedTuple):
    sentences: List[Sentence]
    first: int  # number of its first sentence


class PendingTexts:
    """Queue of texts in the order in which they were added; a text leaves when all of its sentences are translated.

    Args:
        codec: codec of the model.
        max_length: maximum number of tokens of a sentence.
        replace_unk: replace unknown tokens by source tokens.
        language: code of the language of the rules that split texts into sentences; None keeps texts whole.
    """

    def __init__(self, codec: SentenceCodec, max_length: int, replace_unk: bool, language: Optional[str]):
        self._codec = codec
        self._max_length, self._replace_unk, self._language = max_length, replace_unk, language
        self._numbers = itertools.count()  # sentences are numbered from 0
        self._texts: Deque[_PendingText] = deque()
        self._encoded: Dict[int, EncodedSentence] = {}  # sentences without a translation
        self._translated: Dict[int, SentenceTranslation] = {}

    def add(self, texts: Sequence[str], prefixes: Sequence[str]) -> List[QueuedSentence]:
        """Adds texts with the prefixes of their translations; returns the sentences to search, longest first."""
        queued = []
        for text, prefix in zip(texts, prefixes, strict=True):
            sentences = [Sentence(text, "")] if self._language is None else split_sentences(text, self._language)
            numbers = list(itertools.islice(self._numbers, len(sentences)))
            self._texts.append(_PendingText(sentences, numbers[0] if numbers else 0))
            for number, sentence in zip(numbers, sentences):
                encoded = self._codec.encode(sentence.text, self._max_length, prefix)
                if encoded.tokens:
                    self._encoded[number] = encoded
                    queued.append(QueuedSentence(number, encoded.ids, encoded.prefix))
                else:
                    self._translated[number] = self._codec.decode(encoded, [])
        return sorted(queued, key=lambda entry: -len(entry.source))

    def finish(self, result: SearchResult) -> None:
        """Stores the translation of a sentence."""
        encoded = self._encoded.pop(result.sentence_id)
        self._translated[result.sentence_id] = self._codec.decode(encoded, result.hypotheses, self._replace_unk)

    def take_done(self) -> Iterator[Translation]:
        """Yields and removes texts in order, up to the first text with an untranslated sentence."""
        while self._texts:
            sentences, first = self._texts[0]
            numbers = range(first, first + len(sentences))
            if not all(number in self._translated for number in numbers):
                return
            self._texts.popleft()
            translated = [self._translated.pop(number) for number in numbers]
            text = "".join(
                translation.text + sentence.separator for sentence, translation in zip(sentences, translated)
            )
            yield Translation(text, translated)
