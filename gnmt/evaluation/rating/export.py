"""Ratings as CSV, and campaigns in the format of the rating tool Pearmut."""

import csv
import io
import json
from typing import Any, Dict, List, Sequence

from gnmt.evaluation.rating.campaign import CONTROL, Campaign, Item, ItemKey, Key, Rater
from gnmt.evaluation.rating.order import item_order
from gnmt.evaluation.rating.scale import MAX_SCORE, MEANINGS, MIN_SCORE
from gnmt.evaluation.rating.storage import Rating, latest

COLUMNS = ("rater", "item", "kind", "line", "system", "position", "score", "milliseconds", "time")


def as_csv(campaign: Campaign, key: Key, raters: Sequence[Rater], ratings: Sequence[Rating]) -> str:
    """Returns CSV with one row for each pair of rating and system; several systems can share one rated output.

    Args:
        campaign: campaign of the ratings.
        key: key of the campaign.
        raters: raters of the campaign.
        ratings: all ratings; of several ratings of one output by one rater, the last one counts.
    """
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow(COLUMNS)
    for rating in latest(ratings).values():
        origin = key.items[rating.item]
        for system in origin.systems[rating.output]:
            place = (rating.rater, rating.item, origin.kind, origin.line, system)
            writer.writerow([*place, rating.position, rating.score, rating.milliseconds, rating.time])
    return file.getvalue()


def as_pearmut(campaign: Campaign, key: Key, raters: Sequence[Rater], ratings: Sequence[Rating]) -> str:
    """Returns the campaign as JSON for `pearmut add`: a task for each rater with a slider from 0 to 6.

    Pearmut shuffles the systems of each item. It hides their names from raters, but sends them to the browser.

    Args:
        campaign: campaign to export.
        key: key of the campaign.
        raters: raters of the campaign.
        ratings: unused, because a new Pearmut campaign has no ratings.
    """
    instructions = "<br>".join(f"{score}: {meaning}" for score, meaning in MEANINGS.items() if meaning)
    info = {
        "assignment": "task-based",
        "protocol": "DA",
        "seed": campaign.seed,
        "shuffle": True,
        "sliders": [{"name": "Quality", "min": MIN_SCORE, "max": MAX_SCORE, "step": 1}],
        "instructions": f"Rate the quality of each translation.<br>{instructions}",
        "users": [rater.name for rater in raters],
    }
    data = [
        [[_pearmut_item(item, key.items[item.id])] for item in item_order(campaign, rater.name)] for rater in raters
    ]
    content: Dict[str, Any] = {"info": info, "campaign_id": f"gnmt_{campaign.seed}", "data": data}
    return json.dumps(content, ensure_ascii=False, indent=1) + "\n"


def _pearmut_item(item: Item, origin: ItemKey) -> Dict[str, Any]:
    """Returns an item; names of a control's outputs start with "control: ", so that they count for no system.

    Args:
        item: item with the outputs.
        origin: systems of the outputs.
    """
    prefix = "control: " if origin.kind == CONTROL else ""
    names: List[List[str]] = origin.systems
    outputs = {f"{prefix}{name}": text for text, systems in zip(item.outputs, names) for name in systems}
    return {"src": item.source, "tgt": outputs, "item_id": item.id}
