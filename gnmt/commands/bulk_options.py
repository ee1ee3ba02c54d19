"""Options of `gnmt bulk translate`: the job, which is the same on every machine, and the resources of this one."""

import argparse
import os
from pathlib import Path
from typing import Optional

from gnmt.bulk import job as jobs
from gnmt.bulk.job import COLUMNS, Job
from gnmt.bulk.resources import Resources, default_workers
from gnmt.commands.declared_options import add_options, given_options
from gnmt.commands.model_options import add_model_options
from gnmt.errors import UserError
from gnmt.machine import available_cores
from gnmt.ranges import Range
from gnmt.search.options import SamplingOptions
from gnmt.translation.options import TranslationOptions

FORMATS = tuple(COLUMNS)
OPTIONS = ("beam", "nbest", "length_norm_factor", "coverage_penalty", "no_repeat_ngram_size", "replace_unk",
           "split_sentences", "batch_size", "max_length")  # fmt: skip
SAMPLING = ("seed", "temperature", "top_k", "top_p")


def add_translation(parser: argparse.ArgumentParser) -> None:
    """Declares the options of a bulk translation."""
    add = parser.add_argument
    add("model", type=Path, metavar="MODEL", help="model folder")
    add("--input", type=Path, required=True, metavar="FILE", help="input file, plain, .gz, .xz or .zst; -: stdin")
    add("--output", type=Path, required=True, metavar="FOLDER", help="folder of the shards; -: stdout, without files")
    add("--format", choices=FORMATS, help="format of the input (default: by its suffix, otherwise text)")
    add(
        "--output-format",
        choices=FORMATS,
        help="format of the output; --nbest needs jsonl or parquet (default: format of the input)",
    )
    add(
        "--column",
        metavar="C",
        help="text column: number in TSV (default: 1), key in JSON lines or name in Parquet (default: text)",
    )
    add(
        "--lines-per-shard",
        type=int,
        metavar="N",
        help="maximum number of lines of a shard (default: 20000, or fewer, so that each process gets 4 shards)",
    )
    add("--score", action="store_true", help="add the score to TSV, JSON lines or Parquet")
    add(
        "--tag",
        default="",
        metavar="WORD",
        help="prefix of each translation, such as '<BT>' for back-translation (default: none)",
    )
    engine = parser.add_argument_group("engine").add_argument
    engine(
        "--engine",
        choices=("local", "ray", "print"),
        default="local",
        help="run shards in local processes, on Ray, or print their commands",
    )
    engine(
        "--workers",
        type=int,
        metavar="N",
        help="number of processes (default: one per core, if memory allows; on GPUs and Ray one per device)",
    )
    engine(
        "--threads",
        type=int,
        metavar="N",
        help="number of threads per process (default: OMP_NUM_THREADS, or its share of the cores)",
    )
    engine(
        "--device",
        nargs="+",
        default=["cpu"],
        metavar="D",
        help="torch devices, assigned to processes in turn (default: cpu)",
    )
    engine("--address", metavar="A", help="address of a Ray cluster, such as auto (default: this machine)")
    search = parser.add_argument_group("search")
    add_model_options(search, "ensemble", "precision")
    add_options(search, TranslationOptions, OPTIONS)
    drawn = parser.add_argument_group("sampling, for back-translation")
    drawn.add_argument("--sampling", action="store_true", help="sample random translations instead of beam search")
    add_options(drawn, SamplingOptions, SAMPLING)


def job_of(arguments: argparse.Namespace) -> Job:
    """Returns the models and options of the translation.

    Raises:
        UserError: if an option is out of range, needs another option, or cannot be combined with it.
    """
    input_format = arguments.format or jobs.format_of(arguments.input)
    column = COLUMNS[input_format] if arguments.column is None else arguments.column
    if arguments.column is not None and input_format == "text":
        raise UserError("--column is for TSV, JSON lines and Parquet: name the format with --format.")
    drawn = given_options(arguments, SAMPLING)
    if drawn and not arguments.sampling:
        raise UserError(f"--{next(iter(drawn)).replace('_', '-')} is for sampling: add --sampling.")
    models = [arguments.model, *arguments.ensemble]
    options = TranslationOptions(
        sampling=SamplingOptions(**drawn) if arguments.sampling else None,
        **given_options(arguments, OPTIONS),
    )
    job = Job(
        models=jobs.absolute(models),
        fingerprints=tuple(map(jobs.fingerprint, models)),
        input_format=input_format,
        output_format=arguments.output_format or input_format,
        column=column,
        lines_per_shard=arguments.lines_per_shard,
        precision=arguments.precision,
        options=options,
        score=arguments.score,
        tag=arguments.tag,
    )
    jobs.check_search(job)
    return job


def resources_of(arguments: argparse.Namespace) -> Resources:
    """Returns the processes, threads and devices of the translation.

    Raises:
        UserError: if a number is out of range.
    """
    if arguments.address is not None and arguments.engine != "ray":
        raise UserError("--address is for Ray: add --engine ray.")
    threads = threads_of(arguments)
    if arguments.workers is not None:
        workers = arguments.workers
        Range(1, 1024).check("workers", workers)
    elif arguments.engine == "local" and arguments.device == ["cpu"]:
        workers = default_workers([arguments.model, *arguments.ensemble], threads or 1)
    else:
        workers = len(arguments.device)
    return Resources(workers, threads or max(1, available_cores() // workers), arguments.device)


def threads_of(arguments: argparse.Namespace) -> Optional[int]:
    """Returns the number of threads per process in the options or in OMP_NUM_THREADS, or None.

    Raises:
        UserError: if the option is out of range.
    """
    if arguments.threads is not None:
        Range(1, 1024).check("threads", arguments.threads)
        return arguments.threads
    outermost = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0].strip()  # a list is for nested parallelism
    return int(outermost) if outermost.isdecimal() and int(outermost) else None
