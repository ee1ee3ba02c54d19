"""Joint subwords: applies and reverses a sentencepiece model, and writes its dictionary for fairseq.

Models of `subword_training.py` restore the encoded text.
"""

from pathlib import Path
from typing import Callable, Iterator, List

from sentencepiece import SentencePieceProcessor

from gnmt.errors import UserError
from gnmt.files.line_conversion import convert_in_chunks
from gnmt.files.lines import check_files, split_lines
from gnmt.files.outputs import atomic_outputs
from gnmt.files.process_pool import check_jobs
from gnmt.tokenizers.vocabulary import SPECIAL_TOKENS

Conversion = Callable[[SentencePieceProcessor, List[str], int], List[str]]


def load_model(path: Path) -> SentencePieceProcessor:
    """Returns a sentencepiece model.

    Raises:
        UserError: if the file is missing or is not a sentencepiece model.
    """
    check_files([path])
    try:
        return SentencePieceProcessor(model_file=str(path))
    except RuntimeError as error:
        raise UserError(f"{path} is not a sentencepiece model, or is damaged: train or fetch it again.") from error


def encode_lines(model: SentencePieceProcessor, lines: List[str], jobs: int) -> List[str]:
    """Returns the pieces of each line, separated by spaces; an unknown character is kept as a piece.

    Args:
        model: sentencepiece model.
        lines: lines of text.
        jobs: number of threads.
    """
    return [" ".join(pieces) for pieces in model.encode(lines, out_type=str, num_threads=jobs)]


def decode_lines(model: SentencePieceProcessor, lines: List[str], jobs: int) -> List[str]:
    """Returns the text of each line of pieces; <s> and </s> are removed, <unk> becomes U+2047 between spaces.

    Args:
        model: sentencepiece model.
        lines: lines of pieces, separated by spaces.
        jobs: number of threads.
    """
    return model.decode([line.split() for line in lines], num_threads=jobs)


def encode_file(model_path: Path, source: Path, output: Path, *, jobs: int = 1, overwrite: bool = False) -> None:
    """Writes the pieces of each line, separated by spaces.

    Args:
        model_path: file of the model.
        source: text file, plain or compressed.
        output: file to write.
        jobs: number of threads, which does not change the output.
        overwrite: replace an existing output.
    """
    _convert_file(encode_lines, model_path, source, output, jobs, overwrite)


def decode_file(model_path: Path, source: Path, output: Path, *, jobs: int = 1, overwrite: bool = False) -> None:
    """Writes the text of each line of pieces.

    Args:
        model_path: file of the model.
        source: file of pieces, separated by spaces.
        output: file to write.
        jobs: number of threads, which does not change the output.
        overwrite: replace an existing output.
    """
    _convert_file(decode_lines, model_path, source, output, jobs, overwrite)


def _convert_file(
    convert: Conversion, model_path: Path, source: Path, output: Path, jobs: int, overwrite: bool
) -> None:
    check_jobs(jobs)
    check_files([source])
    model = load_model(model_path)
    convert_in_chunks(
        lambda chunks: (convert(model, split_lines(chunk), jobs) for chunk in chunks),
        source,
        output,
        inputs=[model_path],
        overwrite=overwrite,
    )


def dictionary_pieces(model: SentencePieceProcessor) -> Iterator[str]:
    """Yields the pieces of the model except control symbols, in its order.

    Raises:
        UserError: if fairseq's dictionary cannot contain a piece.
    """
    for index in range(len(model)):
        if model.is_unknown(index) or model.is_control(index):
            continue  # <unk>, <s>, </s>: fairseq's dictionary adds its own
        piece = model.id_to_piece(index)
        if piece in SPECIAL_TOKENS or any(character.isspace() for character in piece):
            raise UserError(
                f"The model has the piece {piece!r}, which fairseq would read as a special symbol or a space: "
                f"use a model of `gnmt subwords train`."
            )
        yield piece


def write_dictionary(model_path: Path, output: Path, *, overwrite: bool = False) -> None:
    """Writes fairseq's dictionary of a model: a line `piece count` for each piece, in the model's order.

    Contains all pieces, including those that do not occur in the training text, so only unknown characters become
    unknown tokens. Each count is 1; translation does not use counts.

    Args:
        model_path: file of the model.
        output: file to write.
        overwrite: replace an existing output.
    """
    lines = [f"{piece} 1\n" for piece in dictionary_pieces(load_model(model_path))]
    with atomic_outputs([output], inputs=[model_path], overwrite=overwrite) as (file,):
        file.write("".join(lines).encode("utf-8"))
