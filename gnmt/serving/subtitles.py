"""Subtitles in the format of SubRip (.srt): numbers and times are kept, and each cue is translated separately."""

from typing import List, Sequence, Union

import regex

from gnmt.serving.markup import Break, Closing, Document, Opening, Piece, Text

TIMES = regex.compile(r"\s*\d+:\d+:\d+[,.]\d+\s*-->\s*\d+:\d+:\d+[,.]\d+.*")
TAG = regex.compile(r"<(/?)(i|b|u|font)(?:\s[^<>]*)?>|\{\\[^{}]*\}", regex.IGNORECASE)
SPEAKER = regex.compile(r"\s*[-–—]")  # begins a line of dialogue


class Cue:
    """Text of a cue.

    Args:
        lines: lines of the cue.
        language: of the text.
    """

    def __init__(self, lines: Sequence[str], language: str):
        self._is_dialogue = any(SPEAKER.match(line) for line in lines)
        self._lines = len(lines)
        pieces: List[Piece] = []
        for number, line in enumerate(lines):
            if number:
                pieces.append(Break("\n") if self._is_dialogue else Text(" "))
            pieces += pieces_of(line)
        self.document = Document(pieces, language, lambda text: text)

    def wrapped(self, text: str) -> List[str]:
        """Returns the translated text with the number of lines of the cue."""
        return text.split("\n") if self._is_dialogue else wrap(text, self._lines)


class Subtitles:
    """A file of subtitles.

    Args:
        text: content of the file.
        language: language of its text.
    """

    def __init__(self, text: str, language: str):
        self._line_end = "\r\n" if "\r\n" in text else "\n"
        self._parts: List[Union[str, Cue]] = []  # lines and cues, in order
        shown: List[str] = []
        is_shown = False
        for line in [*text.split(self._line_end), ""]:
            if is_shown and line.strip():
                shown.append(line)
                continue
            if shown:
                self._parts.append(Cue(shown, language))
                shown = []
            is_shown = TIMES.fullmatch(line) is not None
            self._parts.append(line)
        self._parts.pop()  # the empty line that ended the last cue

    @property
    def documents(self) -> List[Document]:
        """The cues, in order."""
        return [part.document for part in self._parts if isinstance(part, Cue)]

    def render(self, texts: Sequence[str]) -> str:
        """Returns the file with the translated texts of the cues."""
        remaining = iter(texts)
        lines: List[str] = []
        for part in self._parts:
            lines += [part] if isinstance(part, str) else part.wrapped(next(remaining))
        return self._line_end.join(lines)


def pieces_of(line: str) -> List[Piece]:
    """Returns the tags of a line and the text between them."""
    pieces: List[Piece] = []
    end = 0
    for tag in TAG.finditer(line):
        if tag.start() > end:
            pieces.append(Text(line[end : tag.start()]))
        if tag[2] is None:
            pieces.append(Break(tag[0]))  # {\an8}: a position on the screen
        else:
            pieces.append((Closing if tag[1] else Opening)(tag[0], tag[2].lower()))
        end = tag.end()
    return [*pieces, Text(line[end:])] if end < len(line) else pieces


def wrap(text: str, lines: int) -> List[str]:
    """Returns a text in at most the given number of lines of similar lengths; tags are not divided."""
    spaces = [match.start() for match in regex.finditer(r" (?![^<]*>)", text)]
    wrapped, start = [], 0
    for count in range(lines, 1, -1):
        target = start + (len(text) - start) / count
        possible = [space for space in spaces if space > start]
        if not possible:
            break
        best = min(possible, key=lambda space: abs(space - target))
        wrapped.append(text[start:best])
        start = best + 1
    return [*wrapped, text[start:]]
