"""A rating campaign and the files of its folder.

DIR/campaign.json   sentences and outputs, without the names of the systems
DIR/raters.json     name and secret token of each rater
DIR/key.json        the systems that produced each output; the server never opens it
DIR/ratings.jsonl   the ratings, a line for each
"""

import json
from pathlib import Path
from typing import Any, Callable, Dict, List, NamedTuple, Optional, TypeVar

from gnmt.errors import UserError
from gnmt.files import json_objects

CAMPAIGN, RATERS, KEY, RATINGS = "campaign.json", "raters.json", "key.json", "ratings.jsonl"
RATED, REPEAT, CONTROL = "rated", "repeat", "control"  # kinds of items
KINDS = (RATED, REPEAT, CONTROL)
CONTROL_REFERENCE, CONTROL_DAMAGED = "reference", "reference with words dropped"  # outputs of a control
MIN_TOKEN_LENGTH = 16  # characters

Parsed = TypeVar("Parsed")


class Item(NamedTuple):
    """A sentence with the distinct outputs of the systems."""

    id: str  # independent of the kind of the item
    source: str
    outputs: List[str]
    repeats: Optional[str]  # id of the item that is repeated; never sent to raters


class Campaign(NamedTuple):
    """Items and languages of a campaign: all its data on the server."""

    seed: int
    source_language: str  # language tags, may be empty
    target_language: str
    items: List[Item]


class ItemKey(NamedTuple):
    """Origin of an item."""

    kind: str  # one of KINDS
    line: int  # of the source file, from 1
    repeats: Optional[str]
    systems: List[List[str]]  # for each output: systems that produced it; for controls also CONTROL_* values


class Key(NamedTuple):
    """Origins of all outputs."""

    systems: List[str]
    items: Dict[str, ItemKey]


class Rater(NamedTuple):
    """A person who rates."""

    name: str
    token: str


def read_campaign(folder: Path) -> Campaign:
    """Reads the sentences and outputs. Raises UserError if the folder is not a campaign."""
    return _read(folder / CAMPAIGN, _campaign)


def read_raters(folder: Path) -> List[Rater]:
    """Reads the names and tokens of raters. Raises UserError if the folder is not a campaign or a token is too short."""
    return _read(folder / RATERS, _raters)


def read_key(folder: Path, campaign: Campaign) -> Key:
    """Reads the origins of outputs. Raises UserError if the folder is not a campaign, or has another campaign's key."""
    if (folder / CAMPAIGN).is_file() and not (folder / KEY).exists():
        raise UserError(f"{folder / KEY} is missing, which names the systems: put the file back into the folder.")
    key = _read(folder / KEY, _key)
    sizes = {item.id: len(item.outputs) for item in campaign.items}
    if sizes != {name: len(item.systems) for name, item in key.items.items()}:
        raise UserError(
            f"{folder / KEY} is not the key of {CAMPAIGN} in its folder: put the files of one campaign together."
        )
    return key


def write_campaign(folder: Path, campaign: Campaign, key: Key, raters: List[Rater]) -> None:
    """Writes the files of a new campaign. Only their owner can read the key and the tokens.

    Args:
        folder: empty folder.
        campaign: sentences and outputs.
        key: origins of the outputs.
        raters: names and tokens.
    """
    items = {name: item._asdict() for name, item in key.items.items()}
    _write(folder / CAMPAIGN, {**campaign._asdict(), "items": [item._asdict() for item in campaign.items]}, 0o644)
    _write(folder / KEY, {"systems": key.systems, "items": items}, 0o600)
    _write(folder / RATERS, [rater._asdict() for rater in raters], 0o600)


def _campaign(content: Any) -> Campaign:
    items = [
        Item(str(entry["id"]), str(entry["source"]), [str(text) for text in entry["outputs"]], entry["repeats"])
        for entry in content["items"]
    ]
    names = {item.id for item in items}
    if len(names) < len(items):
        raise ValueError("two items share an id")
    if any(not item.outputs for item in items):
        raise ValueError("an item has no output")
    if any(item.repeats is not None and item.repeats not in names - {item.id} for item in items):
        raise ValueError("an item does not repeat another item")
    return Campaign(int(content["seed"]), str(content["source_language"]), str(content["target_language"]), items)


def _raters(content: Any) -> List[Rater]:
    raters = [Rater(str(entry["name"]), str(entry["token"])) for entry in content]
    if len({rater.name for rater in raters}) < len(raters) or len({rater.token for rater in raters}) < len(raters):
        raise ValueError("two raters share a name or a token")
    if any(len(rater.token) < MIN_TOKEN_LENGTH for rater in raters):
        raise ValueError(f"a token has fewer than {MIN_TOKEN_LENGTH} characters")
    return raters


def _key(content: Any) -> Key:
    items = {str(name): ItemKey(**item) for name, item in content["items"].items()}
    if any(item.kind not in KINDS for item in items.values()):
        raise ValueError("an item has an unknown kind")
    origins = [origin for item in items.values() for origin in item.systems]
    if not all(isinstance(origin, list) and all(isinstance(name, str) for name in origin) for origin in origins):
        raise ValueError("the systems of an output are not a list of names")
    return Key([str(name) for name in content["systems"]], items)


def _read(path: Path, parse: Callable[[Any], Parsed]) -> Parsed:
    try:
        return parse(json_objects.parse(path.read_text(encoding="utf-8")))
    except OSError as error:
        raise UserError(
            f"{path} cannot be read ({error.strerror}): give a folder that `gnmt rate prepare` made."
        ) from error
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise UserError(f"{path} is not a file of `gnmt rate prepare` ({error}): prepare a new folder.") from error


def _write(path: Path, content: Any, mode: int) -> None:
    path.touch(mode=mode)
    path.write_text(json.dumps(content, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
