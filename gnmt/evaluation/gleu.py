"""GLEU: similarity of two sentences, from 0 to 1 (Wu et al. 2016, section 5)."""

from collections import Counter
from itertools import chain
from typing import Hashable, Sequence

from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

MAX_NGRAM_SIZE = 4


def ngrams(tokens: Sequence[Hashable]) -> Counter:
    """Counts each n-gram of 1 to 4 tokens."""
    runs = (zip(*(tokens[start:] for start in range(size))) for size in range(1, MAX_NGRAM_SIZE + 1))
    return Counter(chain.from_iterable(runs))


def gleu(output: Counter, reference: Counter) -> float:
    """Returns min(precision, recall) of all n-grams, from 0 to 1 (Wu et al. 2016, section 5).

    An n-gram matches as often as it occurs in both sentences. GLEU of two empty sentences is 1. GLEU of an empty and a
    non-empty sentence is 0.

    Args:
        output: n-grams of the translation, from `ngrams`.
        reference: n-grams of the reference, from `ngrams`.
    """
    larger = max(sum(output.values()), sum(reference.values()))
    if larger == 0:
        return 1.0
    return sum(min(count, reference.get(ngram, 0)) for ngram, count in output.items()) / larger


def mean_gleu(outputs: Sequence[str], references: Sequence[str]) -> float:
    """Returns the mean GLEU over sentences, from 0 to 1; words are tokenised like sacreBLEU's default (13a).

    Args:
        outputs: detokenised translations.
        references: one for each translation.
    """
    words = Tokenizer13a()
    pairs = zip(outputs, references, strict=True)
    return sum(gleu(*(ngrams(words(text).split()) for text in pair)) for pair in pairs) / len(references)
