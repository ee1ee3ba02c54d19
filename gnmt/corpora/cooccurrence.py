"""Initial token embeddings from co-occurrence statistics of a parallel corpus (PPMI and SVD).

The file for --pretrained-embeddings has a line `number-of-tokens size` and lines `token number number ...`. The first
half of a vector represents the sentence pairs that contain its token, in either language, so translations have similar
vectors. The second half represents the neighbouring tokens, so similar words have similar vectors. Each half is a
singular value decomposition of positive pointwise mutual information.

Sources: Levy and Goldberg 2014, "Neural word embedding as implicit matrix factorization", sections 4.2 and 5.2. Levy,
Goldberg and Dagan 2015, "Improving distributional similarity with lessons learned from word embeddings", equation 3,
for the exponent of the contexts.

Shapes: V vocabulary size, X contexts (the first tokens of the dictionary, at most CONTEXTS). Memory: about 7 V X
floats, 1.8 GB for 8,000 tokens.
"""

from pathlib import Path
from typing import NamedTuple, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F

from gnmt.errors import UserError
from gnmt.files.lines import check_files, split_lines
from gnmt.files.outputs import atomic_outputs
from gnmt.files.parallel_text import count_pairs, read_pairs
from gnmt.files.progress import progress_bar
from gnmt.ranges import Range
from gnmt.tokenizers.vocabulary import BOS, EOS, SPECIAL_TOKENS, Vocabulary

SIZES = Range(2, 16_384, hint="the --hidden-size of the network")
CONTEXTS = 8192
WINDOW = 2  # number of neighbouring tokens on each side
CONTEXT_EXPONENT = 0.75  # lowers the mutual information of rare contexts
OVERSAMPLING, POWER_ITERATIONS = 32, 3  # parameters of the randomised decomposition
SEED = 1


class Counts(NamedTuple):
    """Co-occurrence counts; each (V, X), updated in place."""

    same_pair: Tensor  # number of sentence pairs with the token and the context
    before: Tensor  # number of times that the context is 1 to WINDOW tokens before the token
    after: Tensor  # number of times that the context is 1 to WINDOW tokens after the token

    @classmethod
    def zero(cls, tokens: int) -> "Counts":
        """Returns counts of zero for a vocabulary of this size."""
        return cls(*(torch.zeros(tokens, min(tokens, CONTEXTS)) for _ in cls._fields))

    def add(self, sources: Sequence[Tensor], targets: Sequence[Tensor]) -> None:
        """Counts sentence pairs.

        Args:
            sources: token ids (length,) of each source sentence, including BOS and EOS.
            targets: token ids (length,) of each target sentence, including BOS and EOS.
        """
        pairs = [torch.cat(pair).unique() for pair in zip(sources, targets, strict=True)]
        tokens = torch.cat([pair.repeat_interleave(len(pair)) for pair in pairs])
        increment(self.same_pair, tokens, torch.cat([pair.repeat(len(pair)) for pair in pairs]))
        for distance in range(1, WINDOW + 1):
            left = torch.cat([sentence[:-distance] for sentence in (*sources, *targets)])
            right = torch.cat([sentence[distance:] for sentence in (*sources, *targets)])
            increment(self.after, left, right)
            increment(self.before, right, left)


def increment(counts: Tensor, tokens: Tensor, contexts: Tensor) -> None:
    """Adds 1 to the count of each token with its context; tokens outside the contexts are ignored.

    Args:
        counts: (V, X), updated in place.
        tokens: token ids.
        contexts: ids of their contexts, with the same shape.
    """
    known = contexts < counts.size(1)
    places = tokens[known] * counts.size(1) + contexts[known]
    counts.view(-1).index_add_(0, places, torch.ones(len(places)))


def positive_mutual_information(counts: Tensor) -> Tensor:
    """Returns max(0, log(P(token, context) / (P(token) P'(context)))), (V, X), for counts (V, X).

    P' is proportional to frequency ** CONTEXT_EXPONENT (Levy, Goldberg and Dagan 2015, equation 3).
    """
    tokens = counts.sum(dim=1, keepdim=True).clamp(min=1)
    contexts = counts.sum(dim=0).clamp(min=1) ** CONTEXT_EXPONENT
    return (counts / tokens).div_(contexts / contexts.sum()).log_().clamp_(min=0)


def principal_directions(matrix: Tensor, size: int) -> Tensor:
    """Returns U √S of the largest singular values, with nonzero rows normalised to length 1.

    Args:
        matrix: (V, X), or any number of columns.
        size: number of columns; columns without a singular value are zero.
    """
    left, values, _ = torch.svd_lowrank(matrix, min(size + OVERSAMPLING, *matrix.shape), POWER_ITERATIONS)
    directions = F.normalize(left[:, :size] * values[:size].sqrt(), dim=1)
    return F.pad(directions, (0, size - directions.size(1)))


def token_vectors(counts: Counts, size: int) -> Tensor:
    """Returns vectors (V, size) of length 1, centred before normalisation, with random orientation.

    Args:
        counts: counts of the corpus.
        size: size of a vector.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        pairs = principal_directions(positive_mutual_information(counts.same_pair), size // 2)
        neighbours = positive_mutual_information(torch.cat([counts.before, counts.after], dim=1))
        vectors = torch.cat([pairs, principal_directions(neighbours, size - size // 2)], dim=1)
        rotation, _ = torch.linalg.qr(torch.randn(size, size))
    return F.normalize((vectors - vectors.mean(dim=0)) @ rotation, dim=1)


def token_ids(line: str, vocabulary: Vocabulary) -> Tensor:
    """Returns the ids of the tokens of an encoded line, between BOS and EOS.

    Args:
        line: tokens, separated by spaces.
        vocabulary: joint vocabulary.
    """
    return torch.tensor([BOS, *vocabulary.encode(line), EOS])


def write_vectors(
    source: Path, target: Path, dictionary_path: Path, size: int, output: Path, *, overwrite: bool = False
) -> str:
    """Writes vectors of the dictionary's tokens that occur in the text, without special tokens.

    Args:
        source: source text in tokens, line by line.
        target: target text in tokens, line by line.
        dictionary_path: dictionary of both languages.
        size: size of a vector.
        output: file to write.
        overwrite: replace an existing output.

    Returns:
        A one-line summary.

    Raises:
        UserError: if a file cannot be read, or the text has none of the tokens.
    """
    inputs = [source, target, dictionary_path]
    check_files(inputs)
    vocabulary = Vocabulary.from_dictionary(dictionary_path)
    SIZES.check("size", size)
    with atomic_outputs([output], inputs=inputs, overwrite=overwrite) as (file,):
        counts = Counts.zero(len(vocabulary))
        pairs = count_pairs([source], [target], jobs=1)
        with progress_bar(total=pairs, name="counting", unit="pairs") as progress:
            for chunk in read_pairs([source], [target]):
                sources, targets = ([token_ids(line, vocabulary) for line in split_lines(side)] for side in chunk)
                counts.add(sources, targets)
                progress.update(len(sources))
        occurring = (counts.same_pair.sum(dim=1) > 0).nonzero().flatten().tolist()
        written = [token for token in occurring if token >= len(SPECIAL_TOKENS)]
        if not written:
            raise UserError(
                f"{source} and {target} have no token of {dictionary_path}: give text in tokens of this dictionary."
            )
        vectors = token_vectors(counts, size).tolist()
        file.write(f"{len(written)} {size}\n".encode())
        for token in written:
            numbers = " ".join(f"{number:.5g}" for number in vectors[token])
            file.write(f"{vocabulary[token]} {numbers}\n".encode("utf-8"))
    return f"vectors of {len(written):,} of {len(vocabulary):,} tokens"
