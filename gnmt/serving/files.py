"""Routes that translate files; the result is available under a link that expires."""

import asyncio
import re
import secrets
import time
from pathlib import PurePosixPath
from typing import Annotated, Callable, Dict, NamedTuple, Optional
from urllib.parse import quote

from fastapi import APIRouter, File, Form, Request, UploadFile
from pydantic import BaseModel
from starlette.responses import Response

from gnmt.serving.html import read_html, translate_documents
from gnmt.serving.libretranslate import FILE_FORMATS, refuse_truncated
from gnmt.serving.limits import Limits
from gnmt.serving.pairs import AUTO
from gnmt.serving.refusals import Refusal, bad_request, too_large
from gnmt.serving.requests import Access, cancel_on_disconnect
from gnmt.serving.responses import ERRORS, ErrorBody
from gnmt.serving.service import TranslationService
from gnmt.serving.subtitles import Subtitles
from gnmt.translation.options import TranslationOptions
from gnmt.translator import Translator

TYPES = ("text/plain", "application/x-subrip", "text/html", "text/html")
KINDS = {suffix: f"{kind}; charset=utf-8" for suffix, kind in zip(FILE_FORMATS, TYPES)}
LINK_SECONDS = 20 * 60
MAX_BYTES = 64 << 20  # total size of all results; the oldest results are removed first
UNSAFE = re.compile(r"[^\w.,+ ()-]+")


class TranslatedFile(NamedTuple):
    """A stored result."""

    name: str
    kind: str
    content: bytes
    expires: float


class TranslatedFiles:
    """Results in memory, each under a random key."""

    def __init__(self, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._files: Dict[str, TranslatedFile] = {}

    def add(self, name: str, kind: str, content: bytes) -> str:
        """Stores a result for LINK_SECONDS.

        Args:
            name: name of the file.
            kind: media type.
            content: bytes of the file.

        Returns:
            The key of the result.
        """
        self._forget_expired()
        while self._files and sum(len(file.content) for file in self._files.values()) + len(content) > MAX_BYTES:
            del self._files[next(iter(self._files))]
        key = secrets.token_urlsafe(24)
        self._files[key] = TranslatedFile(name, kind, content, self._clock() + LINK_SECONDS)
        return key

    def get(self, key: str) -> Optional[TranslatedFile]:
        """Returns a result, or None if the key is unknown or expired."""
        self._forget_expired()
        return self._files.get(key)

    def _forget_expired(self) -> None:
        now = self._clock()
        self._files = {key: file for key, file in self._files.items() if file.expires > now}


class FileAnswer(BaseModel):
    """Link to a translated file."""

    translatedFileUrl: str


def file_routes(service: TranslationService, access: Access) -> APIRouter:
    """Returns the routes /translate_file and /download_file/{key}.

    Args:
        service: translates the texts.
        access: checks keys and request rates.
    """
    router = APIRouter(tags=["LibreTranslate"])
    files = TranslatedFiles()

    @router.post("/translate_file", responses=ERRORS)
    async def translate_file(
        request: Request,
        file: Annotated[UploadFile, File(description="a text in UTF-8: .txt, .srt or .html")],
        source: Annotated[str, Form(description='language code, or "auto"', max_length=40)],
        target: Annotated[str, Form(description="language code", max_length=40)],
        api_key: Annotated[Optional[str], Form()] = None,
    ) -> FileAnswer:
        """Translates a file; returns a link to the result, which expires after 20 minutes."""
        access.admit(request, api_key)
        suffix = suffix_of(file.filename or "")
        text = text_of(await file.read(service.limits.file_limit + 1), service.limits)
        if source == AUTO:
            source = service.pairs.detect(text)[0].language
        translator = service.pairs.choose(source, target)
        translated = await cancel_on_disconnect(request, translate_text(service, translator, text, suffix))
        name = f"{UNSAFE.sub('_', PurePosixPath(file.filename or '').stem)[:80]}.{translator.target_language}{suffix}"
        key = files.add(name, KINDS[suffix], translated.encode("utf-8"))
        return FileAnswer(translatedFileUrl=str(request.url_for("download_file", key=key)))

    @router.get("/download_file/{key}", response_class=Response, responses={404: {"model": ErrorBody}})
    async def download_file(key: str) -> Response:
        """Returns a translated file."""
        result = files.get(key)
        if result is None:
            raise Refusal(404, "expired", "There is no such file, or its link has expired: translate it again.")
        headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(result.name)}"}
        return Response(result.content, media_type=result.kind, headers=headers)

    return router


def suffix_of(name: str) -> str:
    """Returns the suffix of a file's name. Raises Refusal for an unsupported format."""
    suffix = PurePosixPath(name).suffix.lower()
    if suffix not in KINDS:
        raise bad_request(f"Files that end in {suffix[:20]!r} are not translated: send {', '.join(KINDS)}.")
    return suffix


def text_of(content: bytes, limits: Limits) -> str:
    """Returns the text of a file.

    Args:
        content: bytes of the file.
        limits: limits of the server; they determine the largest size in bytes.

    Raises:
        Refusal: if the file is too long, empty or not UTF-8.
    """
    if len(content) > limits.file_limit:
        raise too_large(f"The file has more than {limits.file_limit} bytes: divide it.")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise bad_request(f"The file is not UTF-8: it has the byte 0x{content[error.start]:02x}.") from error
    if len(text) > limits.file_char_limit:
        raise too_large(
            f"The file has {len(text)} characters, but at most {limits.file_char_limit} are allowed: divide it."
        )
    if not text:
        raise bad_request("The file is empty: send some text.")
    return text


async def translate_text(service: TranslationService, translator: Translator, text: str, suffix: str) -> str:
    """Returns the translated text of a file.

    Args:
        service: translates the sentences.
        translator: translator of the language pair.
        text: content of the file.
        suffix: suffix of the file, which determines its format.

    Raises:
        Refusal: see TranslationService.translate.
    """
    if suffix == ".txt":
        options = TranslationOptions(split_sentences=True)
        (translated,) = await service.translate(translator, [text], options)
        refuse_truncated(translated, options.max_length)
        return translated.text()
    language = translator.source_language
    if suffix == ".srt":
        subtitles = await asyncio.to_thread(Subtitles, text, language)
        return subtitles.render(await translate_documents(service, translator, subtitles.documents))
    document = await asyncio.to_thread(read_html, text, language)
    (html,) = await translate_documents(service, translator, [document])
    return html
