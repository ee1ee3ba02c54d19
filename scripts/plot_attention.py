"""Draws the attention of translations: target words against source words, and below the coverage of each source word.

`gnmt plot attention` draws it for a model folder and text; this script is for checkpoints and binarised data.

    python scripts/plot_attention.py --path CHECKPOINT --data DATA --sentencepiece-model M --input FILE --output-dir maps
    python scripts/plot_attention.py --path CHECKPOINT --data DATA --split test --ids 3 17 --words --page page.png

Sentences come from --input, from standard input, or from binarised data, and are numbered as in fairseq. Attention sums
to 1 in each row. The coverage is the sum of each column; the dashed line is at 1, where the coverage penalty is 0. The
score is the score of the search: a natural logarithm, with length normalisation and coverage penalty. --words joins
subwords.
"""

import argparse
import logging
import sys
from pathlib import Path
from typing import List, NamedTuple

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the checkout, installed or not
logging.disable(logging.INFO)  # hides fairseq's messages about loading

import torch  # noqa: E402
from fairseq.hub_utils import GeneratorHubInterface  # noqa: E402

from fairseq_gnmt.models.gnmt import GNMTModel  # noqa: E402
from gnmt.commands.process import run_command  # noqa: E402
from gnmt.errors import UserError  # noqa: E402
from gnmt.files.lines import check_files, read_lines, read_standard_input  # noqa: E402
from gnmt.files.outputs import atomic_outputs  # noqa: E402
from gnmt.plots.attention_map import END_MARK, SCHEMES, AttentionMap, of_words, to_pictures  # noqa: E402
from gnmt.plots.pictures import check_pictures  # noqa: E402


class Sentence(NamedTuple):
    number: int
    pieces: List[str]  # without EOS
    tokens: torch.Tensor  # (S,), with EOS


def load_model(args: argparse.Namespace) -> GeneratorHubInterface:
    """Returns the model of a checkpoint.

    Raises:
        UserError: if the checkpoint is not of this plugin.
    """
    subwords = {}
    if args.sentencepiece_model:
        subwords = {"bpe": "sentencepiece", "sentencepiece_model": str(args.sentencepiece_model)}
    if args.bpe_codes:
        subwords = {"bpe": "subword_nmt", "bpe_codes": str(args.bpe_codes)}
    if args.mixed_word_char_model:
        subwords = {"bpe": "mixed_word_char", "mixed_word_char_model": str(args.mixed_word_char_model)}
    given = (args.path, args.sentencepiece_model, args.bpe_codes, args.mixed_word_char_model)
    check_files([path for path in given if path])
    if not args.data.is_dir():
        raise UserError(f"{args.data} is not a folder: --data must name a folder of fairseq-preprocess.")
    folder, data = str(args.path.absolute().parent), str(args.data.absolute())
    model = GNMTModel.from_pretrained(folder, args.path.name, data, **subwords)
    if not isinstance(model.models[0], GNMTModel):
        raise UserError(f"{args.path} is a {type(model.models[0]).__name__}, but must be a GNMT of this plugin.")
    return model


def sentences_of_text(model: GeneratorHubInterface, lines: List[str]) -> List[Sentence]:
    pieces = [model.apply_bpe(model.tokenize(line)) for line in lines]
    return [Sentence(number, text.split(), model.binarize(text)) for number, text in enumerate(pieces)]


def sentences_of_data(model: GeneratorHubInterface, split: str, ids: List[int]) -> List[Sentence]:
    model.task.load_dataset(split)
    dataset = model.task.dataset(split)
    for number in ids:
        if not 0 <= number < len(dataset):
            raise UserError(f"--ids has {number}, but {split} has the sentences 0 to {len(dataset) - 1}.")
    source_bos = int(model.task.cfg.nvidia_conventions)  # translation adds BOS again
    rows = [dataset[number]["source"][source_bos:] for number in ids]
    pieces = [[model.src_dict[token] for token in row[:-1].tolist()] for row in rows]
    return [Sentence(*fields) for fields in zip(ids, pieces, rows)]


def translate(model: GeneratorHubInterface, sentences: List[Sentence], beam: int) -> List[AttentionMap]:
    """Returns the attention map of the best translation of each sentence."""
    maps = []
    for sentence, (best, *_) in zip(sentences, model.generate([entry.tokens for entry in sentences], beam=beam)):
        source = [*sentence.pieces, END_MARK]
        target = [model.tgt_dict[token] for token in best["tokens"].tolist()]
        weights = best["attention"].t().float().numpy()  # (T, S)
        maps.append(AttentionMap(sentence.number, float(best["score"]), source, target, weights))
    return maps


def parse_options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--path", type=Path, required=True, metavar="CHECKPOINT")
    parser.add_argument("--data", type=Path, required=True, metavar="DIR", help="of fairseq-preprocess")
    sentences = parser.add_argument_group("sentences").add_mutually_exclusive_group()
    sentences.add_argument(
        "--input", type=Path, metavar="FILE", help="text, one sentence per line (default: standard input)"
    )
    sentences.add_argument("--split", metavar="NAME", help="split of --data, such as test; needs --ids")
    parser.add_argument(
        "--ids", type=int, nargs="+", metavar="N", help="numbers of sentences of --split, as in fairseq-generate"
    )
    subwords = parser.add_argument_group("subwords of text (default: tokens separated by spaces)")
    models = subwords.add_mutually_exclusive_group()
    models.add_argument("--sentencepiece-model", type=Path, metavar="FILE")
    models.add_argument("--bpe-codes", type=Path, metavar="FILE", help="of subword_nmt")
    models.add_argument("--mixed-word-char-model", type=Path, metavar="FILE")
    parser.add_argument(
        "--words", nargs="?", choices=list(SCHEMES), const="sentencepiece", help="join the subwords of words"
    )
    parser.add_argument("--beam", type=int, default=5)
    output = parser.add_mutually_exclusive_group(required=True)
    output.add_argument(
        "--output-dir", type=Path, metavar="DIR", help="folder for attention-<number>.png of each sentence"
    )
    output.add_argument(
        "--page", type=Path, metavar="FILE.png", help="one picture with all sentences, one below the other"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace existing pictures")
    args = parser.parse_args()
    if (args.split is None) != (args.ids is None):
        raise UserError("--split and --ids go together: --split test --ids 3 17.")
    if args.ids and len(set(args.ids)) < len(args.ids):
        raise UserError("--ids has a number twice: give each once.")
    if args.beam < 1:
        raise UserError(f"--beam is {args.beam}, but must be at least 1.")
    check_pictures([args.page] if args.page else [])
    return args


def main() -> None:
    args = parse_options()
    lines = []
    if args.split is None:
        lines = read_lines(args.input) if args.input else read_standard_input()
    numbers = range(len(lines)) if args.split is None else args.ids
    if not numbers:
        raise UserError("There are no sentences on standard input: give some, a line each, or --input FILE.")
    paths = [args.page] if args.page else [args.output_dir / f"attention-{number}.png" for number in numbers]
    with atomic_outputs(paths, inputs=[args.input] if args.input else [], overwrite=args.overwrite) as files:
        model = load_model(args)
        if args.split is None:
            sentences = sentences_of_text(model, lines)
        else:
            sentences = sentences_of_data(model, args.split, args.ids)
        maps = translate(model, sentences, args.beam)
        if args.words:
            maps = [of_words(attention, SCHEMES[args.words]) for attention in maps]
        for file, picture in zip(files, to_pictures(maps, on_one_page=bool(args.page))):
            file.write(picture)
    for attention in maps:
        print(f"{attention.title}: {' '.join(attention.target[:-1])}")
    print(f"written: {', '.join(map(str, paths))}")


if __name__ == "__main__":
    run_command(main)
