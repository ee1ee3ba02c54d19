"""Differences between the translations of two systems, A and B."""

from collections import Counter
from dataclasses import dataclass
from typing import Dict, Iterable, List, NamedTuple, Optional, Sequence, Tuple

from sacrebleu.tokenizers.tokenizer_13a import Tokenizer13a

from gnmt.evaluation.bleu import corpus_bleu
from gnmt.evaluation.buckets import WordScore, by_frequency, by_length
from gnmt.evaluation.gleu import gleu, ngrams

Pair = Tuple[float, float]  # of A and B


@dataclass(frozen=True)
class Sentence:
    """One sentence and its two translations."""

    index: int
    source: Optional[str]
    reference: str
    outputs: Tuple[str, str]
    gleu: Pair  # from 0 to 100

    @property
    def difference(self) -> float:
        """GLEU of B minus GLEU of A."""
        return self.gleu[1] - self.gleu[0]


class LengthScore(NamedTuple):
    """Scores of the sentences of one range of lengths, from 0 to 100."""

    name: str
    sentences: int
    bleu: Pair
    gleu: Pair


class Comparison(NamedTuple):
    """Comparison of two systems: all data of the page, except the scores of the whole corpus."""

    sentences: List[Sentence]
    lengths: List[LengthScore]
    frequencies: List[Tuple[str, WordScore, WordScore]]  # name of the bucket, A, B
    length_ratios: Pair
    repetitive: Tuple[int, int]  # sentences with an immediately repeated run of words that the reference lacks


def compare(
    references: Sequence[str],
    outputs: Tuple[Sequence[str], Sequence[str]],
    sources: Optional[Sequence[str]] = None,
    counts: Optional[Dict[str, int]] = None,
) -> Comparison:
    """Compares two systems sentence by sentence and bucket by bucket.

    Args:
        references: one for each sentence.
        outputs: translations of A and of B.
        sources: source sentences; buckets use their lengths, or the lengths of the references if None.
        counts: frequency of each word (13a) in the training text; by default in the references.
    """
    words = words_of(references)
    produced = (words_of(outputs[0]), words_of(outputs[1]))
    sentences = [
        Sentence(index, sources[index] if sources else None, reference, (outputs[0][index], outputs[1][index]), scores)
        for index, (reference, scores) in enumerate(zip(references, _gleu(words, produced)))
    ]
    lengths = [len(text.split()) for text in sources] if sources else list(map(len, words))
    frequency = counts if counts is not None else Counter(word for line in words for word in line)
    first, second = (by_frequency(system, words, frequency) for system in produced)
    return Comparison(
        sentences,
        [_length_score(name, [sentences[index] for index in indices]) for name, indices in by_length(lengths)],
        [(name, a, b) for (name, a), (_, b) in zip(first, second)],
        _pair(_ratio(system, words) for system in produced),
        (_repetitive(produced[0], words), _repetitive(produced[1], words)),
    )


def words_of(lines: Sequence[str]) -> List[List[str]]:
    """Returns the words of each line as sacreBLEU counts them by default (13a)."""
    tokenizer = Tokenizer13a()
    return [tokenizer(line).split() for line in lines]


def repeats(words: Sequence[str]) -> int:
    """Returns the number of places at which a run of 1 to 4 words occurs twice in a row."""
    return sum(
        list(words[start : start + size]) == list(words[start + size : start + 2 * size])
        for size in range(1, 5)
        for start in range(len(words) - 2 * size + 1)
    )


def largest_gains(sentences: Sequence[Sentence], count: int) -> List[Sentence]:
    """Returns the sentences in which B is better than A, with the largest differences of GLEU first.

    Args:
        sentences: sentences to choose from.
        count: maximum number of sentences.
    """
    ordered = sorted(sentences, key=lambda sentence: (-sentence.difference, sentence.index))
    return [sentence for sentence in ordered[:count] if sentence.difference > 0]


def largest_losses(sentences: Sequence[Sentence], count: int) -> List[Sentence]:
    """Returns the sentences in which B is worse than A, with the largest differences of GLEU first.

    Args:
        sentences: sentences to choose from.
        count: maximum number of sentences.
    """
    ordered = sorted(sentences, key=lambda sentence: (sentence.difference, sentence.index))
    return [sentence for sentence in ordered[:count] if sentence.difference < 0]


def spread(sentences: Sequence[Sentence], count: int) -> List[Sentence]:
    """Returns sentences at equal distances in the file, at most `count`."""
    taken = min(count, len(sentences))
    return [sentences[position * len(sentences) // taken] for position in range(taken)]


def _gleu(references: Sequence[List[str]], outputs: Tuple[List[List[str]], List[List[str]]]) -> List[Pair]:
    pairs = []
    for reference, *systems in zip(references, *outputs):
        expected = ngrams(reference)
        pairs.append(_pair(100 * gleu(ngrams(words), expected) for words in systems))
    return pairs


def _length_score(name: str, sentences: List[Sentence]) -> LengthScore:
    references = [sentence.reference for sentence in sentences]
    scores = (
        corpus_bleu([sentence.outputs[system] for sentence in sentences], references)[0].score for system in range(2)
    )
    means = (sum(sentence.gleu[system] for sentence in sentences) / len(sentences) for system in range(2))
    return LengthScore(name, len(sentences), _pair(scores), _pair(means))


def _ratio(outputs: Sequence[List[str]], references: Sequence[List[str]]) -> float:
    expected = sum(map(len, references))
    return sum(map(len, outputs)) / expected if expected else 0.0


def _repetitive(outputs: Sequence[List[str]], references: Sequence[List[str]]) -> int:
    return sum(repeats(output) > repeats(reference) for output, reference in zip(outputs, references))


def _pair(values: Iterable[float]) -> Pair:
    first, second = values
    return float(first), float(second)
