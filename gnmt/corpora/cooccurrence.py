"""Initial token embeddings from co-occurrence statistics of a parallel corpus (PPMI and SVD).

The file for the task's --pretrained-embeddings has a line `number-of-tokens size` and lines `token number number ...`.
The first half of a vector represents the sentence pairs that contain its token, in either language, so translations are
neighbours. The second half represents the tokens just before and after it, so similar words are neighbours. Each half
is a singular value decomposition of positive pointwise mutual information (Levy and Goldberg 2014, "Neural word embedding
as implicit matrix factorization", sections 4.2 and 5.2; Levy, Goldberg and Dagan 2015, "Improving distributional
similarity with lessons learned from word embeddings", equation 3 for the contexts' exponent).

Shapes: V tokens, C contexts (the first tokens of the dictionary, at most CONTEXTS), D size of a vector. Memory: about 7 V C
floats, 1.8 GB for 8,000 tokens.
"""

from pathlib import Path
from typing import NamedTuple, Sequence

import torch
from torch import Tensor
from torch.nn import functional as F
from tqdm import tqdm

from gnmt.errors import UserError
from gnmt.files.lines import check_files, split_lines
from gnmt.files.outputs import atomic_outputs
from gnmt.files.parallel_text import count_pairs, read_pairs
from gnmt.ranges import Range
from gnmt.tokenizers.vocabulary import BOS, EOS, SPECIAL_TOKENS, Vocabulary

SIZES = Range(2, 16_384, hint="the --hidden-size of the network")
CONTEXTS = 8192
WINDOW = 2  # tokens to each side that are neighbours
CONTEXT_EXPONENT = 0.75  # without it rare contexts would have too much mutual information
OVERSAMPLING, POWER_ITERATIONS = 32, 3  # of the randomised decomposition
SEED = 1


class Counts(NamedTuple):
    """Counts of tokens that stand together; each (V, C), added to in place."""

    same_pair: Tensor  # sentence pairs that have the token and the context
    before: Tensor  # times that the context stands 1 to WINDOW tokens before
    after: Tensor  # and behind

    @classmethod
    def zero(cls, tokens: int) -> "Counts":
        return cls(*(torch.zeros(tokens, min(tokens, CONTEXTS)) for _ in cls._fields))

    def add(self, sources: Sequence[Tensor], targets: Sequence[Tensor]) -> None:
        """Counts sentence pairs; a sentence is its tokens (length,), with marks at both ends."""
        pairs = [torch.cat(pair).unique() for pair in zip(sources, targets, strict=True)]
        tokens = torch.cat([pair.repeat_interleave(len(pair)) for pair in pairs])
        increment(self.same_pair, tokens, torch.cat([pair.repeat(len(pair)) for pair in pairs]))
        for distance in range(1, WINDOW + 1):
            left = torch.cat([sentence[:-distance] for sentence in (*sources, *targets)])
            right = torch.cat([sentence[distance:] for sentence in (*sources, *targets)])
            increment(self.after, left, right)
            increment(self.before, right, left)


def increment(counts: Tensor, tokens: Tensor, contexts: Tensor) -> None:
    """Adds 1 to the count of each token with its context, where it is one of the contexts."""
    known = contexts < counts.size(1)
    places = tokens[known] * counts.size(1) + contexts[known]
    counts.view(-1).index_add_(0, places, torch.ones(len(places)))


def positive_mutual_information(counts: Tensor) -> Tensor:
    """(V, C) counts -> max(0, log(P(token, context) / (P(token) P'(context)))), P' ~ frequency ** CONTEXT_EXPONENT."""
    tokens = counts.sum(dim=1, keepdim=True).clamp(min=1)
    contexts = counts.sum(dim=0).clamp(min=1) ** CONTEXT_EXPONENT
    return (counts / tokens).div_(contexts / contexts.sum()).log_().clamp_(min=0)


def principal_directions(matrix: Tensor, size: int) -> Tensor:
    """U √S of the `size` largest singular values, rows scaled to length 1 unless they are zero; zeros if there are fewer."""
    left, values, _ = torch.svd_lowrank(matrix, min(size + OVERSAMPLING, *matrix.shape), POWER_ITERATIONS)
    directions = F.normalize(left[:, :size] * values[:size].sqrt(), dim=1)
    return F.pad(directions, (0, size - directions.size(1)))


def token_vectors(counts: Counts, size: int) -> Tensor:
    """(V, size) vectors of length 1, with mean zero before they are scaled, in no particular directions."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(SEED)
        pairs = principal_directions(positive_mutual_information(counts.same_pair), size // 2)
        neighbours = positive_mutual_information(torch.cat([counts.before, counts.after], dim=1))
        vectors = torch.cat([pairs, principal_directions(neighbours, size - size // 2)], dim=1)
        rotation, _ = torch.linalg.qr(torch.randn(size, size))
    return F.normalize((vectors - vectors.mean(dim=0)) @ rotation, dim=1)


def token_numbers(line: str, vocabulary: Vocabulary) -> Tensor:
    """Returns the numbers of the tokens of an encoded line between BOS and EOS."""
    return torch.tensor([BOS, *vocabulary.encode(line), EOS])


def write_vectors(
    source: Path, target: Path, dictionary_path: Path, size: int, output: Path, *, overwrite: bool = False
) -> str:
    """Writes vectors of the dictionary's tokens that the text has, without fairseq's marks; returns a word about them.

    source and target are the two sides in tokens, line by line. Raises UserError for files that cannot be used.
    """
    inputs = [source, target, dictionary_path]
    check_files(inputs)
    vocabulary = Vocabulary.from_dictionary(dictionary_path)
    SIZES.check("size", size)
    with atomic_outputs([output], inputs=inputs, overwrite=overwrite) as (file,):
        counts = Counts.zero(len(vocabulary))
        pairs = count_pairs([source], [target], jobs=1)
        with tqdm(total=pairs, desc="counting", unit=" pairs", unit_scale=True) as progress:
            for chunk in read_pairs([source], [target]):
                sources, targets = ([token_numbers(line, vocabulary) for line in split_lines(side)] for side in chunk)
                counts.add(sources, targets)
                progress.update(len(sources))
        occurring = (counts.same_pair.sum(dim=1) > 0).nonzero().flatten().tolist()
        written = [token for token in occurring if token >= len(SPECIAL_TOKENS)]
        if not written:
            raise UserError(
                f"{source} and {target} have no token of {dictionary_path}: give text as it was encoded for it."
            )
        vectors = token_vectors(counts, size).tolist()
        file.write(f"{len(written)} {size}\n".encode())
        for token in written:
            numbers = " ".join(f"{number:.5g}" for number in vectors[token])
            file.write(f"{vocabulary[token]} {numbers}\n".encode("utf-8"))
    return f"vectors of {len(written):,} of {len(vocabulary):,} tokens"
