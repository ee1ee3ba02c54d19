"""Models and options of a bulk translation: everything that decides its output, apart from the input.

They are written into the manifest. A folder is only ever continued with the job that it was begun with, because its
shards would otherwise be translated in different ways.
"""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Dict, Optional, Sequence, Tuple

from gnmt.errors import UserError
from gnmt.files.checksums import SUMS, sha256
from gnmt.ranges import Range, check_ranges

LINE_FORMATS = ("text", "tsv", "jsonl")
SUFFIXES = {".tsv": "tsv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet"}
COLUMNS = {"text": "", "tsv": "1", "jsonl": "text", "parquet": "text"}  # that are translated unless one is named
PACKED = (".gz", ".xz", ".zst")


def _number(default: Any, accepted: Range) -> Any:
    return field(default=default, metadata={"range": accepted})


@dataclass(frozen=True)
class Sampling:
    """Random sampling in place of beam search; see `gnmt.search.options.SamplingOptions`.

    Raises:
        UserError: a number is out of range.
    """

    temperature: float = _number(1.0, Range(0, 1e6, above=True))
    top_k: int = _number(0, Range(0, 10_000_000))
    top_p: float = _number(1.0, Range(0, 1, above=True))
    seed: int = _number(1, Range(0, 2**61))  # line n of the input, from 0, draws with seed + n

    def __post_init__(self) -> None:
        check_ranges(Sampling, self)


@dataclass(frozen=True)
class Job:
    """Models and options of a bulk translation.

    Raises:
        UserError: an option is out of range, needs another one, or excludes it.
    """

    models: Tuple[str, ...]  # absolute paths of model folders
    fingerprints: Tuple[str, ...]  # of the models
    input_format: str = "text"
    output_format: str = "text"
    column: str = ""  # number in TSV from 1, key in JSON lines, name in Parquet
    lines_per_shard: int = _number(20_000, Range(1))
    precision: Optional[str] = None
    beam: Optional[int] = _number(None, Range(1, 10_000))
    nbest: int = _number(1, Range(1, 10_000))
    length_norm_factor: Optional[float] = _number(None, Range(0, 100, off=True))
    coverage_penalty: Optional[float] = _number(None, Range(0, 1e6, off=True))
    no_repeat_ngram_size: int = _number(0, Range(0, 10_000_000, off=True))
    replace_unk: bool = False
    split_sentences: bool = False
    batch_size: int = _number(64, Range(1))
    max_length: int = _number(1024, Range(1))
    sampling: Optional[Sampling] = None
    score: bool = False
    tag: str = ""

    def __post_init__(self) -> None:
        check_ranges(Job, self)
        if self.output_format == "parquet" != self.input_format:
            raise UserError(
                f"Parquet is written for Parquet only: choose another --output-format for {self.input_format}."
            )
        if self.input_format == "tsv" and not (self.column.isdecimal() and int(self.column) > 0):
            raise UserError(f"--column is {self.column!r}, but must be the number of a column of the TSV file, from 1.")
        if self.score and self.output_format == "text":
            raise UserError("--score has no place in text: choose --output-format tsv or jsonl.")
        if self.nbest > 1 and self.output_format in ("text", "tsv"):
            raise UserError(f"--nbest {self.nbest} has no place in {self.output_format}: choose --output-format jsonl.")
        if self.nbest > 1 and self.split_sentences:
            raise UserError("--nbest goes without --split-sentences: an n-best list belongs to one sentence.")
        if set(self.tag) & set("\n\r\t"):
            raise UserError("--tag has a tab or a line break: give a word, such as '<BT>'.")


def format_of(path: Path) -> str:
    """Returns the format by the suffix of a file name, without that of its packing: text unless it is a known one."""
    name = path.with_suffix("") if path.suffix in PACKED else path
    return SUFFIXES.get(name.suffix, "text")


def fingerprint(model: Path) -> str:
    """Returns the checksum of the checksums of a model folder.

    Raises:
        UserError: it is not a model folder.
    """
    if not (model / SUMS).is_file():
        raise UserError(f"{model} is not a model folder of `gnmt export`: it has no {SUMS}.")
    return sha256(model / SUMS)


def check_models(job: Job) -> None:
    """Raises UserError if the models of the job are not the ones that it was begun with."""
    if tuple(fingerprint(Path(model)) for model in job.models) != job.fingerprints:
        raise UserError(
            f"{' '.join(job.models)} changed after the work was begun: restore the model or start a new folder."
        )


def check_same(begun: Job, given: Job, folder: Path) -> None:
    """Raises UserError if a folder was begun with other models or options; the paths of models may differ."""
    if begun.fingerprints != given.fingerprints:
        raise UserError(f"{folder} was begun with another model, {' '.join(begun.models)}: give it, or another folder.")
    for one in dataclasses.fields(Job):
        old, new = getattr(begun, one.name), getattr(given, one.name)
        if one.name != "models" and old != new:
            raise UserError(
                f"{folder} was begun with {_shown(one.name, old)}, and now there is {_shown(one.name, new)}: "
                f"give the same options, or another folder."
            )


def as_object(job: Job) -> Dict[str, Any]:
    """Returns a job as a JSON object."""
    return dataclasses.asdict(job)


def from_object(content: Dict[str, Any]) -> Job:
    """Returns the job of a JSON object; raises TypeError for unknown or missing names."""
    values: Dict[str, Any] = {name: tuple(one) if isinstance(one, list) else one for name, one in content.items()}
    sampling = values.pop("sampling")
    return Job(**values, sampling=Sampling(**sampling) if sampling else None)


def absolute(models: Sequence[Path]) -> Tuple[str, ...]:
    """Returns the paths of models as they are written into a manifest."""
    return tuple(str(model.resolve()) for model in models)


def _shown(name: str, value: Any) -> str:
    option = f"--{name.replace('_', '-')}"
    if value is None or value is False or value == "":
        return f"no {option}"
    if isinstance(value, Sampling):
        value = " ".join(f"--{key.replace('_', '-')} {number}" for key, number in dataclasses.asdict(value).items())
    return option if value is True else f"{option} {value}"
