"""Keeps fairseq-generate from warning, with --bpe, that BLEU is computed on tokens where it is computed on text.

fairseq warns whenever --bpe is given without --sacrebleu, whatever --scoring says.
"""
import logging

from omegaconf import DictConfig

from fairseq_gnmt.fairseq_options import GENERATE
from fairseq_gnmt.patches.commands import before_main

SCORERS_OF_TEXT = ("gnmt_bleu", "sacrebleu")
WARNINGS = ("If you are using BPE on the target side", "BLEU score is being computed by splitting")


def drop_false_bleu_warning() -> None:
    """Puts the choice of warnings in front of fairseq-generate."""
    before_main(GENERATE, choose_warnings)


def choose_warnings(cfg: DictConfig) -> None:
    """Drops the warning for scorers that tokenise the text themselves."""
    name = cfg.scoring.get("_name") if isinstance(cfg.scoring, DictConfig) else cfg.scoring
    if name in SCORERS_OF_TEXT:
        logging.getLogger("fairseq_cli.generate").addFilter(is_no_false_warning)


def is_no_false_warning(record: logging.LogRecord) -> bool:
    return not str(record.msg).startswith(WARNINGS)
