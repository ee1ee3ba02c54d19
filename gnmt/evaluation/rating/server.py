"""The server of a campaign: one process, which owns the log of ratings."""

import logging
from pathlib import Path
from typing import List

import uvicorn

from gnmt.evaluation.rating.application import create_application
from gnmt.evaluation.rating.campaign import RATINGS, Rater, read_campaign, read_raters
from gnmt.evaluation.rating.storage import RatingLog
from gnmt.files.locks import locked
from gnmt.serving.connections import LimitedConnection
from gnmt.serving.server import address_of, bind

MAX_CONNECTIONS = 256  # simultaneous connections; status 503 if all of them are in use for requests
SECONDS_TO_FINISH = 5  # for running requests after SIGTERM or Ctrl-C


def serve(folder: Path, host: str, port: int, url: str) -> None:
    """Prints the personal links and serves the page until SIGTERM or Ctrl-C.

    Args:
        folder: folder of the campaign, which is locked while the server runs.
        host: address to listen on.
        port: port to listen on; 0 chooses a free one.
        url: first part of the links; empty means that they are built from host and port.

    Raises:
        UserError: if the folder is not a campaign or is in use, or the address cannot be used.
    """
    campaign, raters = read_campaign(folder), read_raters(folder)
    with locked(folder), bind(host, port) as listener:
        listener.listen()  # before the links are printed
        log = RatingLog(folder / RATINGS)
        try:
            for line in links(raters, url or address_of(listener)):
                print(line, flush=True)
            config = uvicorn.Config(
                create_application(campaign, raters, log),
                http=LimitedConnection,
                ws="none",
                log_level=logging.WARNING,
                access_log=False,
                server_header=False,
                limit_concurrency=MAX_CONNECTIONS,
                timeout_graceful_shutdown=SECONDS_TO_FINISH,
            )
            uvicorn.Server(config).run(sockets=[listener])
        finally:
            log.close()


def links(raters: List[Rater], url: str) -> List[str]:
    """Returns the personal link of each rater. A browser does not send the part after # to any server.

    Args:
        raters: raters and their tokens.
        url: first part of the links.
    """
    return [f"{rater.name}: {url.rstrip('/')}/#{rater.token}" for rater in raters]
