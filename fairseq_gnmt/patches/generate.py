"""fairseq-generate with an atomic output file for --results-path, UTF-8 output, and sacreBLEU for --sacrebleu.

fairseq's own --sacrebleu only suppresses the warning that BLEU is computed on tokens, and still scores tokens.
"""

import functools
from argparse import Namespace
from types import ModuleType
from typing import Any, Callable

from fairseq.dataclass.utils import convert_namespace_to_omegaconf
from fairseq.scoring import SCORER_REGISTRY, BaseScorer

from fairseq_gnmt.patches.commands import loaded_modules
from fairseq_gnmt.patches.results import results
from gnmt.errors import UserError

SACREBLEU = ("sacrebleu", "gnmt_bleu")


def write_complete_results() -> None:
    """Replaces the `main` function of fairseq-generate; the loop over the batches is fairseq's."""
    for module in loaded_modules("generate"):
        module.main = main_of(module)  # type: ignore[attr-defined]


def main_of(module: ModuleType) -> Callable[[Any], Any]:
    """Returns a `main` function that opens the output and then calls `module._main`."""

    @functools.wraps(module.main)
    def main(cfg: Any) -> Any:
        cfg = convert_namespace_to_omegaconf(cfg) if isinstance(cfg, Namespace) else cfg
        check_options(cfg)
        choose_scorer(cfg)
        # fairseq's own tasks drop sentences of the last batch to reach a multiple.
        cfg.dataset.required_batch_size_multiple = 1
        with results(cfg.common_eval.results_path, cfg.dataset.gen_subset) as output:
            return module._main(cfg, output)

    return main


def check_options(cfg: Any) -> None:
    """Checks the options of fairseq-generate.

    Raises:
        UserError: for options that cannot be combined.
    """
    if cfg.common_eval.path is None:
        raise UserError("--path required for generation!")
    if cfg.generation.sampling and cfg.generation.nbest != cfg.generation.beam:
        raise UserError("--sampling requires --nbest to be equal to --beam")
    if cfg.generation.replace_unk is not None and cfg.dataset.dataset_impl != "raw":
        raise UserError("--replace-unk requires a raw text dataset (--dataset-impl=raw)")


def choose_scorer(cfg: Any) -> None:
    """Makes --sacrebleu select sacreBLEU, and suppresses a warning about tokens if text is scored.

    Raises:
        UserError: if --scoring names another metric.
    """
    name = getattr(cfg.scoring, "_name", cfg.scoring)
    if cfg.generation.sacrebleu and name not in SACREBLEU:
        if name != "bleu":  # fairseq's default
            raise UserError(f"--sacrebleu and --scoring {name} are two metrics: leave one out.")
        cfg.scoring = name = "sacrebleu"
    scorer = SCORER_REGISTRY[name]
    if isinstance(scorer, type) and issubclass(scorer, BaseScorer):
        cfg.generation.sacrebleu = True
