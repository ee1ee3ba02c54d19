"""Reading of the SGM files of the WMT development and test sets.

They are not well-formed XML, so they are read with patterns, as in Moses' input-from-sgm.perl. Unlike that script, this
module also decodes entities (`S&amp;P`): the models read and write plain text.
"""

import re
from typing import List, NamedTuple, Tuple
from xml.sax.saxutils import unescape

from gnmt.errors import UserError

SEGMENT_START = re.compile(r"<seg\b", re.IGNORECASE)
# A document's start or a whole segment; a segment may span lines.
PIECE = re.compile(r"<doc\b(?P<doc>[^>]*)>|<seg\b(?P<seg>[^>]*)>(?P<text>.*?)</seg\s*>", re.IGNORECASE | re.DOTALL)
ATTRIBUTE = re.compile(r"\b(?:docid|id)\s*=\s*[\"']?([^\"'\s>]+)", re.IGNORECASE)
ASCII_SPACES = re.compile(r"\s+", re.ASCII)  # no-break spaces are text
QUOTES = {"&quot;": '"', "&apos;": "'", "&#39;": "'", "&#34;": '"'}


class Segment(NamedTuple):
    """Sentence with its document and its number in the document."""

    place: Tuple[str, str]
    text: str


def read_segments(content: bytes, name: str) -> List[Segment]:
    """Returns the segments of an SGM file in order. Raises UserError if there are none, or if one is not closed."""
    try:
        sgm = content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise UserError(f"{name} is not UTF-8 at byte {error.start}; download its archive again.") from error
    segments, document = [], ""
    for piece in PIECE.finditer(sgm):
        if piece["seg"] is None:
            document = _identity(piece["doc"])
        else:
            segments.append(Segment((document, _identity(piece["seg"])), _plain(piece["text"])))
    opened = len(SEGMENT_START.findall(sgm))
    if not segments or opened != len(segments):
        raise UserError(
            f"{name} opens {opened} segments and closes {len(segments)}, so it is no whole SGM file: "
            "download its archive again."
        )
    return segments


def _identity(attributes: str) -> str:
    match = ATTRIBUTE.search(attributes)
    return match[1] if match else "?"


def _plain(text: str) -> str:
    return unescape(ASCII_SPACES.sub(" ", text).strip(" "), QUOTES)


def check_parallel(source: List[Segment], target: List[Segment], name: str) -> None:
    """Raises UserError that names the first segment that one side lacks."""
    if len(source) == len(target):
        return
    pairs = enumerate(zip(source, target))
    index = next(
        (i for i, (source_segment, target_segment) in pairs if source_segment.place != target_segment.place),
        min(len(source), len(target)),
    )
    place = (source if len(source) > index else target)[index].place
    raise UserError(
        f"{name}: {len(source)} source and {len(target)} target segments; the first difference is at sentence {index + 1} "
        f"(document {place[0]}, segment {place[1]}). Download the archive again."
    )
