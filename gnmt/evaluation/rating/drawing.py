"""Items of a campaign: a sample of sentences stratified by length, repeated items, and controls.

A control shows a reference and a damaged copy with words removed. The copy should get a lower score.
"""

from itertools import pairwise
from typing import Dict, List, NamedTuple, Sequence, Tuple

from gnmt.errors import UserError
from gnmt.evaluation.rating.campaign import (
    CONTROL,
    CONTROL_DAMAGED,
    CONTROL_REFERENCE,
    RATED,
    REPEAT,
    Campaign,
    Item,
    ItemKey,
    Key,
)
from gnmt.evaluation.rating.order import rank

DEFAULT_ITEMS = 500
DROPPED = 0.4  # share of the words that are removed from a damaged reference
MIN_WORDS = 5  # minimum length of a reference that is damaged


class Sizes(NamedTuple):
    """Numbers of items."""

    rated: int
    repeated: int
    controls: int


class Texts(NamedTuple):
    """Sentences, references and outputs, line by line."""

    sources: Sequence[str]
    references: Sequence[str]
    outputs: Dict[str, Sequence[str]]  # by the name of the system


def sizes_of(items: int, repeated: float, controls: float) -> Sizes:
    """Returns the numbers of items; at least one of a kind whose share is above 0, because raters are checked by it.

    Args:
        items: number of rated sentences.
        repeated: share of items that are shown twice.
        controls: share of controls.
    """
    num_repeated, num_controls = (max(round(share * items), 1 if share else 0) for share in (repeated, controls))
    return Sizes(items, num_repeated, num_controls)


def draw(texts: Texts, sizes: Sizes, seed: int, languages: Tuple[str, str] = ("", "")) -> Tuple[Campaign, Key]:
    """Draws the items of a campaign; blank sources are never drawn.

    Args:
        texts: sources, references and outputs of the systems.
        sizes: numbers of items.
        seed: seed of all random choices.
        languages: language tags of source and target.

    Raises:
        UserError: if there are too few sentences.
    """
    lines = [line for line, source in enumerate(texts.sources) if source.strip()]
    if sizes.rated > len(lines):
        raise UserError(
            f"The source has {len(lines)} sentences, but --items is {sizes.rated} (default: {DEFAULT_ITEMS}): "
            "give fewer --items, so that sentences are left for controls."
        )
    chosen = stratified(lines, [len(texts.sources[line].split()) for line in lines], sizes.rated, seed)
    pairs = [_rated(texts, line, seed) for line in chosen]
    repeated_pairs = sorted(pairs, key=lambda pair: rank(seed, "repeated", pair[0].id))[: sizes.repeated]
    pairs += [_repeat(*pair, seed) for pair in repeated_pairs]
    pairs += [_control(texts, line, seed) for line in _control_lines(texts, set(lines) - set(chosen), sizes, seed)]
    pairs.sort(key=lambda pair: pair[0].id)
    campaign = Campaign(seed, *languages, [item for item, _ in pairs])
    return campaign, Key(list(texts.outputs), {item.id: origin for item, origin in pairs})


def stratified(lines: Sequence[int], lengths: Sequence[int], count: int, seed: int) -> List[int]:
    """Returns a sample of lines, one from each of `count` groups of lines with similar lengths.

    The groups have nearly equal sizes.

    Args:
        lines: numbers of the lines to draw from.
        lengths: lengths of these lines, in words.
        count: number of lines to draw, at most the number of lines.
        seed: seed of the random choices.
    """
    by_length = [line for _, line in sorted(zip(lengths, lines))]
    edges = [group * len(by_length) // count for group in range(count + 1)]
    groups = [by_length[start:end] for start, end in pairwise(edges)]
    return [min(group, key=lambda line: rank(seed, "drawn", line)) for group in groups]


def damaged(text: str, seed: int) -> str:
    """Returns a text with 40 % of its words removed at random.

    Args:
        text: words, separated by spaces.
        seed: seed of the random choice.
    """
    words = text.split()
    order = sorted(range(len(words)), key=lambda place: rank(seed, "dropped", text, place))
    dropped = set(order[: max(1, round(DROPPED * len(words)))])
    return " ".join(word for place, word in enumerate(words) if place not in dropped)


def _rated(texts: Texts, line: int, seed: int) -> Tuple[Item, ItemKey]:
    """Returns an item and its origin; systems with equal outputs share one output, which is rated once.

    Args:
        texts: sources, references and outputs of the systems.
        line: index of the line, from 0.
        seed: seed of the campaign.
    """
    producers: Dict[str, List[str]] = {}
    for system, outputs in texts.outputs.items():
        producers.setdefault(outputs[line], []).append(system)
    name = _name(seed, RATED, line)
    return Item(name, texts.sources[line], list(producers), None), ItemKey(
        RATED, line + 1, None, list(producers.values())
    )


def _repeat(item: Item, origin: ItemKey, seed: int) -> Tuple[Item, ItemKey]:
    name = _name(seed, REPEAT, origin.line)
    return item._replace(id=name, repeats=item.id), origin._replace(kind=REPEAT, repeats=item.id)


def _control_lines(texts: Texts, undrawn: set, sizes: Sizes, seed: int) -> List[int]:
    fit = [line for line in undrawn if len(texts.references[line].split()) >= MIN_WORDS]
    if len(fit) < sizes.controls:
        raise UserError(
            f"The controls need {sizes.controls} further sentences with at least {MIN_WORDS} words in the reference, "
            f"but {len(fit)} are left: give fewer --items, or --controls 0."
        )
    return sorted(fit, key=lambda line: rank(seed, "control", line))[: sizes.controls]


def _control(texts: Texts, line: int, seed: int) -> Tuple[Item, ItemKey]:
    """Returns a control and its origin.

    Outputs of systems are added up to the usual number, so that a control looks like other items.

    Args:
        texts: sources, references and outputs of the systems.
        line: index of the line, from 0.
        seed: seed of the campaign.
    """
    reference = texts.references[line]
    origins = {reference: [CONTROL_REFERENCE], damaged(reference, seed): [CONTROL_DAMAGED]}
    for system, outputs in texts.outputs.items():
        if len(origins) < len(texts.outputs):
            origins.setdefault(outputs[line], [system])
    item = Item(_name(seed, CONTROL, line), texts.sources[line], list(origins), None)
    return item, ItemKey(CONTROL, line + 1, None, list(origins.values()))


def _name(seed: int, kind: str, line: int) -> str:
    return rank(seed, "name", kind, line)[:12]
