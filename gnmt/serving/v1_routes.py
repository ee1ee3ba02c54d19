"""Routes of this server's own API, /v1: translations with scores, alignment, coverage and attention."""

import dataclasses
import json
from typing import Any, AsyncIterator, Dict, List, Optional, Sequence, Union

import torch
from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict, Field, create_model
from starlette.responses import Response, StreamingResponse

from gnmt.checkpoints.model_config import GenerationConfig
from gnmt.search.beam_rules import length_limits
from gnmt.search.options import SearchOptions
from gnmt.serving.limits import Limits
from gnmt.serving.refusals import Refusal, bad_request
from gnmt.serving.repetition import is_repetitive
from gnmt.serving.requests import Access, Text, cancel_on_disconnect
from gnmt.serving.responses import ERRORS
from gnmt.serving.service import RunningRequest, TranslatedText, TranslationService
from gnmt.tokenizers.sentences import Sentence
from gnmt.translation.options import MAX_TOKENS, TranslationOptions
from gnmt.translation.results import SentenceTranslation, TranslatedHypothesis

NDJSON = "application/x-ndjson"
MASKED_LOGIT = -1e9
OFFERED = ("beam", "nbest", "length_norm_factor", "coverage_penalty", "no_repeat_ngram_size", "prune_tokens",
           "prune_hypotheses")  # fmt: skip


def search_fields() -> Dict[str, Any]:
    """Returns the request fields for search options, generated from their declaration."""
    fields = {}
    for option in dataclasses.fields(SearchOptions):
        if option.name in OFFERED:
            accepted = option.metadata["range"]
            kind = int if option.type is int else float
            description = f"{option.metadata['help']} (default: the model's)"
            bounds = Field(None, ge=accepted.minimum, le=accepted.maximum, description=description)
            fields[option.name] = (Optional[kind], bounds)
    return fields


class _Texts(BaseModel):
    """Fields of a request that are not options of the search."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)
    texts: List[Text] = Field(description="texts, of any number of sentences")
    source: str = Field(description='language code; "auto" is for /translate only', max_length=40)
    target: str = Field(description="language code", max_length=40)
    prefixes: Optional[List[Text]] = Field(
        None, description="beginning of each translation; only with split_sentences false"
    )
    split_sentences: bool = Field(True, description="translate each sentence of a text by itself")
    replace_unk: bool = Field(False, description="replace unknown tokens by source tokens")
    max_length: int = Field(
        MAX_TOKENS, ge=1, le=MAX_TOKENS, description="maximum number of tokens of a sentence; the rest is truncated"
    )
    attention: bool = Field(False, description="return the attention weights")


DetailedBody = create_model("DetailedBody", __base__=_Texts, **search_fields())


class LinkAnswer(BaseModel):
    """A target word and the source word that it attends to most, counted from 0."""

    source: int
    target: int


class HypothesisAnswer(BaseModel):
    """A translation of a sentence."""

    text: str
    score: float = Field(description="log-probability / length penalty + coverage penalty; natural logarithm")
    tokens: List[str]
    positional_scores: List[float] = Field(description="log-probability of each token, and of EOS as the last")
    word_alignment: List[LinkAnswer]
    coverage: List[float] = Field(description="sum of the attention on each source token, and on EOS as the last")
    attention: Optional[List[List[float]]] = Field(
        None, description="a row for each target token, a column for each source token; EOS is the last of both"
    )
    is_at_length_limit: bool = Field(description="the length limit has ended the translation")
    is_repetitive: bool = Field(description="a phrase is repeated more often than in the source")


class SentenceAnswer(BaseModel):
    """A source sentence and its translations, best first; a blank sentence has no translations."""

    source: str
    separator: str = Field(description="white space after the sentence")
    source_tokens: List[str]
    is_truncated: bool = Field(
        description="the source had more than max_length tokens, and the rest was not translated"
    )
    hypotheses: List[HypothesisAnswer]


class TextAnswer(BaseModel):
    """Translation of a text."""

    text: str
    sentences: List[SentenceAnswer]


class DetailedAnswer(BaseModel):
    """Translations of all texts, in order."""

    translations: List[TextAnswer]


class LimitsAnswer(BaseModel):
    """Limits of the server."""

    needs_key: bool
    limits: Dict[str, Union[int, float]]


STREAMED: Dict[Union[int, str], Dict[str, Any]] = {
    200: {
        "content": {
            NDJSON: {
                "schema": {"type": "string"},
                "example": '{"text": 0, "sentence": 0, "source": "...", "hypotheses": []}\n',
            }
        },
        "description": "an object; with stream, a line for each sentence as soon as it is translated, in any order",
    }
}


def v1_routes(service: TranslationService, access: Access) -> APIRouter:
    """Returns the routes /v1/translate and /v1/limits.

    Args:
        service: translates the texts.
        access: checks keys and request rates.
    """
    router = APIRouter(prefix="/v1", tags=["Translation"])

    @router.post("/translate", response_model=DetailedAnswer, responses={**ERRORS, **STREAMED})
    async def translate(
        request: Request,
        body: DetailedBody,  # type: ignore[valid-type]
        stream: bool = Query(False, description="send a line of JSON for each finished sentence"),
    ) -> Response:
        """Translates texts, with scores, tokens, word alignment, coverage and warnings; attention on request."""
        access.admit(request)
        options = options_of(body, service.limits)
        translator = service.pairs.choose(body.source, body.target)  # type: ignore[attr-defined]
        texts, prefixes = body.texts, body.prefixes or []  # type: ignore[attr-defined]
        serializer = TranslationSerializer(translator.model.generation, body.attention)  # type: ignore[attr-defined]
        if stream:
            parts = service.split(translator, texts, options)
            running = service.submit(translator, parts, options, prefixes)
            return StreamingResponse(_lines(running, parts, serializer), media_type=NDJSON)
        translated = await cancel_on_disconnect(request, service.translate(translator, texts, options, prefixes))
        answers = {"translations": [serializer.text(translation) for translation in translated]}
        return Response(json.dumps(answers, ensure_ascii=False), media_type="application/json")

    @router.get("/limits")
    async def limits() -> LimitsAnswer:
        """Lists the limits of the server."""
        return LimitsAnswer(needs_key=access.needs_key, limits=dataclasses.asdict(service.limits))

    return router


class TranslationSerializer:
    """Converts translations to JSON values.

    Args:
        generation: settings of the model, for its length limit.
        with_attention: include the attention weights.
    """

    def __init__(self, generation: GenerationConfig, with_attention: bool):
        self._generation = generation
        self._with_attention = with_attention

    def text(self, translated: TranslatedText) -> Dict[str, Any]:
        """Returns the fields of a TextAnswer."""
        pairs = zip(translated.translations, translated.sentences)
        shown = [self.sentence(translation, sentence.separator) for translation, sentence in pairs]
        return {"text": translated.text(), "sentences": shown}

    def sentence(self, translation: SentenceTranslation, separator: str) -> Dict[str, Any]:
        """Returns the fields of a SentenceAnswer.

        Args:
            translation: translation of the sentence.
            separator: white space after the sentence.
        """
        return {
            "source": translation.source,
            "separator": separator,
            "source_tokens": translation.source_tokens,
            "is_truncated": translation.is_truncated,
            "hypotheses": [self._hypothesis(hypothesis, translation.source_tokens) for hypothesis in translation.nbest],
        }

    def _hypothesis(self, hypothesis: TranslatedHypothesis, source_tokens: Sequence[str]) -> Dict[str, Any]:
        attention = hypothesis.attention.numpy()
        source_lengths = torch.tensor([len(source_tokens) + 1])  # with EOS
        limit = int(length_limits(source_lengths, self._generation.max_len_a, self._generation.max_len_b))
        shown = {
            "text": hypothesis.text,
            "score": finite(hypothesis.score),
            "tokens": hypothesis.tokens,
            "positional_scores": [finite(score) for score in hypothesis.positional_scores],
            "word_alignment": [link._asdict() for link in hypothesis.word_alignment],
            "coverage": rounded(attention.sum(axis=0)),
            "is_at_length_limit": len(hypothesis.tokens) >= limit,
            "is_repetitive": is_repetitive(source_tokens, hypothesis.tokens),
        }
        return {**shown, "attention": [rounded(row) for row in attention]} if self._with_attention else shown


def finite(value: float) -> float:
    """Returns a finite log-probability for JSON: minus infinity, for an impossible token, is replaced."""
    return max(value, MASKED_LOGIT)


def rounded(weights: Any) -> List[float]:
    """Returns weights rounded to four decimals."""
    return [round(float(weight), 4) for weight in weights]


def options_of(body: Any, limits: Limits) -> TranslationOptions:
    """Returns the options of a request.

    Args:
        body: validated fields of the request.
        limits: limits of the server.

    Raises:
        Refusal: if there are too many texts or characters, or the prefixes do not match the texts.
    """
    limits.check_texts(body.texts)
    if body.prefixes is not None and (body.split_sentences or len(body.prefixes) != len(body.texts)):
        raise bad_request("prefixes must have one entry per text, and need split_sentences false.")
    limits.check_prefixes(body.prefixes or [])
    given = {name: getattr(body, name) for name in OFFERED if getattr(body, name) is not None}
    return TranslationOptions(
        **given, split_sentences=body.split_sentences, replace_unk=body.replace_unk, max_length=body.max_length
    )


async def _lines(
    running: RunningRequest, parts: Sequence[Sequence[Sentence]], serializer: TranslationSerializer
) -> AsyncIterator[bytes]:
    """Yields a line of JSON for each sentence; an error is the last line.

    Args:
        running: request whose sentences are translated.
        parts: sentences of each text.
        serializer: converts translations to JSON values.
    """
    try:
        async for (text, number), translation in running.finished():
            shown = serializer.sentence(translation, parts[text][number].separator)
            yield line_of({"text": text, "sentence": number, **shown})
    except Refusal as refusal:
        yield line_of(refusal.body)


def line_of(value: Dict[str, Any]) -> bytes:
    """Returns a value as a line of JSON."""
    return json.dumps(value, ensure_ascii=False).encode("utf-8") + b"\n"
