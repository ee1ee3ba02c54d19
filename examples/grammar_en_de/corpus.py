"""Training, validation and test pairs. Validation and test sentences contain unseen combinations of known words."""

import random
import re
from collections import Counter
from typing import Callable, Dict, FrozenSet, List, Set

from tqdm import tqdm

from derivation import Combination
from finite_sets import FiniteSet
from grammar import Pair, all_combinations, pair, sentences

HELD_OUT_SHARE = 0.1  # of all combinations: about a quarter of the sentences contain one of them
MAX_LOST_SHARE = 0.2  # maximum share of a word's combinations that is held out, so that the word can still be learnt
PATIENCE = 20_000  # draws in a row without a new sentence; a few seconds


def word_forms(text: str) -> Set[str]:
    """Returns the words of a sentence without punctuation."""
    return set(re.findall(r"[\w'-]+", text))


def choose_held_out(rng: random.Random) -> FrozenSet[Combination]:
    """Returns a random tenth of all (verb, noun) and (adjective, noun) combinations, distributed over the words."""
    candidates = all_combinations()
    available = Counter(word for combination in candidates for word in combination)
    size = int(HELD_OUT_SHARE * len(candidates))
    rng.shuffle(candidates)
    lost, held_out = Counter(), set()
    for combination in candidates:
        if len(held_out) < size and all(lost[word] + 1 <= MAX_LOST_SHARE * available[word] for word in combination):
            held_out.add(combination)
            lost.update(combination)
    return frozenset(held_out)


def make_corpus(sizes: Dict[str, int], seed: int) -> Dict[str, List[Pair]]:
    """Returns distinct sentence pairs for each set; equal arguments give equal pairs.

    No training sentence contains a held-out combination. Each validation and test sentence contains at least one, but
    only word forms that occur in training.

    Args:
        sizes: number of pairs of "train", "valid" and "test".
        seed: seed of all random choices.

    Raises:
        ValueError: if there are too few such sentences.
    """
    rng = random.Random(seed)
    held_out = choose_held_out(rng)
    known_sentences, all_sentences = sentences(held_out), sentences()
    check_sizes(sizes, known_sentences.size, all_sentences.size - known_sentences.size)

    used_sentences: Set[str] = set()
    train = _draw_distinct(known_sentences, sizes["train"], "train", used_sentences, rng, lambda candidate: True)
    english_forms = set().union(*(word_forms(item.english) for item in train))
    german_forms = set().union(*(word_forms(item.german) for item in train))

    def is_new_combination_of_known_forms(candidate: Pair) -> bool:
        return (
            not candidate.combinations.isdisjoint(held_out)
            and word_forms(candidate.english) <= english_forms
            and word_forms(candidate.german) <= german_forms
        )

    corpus = {"train": train}
    for name in ("valid", "test"):
        corpus[name] = _draw_distinct(
            all_sentences, sizes[name], name, used_sentences, rng, is_new_combination_of_known_forms
        )
    return corpus


def check_sizes(sizes: Dict[str, int], known: int, unseen: int) -> None:
    """Raises ValueError if there are too few distinct pairs: `known` for training, `unseen` for validation and test."""
    for name, size in sizes.items():
        if size < 1:
            raise ValueError(f"--{name} {size}: at least 1 pair is needed")
    if sizes["train"] > known:
        raise ValueError(
            f"--train {sizes['train']}: the grammar has only {known} distinct pairs for training; ask for fewer"
        )
    if sizes["valid"] + sizes["test"] > unseen:
        raise ValueError(
            f"--valid {sizes['valid']} and --test {sizes['test']}: the grammar has only {unseen} distinct pairs "
            "with unseen combinations; ask for fewer"
        )


def _draw_distinct(
    candidates: FiniteSet, count: int, name: str, used: Set[str], rng: random.Random, accepts: Callable[[Pair], bool]
) -> List[Pair]:
    """Returns `count` accepted pairs with English sentences that are not in `used`, and adds these sentences to it."""
    pairs: List[Pair] = []
    failures = 0
    with tqdm(total=count, desc=name, unit="pair", disable=None) as progress:
        while len(pairs) < count:
            candidate = pair(candidates.draw(rng))
            if candidate.english in used or not accepts(candidate):
                failures += 1
                if failures == PATIENCE:
                    raise ValueError(
                        f"--{name} {count}: found {len(pairs)} distinct pairs that fit the other sizes; "
                        "ask for fewer, or raise --train if its words are too few"
                    )
                continue
            failures = 0
            used.add(candidate.english)
            pairs.append(candidate)
            progress.update()
    return pairs
