"""Which of fairseq's options of generation GNMT's search honours, which it refuses, and which need fairseq's own."""
import dataclasses
from typing import Any, List, Optional

import torch
from fairseq.dataclass.configs import GenerationConfig

from fairseq_gnmt.models.gnmt import GNMTModel
from gnmt.errors import UserError
from gnmt.search.options import SearchOptions

# Options of fairseq that mean nothing to GNMT's search: the value that leaves them alone, and what to do instead.
NOT_OURS = {
    "lenpen": (1, "GNMT's length normalisation is --length-norm-factor"),
    "unnormalized": (False, "use --length-norm-factor 0 --coverage-penalty 0"),
    "no_early_stop": (False, "a sentence stops early only when its n-best cannot change any more"),
    "print_step": (False, "it is for iterative refinement models"),
    "retain_iter_history": (False, "it is for iterative refinement models"),
    "retain_dropout": (False, "translation runs without dropout"),
}


def check_option_names(args: Any) -> None:
    """A misspelt option of --eval-bleu-args or of the hub's translate(...) is not to be passed over."""
    known = {option.name for config in (GenerationConfig, SearchOptions) for option in dataclasses.fields(config)}
    given = list(args.keys()) if hasattr(args, "keys") else list(vars(args))
    unknown = sorted(set(given) - known - {"_name", "prefix_allowed_tokens_fn"})
    if unknown:
        raise UserError(f"Unknown search options {unknown}. Known are: {', '.join(sorted(known))}.")


def check_options_are_ours(args: Any) -> None:
    for name, (neutral, remedy) in NOT_OURS.items():
        value = getattr(args, name, neutral)
        if value != neutral:
            raise UserError(f"--{name.replace('_', '-')} ({value}) has no meaning in GNMT's search: {remedy}.")


def fairseq_search_reason(
    models: List[torch.nn.Module], args: Any, extra: Optional[dict], prefix_allowed_tokens_fn
) -> Optional[str]:
    """The option that only fairseq's own generators know, or None."""
    wanted = {
        "--score-reference": getattr(args, "score_reference", False),
        "--sampling": getattr(args, "sampling", False),
        "--diverse-beam-groups": getattr(args, "diverse_beam_groups", -1) > 0,
        "--diversity-rate": getattr(args, "diversity_rate", -1.0) > -1,
        "--match-source-len": getattr(args, "match_source_len", False),
        "--constraints": getattr(args, "constraints", None),
        "--lm-path": (extra or {}).get("lm_model"),
        "prefix_allowed_tokens_fn": prefix_allowed_tokens_fn or getattr(args, "prefix_allowed_tokens_fn", None),
        "translating with another architecture": not all(isinstance(model, GNMTModel) for model in models),
    }
    return next((option for option, given in wanted.items() if given), None)
