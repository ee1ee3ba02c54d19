"""Routes of OpenNMT-py's translation server, but with HTTP error status codes."""

from typing import Any, Dict, List, Optional

from fastapi import APIRouter, Request
from pydantic import BaseModel, Field

from gnmt.serving.libretranslate import refuse_truncated
from gnmt.serving.pairs import LanguagePairs
from gnmt.serving.refusals import bad_request
from gnmt.serving.requests import Access, Text, cancel_on_disconnect
from gnmt.serving.responses import ERRORS
from gnmt.serving.service import TranslationService
from gnmt.translation.options import TranslationOptions
from gnmt.translator import Translator

FIRST_ID = 100  # number of the first model; models are numbered in the order of the command line


class SourceItem(BaseModel):
    """A sentence to translate."""

    src: Text
    id: Optional[int] = Field(None, description=f"number of the model; {FIRST_ID} is the first one")


class TargetItem(BaseModel):
    """A translated sentence."""

    src: str
    tgt: str
    n_best: int
    pred_score: float


def opennmt_routes(service: TranslationService, access: Access) -> APIRouter:
    """Returns the routes /translator/translate, /translator/models and /translator/health.

    Args:
        service: translates the texts.
        access: checks keys and request rates.
    """
    router = APIRouter(prefix="/translator", tags=["OpenNMT"])

    @router.post("/translate", responses=ERRORS)
    async def translate(request: Request, items: List[SourceItem]) -> List[List[TargetItem]]:
        """Translates sentences; the outer list has one entry, the list of best translations."""
        access.admit(request)
        texts = [item.src for item in items]
        service.limits.check_texts(texts)
        ids = {item.id for item in items if item.id is not None}
        if len(ids) > 1:
            raise bad_request(f"The request names {len(ids)} models: send a request to each.")
        translator = model_of(service.pairs, ids.pop() if ids else FIRST_ID)
        options = TranslationOptions()
        translated = await cancel_on_disconnect(request, service.translate(translator, texts, options))
        answers = []
        for text, result in zip(texts, translated):
            refuse_truncated(result, options.max_length)
            score = result.translations[0].nbest[0].score if result.translations[0].nbest else 0.0
            answers.append(TargetItem(src=text, tgt=result.text(), n_best=1, pred_score=score))
        return [answers]

    @router.get("/models")
    async def models() -> List[Dict[str, Any]]:
        """Lists the models."""
        return [
            {"model_id": FIRST_ID + index, "status": "loaded", "source": translator.source_language,
             "target": translator.target_language}
            for index, translator in enumerate(service.pairs.translators)
        ]  # fmt: skip

    @router.get("/health")
    async def health() -> Dict[str, str]:
        """Returns a status if the server is running."""
        return {"status": "ok"}

    return router


def model_of(pairs: LanguagePairs, number: int) -> Translator:
    """Returns the translator with a number.

    Args:
        pairs: translators of the server.
        number: number of the model, from FIRST_ID.

    Raises:
        Refusal: if no model has this number.
    """
    index = number - FIRST_ID
    if not 0 <= index < len(pairs.translators):
        raise bad_request(f"There is no model {number}: /translator/models lists them.")
    return pairs.translators[index]
