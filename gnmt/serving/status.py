"""Routes about the server itself: health and metrics."""

from typing import Dict

from fastapi import APIRouter
from prometheus_client import CONTENT_TYPE_LATEST
from starlette.responses import Response

from gnmt.serving.engine import Engine
from gnmt.serving.metrics import Metrics
from gnmt.serving.refusals import unavailable
from gnmt.serving.responses import ERRORS


def status_routes(engine: Engine, metrics: Metrics) -> APIRouter:
    """Returns the routes /health, /health/ready and /metrics.

    Args:
        engine: engine whose state is reported.
        metrics: metrics of the application.
    """
    router = APIRouter(tags=["Status"])

    @router.get("/health")
    async def health() -> Dict[str, str]:
        """Returns a status if the server is running."""
        return {"status": "ok"}

    @router.get("/health/ready", responses={503: ERRORS[503]})
    async def ready() -> Dict[str, str]:
        """Returns a status if the models are warm and the search makes progress, otherwise an error."""
        if not engine.is_ready:
            raise unavailable("not_ready", "The engine is not ready: try again later.", 5)
        return {"status": "ok"}

    # in the OpenAPI document, HEAD would be an operation of the same name
    router.add_api_route("/health", health, methods=["HEAD"], include_in_schema=False)
    router.add_api_route("/health/ready", ready, methods=["HEAD"], include_in_schema=False)

    @router.get("/metrics", response_class=Response)
    async def prometheus() -> Response:
        """Returns metrics in Prometheus' text format."""
        return Response(metrics.text(), media_type=CONTENT_TYPE_LATEST)

    return router
