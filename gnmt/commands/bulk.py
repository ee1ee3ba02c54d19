"""Translates large files in shards, by several processes or machines; can be interrupted and resumed at any time.

    gnmt bulk MODEL --input news.en.zst --output OUT
    gnmt bulk status OUT
    gnmt bulk merge OUT --to news.de.zst

The same command resumes an interrupted run and skips completed shards. The output has exactly one line for each line of
the input, in order. `gnmt bulk MODEL` is short for `gnmt bulk translate MODEL`, whose --help lists the options.
"""

import argparse
import datetime
import json
import shlex
import sys
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import Dict

from gnmt.bulk import results
from gnmt.bulk.engines import commands, local, ray_data
from gnmt.bulk.job import Job
from gnmt.bulk.manifest import BulkFolder, read_manifest
from gnmt.bulk.planning import plan
from gnmt.bulk.progress import Counter
from gnmt.bulk.resources import Resources
from gnmt.commands.bulk_options import add_translation, job_of, resources_of, threads_of
from gnmt.commands.command_line import HelpFormatter
from gnmt.commands.model_options import add_model_options
from gnmt.errors import UserError
from gnmt.files.locks import locked

DEFAULT_ACTION = "translate"
ACTIONS = (DEFAULT_ACTION, "shard", "status", "verify", "merge")
STANDARD_OUTPUT = Path("-")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the actions and their options."""
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

    def action(name: str, purpose: str) -> argparse.ArgumentParser:
        return actions.add_parser(name, help=purpose, description=purpose, formatter_class=HelpFormatter)

    add_translation(action("translate", "translate a file, or continue an interrupted translation"))
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


def run(arguments: argparse.Namespace) -> None:
    """Runs the command."""
    {"translate": _translate, "shard": _shard, "status": _status, "verify": _verify, "merge": _merge}[arguments.action](
        arguments
    )


# -- translate


def _translate(arguments: argparse.Namespace) -> None:
    job = job_of(arguments)
    resources = resources_of(arguments)
    if arguments.engine == "local":
        local.check_devices(resources.devices)
    if arguments.output != STANDARD_OUTPUT:
        _translate_to_folder(BulkFolder(arguments.output), job, resources, arguments)
        return
    if arguments.engine == "print":
        raise UserError("--engine print needs a folder as --output: its commands write there.")
    with tempfile.TemporaryDirectory(prefix="gnmt-bulk-") as path:
        folder = BulkFolder(Path(path))
        _translate_into(folder, job, resources, arguments)
        manifest = read_manifest(folder)
        _warn_of_problems(results.state_of(folder, manifest), "give a folder as --output to list them")
        results.merge(folder, manifest, sys.stdout.buffer)


def _translate_to_folder(folder: BulkFolder, job: Job, resources: Resources, arguments: argparse.Namespace) -> None:
    """Translates, and prints a summary and the next command."""
    try:
        _translate_into(folder, job, resources, arguments)
    except KeyboardInterrupt:
        if folder.manifest.is_file():
            state = results.state_of(folder, read_manifest(folder))
            print(
                f"interrupted: {state.shards_done} of {state.shards} shards are done; the same command continues.",
                file=sys.stderr,
            )
        raise
    if arguments.engine != "print":
        state = results.state_of(folder, read_manifest(folder))
        _print_state(state)
        _warn_of_problems(state, f"see {folder.path / 'problems'}")
        print(f"next: {shlex.join(['gnmt', 'bulk', 'merge', str(folder.path)])} --to FILE")


def _warn_of_problems(state: results.State, remedy: str) -> None:
    if state.problems:
        lines = "1 line has a problem" if state.problems == 1 else f"{state.problems} lines have problems"
        kinds = "no text, invalid bytes, or a truncated translation"
        print(f"warning: {lines} ({kinds}): {remedy}.", file=sys.stderr)


def _translate_into(folder: BulkFolder, job: Job, resources: Resources, arguments: argparse.Namespace) -> None:
    try:
        folder.path.mkdir(parents=True, exist_ok=True)
    except (FileExistsError, NotADirectoryError) as error:
        raise UserError(f"{folder.path} cannot be a folder ({error.strerror}): give another --output.") from error
    with locked(folder.path):
        manifest = plan(folder, job, arguments.input, resources.workers)
        todo = results.todo(folder, manifest)
        if threads_of(arguments) is None:
            resources = resources.for_shards(len(todo))
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
        number = next((shard for shard in missing if shard in failures), missing[0])
        raise UserError(
            f"{len(missing)} of {len(manifest.shards)} shards are not done; shard {number}: "
            f"{failures.get(number, 'it was not started')}. Run the same command again to continue."
        )


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
    else:
        _print_state(state)


def _print_state(state: results.State) -> None:
    share = 100 * state.lines_done / state.lines if state.lines else 100.0
    print(
        f"{state.shards_done} of {state.shards} shards are done: {state.lines_done} of {state.lines} lines ({share:.1f} %)"
    )
    print(f"{state.duplicates} lines are duplicates, {state.problems} have problems")
    if state.seconds:
        print(f"speed: {state.lines_per_second:.1f} lines/s in each process, start-up excluded")
    if state.seconds and state.lines_done < state.lines:
        time_left = datetime.timedelta(hours=state.hours_left)
        print(f"time left: {str(time_left).partition('.')[0]} with one process")


def _verify(arguments: argparse.Namespace) -> None:
    folder = BulkFolder(arguments.folder)
    manifest = read_manifest(folder)
    with locked(folder.path) if arguments.repair else nullcontext():
        damage = results.verify(folder, manifest)
        for number in damage.outputs if arguments.repair else ():
            folder.done(number).unlink()
    outputs = [
        f"{folder.output(number, manifest.job)} is damaged or missing." if arguments.repair else sentence
        for number, sentence in damage.outputs.items()
    ]
    for sentence in (*damage.inputs.values(), *outputs):
        print(sentence)
    if arguments.repair and damage.outputs:
        shards = "1 shard" if len(damage.outputs) == 1 else f"{len(damage.outputs)} shards"
        print(f"{shards} will be translated again: run gnmt bulk again")
    num_unusable = len(damage.inputs) + (0 if arguments.repair else len(damage.outputs))
    if num_unusable:
        files = "1 file" if num_unusable == 1 else f"{num_unusable} files"
        raise UserError(f"{files} of {folder.path} cannot be used, as listed above.")
    if not damage.outputs:
        state = results.state_of(folder, manifest)
        print(f"{state.shards_done} of {state.shards} shards are done, and all their files are undamaged")


def _merge(arguments: argparse.Namespace) -> None:
    folder = BulkFolder(arguments.folder)
    manifest = read_manifest(folder)
    if arguments.to is None or arguments.to == STANDARD_OUTPUT:
        results.merge(folder, manifest, sys.stdout.buffer)
    else:
        results.merge_to(folder, manifest, arguments.to, arguments.overwrite)
