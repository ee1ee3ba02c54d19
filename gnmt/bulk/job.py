"""Models and options of a bulk translation: everything except the input that affects its output.

They are stored in the manifest. A folder can be continued only with the same job, because its shards would otherwise be
translated in different ways.
"""

import dataclasses
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Dict, Optional, Sequence, Tuple

from gnmt.errors import UserError
from gnmt.files.checksums import SUMS, sha256
from gnmt.precision import PRECISIONS
from gnmt.ranges import Range, check_ranges
from gnmt.search.options import SamplingOptions, SearchOptions
from gnmt.translation.options import TranslationOptions

SUFFIXES = {".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
COLUMNS = {"text": "", "tsv": "1", "jsonl": "text", "parquet": "text"}  # default of --column for each format
COLUMN_NUMBER = re.compile("[1-9][0-9]{0,8}")
PACKED = (".gz", ".xz", ".zst")
LINES_PER_SHARD = Range(1, 100_000_000)


@dataclass(frozen=True)
class Job:
    """Models and options of a bulk translation.

    Raises:
        UserError: if an option is out of range, needs another option, or cannot be combined with it.
    """

    models: Tuple[str, ...]  # absolute paths of model folders
    fingerprints: Tuple[str, ...]  # of the models
    input_format: str = "text"
    output_format: str = "text"
    column: str = ""  # number in TSV from 1, key in JSON lines, name in Parquet
    lines_per_shard: Optional[int] = None  # maximum; None until the input is divided
    precision: Optional[str] = None
    options: TranslationOptions = TranslationOptions()
    score: bool = False
    tag: str = ""

    def __post_init__(self) -> None:
        if self.lines_per_shard is not None:
            LINES_PER_SHARD.check("lines_per_shard", self.lines_per_shard)
        check_ranges(SearchOptions, self.options)
        if self.output_format == "parquet" != self.input_format:
            raise UserError(
                f"Parquet is written for Parquet only: choose another --output-format for {self.input_format}."
            )
        if self.input_format == "tsv" and not COLUMN_NUMBER.fullmatch(self.column):
            raise UserError(f"--column is {self.column!r}, but must be the number of a column of the TSV file, from 1.")
        if self.score and self.output_format == "text":
            raise UserError("--score cannot be written as text: choose --output-format tsv or jsonl.")
        nbest = self.options.nbest
        if nbest > 1 and self.output_format in ("text", "tsv"):
            raise UserError(f"--nbest {nbest} cannot be written as {self.output_format}: choose --output-format jsonl.")
        if nbest > 1 and self.options.split_sentences:
            raise UserError("--nbest cannot be combined with --split-sentences: an n-best list is for one sentence.")
        if set(self.tag) & set("\n\r\t"):
            raise UserError("--tag has a tab or a line break: give a word, such as '<BT>'.")


def format_of(path: Path) -> str:
    """Returns the format for the suffix of a file name, "text" by default; a suffix of compression is ignored."""
    name = path.with_suffix("") if path.suffix in PACKED else path
    return SUFFIXES.get(name.suffix, "text")


def fingerprint(model: Path) -> str:
    """Returns the SHA-256 of a model folder's file of checksums.

    Raises:
        UserError: if the path is not a model folder.
    """
    if not (model / SUMS).is_file():
        inner = model / "model"
        remedy = f": did you mean {inner}?" if (inner / SUMS).is_file() else "."
        raise UserError(f"{model} is not a model folder of `gnmt export`, because it has no {SUMS}{remedy}")
    return sha256(model / SUMS)


def check_models(job: Job) -> None:
    """Checks that the models have not changed since the start of the job.

    Args:
        job: job of the manifest.

    Raises:
        UserError: if a model has changed.
    """
    if tuple(fingerprint(Path(model)) for model in job.models) != job.fingerprints:
        raise UserError(
            f"{' '.join(job.models)} has changed since the translation started: restore the model, or start a new folder."
        )


def check_search(job: Job) -> None:
    """Checks that the options fit the model, before any work is done.

    Args:
        job: models and options.

    Raises:
        UserError: if an option does not fit.
    """
    from gnmt.checkpoints.model_config import GenerationConfig, read_config  # imports torch
    from gnmt.checkpoints.model_folder import GENERATION

    job.options.search_options(read_config(Path(job.models[0]) / GENERATION, GenerationConfig))
    if job.precision not in (None, *PRECISIONS):
        raise UserError(f"--precision is {job.precision!r}, but must be one of {', '.join(PRECISIONS)}.")


def check_same(begun: Job, given: Job, folder: Path) -> None:
    """Checks that a folder is continued with the same models and options; the paths of models may differ.

    Args:
        begun: job of the manifest.
        given: job of the command line.
        folder: folder of the manifest.

    Raises:
        UserError: if the jobs differ.
    """
    if begun.fingerprints != given.fingerprints:
        raise UserError(
            f"{folder} was started with another model, {' '.join(begun.models)}: give it, or another folder."
        )
    old, new = _flat(begun), _flat(given)
    for name in {**old, **new}:
        before, now = old.get(name), new.get(name)
        if name != "models" and before != now:
            raise UserError(
                f"{folder} was started with {_shown(name, before)}, but this command has {_shown(name, now)}: "
                f"give the same options, or another folder."
            )


def from_object(content: Dict[str, Any]) -> Job:
    """Returns the job of a JSON object. Raises TypeError or KeyError for unknown or missing names."""
    options = dict(content["options"])
    if options["sampling"] is not None:
        options["sampling"] = SamplingOptions(**options["sampling"])
    values: Dict[str, Any] = {**content, "options": TranslationOptions(**options)}
    for name in ("models", "fingerprints"):
        values[name] = tuple(content[name])
    return Job(**values)


def absolute(models: Sequence[Path]) -> Tuple[str, ...]:
    """Returns the absolute paths of models, which are stored in a manifest."""
    return tuple(str(model.resolve()) for model in models)


def _flat(job: Job) -> Dict[str, Any]:
    """Returns all options by their names on the command line."""
    flat = dataclasses.asdict(job)
    flat |= flat.pop("options")
    sampling = flat.pop("sampling")
    return {**flat, "sampling": sampling is not None, **(sampling or {})}


def _shown(name: str, value: Any) -> str:
    option = f"--{name.replace('_', '-')}"
    if value is None or value is False or value == "":
        return f"no {option}"
    return option if value is True else f"{option} {value}"
