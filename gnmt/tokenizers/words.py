"""Word model: text as words and punctuation, and fairseq's dictionary of the most frequent words.

There is no model file: `word_tokenizer.py` defines words. Words outside the dictionary are unknown tokens.
"""

from pathlib import Path
from typing import Sequence

from gnmt.errors import UserError
from gnmt.files.outputs import atomic_outputs
from gnmt.tokenizers.word_counts import by_frequency, count_words, share_of
from gnmt.tokenizers.word_tokenizer import word_token


def write_dictionary(
    inputs: Sequence[Path], vocab_size: int, output: Path, *, jobs: int = 1, overwrite: bool = False
) -> str:
    """Writes fairseq's dictionary: a line `token count` for each of the most frequent tokens.

    Args:
        inputs: text files, plain or compressed.
        vocab_size: number of tokens; fewer if the text has fewer.
        output: file to write.
        jobs: number of processes.
        overwrite: replace an existing output.

    Returns:
        A one-line summary.

    Raises:
        UserError: if an input cannot be read, or `vocab_size` is below 1.
    """
    if vocab_size < 1:
        raise UserError(f"--vocab-size is {vocab_size}, but it must be at least 1: 32000 is usual.")
    with atomic_outputs([output], inputs=inputs, overwrite=overwrite) as (file,):
        counts = count_words(inputs, jobs)
        words = by_frequency(counts)[:vocab_size]
        file.write("".join(f"{word_token(word)} {counts[word]}\n" for word in words).encode("utf-8"))
    return f"{len(words):,} of {len(counts):,} words, {share_of(words, counts):.2%} of the text"
