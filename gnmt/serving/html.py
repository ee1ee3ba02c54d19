"""Conversion of HTML to pieces of markup, and back.

Tags, attributes and comments are kept unchanged. Elements that are not text, such as scripts, elements marked as not to be
translated, and computer code are also kept unchanged.
"""

import asyncio
import html
import re
from typing import Iterator, List, NamedTuple, Sequence, Tuple, Union

from gnmt.serving.markup import Atom, Break, Closing, Document, Opening, Piece, Text
from gnmt.serving.refusals import bad_request
from gnmt.serving.service import TranslationService
from gnmt.translation.options import TranslationOptions
from gnmt.translator import Translator

INLINE = frozenset(
    "a abbr acronym b bdi bdo big cite data del dfn em font i ins label mark q s small span strike strong sub sup time tt u".split()
)
INLINE_VOID = frozenset(["img", "input", "wbr"])
VOID = INLINE_VOID | frozenset("area base br col embed hr link meta param source track".split())
INLINE_KEPT = frozenset(["code", "kbd", "samp", "var"])  # computer code inside sentences
# Elements whose content has no tags, with the pattern of their end.
RAW = {name: re.compile(f"</{name}(?=[\\s/>])", re.IGNORECASE) for name in ("script", "style", "textarea")}
KEPT = INLINE_KEPT | frozenset("iframe math noscript object pre script style svg template textarea".split())

TAG_BEGINS = re.compile(r"</?[a-zA-Z]")
# Quotes delimit values only after an equals sign, as in browsers. Quantifiers are possessive for linear time.
TAG = re.compile(r"""<(/?)([a-zA-Z][^\s/>]*+)(?:[^>=]++|=\s*+(?:"[^"]*+"|'[^']*+'|[^\s>]*+))*+>""")
ATTRIBUTE = re.compile(r"""([^\s=/>"']++)\s*+=\s*+(?:"([^"]*+)"|'([^']*+)'|([^\s>]*+))""")


def read_html(text: str, language: str) -> Document:
    """Parses an HTML document or fragment.

    Args:
        text: HTML; invalid markup is kept unchanged.
        language: language of its text.
    """
    return Document(pieces_of(tokens_of(text)), language, escape)


def escape(text: str) -> str:
    """Returns text with special characters escaped for HTML."""
    return html.escape(text, quote=False)


async def translate_html(service: TranslationService, translator: Translator, texts: Sequence[str]) -> List[str]:
    """Returns the translation of each HTML text.

    Args:
        service: translates the sentences.
        translator: translator of the language pair.
        texts: HTML documents or fragments.

    Raises:
        Refusal: if a sentence is too long; see also TranslationService.translate.
    """
    language = translator.source_language
    documents = await asyncio.to_thread(lambda: [read_html(text, language) for text in texts])
    return await translate_documents(service, translator, documents)


async def translate_documents(
    service: TranslationService, translator: Translator, documents: Sequence[Document]
) -> List[str]:
    """Returns the markup of the documents with translated sentences.

    Args:
        service: translates the sentences.
        translator: translator of the language pair.
        documents: parsed documents.

    Raises:
        Refusal: if a sentence is too long; see also TranslationService.translate.
    """
    options = TranslationOptions()
    sentences = [sentence for document in documents for sentence in document.sentences]
    texts = await service.translate(translator, sentences, options)
    if any(text.is_truncated for text in texts):
        raise bad_request(f"A sentence has more than {options.max_length} tokens: divide it.")
    translations = iter([text.translations[0] for text in texts])
    parts = [(document, [next(translations) for _ in document.sentences]) for document in documents]
    return await asyncio.to_thread(lambda: [document.render(translated) for document, translated in parts])


class Tag(NamedTuple):
    """A tag in its original spelling."""

    raw: str
    name: str  # in lower case
    is_closing: bool
    is_empty: bool  # <name/>


Token = Union[Text, Atom, Break, Tag]


def tokens_of(text: str) -> Iterator[Token]:
    """Yields the tags, the text between them, comments, and declarations, in linear time.

    The concatenated tokens equal `text`, except for the spelling of character references.
    """
    cursor = 0
    while cursor < len(text):
        start = text.find("<", cursor)
        start = len(text) if start < 0 else start
        if start > cursor:
            yield Text(html.unescape(text[cursor:start]))
        if start == len(text):
            return
        token, cursor = _markup_at(text, start)
        yield token
        if isinstance(token, Tag) and token.name in RAW and not token.is_closing:
            end = RAW[token.name].search(text, cursor)
            stop = end.start() if end else len(text)
            if stop > cursor:
                yield Break(text[cursor:stop])
            cursor = stop


def _markup_at(text: str, start: int) -> Tuple[Token, int]:
    """Returns the markup that begins with the "<" at `start`, and its end; unclosed markup extends to the end of the text."""
    if text.startswith("<!--", start):
        end = _after("-->", text, start + 4)
        return Atom(text[start:end]), end
    if text.startswith(("<!", "<?"), start):
        end = _after(">", text, start)
        return Break(text[start:end]), end
    if not TAG_BEGINS.match(text, start):
        return Text("<"), start + 1
    match = TAG.match(text, start)
    if match is None:
        return Break(text[start:]), len(text)
    return Tag(match[0], match[2].lower(), bool(match[1]), match[0].endswith("/>")), match.end()


def _after(mark: str, text: str, start: int) -> int:
    position = text.find(mark, start)
    return len(text) if position < 0 else position + len(mark)


def pieces_of(tokens: Iterator[Token]) -> List[Piece]:
    """Returns the pieces of tokens; an element that is not translated is one piece."""
    pieces: List[Piece] = []
    for token in tokens:
        if not isinstance(token, Tag):
            pieces.append(token)
        elif token.is_closing:
            pieces.append(Closing(token.raw, token.name) if token.name in INLINE else Break(token.raw))
        elif token.name not in VOID and not token.is_empty and (token.name in KEPT or is_kept(token.raw)):
            raw = token.raw + _rest_of(token.name, tokens)
            pieces.append(Atom(raw) if token.name in INLINE | INLINE_KEPT else Break(raw))
        elif token.name in INLINE and not token.is_empty:
            pieces.append(Opening(token.raw, token.name))
        else:
            pieces.append(Atom(token.raw) if token.name in INLINE | INLINE_VOID else Break(token.raw))
    return pieces


def _rest_of(name: str, tokens: Iterator[Token]) -> str:
    """Returns the content of an element and its end tag; consumes these tokens.

    Args:
        name: name of the element.
        tokens: tokens after its start tag.
    """
    depth, content = 1, []
    for token in tokens:
        content.append(escape(token.text) if isinstance(token, Text) else token.raw)
        if isinstance(token, Tag) and token.name == name and not token.is_empty:
            depth += -1 if token.is_closing else 1
            if not depth:
                break
    return "".join(content)


def is_kept(tag: str) -> bool:
    """Returns True if the attributes of a tag mark its element as not to be translated."""
    for name, *values in ATTRIBUTE.findall(tag):
        value = "".join(values).lower()
        if (name.lower() == "translate" and value == "no") or (
            name.lower() == "class" and "notranslate" in value.split()
        ):
            return True
    return False
