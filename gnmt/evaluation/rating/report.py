"""Results of a campaign. An item of a rater counts if all its outputs are rated; repetitions and controls do not count."""

from collections import defaultdict
from statistics import fmean, median, pstdev
from typing import Any, Dict, List, NamedTuple, Optional, Sequence, Tuple

from gnmt.evaluation.rating.campaign import (
    CONTROL,
    CONTROL_DAMAGED,
    CONTROL_REFERENCE,
    RATED,
    REPEAT,
    Campaign,
    Key,
)
from gnmt.evaluation.rating.scale import SCORES
from gnmt.evaluation.rating.statistics import krippendorff_alpha, mean_with_interval, sign_test
from gnmt.evaluation.rating.storage import Rating, latest


class CompleteItem(NamedTuple):
    """All scores that one rater gave to one item."""

    rater: str
    item: str
    scores: List[int]  # one for each output
    seconds: float  # from the display of the item to the rating that completed it


def report(campaign: Campaign, key: Key, ratings: Sequence[Rating]) -> Dict[str, Any]:
    """Returns the results as a JSON object.

    Args:
        campaign: campaign of the ratings.
        key: key of the campaign.
        ratings: all ratings, in the order of the log.
    """
    complete = complete_items(campaign, ratings)
    rated = [entry for entry in complete if key.items[entry.item].kind == RATED]
    by_system = {system: _item_means(rated, key, system) for system in key.systems}
    return {
        "items": sum(key.items[item.id].kind == RATED for item in campaign.items),
        "rated_items": len({entry.item for entry in rated}),
        "systems": [_mean_row(system, list(means.values())) for system, means in by_system.items()],
        "differences": [
            _difference_row(key.systems[0], system, by_system[key.systems[0]], by_system[system])
            for system in key.systems[1:]
        ],
        "agreement": krippendorff_alpha(_units(rated)),
        "raters": [
            _rater_row(rater, complete, key, len(campaign.items)) for rater in sorted({r.rater for r in ratings})
        ],
        "histogram": {system: _histogram(rated, key, system) for system in key.systems},
    }


def complete_items(campaign: Campaign, ratings: Sequence[Rating]) -> List[CompleteItem]:
    """Returns the completely rated items of each rater.

    Args:
        campaign: campaign of the ratings.
        ratings: all ratings, in the order of the log; of several ratings of an output, the last one counts.
    """
    last = latest(ratings)
    missing: Dict[Tuple[str, str], set] = {}
    sizes = {item.id: len(item.outputs) for item in campaign.items}
    complete = []
    for rating in ratings:
        place = (rating.rater, rating.item)
        unrated_outputs = missing.setdefault(place, set(range(sizes[rating.item])))
        if rating.output in unrated_outputs:
            unrated_outputs.remove(rating.output)
            if not unrated_outputs:
                scores = [last[*place, output].score for output in range(sizes[rating.item])]
                complete.append(CompleteItem(*place, scores, rating.milliseconds / 1000))
    return complete


def _scores_of(entry: CompleteItem, key: Key, system: str) -> List[int]:
    """Returns the scores of a system in an item; an empty list if the item does not show the system.

    Args:
        entry: scores of one rater for one item.
        key: key of the campaign.
        system: name of the system.
    """
    return [score for score, systems in zip(entry.scores, key.items[entry.item].systems) if system in systems]


def _item_means(rated: Sequence[CompleteItem], key: Key, system: str) -> Dict[str, float]:
    """Returns the mean score of a system over raters, for each item.

    Args:
        rated: complete items, without repetitions and controls.
        key: key of the campaign.
        system: name of the system.
    """
    scores: Dict[str, List[int]] = defaultdict(list)
    for entry in rated:
        scores[entry.item] += _scores_of(entry, key, system)
    return {item: fmean(values) for item, values in scores.items()}


def _mean_row(system: str, means: Sequence[float]) -> Dict[str, Any]:
    mean, low, high = mean_with_interval(means) if means else (None, None, None)
    return {"system": system, "mean": mean, "low": low, "high": high, "items": len(means)}


def _difference_row(
    baseline: str, system: str, of_baseline: Dict[str, float], of_system: Dict[str, float]
) -> Dict[str, Any]:
    """Returns the difference between a system and the baseline over the same items; wins are wins of the system.

    Args:
        baseline: name of the baseline.
        system: name of the system.
        of_baseline: mean score of the baseline by item.
        of_system: mean score of the system by item.
    """
    differences = [of_system[item] - of_baseline[item] for item in of_baseline]
    wins, losses = sum(value > 0 for value in differences), sum(value < 0 for value in differences)
    mean, low, high = mean_with_interval(differences) if differences else (None, None, None)
    return {
        "system": system,
        "baseline": baseline,
        "mean": mean,
        "low": low,
        "high": high,
        "wins": wins,
        "ties": len(differences) - wins - losses,
        "losses": losses,
        "sign_test": sign_test(wins, losses) if differences else None,
    }


def _units(rated: Sequence[CompleteItem]) -> List[List[int]]:
    """Returns the scores by all raters for each output."""
    units: Dict[Tuple[str, int], List[int]] = defaultdict(list)
    for entry in rated:
        for output, score in enumerate(entry.scores):
            units[entry.item, output].append(score)
    return list(units.values())


def _rater_row(rater: str, complete: Sequence[CompleteItem], key: Key, items: int) -> Dict[str, Any]:
    entries = {entry.item: entry for entry in complete if entry.rater == rater}
    kinds = {
        kind: [entry for entry in entries.values() if key.items[entry.item].kind == kind] for kind in (RATED, CONTROL)
    }
    scores = [score for entry in kinds[RATED] for score in entry.scores]
    differences = _repeated_differences(entries, key)
    return {
        "rater": rater,
        "complete": len(entries),
        "items": items,
        "mean": fmean(scores) if scores else None,
        "standard_deviation": pstdev(scores) if scores else None,
        "median_seconds": median(entry.seconds for entry in entries.values()) if entries else None,
        "controls": len(kinds[CONTROL]),
        "failed_controls": sum(_failed(entry, key) for entry in kinds[CONTROL]),
        "repeated_outputs": len(differences),
        "repeated_equal": _share(differences, 0),
        "repeated_within_1": _share(differences, 1),
    }


def _failed(control: CompleteItem, key: Key) -> bool:
    """Returns True if the score of the damaged reference is not lower than the score of the reference.

    Args:
        control: complete control of one rater.
        key: key of the campaign.
    """
    (reference,) = _scores_of(control, key, CONTROL_REFERENCE)
    (harmed,) = _scores_of(control, key, CONTROL_DAMAGED)
    return harmed >= reference


def _repeated_differences(entries: Dict[str, CompleteItem], key: Key) -> List[int]:
    """Returns the absolute difference between the two scores of each output that a rater has scored twice.

    Args:
        entries: complete items of the rater, by item.
        key: key of the campaign.
    """
    differences = []
    for name, entry in entries.items():
        origin = key.items[name]
        if origin.kind == REPEAT and origin.repeats in entries:
            differences += [abs(a - b) for a, b in zip(entry.scores, entries[origin.repeats].scores)]
    return differences


def _share(differences: Sequence[int], maximum: int) -> Optional[float]:
    return sum(value <= maximum for value in differences) / len(differences) if differences else None


def _histogram(rated: Sequence[CompleteItem], key: Key, system: str) -> List[int]:
    """Returns the number of times that a system has each score.

    Args:
        rated: complete items, without repetitions and controls.
        key: key of the campaign.
        system: name of the system.
    """
    given = [score for entry in rated for score in _scores_of(entry, key, system)]
    return [given.count(score) for score in SCORES]
