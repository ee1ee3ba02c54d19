"""Scores and time of searches with every combination of options."""

import itertools
from typing import Any, Dict, List, Mapping, Sequence

from gnmt.evaluation.bleu import corpus_bleu
from gnmt.evaluation.gleu import mean_gleu


def combinations(given: Mapping[str, Sequence[Any]]) -> List[Dict[str, Any]]:
    """Returns the options of each search, from the values of each option."""
    return [dict(zip(given, chosen)) for chosen in itertools.product(*given.values())]


def figures(
    options: Mapping[str, Any], texts: Sequence[str], references: Sequence[str], seconds: float
) -> Dict[str, Any]:
    """Returns options, scores (0 to 100), length ratio and seconds of a search by name.

    Args:
        options: options of the search.
        texts: translations.
        references: human translations.
        seconds: time of the search.
    """
    score, _ = corpus_bleu(texts, references)
    return {
        **options,
        "bleu": score.score,
        "gleu": 100 * mean_gleu(texts, references),
        "length_ratio": score.sys_len / score.ref_len,
        "seconds": seconds,
    }


def row(result: Mapping[str, Any], given: Mapping[str, Sequence[Any]]) -> Dict[str, str]:
    """Returns the cells of a table: options with several values, and scores.

    Args:
        result: result of `figures`.
        given: values of each option.
    """
    varied = [name for name, values in given.items() if len(values) > 1]
    return {
        **{name.replace("_", " "): f"{result[name]:g}" for name in varied},
        "BLEU": f"{result['bleu']:.2f}",
        "GLEU": f"{result['gleu']:.2f}",
        "length ratio": f"{result['length_ratio']:.3f}",
        "seconds": f"{result['seconds']:.1f}",
    }
