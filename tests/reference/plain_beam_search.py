"""Beam search with pruning for one sentence, on Python lists."""

import math
from typing import List, NamedTuple, Sequence, Tuple

from reference.exhaustive_search import EOS, PAD, ScriptedEnsemble


class Hypothesis(NamedTuple):
    log_prob: float
    tokens: Tuple[int, ...]


def plain_beam_search(
    model: ScriptedEnsemble,
    source: Sequence[int],
    limit: int,
    beam: int,
    alpha: float,
    beta: float,
    prune_tokens: float,
    prune_hypotheses: float,
) -> Tuple[List[Tuple[float, Tuple[int, ...]]], int]:
    """Returns finished hypotheses (score, tokens), best first, and the number of calls of the model.

    Hypotheses have at least one token before EOS. A threshold of infinity prunes nothing.
    """
    running, finished, model_calls = [Hypothesis(0.0, ())], [], 0
    for step in range(limit + 1):
        continued = []
        for hypothesis in running:
            model_calls += 1
            log_probs, _ = model.next(source, hypothesis.tokens)
            local = log_probs.tolist()
            allowed = [token for token in range(len(local)) if token != PAD and (step > 0 or token != EOS)]
            if step == limit:
                allowed = [EOS]
            best_token = max(local[token] for token in allowed)
            for token in allowed:
                if local[token] >= best_token - prune_tokens:
                    continued.append(Hypothesis(hypothesis.log_prob + local[token], (*hypothesis.tokens, token)))
        continued = sorted(continued, reverse=True)[: 2 * beam]
        lp = ((5 + step + 1) / 6) ** alpha
        ended = [
            (h.log_prob / lp + beta * coverage(model, source, h.tokens), h)
            for h in continued[:beam]
            if h.tokens[-1] == EOS
        ]
        best = max([score for score, _ in ended + finished], default=-math.inf)
        finished += [(score, h) for score, h in ended if score >= best - prune_hypotheses]
        running = [h for h in continued if h.tokens[-1] != EOS and h.log_prob / lp >= best - prune_hypotheses][:beam]
        if len(finished) >= beam or not running:
            break
    best = max(score for score, _ in finished)
    return sorted([(s, h.tokens) for s, h in finished if s >= best - prune_hypotheses], reverse=True), model_calls


def coverage(model: ScriptedEnsemble, source: Sequence[int], tokens: Tuple[int, ...]) -> float:
    total = sum(model.next(source, tokens[:at])[1] for at in range(len(tokens)))
    return sum(math.log(min(float(weight), 1.0)) for weight in total)
