"""fairseq-interactive with an answer for every line, in order, as soon as its buffer is complete.

fairseq's own command stops at a line that is not UTF-8 or is too long. It splits lines at a single carriage return, and
does not flush its output. It ignores or fails with --truncate-source, --results-path, --quiet, --prefix-size and
--print-alignment soft. For other input the output of this module is equal byte by byte.
"""

import ast
import logging
import sys
import time
from argparse import Namespace
from contextlib import contextmanager
from itertools import islice
from typing import Any, BinaryIO, Iterator

import numpy as np
from fairseq import checkpoint_utils, tasks, utils
from fairseq.dataclass.utils import convert_namespace_to_omegaconf

from fairseq_gnmt.data.source_length import longest_source
from fairseq_gnmt.patches.answers import Session, answers, print_answer, uses_cuda, warn
from fairseq_gnmt.patches.commands import loaded_modules
from fairseq_gnmt.patches.results import results
from gnmt.errors import UserError
from gnmt.files.lines import read_stream

logger = logging.getLogger("fairseq_cli.interactive")


def answer_every_line() -> None:
    """Replaces the `main` function of fairseq-interactive."""
    for module in loaded_modules("interactive"):
        module.main = main  # type: ignore[attr-defined]


def main(cfg: Any) -> None:
    """Translates the lines of --input; `cfg` is fairseq's configuration."""
    cfg = convert_namespace_to_omegaconf(cfg) if isinstance(cfg, Namespace) else cfg
    start = time.time()
    utils.import_user_module(cfg.common)
    complete_options(cfg)
    check_options(cfg)
    with open_input(cfg.interactive.input) as lines, results(cfg.common_eval.results_path, "interactive") as output:
        logger.info(cfg)
        session = start_session(cfg)
        if cfg.interactive.buffer_size > 1:
            logger.info(f"Sentence buffer size: {cfg.interactive.buffer_size}")
        logger.info("NOTE: hypothesis and token scores are output in base 2")
        logger.info("Type the input sentence and press return:")
        first_line, seconds = 0, 0.0
        while buffer := list(islice(lines, cfg.interactive.buffer_size)):
            for index, answer in enumerate(answers(buffer, first_line, session, cfg), start=first_line):
                print_answer(index, answer, session, cfg, output)
                seconds += answer.seconds
            output.flush()
            first_line += len(buffer)
    logger.info(f"Total time: {time.time() - start:.3f} seconds; translation time: {seconds:.3f}")


def complete_options(cfg: Any) -> None:
    """Sets fairseq's default: one line at a time."""
    cfg.interactive.buffer_size = max(cfg.interactive.buffer_size, 1)
    if cfg.dataset.max_tokens is None and cfg.dataset.batch_size is None:
        cfg.dataset.batch_size = 1


def check_options(cfg: Any) -> None:
    """Checks the options of fairseq-interactive before the model is loaded.

    Raises:
        UserError: for an option without use in fairseq-interactive.
    """
    if cfg.generation.sampling and cfg.generation.nbest != cfg.generation.beam:
        raise UserError("--sampling requires --nbest to be equal to --beam")
    if cfg.dataset.batch_size and cfg.dataset.batch_size > cfg.interactive.buffer_size:
        raise UserError("--batch-size cannot be larger than --buffer-size")


@contextmanager
def open_input(name: str) -> Iterator[Iterator[str]]:
    """Opens a text file, or stdin for "-".

    Raises:
        UserError: if it cannot be read.
    """
    if name == "-":
        if sys.stdin is None:
            raise UserError("There is no standard input: name a file with --input.")
        yield read_stream(sys.stdin.buffer, warn)
        return
    try:
        file: BinaryIO = open(name, "rb")
    except OSError as error:
        raise UserError(f"{name}: {error.strerror}: --input must name a text file.") from error
    with file:
        yield read_stream(file, warn)


def start_session(cfg: Any) -> Session:
    """Loads the models as fairseq-interactive does."""
    if cfg.common.seed is not None and not cfg.generation.no_seed_provided:
        np.random.seed(cfg.common.seed)
        utils.set_torch_seed(cfg.common.seed)
    task = tasks.setup_task(cfg.task)
    logger.info(f"loading model(s) from {cfg.common_eval.path}")
    models, _ = checkpoint_utils.load_model_ensemble(
        utils.split_paths(cfg.common_eval.path),
        arg_overrides=ast.literal_eval(cfg.common_eval.model_overrides),
        task=task,
        suffix=cfg.checkpoint.checkpoint_suffix,
        strict=(cfg.checkpoint.checkpoint_shard_count == 1),
        num_shards=cfg.checkpoint.checkpoint_shard_count,
    )
    for model in models:
        if cfg.common.fp16:
            model.half()
        if uses_cuda(cfg) and not cfg.distributed_training.pipeline_model_parallel:
            model.cuda()
        model.prepare_for_inference_(cfg)
    generator = task.build_generator(models, cfg.generation)
    positions = utils.resolve_max_positions(task.max_positions(), *[model.max_positions() for model in models])
    if cfg.generation.constraints:
        logger.warning("NOTE: Constrained decoding currently assumes a shared subword vocabulary.")
    source_bos = int(getattr(task.cfg, "nvidia_conventions", False))
    return Session(
        task,
        models,
        generator,
        task.build_tokenizer(cfg.tokenizer),
        task.build_bpe(cfg.bpe),
        utils.load_align_dict(cfg.generation.replace_unk),
        longest_source(positions, cfg.dataset.max_tokens, source_bos),
    )
