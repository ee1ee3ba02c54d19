"""Routes of LibreTranslate's API, so that its clients work with this server."""

from typing import Any, Dict, List, Literal, Optional, Union

from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from gnmt.serving.html import translate_html
from gnmt.serving.languages import language_name
from gnmt.serving.pairs import AUTO
from gnmt.serving.refusals import bad_request
from gnmt.serving.requests import FORMS, JSON, Access, Text, cancel_on_disconnect, read_body
from gnmt.serving.responses import ERRORS
from gnmt.serving.service import TranslatedText, TranslationService
from gnmt.translation.options import TranslationOptions

FILE_FORMATS = [".txt", ".srt", ".html", ".htm"]


class TranslateBody(BaseModel):
    """Request of /translate."""

    model_config = ConfigDict(extra="ignore")
    q: Union[Text, List[Text]] = Field(description="text, or list of texts")
    source: str = Field(description='language code, or "auto"', max_length=40)
    target: str = Field(description="language code", max_length=40)
    format: Literal["text", "html"] = Field("text", description="html: tags and attributes stay")
    alternatives: int = Field(0, ge=0, description="further translations of each text; only with format text")
    api_key: Optional[str] = None


class DetectBody(BaseModel):
    """Request of /detect."""

    q: Text = Field(description="text")
    api_key: Optional[str] = None


class DetectedLanguage(BaseModel):
    """A detected language with its confidence in per cent."""

    confidence: float
    language: str


class TranslateAnswer(BaseModel):
    """Response of /translate; values are lists if `q` is a list."""

    translatedText: Union[str, List[str]]
    alternatives: Optional[Union[List[str], List[List[str]]]] = None
    detectedLanguage: Optional[Union[DetectedLanguage, List[DetectedLanguage]]] = None


class LanguageAnswer(BaseModel):
    """A source language and its targets."""

    code: str
    name: str
    targets: List[str]


def fields_schema(model: type) -> Dict[str, Any]:
    """Returns the OpenAPI schema of a JSON or form body with the fields of a model."""
    schema = model.model_json_schema(ref_template="#/components/schemas/{model}")  # type: ignore[attr-defined]
    return {"requestBody": {"required": True, "content": {kind: {"schema": schema} for kind in (JSON, *FORMS)}}}


def libretranslate_routes(service: TranslationService, access: Access) -> APIRouter:
    """Returns the routes /translate, /detect and /languages.

    Args:
        service: translates the texts.
        access: checks keys and request rates.
    """
    router = APIRouter(tags=["LibreTranslate"])

    @router.post("/translate", responses=ERRORS, openapi_extra=fields_schema(TranslateBody),
                 response_model_exclude_none=True)  # fmt: skip
    async def translate(request: Request) -> TranslateAnswer:
        """Translates a text or a list of texts."""
        body = await read_body(request, TranslateBody)
        access.admit(request, body.api_key)
        texts = [body.q] if isinstance(body.q, str) else body.q
        service.limits.check_texts(texts)
        service.limits.check_beam(body.alternatives + 1, "alternatives + 1")
        return await cancel_on_disconnect(request, _translate(service, body, texts))

    @router.post("/detect", responses=ERRORS, openapi_extra=fields_schema(DetectBody))
    async def detect(request: Request) -> List[DetectedLanguage]:
        """Detects the language of a text among the source languages of the server."""
        body = await read_body(request, DetectBody)
        access.admit(request, body.api_key)
        service.limits.check_texts([body.q])
        results = service.pairs.detect(body.q)
        return [DetectedLanguage(confidence=result.confidence, language=result.language) for result in results]

    @router.get("/languages")
    async def languages() -> List[LanguageAnswer]:
        """Lists the languages; source languages have targets."""
        return [LanguageAnswer(**language._asdict()) for language in service.pairs.languages()]

    @router.get("/frontend/settings")
    async def settings() -> Dict[str, Any]:
        """Returns limits and formats for LibreTranslate's web page."""
        first = service.pairs.languages()[0]
        limits = service.limits
        return {
            "apiKeys": access.needs_key, "keyRequired": access.needs_key, "charLimit": limits.char_limit,
            "frontendTimeout": 500, "suggestions": False, "filesTranslation": True, "supportedFilesFormat": FILE_FORMATS,
            "language": {
                "source": {"code": first.code, "name": first.name},
                "target": {"code": first.targets[0], "name": language_name(first.targets[0])},
            },
        }  # fmt: skip

    return router


async def _translate(service: TranslationService, body: TranslateBody, texts: List[str]) -> TranslateAnswer:
    """Translates texts; texts of one language are translated together.

    Args:
        service: translates the texts.
        body: request.
        texts: texts of the request.
    """
    detected = None
    sources = [body.source] * len(texts)
    if body.source == AUTO:
        best = [service.pairs.detect(text)[0] for text in texts]
        detected = [DetectedLanguage(confidence=result.confidence, language=result.language) for result in best]
        sources = [result.language for result in best]
    translated: List[str] = [""] * len(texts)
    alternatives: List[List[str]] = [[] for _ in texts]
    for source in dict.fromkeys(sources):
        translator = service.pairs.choose(source, body.target)
        indices = [index for index, text_language in enumerate(sources) if text_language == source]
        own_texts = [texts[index] for index in indices]
        if body.format == "html":
            for index, html in zip(indices, await translate_html(service, translator, own_texts)):
                translated[index] = html
            continue
        nbest = body.alternatives + 1
        beam = max(translator.model.generation.num_beams, nbest) if body.alternatives else None
        options = TranslationOptions(split_sentences=True, nbest=nbest, beam=beam)
        for index, translation in zip(indices, await service.translate(translator, own_texts, options)):
            refuse_truncated(translation, options.max_length)
            translated[index] = translation.text()
            alternatives[index] = translation.alternatives(body.alternatives)
    is_list = not isinstance(body.q, str)
    return TranslateAnswer(
        translatedText=translated if is_list else translated[0],
        alternatives=(alternatives if is_list else alternatives[0]) if body.alternatives else None,
        detectedLanguage=(detected if is_list else detected[0]) if detected else None,
    )


def refuse_truncated(translation: TranslatedText, max_length: int) -> None:
    """Raises Refusal if a sentence was truncated, because LibreTranslate's response cannot report this.

    Args:
        translation: translation of a text.
        max_length: largest length of a sentence in tokens, for the message.
    """
    if translation.is_truncated:
        raise bad_request(f"A sentence has more than {max_length} tokens: divide it, or use /v1/translate.")
