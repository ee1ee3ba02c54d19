"""Scores of several systems, with bootstrap intervals and sacreBLEU's paired significance tests.

The tests are paired bootstrap resampling (Koehn 2004) and paired approximate randomisation (Riezler and Maxwell 2005).
The null hypothesis is that a system and the baseline are equally good. p is the probability of a larger difference
under this hypothesis. sacreBLEU seeds both tests with 12345, or with the environment variable SACREBLEU_SEED.

sacreBLEU counts only strictly larger differences, so equal scores would be significant. In this module they have p = 1.
"""

from dataclasses import dataclass
from typing import Dict, List, Optional, Sequence, Tuple

from sacrebleu.significance import PairedTest, Result

from gnmt.errors import UserError
from gnmt.evaluation.metrics import METRICS

TESTS = {"bs": 1000, "ar": 10000}  # sacreBLEU's trials for paired bootstrap and approximate randomisation
RESAMPLES = 1000  # for intervals

NamedSystem = Tuple[str, Sequence[str]]  # name and hypotheses


@dataclass(frozen=True)
class MetricScore:
    """Score of one system by one metric."""

    score: float
    mean: Optional[float] = None  # of the bootstrap resamples
    ci: Optional[float] = None  # half width of their 95 % interval
    p_value: Optional[float] = None  # against the baseline


@dataclass(frozen=True)
class Scores:
    """Scores of several systems by one metric, in the order of the systems."""

    signature: str
    systems: List[MetricScore]


def corpus_scores(
    systems: Sequence[NamedSystem], references: Sequence[str], metrics: Sequence[str], resamples: int = 0
) -> Dict[str, Scores]:
    """Scores each system by each metric.

    Args:
        systems: name and hypotheses of each system.
        references: one for each sentence.
        metrics: keys of `METRICS`.
        resamples: bootstrap samples for 95 % intervals; 0 computes none.

    Raises:
        UserError: if there are no sentences, or the numbers of hypotheses and references differ.
    """
    _check(systems, references)
    scores_by_metric = {}
    for name in metrics:
        metric, scores = METRICS[name](), []
        for _, hypotheses in systems:
            score = metric.corpus_score(hypotheses, [references], n_bootstrap=max(resamples, 1))
            interval = (float(score._mean), float(score._ci)) if resamples > 1 else (None, None)
            scores.append(MetricScore(float(score.score), *interval))
        scores_by_metric[name] = Scores(str(metric.get_signature()), scores)
    return scores_by_metric


def paired_scores(
    systems: Sequence[NamedSystem],
    references: Sequence[str],
    metrics: Sequence[str],
    test: str,
    trials: int = 0,
    resamples: int = 0,
) -> Dict[str, Scores]:
    """Scores each system by each metric, and tests each system against the first one, the baseline.

    Args:
        systems: name and hypotheses of each system.
        references: one for each sentence.
        metrics: keys of `METRICS`.
        test: "bs" or "ar"; "bs" also computes intervals.
        trials: number of trials of the test; 0 uses sacreBLEU's default.
        resamples: bootstrap samples for the 95 % intervals of "ar"; 0 computes none.

    Raises:
        UserError: if there are no sentences, the numbers of hypotheses and references differ, or there is one system.
    """
    _check(systems, references)
    if len(systems) < 2:
        raise UserError("A paired test compares systems with the first one, but there is only one: give two or more.")
    scores_by_metric = {}
    for name in metrics:  # one at a time, because both kinds of BLEU have the same name in sacreBLEU
        paired = PairedTest(
            [(system, list(hypotheses)) for system, hypotheses in systems],
            {name: METRICS[name]()},
            [list(references)],
            test_type=test,
            n_samples=trials,
            n_ar_confidence=resamples or -1,
        )
        signatures, results = paired()
        ((title, signature),) = signatures.items()
        baseline = results[title][0]
        scores_by_metric[name] = Scores(str(signature), [_as_score(result, baseline) for result in results[title]])
    return scores_by_metric


def _as_score(result: Result, baseline: Result) -> MetricScore:
    p_value = 1.0 if result is not baseline and result.score == baseline.score else result.p_value
    optional = (None if value is None else float(value) for value in (result.mean, result.ci, p_value))
    return MetricScore(float(result.score), *optional)


def _check(systems: Sequence[NamedSystem], references: Sequence[str]) -> None:
    if not references:
        raise UserError("There are no sentences to score: at least one is needed.")
    for name, hypotheses in systems:
        if len(hypotheses) != len(references):
            raise UserError(
                f"{name} has {len(hypotheses)} hypotheses for {len(references)} references: "
                "translate and score the same file."
            )
