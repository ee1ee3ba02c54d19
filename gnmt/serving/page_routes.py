"""Routes of the web page: static files without references to other servers."""

from pathlib import Path

from fastapi import APIRouter
from starlette.responses import Response

FOLDER = Path(__file__).with_name("page")
FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/page.css": ("page.css", "text/css; charset=utf-8"),
    "/page.js": ("page.js", "text/javascript; charset=utf-8"),
    "/heatmap.js": ("heatmap.js", "text/javascript; charset=utf-8"),
    "/icon.svg": ("icon.svg", "image/svg+xml"),
}


def page_routes() -> APIRouter:
    """Returns a route for each file of the page."""
    router = APIRouter(include_in_schema=False)
    for route, (name, kind) in FILES.items():
        router.add_api_route(route, _file(FOLDER / name, kind), methods=["GET", "HEAD"])
    return router


def _file(path: Path, kind: str):
    content = path.read_bytes()

    async def send() -> Response:
        return Response(content, media_type=kind, headers={"Cache-Control": "no-cache"})

    return send
