"""The HTTP application of a rating campaign: the page, its items, and the ratings.

    GET /              the page; the personal link ends in #TOKEN, which browsers do not send to servers
    GET /api/campaign  the items in the order of the rater, with the scores so far
    POST /api/ratings  one score; the response is sent after the score is on the disk

Requests to /api need the header "Authorization: Bearer TOKEN". Errors have the body {"error": sentence}.
"""

import asyncio
import logging
from datetime import UTC, datetime
from importlib.resources import files
from typing import Any, Dict, List, Sequence

from fastapi import FastAPI, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import JSONResponse, Response
from starlette.requests import ClientDisconnect

from gnmt.evaluation.rating.campaign import Campaign, Rater
from gnmt.evaluation.rating.order import item_order, output_order
from gnmt.evaluation.rating.scale import MEANINGS
from gnmt.evaluation.rating.storage import Rating, RatingLog
from gnmt.evaluation.rating.votes import Vote, WrongRequest, parse_vote, rater_of

MAX_BODY_BYTES = 1000  # bytes
BODY_SECONDS = 10
PAGE = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/rating.css": ("rating.css", "text/css; charset=utf-8"),
    "/rating.js": ("rating.js", "text/javascript; charset=utf-8"),
}
HEADERS = {
    "Content-Security-Policy": "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cache-Control": "no-store",
}

logger = logging.getLogger(__name__)


def create_application(campaign: Campaign, raters: Sequence[Rater], log: RatingLog) -> FastAPI:
    """Returns the application of a campaign.

    Args:
        campaign: items to rate.
        raters: raters and their tokens.
        log: log to which the application appends ratings.
    """
    application = FastAPI(docs_url=None, redoc_url=None, openapi_url=None)
    items = {item.id: item for item in campaign.items}

    @application.middleware("http")
    async def add_headers(request: Request, call_next):
        response = await call_next(request)
        response.headers.update(HEADERS)
        return response

    for path, (name, kind) in PAGE.items():
        application.get(path)(_sender(files("gnmt.evaluation.rating").joinpath("page", name).read_bytes(), kind))

    @application.get("/api/campaign")
    def show_campaign(request: Request) -> Response:
        rater = rater_of(request.headers.get("authorization"), raters)
        return JSONResponse(campaign_of(campaign, rater, log)) if rater else _no_rater()

    @application.post("/api/ratings")
    async def rate(request: Request) -> Response:
        rater = rater_of(request.headers.get("authorization"), raters)
        if rater is None:
            return _no_rater()
        try:
            vote = parse_vote(await _body(request), items)
        except WrongRequest as error:
            return _error(400, str(error))
        try:
            await run_in_threadpool(log.append, rating_of(vote, campaign, rater))
        except OSError as error:
            logger.error("A rating could not be written (%s): make room on the disk.", error.strerror or error)
            return _error(503, "The rating could not be saved. Inform the organiser, and try again later.")
        return JSONResponse({"saved": True})

    return application


def campaign_of(campaign: Campaign, rater: Rater, log: RatingLog) -> Dict[str, Any]:
    """Returns the JSON data of a rater's page, which does not identify systems, controls or repeated items.

    Args:
        campaign: items to rate.
        rater: determines the order of items and outputs.
        log: holds the scores so far.
    """
    scores = log.of_rater(rater.name)
    shown: List[Dict[str, Any]] = []
    for item in item_order(campaign, rater.name):
        order = output_order(campaign.seed, rater.name, item)
        shown.append(
            {
                "id": item.id,
                "source": item.source,
                "outputs": [item.outputs[output] for output in order],
                "scores": [scores.get((item.id, output)) for output in order],
            }
        )
    return {
        "languages": [campaign.source_language, campaign.target_language],
        "scale": [{"score": score, "meaning": meaning} for score, meaning in MEANINGS.items()],
        "items": shown,
    }


def rating_of(vote: Vote, campaign: Campaign, rater: Rater) -> Rating:
    """Returns the rating for a vote.

    Args:
        vote: score of a position on the page.
        campaign: items to rate.
        rater: determines which output the page shows at this position.
    """
    item = next(item for item in campaign.items if item.id == vote.item)
    output = output_order(campaign.seed, rater.name, item)[vote.position]
    time = datetime.now(UTC).isoformat(timespec="milliseconds")
    return Rating(rater.name, vote.item, output, vote.position, vote.score, vote.milliseconds, time)


async def _body(request: Request) -> bytes:
    """Returns the body of a request. Raises WrongRequest if it is too long or takes too long."""
    body = b""
    try:
        async with asyncio.timeout(BODY_SECONDS):
            async for chunk in request.stream():
                body += chunk
                if len(body) > MAX_BODY_BYTES:
                    raise WrongRequest(f"The request has more than {MAX_BODY_BYTES} bytes.")
    except ClientDisconnect as error:
        raise WrongRequest("The connection ended before the request did.") from error
    except TimeoutError as error:
        raise WrongRequest(f"The request took more than {BODY_SECONDS} seconds: try again.") from error
    return body


def _sender(content: bytes, kind: str):
    async def send() -> Response:
        return Response(content, media_type=kind)

    return send


def _no_rater() -> Response:
    return _error(403, "This link is not valid: use the whole personal link that you were given.")


def _error(status: int, sentence: str) -> Response:
    return JSONResponse({"error": sentence}, status_code=status)
