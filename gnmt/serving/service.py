"""Translation of texts for the routes: sentences are submitted to the engine within the limits and the deadline."""

import asyncio
from typing import AsyncIterator, Dict, List, NamedTuple, Optional, Sequence

from gnmt.errors import UserError
from gnmt.serving.engine import Engine
from gnmt.serving.job_queue import Job, Outcome
from gnmt.serving.limits import Limits
from gnmt.serving.pairs import LanguagePairs
from gnmt.serving.refusals import bad_request, refusal_of
from gnmt.tokenizers.sentences import Sentence, split_sentences
from gnmt.translation.options import TranslationOptions
from gnmt.translation.results import SentenceTranslation
from gnmt.translation.sentence_codec import EncodedSentence
from gnmt.translator import Translator


class Place(NamedTuple):
    """Position of a sentence in a request."""

    text: int
    sentence: int  # index in the text


class Finished(NamedTuple):
    """A translated sentence."""

    place: Place
    translation: SentenceTranslation


class TranslatedText(NamedTuple):
    """The sentences of a text and their translations."""

    sentences: List[Sentence]
    translations: List[SentenceTranslation]

    @property
    def is_truncated(self) -> bool:
        """Returns True if a sentence was truncated."""
        return any(translation.is_truncated for translation in self.translations)

    def text(self, rank: int = 0) -> str:
        """Returns the text of the hypotheses of this rank; sentences with fewer hypotheses use the best one."""
        return "".join(
            (translation.nbest[rank].text if rank < len(translation.nbest) else translation.text) + sentence.separator
            for sentence, translation in zip(self.sentences, self.translations)
        )

    def alternatives(self, count: int) -> List[str]:
        """Returns texts other than the best, at most `count`."""
        longest = max((len(translation.nbest) for translation in self.translations), default=0)
        texts = dict.fromkeys(self.text(rank) for rank in range(longest))
        return list(texts)[1 : count + 1]


class RunningRequest:
    """The sentences of a running request.

    Args:
        engine: engine that translates them.
        limits: contains the deadline in seconds, counted from now.
    """

    def __init__(self, engine: Engine, limits: Limits):
        self._engine = engine
        self._limits = limits
        self._loop = asyncio.get_running_loop()
        self._end = self._loop.time() + limits.deadline
        self._outcomes: asyncio.Queue[tuple[Place, Outcome]] = asyncio.Queue()
        self._unfinished: Dict[Place, Optional[Job]] = {}

    def add_translated(self, place: Place, translation: SentenceTranslation) -> None:
        """Adds a finished sentence.

        Args:
            place: index of the text in the request, and of the sentence in the text.
            translation: translation of the sentence.
        """
        self._unfinished[place] = None
        self._outcomes.put_nowait((place, translation))

    def add(self, place: Place, translator: Translator, options: TranslationOptions, sentence: EncodedSentence) -> Job:
        """Adds a sentence, and returns its job for the engine.

        Args:
            place: index of the text in the request, and of the sentence in the text.
            translator: translator of the language pair.
            options: search options of the request.
            sentence: encoded source sentence.
        """

        def deliver(outcome: Outcome) -> None:
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._outcomes.put_nowait, (place, outcome))

        job = Job(translator, options, sentence, deliver)
        self._unfinished[place] = job
        return job

    def cancel(self) -> None:
        """Cancels the unfinished sentences."""
        jobs = [job for job in self._unfinished.values() if job is not None]
        self._unfinished.clear()
        if jobs:
            self._engine.cancel(jobs)

    async def finished(self) -> AsyncIterator[Finished]:
        """Yields the sentences when they are finished, in any order. If the iteration ends early, the others are cancelled.

        Raises:
            Refusal: if the deadline has passed, or the search has failed.
        """
        try:
            while self._unfinished:
                try:
                    async with asyncio.timeout_at(self._end):
                        place, outcome = await self._outcomes.get()
                except TimeoutError as error:
                    raise self._limits.late() from error
                del self._unfinished[place]
                if isinstance(outcome, Exception):
                    raise refusal_of(outcome)
                yield Finished(place, outcome)
        finally:
            self.cancel()


class TranslationService:
    """Translation of requests by the engine.

    Args:
        pairs: language pairs and their translators.
        engine: must be started by the caller.
        limits: limits on texts and time.
    """

    def __init__(self, pairs: LanguagePairs, engine: Engine, limits: Limits):
        self.pairs = pairs
        self.limits = limits
        self._engine = engine

    async def translate(
        self,
        translator: Translator,
        texts: Sequence[str],
        options: TranslationOptions,
        prefixes: Sequence[str] = (),
    ) -> List[TranslatedText]:
        """Returns the translation of each text, in order.

        Args:
            translator: translator of the language pair.
            texts: texts of one request.
            options: search options.
            prefixes: beginning of the translation of each text; empty if there are none.

        Raises:
            Refusal: if a limit is exceeded, the queue is full, an option is out of range, or the deadline has passed.
        """
        parts = self.split(translator, texts, options)
        request = self.submit(translator, parts, options, prefixes)
        translations = {place: translation async for place, translation in request.finished()}
        return [
            TranslatedText(sentences, [translations[Place(text, sentence)] for sentence in range(len(sentences))])
            for text, sentences in enumerate(parts)
        ]

    def split(self, translator: Translator, texts: Sequence[str], options: TranslationOptions) -> List[List[Sentence]]:
        """Returns the sentences of each text.

        Args:
            translator: determines the source language.
            texts: texts of the request.
            options: determine if texts are split into sentences.

        Raises:
            Refusal: if the request has too many sentences.
        """
        language = translator.source_language
        parts = [split_sentences(text, language) if options.split_sentences else [Sentence(text, "")] for text in texts]
        self.limits.check_sentences(sum(map(len, parts)))
        return parts

    def submit(
        self,
        translator: Translator,
        parts: Sequence[Sequence[Sentence]],
        options: TranslationOptions,
        prefixes: Sequence[str] = (),
    ) -> RunningRequest:
        """Submits the sentences of texts to the engine.

        Args:
            translator: translator of the language pair.
            parts: sentences of each text.
            options: search options.
            prefixes: beginning of the translation of each text; empty if there are none.

        Raises:
            Refusal: if the queue is full, or an option is out of range.
        """
        check_options(translator, options, self.limits)
        request = RunningRequest(self._engine, self.limits)
        jobs = []
        for text, sentences in enumerate(parts):
            for number, sentence in enumerate(sentences):
                prefix = prefixes[text] if prefixes else ""
                encoded = translator.codec.encode(sentence.text, options.max_length, prefix)
                place = Place(text, number)
                if encoded.tokens:
                    jobs.append(request.add(place, translator, options, encoded))
                else:
                    request.add_translated(place, translator.codec.decode(encoded, []))
        if jobs:
            self._engine.submit(jobs)
        return request


def check_options(translator: Translator, options: TranslationOptions, limits: Limits) -> None:
    """Checks the options of a request.

    Args:
        translator: translator of the language pair.
        options: search options.
        limits: contains the largest beam.

    Raises:
        Refusal: if an option is out of range.
    """
    try:
        beam = options.search_options(translator.model.generation).beam
    except UserError as error:
        raise bad_request(str(error)) from error
    if options.beam is not None:
        limits.check_beam(beam)
