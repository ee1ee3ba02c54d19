"""Initialisation of embeddings from a file of token vectors."""

import logging
import math
from pathlib import Path
from typing import Dict, Iterator, Tuple

import torch
from fairseq.data import Dictionary
from fairseq.models import FairseqEncoderDecoderModel
from torch import Tensor, nn

from gnmt.errors import UserError

logger = logging.getLogger(__name__)


def read_vectors(path: Path, size: int) -> Iterator[Tuple[str, Tensor]]:
    """Yields tokens and vectors (size,) of a file in word2vec's text format: a header, then lines `token number ...`.

    Args:
        path: file of vectors.
        size: hidden size, the size of an embedding.

    Raises:
        UserError: if the file is missing, has another format, or has vectors of another size.
    """
    try:
        with open(path, encoding="utf-8", newline="\n") as lines:
            next(lines, None)
            for number, line in enumerate(lines, start=2):
                token, *numbers = line.rstrip().split(" ")
                if len(numbers) != size:
                    raise UserError(
                        f"{path}, line {number}: there are {len(numbers)} numbers after the token, but the network's embeddings "
                        f"have {size}: make it with --size {size}, or train with another --hidden-size."
                    )
                yield token, torch.tensor([float(number) for number in numbers])
    except OSError as error:
        raise UserError(f"--pretrained-embeddings {path}: {error.strerror}. Name a file of vectors.") from error
    except ValueError as error:
        if isinstance(error, UserError):
            raise
        raise UserError(
            f"{path} has no vectors in text, a line `token number number ...` for each: {error}."
        ) from error


@torch.no_grad()
def copy_rows(embedding: nn.Embedding, dictionary: Dictionary, vectors: Dict[str, Tensor]) -> int:
    """Copies vectors into the rows of their tokens, scaled by one factor to the mean square of the replaced rows.

    Args:
        embedding: embedding to change.
        dictionary: dictionary of its tokens.
        vectors: vectors by token.

    Returns:
        Number of tokens that have a vector.

    Raises:
        UserError: if the vectors are all zero or not finite.
    """
    vectors_by_id = {
        dictionary.indices[token]: vector for token, vector in vectors.items() if token in dictionary.indices
    }
    if vectors_by_id:
        rows = torch.tensor(list(vectors_by_id))
        replacements = torch.stack(list(vectors_by_id.values())).to(embedding.weight)
        length = replacements.square().mean().sqrt()
        if not 0 < length < math.inf:
            raise UserError(
                "The vectors of --pretrained-embeddings are all zero, or not all of their numbers are finite."
            )
        scale = embedding.weight[rows].square().mean().sqrt() / length
        embedding.weight[rows] = replacements * scale
    return len(vectors_by_id)


def init_embeddings_from_file(
    model: FairseqEncoderDecoderModel, source: Dictionary, target: Dictionary, path: Path
) -> None:
    """Initialises the embeddings of all tokens that have a vector in a file.

    Args:
        model: model to change, of this plugin or of fairseq.
        source: source dictionary.
        target: target dictionary.
        path: file of vectors.

    Raises:
        UserError: if the file has none of the tokens, or the model has no `embed_tokens`.
    """
    for side in (model.encoder, model.decoder):
        if not isinstance(getattr(side, "embed_tokens", None), nn.Embedding):
            raise UserError(
                f"--pretrained-embeddings: {type(side).__name__} has no `embed_tokens` to initialise: omit it."
            )
    embeddings = [(model.encoder.embed_tokens, source)]
    if model.decoder.embed_tokens is not model.encoder.embed_tokens:
        embeddings.append((model.decoder.embed_tokens, target))
    size = model.encoder.embed_tokens.embedding_dim
    vectors = {token: vector for token, vector in read_vectors(path, size) if token in source or token in target}
    for embedding, dictionary in embeddings:
        count = copy_rows(embedding, dictionary, vectors)
        if not count:
            raise UserError(
                f"{path} has none of the dictionary's tokens: make it from text that was encoded as the data was."
            )
        logger.info("embeddings of %d of %d tokens are initialised from %s", count, len(dictionary), path)
