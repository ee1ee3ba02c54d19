"""Text with markup: sentences to translate, and the markup around and inside sentences.

Block tags separate sentences. Inline elements belong to a sentence and are placed in its translation. The tags of an
element that extends over several sentences also separate text, so that all markup is kept in order.
"""

from bisect import bisect_left, bisect_right
from collections import deque
from typing import Callable, List, NamedTuple, Sequence, Set, Tuple, Union

import regex

from gnmt.serving.placement import Element, Span, child_text, links_of, place
from gnmt.tokenizers.sentences import split_sentences
from gnmt.translation.results import SentenceTranslation

SPACE = regex.compile(r"[ \t\n\r\f]+")  # shown as one space in HTML
MAX_PASSES = 8
MAX_DEPTH = 32  # maximum nesting of elements


class Text(NamedTuple):
    """Characters between tags."""

    text: str


class Opening(NamedTuple):
    """Tag that opens an inline element."""

    raw: str
    name: str


class Closing(NamedTuple):
    """Tag that closes an inline element."""

    raw: str
    name: str


class Atom(NamedTuple):
    """Markup between words that is not translated: an image, a comment, or code."""

    raw: str


class Break(NamedTuple):
    """Markup that separates sentences."""

    raw: str


Piece = Union[Text, Opening, Closing, Atom, Break]


class Sentence(NamedTuple):
    """A sentence with its markup."""

    text: str
    elements: List[Element]


class Document:
    """Markup with sentences to translate.

    Args:
        pieces: pieces of the markup, in order.
        language: language of the text.
        escape: converts text to markup.
    """

    def __init__(self, pieces: Sequence[Piece], language: str, escape: Callable[[str], str]):
        self._escape = escape
        self._parts: List[Union[str, Sentence]] = []  # markup, and sentences between it
        for run in runs_of(pieces, language):
            self._parts += [run.raw] if isinstance(run, Break) else parts_of(run, language, escape)

    @property
    def sentences(self) -> List[str]:
        """The sentences, in order."""
        return [part.text for part in self._parts if isinstance(part, Sentence)]

    def render(self, translations: Sequence[SentenceTranslation]) -> str:
        """Returns the markup with the translations of the sentences."""
        remaining = iter(translations)
        return "".join(
            part if isinstance(part, str) else self._translated(part, next(remaining)) for part in self._parts
        )

    def _translated(self, sentence: Sentence, translation: SentenceTranslation) -> str:
        if not translation.nbest:
            return self._escape(sentence.text)
        if not sentence.elements:
            return self._escape(translation.text)
        return place(sentence.elements, sentence.text, translation.text, links_of(translation), self._escape)


Run = List[Piece]  # without Break


def runs_of(pieces: Sequence[Piece], language: str) -> List[Union[Break, Run]]:
    """Returns the pieces as breaks and runs between them, in which every element is closed and inside one sentence.

    Args:
        pieces: pieces of the markup, in order.
        language: language code of the text, for sentence splitting.
    """
    breaks: Set[int] = set()
    for _ in range(MAX_PASSES):
        runs = split_runs(pieces, breaks)
        separators = {index for run in runs if not isinstance(run, int) for index in separating(pieces, run, language)}
        if not separators:
            break
        breaks |= separators
    else:
        breaks |= {index for index, piece in enumerate(pieces) if isinstance(piece, (Opening, Closing))}
        runs = split_runs(pieces, breaks)
    return [
        Break(pieces[run].raw) if isinstance(run, int) else [pieces[index] for index in run]  # type: ignore[union-attr]
        for run in runs
    ]


def split_runs(pieces: Sequence[Piece], breaks: Set[int]) -> List[Union[int, List[int]]]:
    """Returns single indices of separating pieces, and lists of the indices between them.

    Args:
        pieces: pieces of the markup, in order.
        breaks: indices of tags that separate sentences, besides the pieces of type Break.
    """
    runs: List[Union[int, List[int]]] = []
    for index, piece in enumerate(pieces):
        if isinstance(piece, Break) or index in breaks:
            runs.append(index)
        elif runs and isinstance(runs[-1], list):
            runs[-1].append(index)
        else:
            runs.append([index])
    return runs


def separating(pieces: Sequence[Piece], run: Sequence[int], language: str) -> Set[int]:
    """Returns the indices of tags that separate sentences.

    These are tags without a counterpart in the run. If there are none, tags of elements that extend over several sentences.

    Args:
        pieces: pieces of the markup.
        run: indices of a run of pieces.
        language: language of the text.
    """
    separators: Set[int] = set()
    stack: List[int] = []
    pairs: List[Tuple[int, int]] = []
    for index in run:
        piece = pieces[index]
        if isinstance(piece, Opening) and len(stack) < MAX_DEPTH:
            stack.append(index)
        elif isinstance(piece, (Opening, Closing)):
            if stack and isinstance(piece, Closing) and pieces[stack[-1]].name == piece.name:  # type: ignore[union-attr]
                pairs.append((stack.pop(), index))
            else:
                separators.add(index)
    separators.update(stack)
    if separators:
        return separators
    text, places = text_of([pieces[index] for index in run])
    spans = sentence_spans(text, language)
    position = dict(zip(run, places))
    for first, last in pairs:
        if len(overlapped(Span(position[first], position[last]), spans)) > 1:
            separators |= {first, last}
    return separators


def overlapped(inside: Span, spans: Sequence[Span]) -> range:
    """Returns the indices of the sentences that overlap a span; `spans` must be in order.

    Args:
        inside: span of characters to compare with the sentences.
        spans: spans of the sentences, in order and disjoint.
    """
    first = bisect_right(spans, inside.start, key=lambda span: span.end)
    return range(first, max(first, bisect_left(spans, inside.end, key=lambda span: span.start)))


def text_of(run: Run) -> Tuple[str, List[int]]:
    """Returns the text of a run, with white space reduced to one space, and the position of each piece in it."""
    text, places = "", []
    for piece in run:
        places.append(len(text))
        if isinstance(piece, Text):
            added = SPACE.sub(" ", piece.text)
            text += added[1:] if text.endswith(" ") and added.startswith(" ") else added
    return text, places


def sentence_spans(text: str, language: str) -> List[Span]:
    """Returns the spans of the sentences of a text without line breaks; an empty list for white space.

    Args:
        text: text of a run.
        language: language code of the text, for sentence splitting.
    """
    spans, start = [], 0
    for sentence in split_sentences(text, language):
        if sentence.text:
            spans.append(Span(start, start + len(sentence.text)))
        start += len(sentence.text) + len(sentence.separator)
    return spans


def parts_of(run: Run, language: str, escape: Callable[[str], str]) -> List[Union[str, Sentence]]:
    """Returns the sentences of a run, and the white space and markup between them.

    Args:
        run: pieces in which every element is closed.
        language: language code of the text, for sentence splitting.
        escape: replaces the special characters of the markup in text between sentences.
    """
    text, places = text_of(run)
    spans = sentence_spans(text, language)
    parts: List[Union[str, Sentence]] = []
    end = 0  # position in the text up to which `parts` is complete
    numbered = [(overlapped(element.span, spans), element) for element in elements_of(run, places)]
    remaining = deque(numbered)
    for number, span in enumerate([*spans, Span(len(text), len(text))]):
        while remaining and not remaining[0][0] and remaining[0][1].span.start <= span.start:  # outside of sentences
            element = remaining.popleft()[1]
            parts += [escape(text[end : element.span.start]), child_text(element)]
            end = max(end, element.span.end)
        parts.append(escape(text[end : span.start]))
        elements = []
        while remaining and remaining[0][1].span.start < span.end:
            elements.append(clipped(remaining.popleft()[1], span))
        if number < len(spans):
            parts.append(Sentence(text[span.start : span.end], elements))
        end = span.end
    return parts


def clipped(element: Element, span: Span) -> Element:
    """Returns an element with positions relative to its sentence, clipped to the sentence.

    Args:
        element: element with positions in characters of the run.
        span: span of the sentence in characters of the run.
    """
    start, end = (min(max(position, span.start), span.end) - span.start for position in element.span)
    return element._replace(span=Span(start, end), children=[clipped(child, span) for child in element.children])


def elements_of(run: Run, places: Sequence[int]) -> List[Element]:
    """Returns the elements of a run, in which every element is closed.

    Args:
        run: pieces of the markup.
        places: position of each piece in the text of the run, in characters.
    """
    levels: List[List[Element]] = [[]]
    open_tags: List[Tuple[str, int]] = []
    for index, (piece, place_of) in enumerate(zip(run, places)):
        if isinstance(piece, Opening):
            open_tags.append((piece.raw, place_of))
            levels.append([])
        elif isinstance(piece, Closing):
            raw, start = open_tags.pop()
            children = levels.pop()
            levels[-1].append(Element(raw, piece.raw, Span(start, place_of), children))
        elif isinstance(piece, Atom):
            levels[-1].append(Element(piece.raw, "", Span(place_of, place_of), [], has_space_around(run, index)))
    return levels[0]


def has_space_around(run: Run, index: int) -> bool:
    """Returns True if there is white space on both sides of a piece.

    Args:
        run: pieces of the markup.
        index: index of the piece in the run.
    """
    before, after = run[index - 1 : index], run[index + 1 : index + 2]
    texts = [piece.text for piece in (*before, *after) if isinstance(piece, Text)]
    return len(texts) == 2 and texts[0][-1:].isspace() and texts[1][:1].isspace()
