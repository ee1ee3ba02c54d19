"""Mixed word/character model: frequent words are tokens, all others are spelt in characters (Wu et al. 2016, section
4.2).

`word_tokenizer.py` defines words and spelling. Decoding needs no model and restores every encoded text exactly.
Characters outside the model become unknown tokens of fairseq's dictionary and are lost in a network.
"""

from pathlib import Path
from typing import Sequence

from gnmt.files.outputs import atomic_outputs
from gnmt.tokenizers.word_counts import count_words, share_of
from gnmt.tokenizers.word_vocabulary import learn_vocabulary, load_vocabulary, to_json


def train(
    inputs: Sequence[Path],
    vocab_size: int,
    output: Path,
    *,
    character_coverage: float = 1.0,
    jobs: int = 1,
    overwrite: bool = False,
) -> str:
    """Learns the vocabulary of all inputs together and writes it.

    Args:
        inputs: text files, plain or compressed.
        vocab_size: number of tokens of its dictionary; fewer if the text has fewer words.
        output: file to write.
        character_coverage: share of the text's characters that the vocabulary must contain.
        jobs: number of processes.
        overwrite: replace an existing output.

    Returns:
        A one-line summary.

    Raises:
        UserError: if an input cannot be read, or `vocab_size` is too small for the characters.
    """
    with atomic_outputs([output], inputs=inputs, overwrite=overwrite) as (file,):
        counts = count_words(inputs, jobs)
        vocabulary = learn_vocabulary(counts, vocab_size, character_coverage)
        file.write(to_json(vocabulary).encode("utf-8"))
    return (
        f"{len(vocabulary.characters):,} characters and {len(vocabulary.words):,} of {len(counts):,} words, "
        f"{share_of(vocabulary.tokens, counts):.2%} of the text"
    )


def write_dictionary(model: Path, output: Path, *, overwrite: bool = False) -> None:
    """Writes fairseq's dictionary of a model: a line `token count` for each token, in the model's order.

    Contains all tokens, including those that do not occur in the training text. Each count is 1; translation does not
    use counts.

    Args:
        model: file of the model.
        output: file to write.
        overwrite: replace an existing output.
    """
    lines = [f"{token} 1\n" for token in load_vocabulary(model).dictionary()]
    with atomic_outputs([output], inputs=[model], overwrite=overwrite) as (file,):
        file.write("".join(lines).encode("utf-8"))
