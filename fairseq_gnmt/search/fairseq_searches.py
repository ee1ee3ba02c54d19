"""Detection of options that need one of fairseq's own searches instead of GNMT's."""

import dataclasses
from typing import Any, List, Optional

import torch
from fairseq.dataclass.configs import GenerationConfig

from fairseq_gnmt.models.gnmt import GNMTModel
from gnmt.errors import UserError
from gnmt.search.options import SearchOptions


def check_option_names(args: Any) -> None:
    """Checks the names of options from --eval-bleu-args or from Python.

    Raises:
        UserError: for an unknown name.
    """
    known = {option.name for config in (GenerationConfig, SearchOptions) for option in dataclasses.fields(config)}
    given = list(args.keys()) if hasattr(args, "keys") else list(vars(args))
    unknown = sorted(set(given) - known - {"_name", "prefix_allowed_tokens_fn"})
    if unknown:
        raise UserError(f"Unknown search options {unknown}. Known are: {', '.join(sorted(known))}.")


def fairseq_search_reason(
    models: List[torch.nn.Module], args: Any, extra: Optional[dict], prefix_allowed_tokens_fn
) -> Optional[str]:
    """Returns the option that only fairseq's own generators support; None if there is none.

    Args:
        models: models of the search.
        args: options of the search.
        extra: further arguments of the generator.
        prefix_allowed_tokens_fn: fairseq's function for constrained prefixes, or None.
    """
    exclusive_options = {
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
    return next((option for option, given in exclusive_options.items() if given), None)
