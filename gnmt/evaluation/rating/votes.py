"""Votes: scores sent by a rater's page, and checks of their sender and content."""

import hmac
import json
from typing import Dict, NamedTuple, Optional, Sequence

from gnmt.evaluation.rating.campaign import Item, Rater
from gnmt.evaluation.rating.scale import MAX_SCORE, MIN_SCORE, SCORES

SCHEME = "Bearer "
MAX_MILLISECONDS = 7 * 24 * 3600 * 1000  # milliseconds


class WrongRequest(ValueError):
    """A request that cannot be answered; its message is shown to the rater."""


class Vote(NamedTuple):
    """A score sent by the page."""

    item: str
    position: int
    score: int
    milliseconds: int


def rater_of(authorization: Optional[str], raters: Sequence[Rater]) -> Optional[Rater]:
    """Returns the rater of a token, or None; compares tokens in constant time.

    Args:
        authorization: value of the Authorization header; None if the request has none.
        raters: raters and their tokens.
    """
    given = (authorization or "").removeprefix(SCHEME).encode("utf-8", errors="replace")
    match = None
    for rater in raters:
        if hmac.compare_digest(rater.token.encode("utf-8"), given):
            match = rater
    return match


def parse_vote(body: bytes, items: Dict[str, Item]) -> Vote:
    """Returns the vote of a request.

    Args:
        body: body of the request, JSON.
        items: items of the campaign by id.

    Raises:
        WrongRequest: if the vote does not have an existing position and a valid score.
    """
    try:
        content = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise WrongRequest("The request is not JSON: load the page again.") from error
    if not isinstance(content, dict) or set(content) != set(Vote._fields):
        raise WrongRequest(f"The request must be an object with {', '.join(Vote._fields)}: load the page again.")
    item = items.get(content["item"]) if isinstance(content["item"], str) else None
    if item is None:
        raise WrongRequest("There is no such item: load the page again.")
    _check("position", content["position"], len(item.outputs) - 1)
    _check("milliseconds", content["milliseconds"], MAX_MILLISECONDS)
    if type(content["score"]) is not int or content["score"] not in SCORES:
        raise WrongRequest(f"The score must be a whole number from {MIN_SCORE} to {MAX_SCORE}.")
    return Vote(**content)


def _check(name: str, value: object, maximum: int) -> None:
    if type(value) is not int or not 0 <= value <= maximum:  # bool is an int too
        raise WrongRequest(f"The {name} must be a whole number from 0 to {maximum}: load the page again.")
