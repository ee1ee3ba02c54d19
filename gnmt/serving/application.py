"""The HTTP application: routes, errors, limits and metrics around one engine."""

import asyncio
from contextlib import asynccontextmanager
from typing import AsyncIterator, NamedTuple, Optional, Sequence

from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.middleware.cors import CORSMiddleware

import gnmt
from gnmt.serving.engine import Engine
from gnmt.serving.files import file_routes
from gnmt.serving.keys import Key
from gnmt.serving.libretranslate import libretranslate_routes
from gnmt.serving.limits import Limits
from gnmt.serving.metrics import Metrics
from gnmt.serving.middleware import Application, BodyLimit, HeadersAndMetrics
from gnmt.serving.opennmt import opennmt_routes
from gnmt.serving.page_routes import page_routes
from gnmt.serving.pairs import LanguagePairs
from gnmt.serving.requests import Access
from gnmt.serving.responses import answer_errors
from gnmt.serving.service import TranslationService
from gnmt.serving.status import status_routes
from gnmt.serving.v1_routes import v1_routes
from gnmt.translator import Translator

STOPPING_SECONDS = 5.0  # maximum time to wait for the engine's last step when the application stops
DESCRIPTION = "Neural machine translation (GNMT). `/translate` follows LibreTranslate's API."


class Settings(NamedTuple):
    """Settings of an application."""

    limits: Limits = Limits()
    keys: Sequence[Key] = ()  # empty: requests need no key
    origins: Sequence[str] = ()  # origins of pages that may read responses (CORS)
    slots: int = 64  # sentences that are translated at the same time
    threads: Optional[int] = None  # torch threads of the engine; None: torch's setting


DEFAULTS = Settings()


def make_application(translators: Sequence[Translator], settings: Settings = DEFAULTS) -> Application:
    """Returns an ASGI application; its engine starts and stops with its lifespan.

    Args:
        translators: one for each language pair.
        settings: limits, keys, origins, slots, threads.

    Raises:
        UserError: if two translators have the same languages.
    """
    pairs, metrics, limits = LanguagePairs(translators), Metrics(), settings.limits
    engine = Engine(pairs.translators, settings.slots, limits.queue_limit, metrics, settings.threads)
    service, access = TranslationService(pairs, engine, limits), Access(settings.keys, limits)
    for translator in pairs.translators:
        metrics.add_model(translator.source_language, translator.target_language, translator.precision)

    @asynccontextmanager
    async def lifespan(application: FastAPI) -> AsyncIterator[None]:
        engine.start()
        try:
            await asyncio.to_thread(engine.wait_until_warm)
            yield
        finally:
            await asyncio.to_thread(engine.stop, STOPPING_SECONDS)

    application = FastAPI(
        title="gnmt serve", version=gnmt.__version__, description=DESCRIPTION, lifespan=lifespan,
        docs_url=None, redoc_url=None,  # these pages load scripts from other servers
    )  # fmt: skip
    for router in (
        libretranslate_routes(service, access),
        file_routes(service, access),
        opennmt_routes(service, access),
        v1_routes(service, access),
        status_routes(engine, metrics),
        page_routes(),
    ):
        application.include_router(router)
    answer_errors(application)
    application.openapi = lambda: _openapi(application)
    return _wrapped(application, metrics, settings)


def _wrapped(application: FastAPI, metrics: Metrics, settings: Settings) -> Application:
    application.add_middleware(BodyLimit, limits=settings.limits)
    if settings.origins:
        application.add_middleware(
            CORSMiddleware, allow_origins=list(settings.origins), allow_methods=["GET", "POST"], allow_headers=["*"]
        )
    application.add_middleware(HeadersAndMetrics, metrics=metrics)
    return application


def _openapi(application: FastAPI) -> dict:
    """Returns the OpenAPI document. FastAPI documents status 422 for invalid fields; this server returns 400."""
    if application.openapi_schema is None:
        document = get_openapi(
            title=application.title,
            version=application.version,
            description=application.description,
            routes=application.routes,
        )
        for path in document["paths"].values():
            for operation in path.values():
                operation["responses"].pop("422", None)
        for name in ("HTTPValidationError", "ValidationError"):
            document["components"]["schemas"].pop(name, None)
        application.openapi_schema = document
    return application.openapi_schema
