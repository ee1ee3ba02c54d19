"""The mixed word/character model: frequent words as they are, all others spelt in characters.

`word_tokenizer.py` defines how words are found and spelt. Decoding needs no model and gives back every text that was encoded;
only what fairseq's dictionary does not have, characters outside the model, is lost on the way through a network.
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
    """Writes the vocabulary of all inputs together; returns a one-line summary.

    Its dictionary has `vocab_size` tokens, or fewer if the text has not so many words. Raises UserError for inputs that
    cannot be used and for a size that does not hold the characters.
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
    """Writes fairseq's dictionary of a model: a line `token count` for each of its tokens, in its order.

    All tokens are there, in the training text or not. Each count is 1; translation uses none of them.
    """
    lines = [f"{token} 1\n" for token in load_vocabulary(model).dictionary()]
    with atomic_outputs([output], inputs=[model], overwrite=overwrite) as (file,):
        file.write("".join(lines).encode("utf-8"))
