"""Placement of inline tags in a translation, by the attention between source and target.

Source and target are divided into units: words and single punctuation marks. A target unit is linked to the source unit to
which it attends most. An element encloses the longest run of target units that are linked to its source units. Every element
therefore occurs once, siblings do not overlap, and children stay inside their parents.
"""

from bisect import bisect_left, bisect_right
from typing import Callable, Dict, List, NamedTuple, Optional, Sequence

import numpy
import regex

from gnmt.translation.results import SentenceTranslation

UNIT = regex.compile(r"[\p{L}\p{M}\p{N}_]+|[^\p{L}\p{M}\p{N}_\s]")
# Text of a token without its segmentation marks.
SURFACE = regex.compile("\u2581*(?:<[BME]>)?(.*?)(?:@@)?", regex.DOTALL)
NEAR = 12  # maximum number of characters between two tokens
UNLINKED = -1  # link of a unit without attention
OUTSIDE = -1  # owner of a unit outside of all elements


class Span(NamedTuple):
    """Part of a text, from `start` up to `end`."""

    start: int
    end: int


class Element(NamedTuple):
    """Markup inside a sentence; an empty span is a place between two units."""

    opening: str
    closing: str
    span: Span
    children: List["Element"]
    is_spaced: bool = False  # True if an empty element has white space on both sides


def units_of(text: str) -> List[Span]:
    """Returns the words and punctuation marks of a text."""
    return [Span(*match.span()) for match in UNIT.finditer(text)]


def token_spans(text: str, tokens: Sequence[str]) -> List[Span]:
    """Returns the span of each token in a text; an empty span if it is not found, as for unknown tokens."""
    spans, cursor = [], 0
    for token in tokens:
        match = SURFACE.fullmatch(token)
        surface = match[1] if match else token
        start = text.find(surface, cursor, cursor + len(surface) + NEAR) if surface else UNLINKED
        if start != UNLINKED:
            cursor = start + len(surface)
            spans.append(Span(start, cursor))
        else:
            spans.append(Span(cursor, cursor))
    return spans


def shares(spans: Sequence[Span], units: Sequence[Span]) -> numpy.ndarray:
    """Returns the number of common characters of each span and unit: (spans, units)."""
    if not spans or not units:
        return numpy.zeros((len(spans), len(units)))
    span_bounds, unit_bounds = numpy.array(spans), numpy.array(units)
    ends = numpy.minimum(span_bounds[:, None, 1], unit_bounds[None, :, 1])
    starts = numpy.maximum(span_bounds[:, None, 0], unit_bounds[None, :, 0])
    return numpy.maximum(ends - starts, 0)


def links_of(translation: SentenceTranslation) -> List[int]:
    """Returns, for each target unit of the best translation, the index of the source unit to which it attends most."""
    best = translation.nbest[0]
    source = shares(token_spans(translation.source, translation.source_tokens), units_of(translation.source))
    target = shares(token_spans(best.text, best.tokens), units_of(best.text))
    source = source / numpy.maximum(source.sum(axis=1, keepdims=True), 1)
    attention = best.attention.numpy()[: len(best.tokens), : len(translation.source_tokens)]
    weights = target.T @ attention @ source
    if not weights.size:
        return [UNLINKED] * len(target.T)
    return [int(row.argmax()) if row.any() else UNLINKED for row in weights]


def place(
    elements: Sequence[Element], source: str, target: str, links: Sequence[int], escape: Callable[[str], str]
) -> str:
    """Returns the target text with the markup of the source.

    Args:
        elements: elements of the source, in order.
        source: text without markup.
        target: translation of the source.
        links: source unit of each target unit, see `links_of`.
        escape: converts text to markup.
    """
    return _Placement(source, target, links, escape).text(elements)


class _Placed(NamedTuple):
    first: int  # target unit before which it begins
    last: int  # target unit before which it ends
    element: Element


class _Placement:
    """Writer of the target text with the markup of the source.

    Args:
        source: text without markup.
        target: translation of the source.
        links: source unit of each target unit.
        escape: converts text to markup.
    """

    def __init__(self, source: str, target: str, links: Sequence[int], escape: Callable[[str], str]):
        self._starts = [unit.start for unit in units_of(source)]  # of the source units
        self._target, self._text = units_of(target), target
        self._links, self._escape = links, escape
        self._linked: Dict[int, List[int]] = {}  # target units of each source unit
        for unit, link in enumerate(links):
            self._linked.setdefault(link, []).append(unit)
        self._cursor = 0  # number of characters of the target already written
        self._written: List[str] = []

    def text(self, elements: Sequence[Element]) -> str:
        self._write(elements, range(len(self._starts)), 0, len(self._target))
        self._write_up_to(len(self._text))
        return "".join(self._written)

    def _write(self, elements: Sequence[Element], parent: range, first: int, last: int) -> None:
        """Writes target units `first` up to `last` with the elements around some of the source units of `parent`."""
        for start, end, element in self._placed(elements, parent, first, last):
            self._write_up_to(self._begin_of(start))
            needs_space = element.is_spaced and self._cursor and not self._text[self._cursor - 1].isspace()
            self._written.append(" " * bool(needs_space) + element.opening)
            if start < end:
                self._write(element.children, self._units_in(element.span), start, end)
                self._write_up_to(self._target[end - 1].end)
            else:
                self._written += map(child_text, element.children)
            self._written.append(element.closing)
            if element.is_spaced and self._text[self._cursor : self._cursor + 1].strip():
                self._written.append(" ")

    def _placed(self, elements: Sequence[Element], parent: range, first: int, last: int) -> List[_Placed]:
        """Returns elements in the order of the target.

        Args:
            elements: sibling elements of the source.
            parent: source units of the element around them.
            first: first target unit of that element.
            last: target unit after its last one.
        """
        units = [self._units_in(element.span) for element in elements]
        owner_of = {unit: number for number, members in enumerate(units) for unit in members}
        owners = [None if link == UNLINKED else owner_of.get(link, OUTSIDE) for link in self._links[first:last]]
        runs = longest_runs(owners)
        linked: List[_Placed] = []
        for number, element in enumerate(elements):
            if units[number] and units[number] == parent and first < last:
                linked.append(_Placed(first, last, element))
            elif number in runs:
                linked.append(_Placed(first + runs[number].start, first + runs[number].end, element))
        linked.sort(key=lambda entry: entry.first)
        placed = {id(entry.element) for entry in linked}
        points = [
            self._as_point(element, parent, first, last, linked) for element in elements if id(element) not in placed
        ]
        return sorted([*points, *linked], key=lambda entry: (entry.first, entry.last))

    def _units_in(self, span: Span) -> range:
        """Returns the source units that begin in a span."""
        return range(bisect_left(self._starts, span.start), bisect_left(self._starts, span.end))

    def _as_point(self, element: Element, parent: range, first: int, last: int, runs: Sequence[_Placed]) -> _Placed:
        """Places an element without linked target units.

        Args:
            element: element to place.
            parent: source units of the element around it.
            first: first target unit of that element.
            last: target unit after its last one.
            runs: placed siblings, in the order of the target.
        """
        point = self._point(bisect_left(self._starts, element.span.start), parent, first, last)
        index = bisect_right(runs, point, key=lambda run: run.first) - 1
        if index >= 0 and runs[index].first < point < runs[index].last:
            is_before = element.span.start <= runs[index].element.span.start
            point = runs[index].first if is_before else runs[index].last
        return _Placed(point, point, element)

    def _point(self, following: int, parent: range, first: int, last: int) -> int:
        """Returns the target unit that begins the translation of a source unit.

        Args:
            following: source unit.
            parent: source units of the element around it.
            first: first target unit of that element.
            last: target unit after its last one.
        """
        if following >= parent.stop:
            return last
        if following <= parent.start:
            return first
        for unit in self._linked.get(following, ()):
            if first <= unit < last:
                return unit
        for unit in reversed(self._linked.get(following - 1, ())):
            if first <= unit < last:
                return unit + 1
        return first + round((last - first) * (following - parent.start) / len(parent))

    def _begin_of(self, unit: int) -> int:
        if unit < len(self._target):
            return self._target[unit].start
        return self._target[-1].end if self._target else 0

    def _write_up_to(self, end: int) -> None:
        if end > self._cursor:
            self._written.append(self._escape(self._text[self._cursor : end]))
            self._cursor = end


def child_text(element: Element) -> str:
    """Returns the markup of an element without text."""
    return element.opening + "".join(map(child_text, element.children)) + element.closing


def longest_runs(owners: Sequence[Optional[int]]) -> Dict[int, Span]:
    """Returns the longest run of each owner, the first one of equal runs; None does not end a run."""
    runs: Dict[int, Span] = {}
    lengths: Dict[int, int] = {}
    running, start, count = None, 0, 0
    for position, owner in enumerate(owners):
        if owner is None:
            continue
        if owner != running:
            running, start, count = owner, position, 0
        count += 1
        if count > lengths.get(owner, 0):
            lengths[owner], runs[owner] = count, Span(start, position + 1)
    return runs
