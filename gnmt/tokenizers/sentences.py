"""Rule-based sentence boundaries.

A sentence ends at a full stop, exclamation mark, question mark or ellipsis, followed by white space and a character
that can begin a sentence. It also ends at a full-width mark of Chinese and Japanese, and at every line break. It does
not end after an abbreviation, an initial ("J. Smith"), or an ordinal of German ("am 3. Oktober").
"""

from typing import Dict, FrozenSet, List, NamedTuple

import regex

CLOSING = r"[\p{Pe}\p{Pf}\"'»”’]*"
# A run of terminators with closing quotes, then the white space that separates two sentences.
BOUNDARY = regex.compile(rf"(?:[.!?…]+{CLOSING}(?=\s)|[。！？]{CLOSING})(\s*)")
LAST_WORD = regex.compile(r"(?:\p{L}\.)+\p{L}?$|[\p{L}\p{M}\p{N}]+$")  # before the terminator: "e.g", "J", "Dr", "3"
NEXT_BEGINS = regex.compile(r"[\p{Pi}\p{Ps}\"'¿¡«„–—-]*\s*[\p{Lu}\p{Lt}\p{Lo}\p{N}]")
MAX_ABBREVIATION_LENGTH = 16  # characters; the limit keeps the time linear
LINE_BREAK = regex.compile(r"\r\n|[\n\r\v\f\x1c-\x1e\x85\u2028\u2029]")


def _words(text: str) -> FrozenSet[str]:
    return frozenset(text.split())


# Abbreviations, in lower case and without their last full stop.
ABBREVIATIONS: Dict[str, FrozenSet[str]] = {
    "en": _words(
        "mr mrs ms dr prof st jr sr vs etc e.g i.e cf approx dept est inc ltd co corp gen gov sen rep rev hon capt col "
        "lt sgt jan feb mar apr jun jul aug sep sept oct nov dec mt ave blvd"
    ),
    "de": _words(
        "hr fr dr prof bzw ca d.h evtl ggf inkl max min mio mrd o.ä sog str u.a usw u.u v.a vgl z.b z.t z.zt zzgl abs "
        "st dipl ing jan feb apr jun jul aug sept okt nov dez"
    ),
    "fr": _words(
        "m mm mme mmes mlle mlles dr pr me st ste cf env etc av bd p.ex c.-à-d janv févr avr juil sept oct nov déc"
    ),
    "es": _words("sr sra srta sres dr dra d da ud uds p.ej etc av pág núm ee.uu"),
    "it": _words("sig sig.ra sigg dott dott.ssa prof ing avv ecc es p.es pag art"),
    "nl": _words("dhr mevr mw dr drs ir ing prof bijv d.w.z enz o.a t.a.v z.o.z"),
    "pt": _words("sr sra dr dra prof etc av p.ex pág exmo"),
    "pl": _words("np itd itp m.in tzn tzw prof dr inż mgr ul św"),
}
# Words that are abbreviations only before a number.
BEFORE_NUMBERS = _words("no nr nos p pp fig vol ch sec art abs s núm nº pág kap bd n")
ORDINAL_LANGUAGES = _words("de da no nb nn fi cs sk pl hu")  # languages that write "third" as "3."


class Sentence(NamedTuple):
    """One sentence, and the white space that separates it from the next one."""

    text: str
    separator: str


def base_language(code: str) -> str:
    """Returns the language of a code without region or script: "de" of "de-CH"."""
    return code.lower().replace("_", "-").split("-")[0]


def split_sentences(text: str, language: str) -> List[Sentence]:
    """Splits text into sentences.

    Args:
        text: any text; line breaks and other white space between sentences are kept.
        language: code such as "en" or "de-CH"; its first part selects the abbreviations.

    Returns:
        Sentences. Their texts and separators, joined in order, are `text`. White space before the first sentence, and
        lines without text, belong to sentences with empty text.
    """
    code = base_language(language)
    sentences: List[Sentence] = []
    start = 0
    for line_break in LINE_BREAK.finditer(text):
        _append_line(sentences, text[start : line_break.start()], line_break.group(), code)
        start = line_break.end()
    if start < len(text):
        _append_line(sentences, text[start:], "", code)
    return sentences


def _append_line(sentences: List[Sentence], line: str, line_break: str, code: str) -> None:
    body = line.strip()
    if not body:
        sentences.append(Sentence("", line + line_break))
        return
    indent, tail = line[: len(line) - len(line.lstrip())], line[len(line.rstrip()) :]
    if indent:
        sentences.append(Sentence("", indent))
    start = 0
    for boundary in BOUNDARY.finditer(body):
        if boundary.end() < len(body) and _ends_sentence(body, boundary, code):
            sentences.append(Sentence(body[start : boundary.start(1)], boundary.group(1)))
            start = boundary.end()
    sentences.append(Sentence(body[start:], tail + line_break))


def _ends_sentence(body: str, boundary, code: str) -> bool:
    """Returns True if terminators end a sentence, not an abbreviation.

    Args:
        body: line of text.
        boundary: match of BOUNDARY in the line.
        code: language of the text.
    """
    if not boundary.group(1):  # a full-width mark needs no white space
        return True
    if not NEXT_BEGINS.match(body, boundary.end()):
        return False
    if boundary.group()[: boundary.start(1) - boundary.start()] != ".":
        return True
    match = LAST_WORD.search(body, max(0, boundary.start() - MAX_ABBREVIATION_LENGTH), boundary.start())
    word = match.group() if match else ""
    if word.isdecimal():
        return code not in ORDINAL_LANGUAGES or len(word) > 2
    if len(word) == 1 and word.isupper():  # an initial; "I." at the end of a sentence is less frequent
        return False
    if word.lower() in ABBREVIATIONS.get(code, ()):
        return False
    return not (word.lower() in BEFORE_NUMBERS and body[boundary.end()].isnumeric())
