"""Translates large files in shards, by several processes or machines; can be interrupted and resumed at any time.

    gnmt bulk MODEL --input news.en.zst --output OUT --workers 2
    gnmt bulk status OUT
    gnmt bulk merge OUT --to news.de.zst

The same command resumes an interrupted run and skips completed shards. The output has exactly one line for each line of
the input, in order. `gnmt bulk MODEL` is short for `gnmt bulk translate MODEL`, whose --help lists the options.
"""

import argparse
import json
import os
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import Dict

from gnmt.bulk import job as jobs
from gnmt.bulk import results
from gnmt.bulk.engines import commands, local, ray_data
from gnmt.bulk.engines.local import Resources
from gnmt.bulk.job import COLUMNS, Job
from gnmt.bulk.manifest import BulkFolder, plan, read_manifest
from gnmt.bulk.progress import Counter
from gnmt.commands.command_line import HelpFormatter
from gnmt.commands.declared_options import add_options, given_options
from gnmt.commands.model_options import add_model_options
from gnmt.errors import UserError
from gnmt.files.locks import locked
from gnmt.files.process_pool import available_cores
from gnmt.ranges import Range
from gnmt.search.options import SamplingOptions
from gnmt.translation.options import TranslationOptions

DEFAULT_ACTION = "translate"
ACTIONS = (DEFAULT_ACTION, "shard", "status", "verify", "merge")
STANDARD_OUTPUT = Path("-")
FORMATS = tuple(COLUMNS)
OPTIONS = ("beam", "nbest", "length_norm_factor", "coverage_penalty", "no_repeat_ngram_size", "replace_unk",
           "split_sentences", "batch_size", "max_length")  # fmt: skip
SAMPLING = ("seed", "temperature", "top_k", "top_p")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the actions and their options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

    def action(name: str, purpose: str) -> argparse.ArgumentParser:
        return actions.add_parser(name, help=purpose, description=purpose, formatter_class=HelpFormatter)

    _add_translate(action("translate", "translate a file, or continue to"))
    shard = action("shard", "translate single shards of a folder, for --engine print")
    shard.add_argument("folder", type=Path, metavar="FOLDER")
    shard.add_argument("numbers", type=int, nargs="+", metavar="N", help="indices of shards, from 0")
    add_model_options(shard, "threads", "device")
    status = action("status", "show the progress")
    status.add_argument("folder", type=Path, metavar="FOLDER")
    status.add_argument("--json", action="store_true", help="print one JSON object")
    verify = action("verify", "compare all files with their checksums")
    verify.add_argument("folder", type=Path, metavar="FOLDER")
    verify.add_argument(
        "--repair", action="store_true", help="delete damaged outputs, so that the next run translates them again"
    )
    merge = action("merge", "join the outputs of all shards")
    merge.add_argument("folder", type=Path, metavar="FOLDER")
    merge.add_argument(
        "--to",
        type=Path,
        metavar="FILE",
        help="output file, compressed for the suffixes .gz, .xz and .zst (default: stdout)",
    )
    merge.add_argument("--overwrite", action="store_true", help="replace an existing file")


def _add_translate(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    job = Job((), ())
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
        default=job.lines_per_shard,
        metavar="N",
        help="maximum number of lines of a shard",
    )
    add("--score", action="store_true", help="add the score to TSV, JSON lines or Parquet")
    add("--tag", default="", metavar="WORD", help="prefix of each translation, such as '<BT>' for back-translation")
    engine = parser.add_argument_group("engine").add_argument
    engine(
        "--engine",
        choices=("local", "ray", "print"),
        default="local",
        help="run shards in local processes, on Ray, or print their commands",
    )
    engine("--workers", type=int, metavar="N", help="number of processes (default: one per device)")
    engine("--threads", type=int, metavar="N", help="number of threads per process (default: its share of the cores)")
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


def run(arguments: argparse.Namespace) -> None:
    """Runs the command."""
    {"translate": _translate, "shard": _shard, "status": _status, "verify": _verify, "merge": _merge}[arguments.action](
        arguments
    )


# -- translate


def _translate(arguments: argparse.Namespace) -> None:
    job = _job_of(arguments)
    resources = _resources_of(arguments)
    if arguments.output != STANDARD_OUTPUT:
        _translate_into(BulkFolder(arguments.output), job, resources, arguments)
        return
    if arguments.engine == "print":
        raise UserError("--engine print needs a folder as --output: its commands write there.")
    with tempfile.TemporaryDirectory(prefix="gnmt-bulk-") as made:
        folder = BulkFolder(Path(made))
        _translate_into(folder, job, resources, arguments)
        results.merge(folder, read_manifest(folder), sys.stdout.buffer)


def _translate_into(folder: BulkFolder, job: Job, resources: Resources, arguments: argparse.Namespace) -> None:
    folder.path.mkdir(parents=True, exist_ok=True)
    with locked(folder.path):
        manifest = plan(folder, job, arguments.input)
        todo = results.todo(folder, manifest)
        if arguments.engine == "print":
            for command in commands.commands(folder, todo, resources.threads, resources.devices[0]):
                print(command)
            return
        done = manifest.lines - sum(manifest.shards[number].lines for number in todo)
        with Counter(manifest.lines, done) as counter:
            if not todo:
                failures: Dict[int, str] = {}
            elif arguments.engine == "ray":
                failures = ray_data.run(folder, manifest, todo, resources, counter, arguments.address)
            else:
                failures = local.run(folder, manifest, todo, resources, counter)
        missing = results.todo(folder, manifest)
    if missing:
        number = next((one for one in missing if one in failures), missing[0])
        raise UserError(
            f"{len(missing)} of {len(manifest.shards)} shards are not done; shard {number}: "
            f"{failures.get(number, 'it was not begun')}. Run the same command again to continue."
        )
    problems = results.state_of(folder, manifest).problems
    if problems:
        print(
            f"warning: {problems} lines could not be translated as they are: see {folder.path / 'problems'}.",
            file=sys.stderr,
        )


def _job_of(arguments: argparse.Namespace) -> Job:
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


def _resources_of(arguments: argparse.Namespace) -> Resources:
    if arguments.address is not None and arguments.engine != "ray":
        raise UserError("--address is for Ray: add --engine ray.")
    workers = len(arguments.device) if arguments.workers is None else arguments.workers
    Range(1, 1024).check("workers", workers)
    threads = max(1, available_cores() // workers) if arguments.threads is None else arguments.threads
    Range(1, 1024).check("threads", threads)
    return Resources(workers, threads, arguments.device)


# -- other actions


def _shard(arguments: argparse.Namespace) -> None:
    from gnmt.bulk.shard import ShardTranslator

    folder = BulkFolder(arguments.folder)
    manifest = read_manifest(folder)
    translator = ShardTranslator(folder, manifest, arguments.device, arguments.threads)
    for number in arguments.numbers:
        done = translator.translate(number, lambda lines: None)
        print(f"shard {number}: {done.lines} lines, {done.problems} problems, {done.seconds:.1f} s", file=sys.stderr)


def _status(arguments: argparse.Namespace) -> None:
    folder = BulkFolder(arguments.folder)
    state = results.state_of(folder, read_manifest(folder))
    if arguments.json:
        speed = {"lines_per_second": round(state.lines_per_second, 2), "hours_left": round(state.hours_left, 3)}
        print(json.dumps({**state._asdict(), **speed}))
        return
    share = 100 * state.lines_done / state.lines if state.lines else 100.0
    print(
        f"{state.shards_done} of {state.shards} shards are done: {state.lines_done} of {state.lines} lines ({share:.1f} %)"
    )
    print(f"{state.duplicates} lines are duplicates, {state.problems} have problems")
    if state.seconds:
        print(f"one process translates {state.lines_per_second:.1f} lines/s and has {state.hours_left:.2f} h left")


def _verify(arguments: argparse.Namespace) -> None:
    folder = BulkFolder(arguments.folder)
    manifest = read_manifest(folder)
    forget = os.unlink if arguments.repair else (lambda path: None)
    with locked(folder.path) if arguments.repair else nullcontext():
        defects = results.verify(folder, manifest, forget)
    for defect in defects:
        print(defect)
    state = results.state_of(folder, manifest)
    if defects:
        raise UserError(f"{len(defects)} files of {folder.path} are damaged or missing.")
    print(f"{state.shards_done} of {state.shards} shards are done, and all their files are whole")


def _merge(arguments: argparse.Namespace) -> None:
    folder = BulkFolder(arguments.folder)
    manifest = read_manifest(folder)
    if arguments.to is None or arguments.to == STANDARD_OUTPUT:
        results.merge(folder, manifest, sys.stdout.buffer)
    else:
        results.merge_to(folder, manifest, arguments.to, arguments.overwrite)
