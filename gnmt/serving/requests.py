"""Request handling shared by all routes: access, fields, and cancellation after a disconnect."""

import asyncio
import json
import re
from typing import Annotated, Any, Coroutine, Dict, Optional, Sequence, Type, TypeVar

from fastapi import Request
from pydantic import AfterValidator, BaseModel, ValidationError
from starlette.datastructures import FormData

from gnmt.files.lines import replace_surrogates
from gnmt.serving.keys import Key, find_key
from gnmt.serving.limits import Limits, RateLimiter
from gnmt.serving.refusals import Refusal, bad_request, not_json

JSON = "application/json"
FORMS = ("application/x-www-form-urlencoded", "multipart/form-data")
BEARER = re.compile(r"Bearer +(\S+)", re.IGNORECASE)

# Text of a request, which a response can contain.
Text = Annotated[str, AfterValidator(replace_surrogates)]
Body = TypeVar("Body", bound=BaseModel)
Result = TypeVar("Result")


class Access:
    """Access control: API keys and request rates.

    Args:
        keys: valid keys; if empty, requests need no key.
        limits: contains the number of requests per minute.
    """

    def __init__(self, keys: Sequence[Key], limits: Limits):
        self._keys = keys
        self._limits = limits
        self._limiter = RateLimiter()

    @property
    def needs_key(self) -> bool:
        """Returns True if requests need a key."""
        return bool(self._keys)

    def admit(self, request: Request, presented: Optional[str] = None) -> None:
        """Checks the key of a request and counts the request.

        Args:
            request: may contain a key in its header Authorization.
            presented: key in the body.

        Raises:
            Refusal: if the key is missing or wrong, or the client has sent too many requests.
        """
        address = request.client.host if request.client else "unknown"
        per_minute = self._limits.requests_per_minute
        if not self._keys:
            return self._limiter.check(f"address {address}", per_minute)
        bearer = BEARER.fullmatch(request.headers.get("authorization", ""))
        presented = bearer[1] if bearer else presented
        key = find_key(self._keys, presented)
        if key is None:
            self._limiter.check(f"address {address}", per_minute)
            problem = "The API key is wrong: send a valid one" if presented else "This server needs an API key: send it"
            raise Refusal(403, "key", f"{problem} as api_key, or in the header Authorization: Bearer KEY.")
        key_rate = key.requests_per_minute
        return self._limiter.check(f"key {key.name}", per_minute if key_rate is None else key_rate)


async def read_body(request: Request, model: Type[Body]) -> Body:
    """Returns the fields of a JSON or form request.

    Args:
        request: request with the body to read.
        model: pydantic model that validates the fields.

    Raises:
        Refusal: if the body is neither JSON nor a form, or its fields are invalid.
    """
    kind = request.headers.get("content-type", "").split(";")[0].strip().lower()
    if kind == JSON:
        fields = read_json(await request.body())
    elif kind in FORMS:
        fields = fields_of(await request.form())
        if not fields.keys() & model.model_fields and is_like_json(fields):
            raise bad_request(f"The body is not a form, but JSON: send it with Content-Type: {JSON}.")
    else:
        raise bad_request(f"The content type is {kind[:40]!r}, but must be {JSON}, {FORMS[0]} or {FORMS[1]}.")
    try:
        return model.model_validate(fields)
    except ValidationError as error:
        raise bad_request(message_of(error.errors())) from error


def read_json(body: bytes) -> Any:
    """Returns the value of a JSON document. Raises Refusal if it is not JSON."""
    try:
        return json.loads(body)
    except (ValueError, RecursionError) as error:
        raise not_json() from error


def fields_of(form: FormData) -> Dict[str, Any]:
    """Returns the fields of a form; repeated fields become lists."""
    fields: Dict[str, Any] = {}
    for name in form:
        values = form.getlist(name)
        fields[name] = values if len(values) > 1 else values[0]
    return fields


def is_like_json(fields: Dict[str, Any]) -> bool:
    """Returns True if a JSON document was read as a form: its beginning is then the name of the first field."""
    return next(iter(fields), "").lstrip().startswith(("{", "["))


# Clearer sentences for types of pydantic's errors.
SENTENCES = {
    "extra_forbidden": "unknown field; /openapi.json lists the fields",
    "value_error": "send a file, as `curl -F file=@NAME`",  # only a text in place of an UploadFile has this type
    "model_attributes_type": "must be a JSON object; send it with Content-Type: application/json",
}


def message_of(errors: Sequence[Any]) -> str:
    """Returns the message of pydantic's first error."""
    error = errors[0]
    names = (part for part in error["loc"] if isinstance(part, int) or (part.isidentifier() and part != "body"))
    place = ".".join(map(str, names)) or "the body"
    return f"{place[:80]}: {SENTENCES.get(error['type'], error['msg'])}."


class ClientDisconnected(Exception):
    """The client of a request has closed its connection."""


async def cancel_on_disconnect(request: Request, work: Coroutine[Any, Any, Result]) -> Result:
    """Returns the result of `work`; cancels it if the client closes its connection.

    Args:
        request: request whose body has been read.
        work: computation, which is finished or cancelled when this function returns.

    Raises:
        ClientDisconnected: if the client has disconnected.
    """
    task = asyncio.ensure_future(work)
    watcher = asyncio.ensure_future(_wait_for_disconnect(request))
    try:
        await asyncio.wait({task, watcher}, return_when=asyncio.FIRST_COMPLETED)
        if not task.done():
            raise ClientDisconnected
        return task.result()
    finally:
        task.cancel()
        watcher.cancel()
        await asyncio.gather(task, watcher, return_exceptions=True)


async def _wait_for_disconnect(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass
