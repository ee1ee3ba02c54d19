"""Answers of fairseq-interactive to lines of text: one per line, in order, printed in fairseq's format."""

import math
import sys
import time
from typing import Any, Dict, Iterator, List, NamedTuple, Optional, TextIO, Tuple

import torch
from fairseq import utils
from fairseq.token_generation_constraints import pack_constraints, unpack_constraints
from torch import Tensor

from fairseq_gnmt.data.alignment_text import alignment_text
from fairseq_gnmt.data.source_length import fit_sources, no_translation, too_long_warning
from gnmt.files.lines import one_line


class Session(NamedTuple):
    """Models and settings for translating lines of text."""

    task: Any
    models: List[Any]
    generator: Any
    tokenizer: Any
    bpe: Any
    replacements: Optional[Dict[str, str]]  # texts for unknown words
    longest: int  # maximum number of tokens of a source sentence, including EOS

    def encode(self, text: str) -> str:
        """Returns the tokens of a text, separated by spaces."""
        for segmentation in (self.tokenizer, self.bpe):
            text = text if segmentation is None else segmentation.encode(text)
        return text

    def decode(self, tokens: str) -> str:
        """Returns the text of tokens separated by spaces."""
        for segmentation in (self.bpe, self.tokenizer):
            tokens = tokens if segmentation is None else segmentation.decode(tokens)
        return tokens


class Answer(NamedTuple):
    """A translated line."""

    source: Tensor  # tokens, including EOS
    hypotheses: List[Dict[str, Any]]  # n best, best first
    constraints: List[Tensor]
    seconds: float


def warn(sentence: str) -> None:
    """Prints a warning to stderr."""
    print(f"warning: {sentence}", file=sys.stderr, flush=True)


def uses_cuda(cfg: Any) -> bool:
    """Returns True if translation runs on a GPU."""
    return torch.cuda.is_available() and not cfg.common.cpu


def answers(lines: List[str], first: int, session: Session, cfg: Any) -> List[Answer]:
    """Translates lines; returns their answers in order.

    Args:
        lines: lines of text.
        first: number of the first line, from 0.
        session: models and settings.
        cfg: fairseq's configuration.
    """
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
    answer_by_position: Dict[int, Answer] = {}
    for batch in batches:
        answer_by_position.update(translate(batch, session, cfg))
    for position in range(len(lines)):
        if position in too_long:
            answer_by_position[position] = answer_by_position[position]._replace(
                source=sentences[position], hypotheses=[no_translation()]
            )
        elif not answer_by_position[position].hypotheses:
            warn(f"line {first + position + 1} has constraints that no translation of the allowed length satisfies.")
            answer_by_position[position] = answer_by_position[position]._replace(hypotheses=[no_translation()])
    return [answer_by_position[position] for position in range(len(lines))]


def split_constraints(lines: List[str], session: Session) -> Tuple[List[str], Tensor]:
    """Returns the text and the constraints of tab-separated lines; fairseq packs the constraints into one tensor.

    PAD and EOS in a constraint become UNK.

    Args:
        lines: text, and then the constraints, separated by tabs.
        session: models and settings.
    """
    dictionary = session.task.target_dictionary

    def tokens(constraint: str) -> Tensor:
        indices = dictionary.encode_line(session.encode(constraint), append_eos=False, add_if_not_exist=False)
        return indices.masked_fill((indices == dictionary.pad()) | (indices == dictionary.eos()), dictionary.unk())

    parts = [line.split("\t") for line in lines]
    return [text for text, *_ in parts], pack_constraints([[*map(tokens, constraints)] for _, *constraints in parts])


def translate(batch: Dict[str, Any], session: Session, cfg: Any) -> Iterator[Tuple[int, Answer]]:
    """Translates a batch.

    Args:
        batch: batch of fairseq.
        session: models and settings.
        cfg: fairseq's configuration.

    Yields:
        The position in the buffer and the answer for each sentence.
    """
    if uses_cuda(cfg):
        batch = utils.move_to_cuda(batch)
    source = {name: batch["net_input"][name] for name in ("src_tokens", "src_lengths")}
    constraints = batch.get("constraints")
    start = time.time()
    translations = search(source, constraints, session)
    seconds = (time.time() - start) / len(translations)
    pad = session.task.target_dictionary.pad()
    for row, position in enumerate(batch["id"].tolist()):
        sentence_constraints = [] if constraints is None else unpack_constraints(constraints[row])
        tokens = utils.strip_pad(source["src_tokens"][row], pad)
        yield position, Answer(tokens, translations[row][: cfg.generation.nbest], sentence_constraints, seconds)


def search(source: Dict[str, Tensor], constraints: Optional[Tensor], session: Session) -> List[List[Dict[str, Any]]]:
    """Returns the hypotheses of each sentence; none if its constraints do not fit into a translation.

    fairseq's constrained search fails for a whole batch if fewer than `--beam` hypotheses of one sentence satisfy its
    constraints within the maximum length. Each sentence is then translated alone.

    Args:
        source: source tokens and lengths.
        constraints: packed constraints, or None.
        session: models and settings.
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


def print_answer(index: int, answer: Answer, session: Session, cfg: Any, output: TextIO) -> None:
    """Prints the lines S, W and C of a source sentence, and H, D, P and A of each of its hypotheses.

    Args:
        index: number of the sentence.
        answer: translated line.
        session: models and settings.
        cfg: fairseq's configuration.
        output: stream to print to.
    """

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
    """Returns the tokens that are not printed."""
    return getattr(generator, "symbols_to_strip_from_output", None) or {generator.eos}
