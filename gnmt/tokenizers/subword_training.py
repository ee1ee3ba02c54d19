"""Learns joint subwords with sentencepiece, so that decoding restores the encoded text.

Only white space changes: each run becomes one space, and leading and trailing white space is removed. Models are
therefore trained with the `identity` normalisation plus this rule. The default of sentencepiece, nmt_nfkc, changes text
irreversibly: a superscript two becomes 2, and a ligature becomes separate letters. The rule is stored in the model, so
fairseq's `--bpe sentencepiece` applies it too.
"""

import io
import os
import random
import re
import sys
import tempfile
from itertools import chain
from pathlib import Path
from typing import Iterable, Iterator, Sequence

import sentencepiece

from gnmt.errors import UserError
from gnmt.files.lines import check_files, count_lines, read_chunks, split_lines
from gnmt.files.outputs import atomic_outputs
from gnmt.files.progress import progress_bar

# Always a separate piece, and never unknown. Neither a piece nor a run of unknown characters can then spell <s>, <pad>,
# </s> or <unk>, which fairseq would read as its special symbols.
SOLITARY_CHARACTER = "<"
# sentencepiece does not learn the characters of these three symbols, so they are passed to it.
GIVEN_CHARACTERS = "".join(sorted(set("<s></s><unk>") - {SOLITARY_CHARACTER}))

WORD_BOUNDARY = "\u2581"  # sentencepiece's mark for a space; the same character in a text is decoded as a space
# sentencepiece's default of 4192 bytes skips longer lines, and their letters would be unknown.
MAX_LINE_BYTES = 1 << 20
# Enough for tens of thousands of pieces; needs 0.45 GiB per million lines of 130 bytes (measured).
LINES_IN_MEMORY = 5_000_000


def white_space_rule() -> str:
    """Returns sentencepiece's table that maps white space and control characters to a space.

    Lines are: hexadecimal code, tab, replacement. White space is defined as in `str.split`, which fairseq uses. A table
    cannot contain U+0000.
    """
    white_space = {code for code in range(sys.maxunicode + 1) if chr(code).isspace() and code != 0x20}
    control = {*range(0x01, 0x20), *range(0x7F, 0xA0)}
    return "".join(f"{code:X}\t20\n" for code in sorted(white_space | control | {ord(WORD_BOUNDARY)}))


def train_subwords(
    inputs: Sequence[Path],
    model_prefix: str,
    vocab_size: int,
    *,
    model_type: str = "bpe",
    character_coverage: float = 1.0,
    input_sentence_size: int = LINES_IN_MEMORY,
    seed: int = 1,
    overwrite: bool = False,
) -> None:
    """Learns one model for all inputs; writes model_prefix + ".vocab" (piece, tab, score) and ".model".

    Args:
        inputs: text files, plain or compressed.
        model_prefix: path of the outputs without suffix.
        vocab_size: number of pieces, including <unk>, <s> and </s>.
        model_type: type of sentencepiece model, such as "bpe" or "unigram".
        character_coverage: share of the text's characters that are not unknown.
        input_sentence_size: maximum number of lines in memory; a larger text is sampled at random.
        seed: seed of the sample.
        overwrite: replace existing outputs.

    Raises:
        UserError: if an input cannot be read, an option is out of range, or the size does not fit the text.
    """
    if vocab_size < 1:
        raise UserError(f"--vocab-size is {vocab_size}, but it must be at least 1: 32000 is usual.")
    if not 0 < character_coverage <= 1:
        raise UserError(f"--character-coverage is {character_coverage}, but it must be above 0 and at most 1.")
    if input_sentence_size < 1:
        raise UserError(f"--input-sentence-size is {input_sentence_size}, but it must be at least 1.")
    check_files(inputs)
    outputs = [Path(f"{model_prefix}.{ending}") for ending in ("vocab", "model")]
    with atomic_outputs(outputs, inputs=inputs, overwrite=overwrite) as (vocab_file, model_file):
        total = sum(map(count_lines, inputs))
        lines = progress_bar(_lines(inputs), total=total, name="reading", unit="lines")
        sample = draw_lines(lines, total, input_sentence_size, seed)
        model = _learn(sample, vocab_size, model_type, character_coverage)
        model_file.write(model)
        pieces = sentencepiece.SentencePieceProcessor(model_proto=model)
        for index in range(len(pieces)):
            vocab_file.write(f"{pieces.id_to_piece(index)}\t{pieces.get_score(index):g}\n".encode("utf-8"))


def _learn(lines: Iterator[str], vocab_size: int, model_type: str, character_coverage: float) -> bytes:
    """Returns the content of a model file, with the normalisation and special symbols described above.

    Args:
        lines: training text.
        vocab_size: number of pieces.
        model_type: type of sentencepiece model.
        character_coverage: share of the text's characters that are not unknown.
    """
    model = io.BytesIO()
    with tempfile.NamedTemporaryFile("w", suffix=".tsv") as rule:
        rule.write(white_space_rule())
        rule.flush()
        try:
            sentencepiece.SentencePieceTrainer.train(
                sentence_iterator=lines,
                model_writer=model,
                model_type=model_type,
                vocab_size=vocab_size,
                hard_vocab_limit=model_type != "char",  # a text may have fewer characters
                character_coverage=character_coverage,
                max_sentence_length=MAX_LINE_BYTES,
                normalization_rule_tsv=rule.name,
                user_defined_symbols=[SOLITARY_CHARACTER],
                required_chars=GIVEN_CHARACTERS,
                minloglevel=2,  # errors
            )
        except (RuntimeError, ValueError) as error:
            raise UserError(_remedy(error, vocab_size)) from error
    # The model contains the name of the temporary file; it is removed so that equal texts give equal files.
    name = os.fsencode(rule.name)
    return model.getvalue().replace(name, b"-" * len(name))


def draw_lines(lines: Iterable[str], total: int, size: int, seed: int) -> Iterator[str]:
    """Yields a random sample of the lines, in their order, or all lines if there are not more.

    Algorithm S of Knuth, The Art of Computer Programming 2, 3.4.2; sentencepiece's own sampling has a fixed seed.

    Args:
        lines: all lines.
        total: number of lines.
        size: size of the sample.
        seed: seed of the sample.
    """
    generator = random.Random(seed)
    for remaining, line in zip(range(total, 0, -1), lines):
        if generator.random() * remaining < size:
            size -= 1
            yield line


def _lines(paths: Sequence[Path]) -> Iterator[str]:
    chunks = chain.from_iterable(map(read_chunks, paths))
    return chain.from_iterable(map(split_lines, chunks))


def _remedy(error: Exception, vocab_size: int) -> str:
    """Returns sentencepiece's error as a sentence with a remedy.

    Args:
        error: error of the training.
        vocab_size: requested number of pieces.
    """
    if maximum := re.search(r"set it to a value <= (\d+)", str(error)):
        return f"--vocab-size {vocab_size} is too large for this text: use at most {maximum[1]}, or more text."
    if minimum := re.search(r"smaller than required_chars\. \d+ vs (\d+)", str(error)):
        return (
            f"--vocab-size {vocab_size} is too small for the characters of this text: use at least {minimum[1]}, "
            f"or leave rare characters out with a lower --character-coverage."
        )
    return f"sentencepiece cannot learn from this text ({error}): check that it has sentences."
