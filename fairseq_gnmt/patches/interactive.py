"""fairseq-interactive with an answer for every line, in order, as soon as its buffer is complete.

fairseq's own ends at a line that is not UTF-8 or is too long and loses the rest, cuts lines at a lone carriage return,
does not flush its answers, and ignores or fails with --truncate-source, --results-path, --quiet, --prefix-size and
--print-alignment soft. What it prints for other input is the same here, byte by byte.
"""
import ast
import logging
import math
import sys
import time
from argparse import Namespace
from contextlib import contextmanager
from itertools import islice
from typing import Any, BinaryIO, Callable, Dict, Iterable, Iterator, List, NamedTuple, Optional, TextIO, Tuple

import numpy as np
import torch
from fairseq import checkpoint_utils, tasks, utils
from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq.token_generation_constraints import pack_constraints, unpack_constraints
from torch import Tensor

from fairseq_gnmt.data.alignment_text import alignment_text
from fairseq_gnmt.data.source_length import fit_sources, longest_source, no_translation, too_long_warning
from fairseq_gnmt.errors import UserError
from fairseq_gnmt.patches.commands import modules_of
from fairseq_gnmt.patches.results import results
from gnmt.files.lines import one_line, read_stream

logger = logging.getLogger("fairseq_cli.interactive")

NEED_REFERENCES = ("prefix_size", "score_reference")


class Session(NamedTuple):
    """All that translates a line of text."""

    task: Any
    models: List[Any]
    generator: Any
    tokenizer: Any
    bpe: Any
    replacements: Optional[Dict[str, str]]  # of unknown words
    longest: int  # tokens of a source sentence, EOS included

    def encode(self, text: str) -> str:
        for segmentation in (self.tokenizer, self.bpe):
            text = text if segmentation is None else segmentation.encode(text)
        return text

    def decode(self, tokens: str) -> str:
        for segmentation in (self.bpe, self.tokenizer):
            tokens = tokens if segmentation is None else segmentation.decode(tokens)
        return tokens


class Answer(NamedTuple):
    """A translated line."""

    source: Tensor  # tokens, EOS included
    hypotheses: List[Dict[str, Any]]  # n best, best first
    constraints: List[Tensor]
    seconds: float


def answer_every_line() -> None:
    """Replaces `main` of fairseq-interactive."""
    for module in modules_of("interactive"):
        module.main = main


def main(cfg: Any) -> None:
    """Translates the lines of --input; `cfg` is fairseq's configuration."""
    cfg = convert_namespace_to_omegaconf(cfg) if isinstance(cfg, Namespace) else cfg
    started = time.time()
    utils.import_user_module(cfg.common)
    complete_options(cfg)
    check_options(cfg)
    with open_input(cfg.interactive.input) as lines, results(cfg.common_eval.results_path, "interactive") as output:
        logger.info(cfg)
        session = start_session(cfg)
        logger.info("NOTE: hypothesis and token scores are output in base 2")
        logger.info("Type the input sentence and press return:")
        first, seconds = 0, 0.0
        while buffer := list(islice(lines, cfg.interactive.buffer_size)):
            for index, answer in enumerate(answers(buffer, first, session, cfg), start=first):
                print_answer(index, answer, session, cfg, output)
                seconds += answer.seconds
            output.flush()
            first += len(buffer)
    logger.info(f"Total time: {time.time() - started:.3f} seconds; translation time: {seconds:.3f}")


# -- before the first line


def complete_options(cfg: Any) -> None:
    """Sets fairseq's defaults: one line at a time."""
    cfg.interactive.buffer_size = max(cfg.interactive.buffer_size, 1)
    if cfg.dataset.max_tokens is None and cfg.dataset.batch_size is None:
        cfg.dataset.batch_size = 1


def check_options(cfg: Any) -> None:
    """Raises UserError for options that have no use in fairseq-interactive, before the model is loaded."""
    if cfg.generation.sampling and cfg.generation.nbest != cfg.generation.beam:
        raise UserError("--sampling requires --nbest to be equal to --beam")
    if cfg.dataset.batch_size and cfg.dataset.batch_size > cfg.interactive.buffer_size:
        raise UserError("--batch-size cannot be larger than --buffer-size")
    for name in NEED_REFERENCES:
        if cfg.generation[name]:
            option = f"--{name.replace('_', '-')}"
            raise UserError(f"{option} needs references, which fairseq-interactive does not have: use fairseq-generate.")
    if cfg.common_eval.quiet:
        raise UserError("--quiet leaves nothing to print: fairseq-interactive prints no scores of its own. Leave it out.")


@contextmanager
def open_input(name: str) -> Iterator[Iterator[str]]:
    """Opens a file of lines, or the standard input for "-"; raises UserError if it cannot be read."""
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


def warn(sentence: str) -> None:
    print(f"warning: {sentence}", file=sys.stderr, flush=True)


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
    begin_marks = int(getattr(task.cfg, "nvidia_conventions", False))
    return Session(
        task,
        models,
        generator,
        task.build_tokenizer(cfg.tokenizer),
        task.build_bpe(cfg.bpe),
        utils.load_align_dict(cfg.generation.replace_unk),
        longest_source(positions, cfg.dataset.max_tokens, begin_marks),
    )


def uses_cuda(cfg: Any) -> bool:
    return torch.cuda.is_available() and not cfg.common.cpu


# -- a buffer of lines


def answers(lines: List[str], first: int, session: Session, cfg: Any) -> List[Answer]:
    """Translates lines, the first of which has the number `first` (from 0); returns their answers in order."""
    task = session.task
    texts, constraints = split_constraints(lines, session) if cfg.generation.constraints else (lines, None)
    sentences, _ = task.get_interactive_tokens_and_lengths(texts, session.encode)
    sources, too_long = fit_sources(sentences, session.longest, bool(getattr(cfg.task, "truncate_source", False)))
    for position in sorted(too_long):
        warn(too_long_warning(f"line {first + position + 1}", len(sentences[position]), session.longest))
    batches = task.get_batch_iterator(
        dataset=task.build_dataset_for_inference(sources, [len(source) for source in sources], constraints=constraints),
        max_tokens=cfg.dataset.max_tokens,
        max_sentences=cfg.dataset.batch_size,
    ).next_epoch_itr(shuffle=False)
    found: Dict[int, Answer] = {}
    for batch in batches:
        found.update(translate(batch, session, cfg))
    for position in range(len(lines)):
        if position in too_long:
            found[position] = found[position]._replace(source=sentences[position], hypotheses=[no_translation()])
        elif not found[position].hypotheses:
            warn(f"line {first + position + 1} has constraints that no translation of the allowed length holds.")
            found[position] = found[position]._replace(hypotheses=[no_translation()])
    return [found[position] for position in range(len(lines))]


def split_constraints(lines: List[str], session: Session) -> Tuple[List[str], Tensor]:
    """Returns the text and the constraints of lines with tabs between them, which fairseq packs into one tensor.

    PAD and EOS in a constraint are unknown words.
    """
    dictionary = session.task.target_dictionary

    def tokens(constraint: str) -> Tensor:
        indices = dictionary.encode_line(session.encode(constraint), append_eos=False, add_if_not_exist=False)
        return indices.masked_fill((indices == dictionary.pad()) | (indices == dictionary.eos()), dictionary.unk())

    parts = [line.split("\t") for line in lines]
    return [text for text, *_ in parts], pack_constraints([[*map(tokens, constraints)] for _, *constraints in parts])


def translate(batch: Dict[str, Any], session: Session, cfg: Any) -> Iterator[Tuple[int, Answer]]:
    """Yields the position in the buffer and the answer for each sentence of a batch."""
    if uses_cuda(cfg):
        batch = utils.move_to_cuda(batch)
    source = {name: batch["net_input"][name] for name in ("src_tokens", "src_lengths")}
    constraints = batch.get("constraints")
    started = time.time()
    translations = search(source, constraints, session)
    seconds = (time.time() - started) / len(translations)
    pad = session.task.target_dictionary.pad()
    for row, position in enumerate(batch["id"].tolist()):
        own = [] if constraints is None else unpack_constraints(constraints[row])
        tokens = utils.strip_pad(source["src_tokens"][row], pad)
        yield position, Answer(tokens, translations[row][: cfg.generation.nbest], own, seconds)


def search(source: Dict[str, Tensor], constraints: Optional[Tensor], session: Session) -> List[List[Dict[str, Any]]]:
    """Returns the hypotheses of each sentence, none for constraints that do not fit into a translation.

    fairseq's constrained search fails for a whole batch if fewer than `--beam` hypotheses of one sentence hold its
    constraints within the maximum length; then each sentence is translated alone.
    """
    sample = {"net_input": source}
    try:
        return session.task.inference_step(session.generator, session.models, sample, constraints=constraints)
    except AssertionError:
        if constraints is None:
            raise
    if len(constraints) == 1:
        return [[]]
    rows = range(len(constraints))
    return [
        search({name: tensor[row, None] for name, tensor in source.items()}, constraints[row, None], session)[0]
        for row in rows
    ]


# -- an answer


def print_answer(index: int, answer: Answer, session: Session, cfg: Any, output: TextIO) -> None:
    """Prints the lines S, W and C of a source sentence, and H, D, P and A of each of its hypotheses."""

    def put(kind: str, *fields: object) -> None:
        print(one_line("\t".join([f"{kind}-{index}", *map(str, fields)])), file=output)

    source_dictionary, target_dictionary = session.task.source_dictionary, session.task.target_dictionary
    source = ""
    if source_dictionary is not None:
        source = source_dictionary.string(answer.source, cfg.common_eval.post_process)
        put("S", source)
        put("W", f"{answer.seconds:.3f}", "seconds")
        for constraint in answer.constraints:
            put("C", target_dictionary.string(constraint, cfg.common_eval.post_process))
    for hypothesis in answer.hypotheses:
        tokens = target_dictionary.string(
            hypothesis["tokens"].int().cpu(),
            cfg.common_eval.post_process,
            extra_symbols_to_ignore=symbols_to_ignore(session.generator),
        )
        alignment = hypothesis["alignment"]
        if session.replacements is not None:
            unknown = target_dictionary.unk_string()
            tokens = utils.replace_unk(tokens, source, alignment, session.replacements, unknown)
        score = float(hypothesis["score"] / math.log(2))  # base 2
        put("H", score, tokens)
        put("D", score, session.decode(tokens))
        put("P", " ".join(f"{step:.4f}" for step in (hypothesis["positional_scores"] / math.log(2)).tolist()))
        if cfg.generation.print_alignment:
            put("A", alignment_text(alignment, soft=cfg.generation.print_alignment == "soft"))


def symbols_to_ignore(generator: Any) -> set:
    return getattr(generator, "symbols_to_strip_from_output", None) or {generator.eos}
