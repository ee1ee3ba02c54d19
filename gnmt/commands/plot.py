"""Draws training curves, or the attention of translations; needs matplotlib.

    gnmt plot training outputs/multi30k/checkpoints/train.log --output curves.png
    gnmt plot training runs/a/train.log runs/b/train.log --names baseline wider --output both.png
    gnmt plot attention MODEL text.en --page attention.png
    gnmt plot attention MODEL --words --output-dir maps < text.en

Training curves are loss, BLEU, learning rate and speed against updates or epochs. A log is a file of --log-file, or the
output of fairseq-train, with --log-format simple or json. A log may contain a resumed training run; repeated updates count
once.

An attention map has target tokens as rows, which sum to 1, and source tokens as columns. The bars below are the column
sums; the coverage penalty applies below the dashed line. The score is the score of the search: log-probability (natural
logarithm) divided by the length penalty, plus the coverage penalty.
"""

import argparse
import sys
from pathlib import Path
from typing import List, Optional, Sequence

from gnmt.commands.declared_options import add_options
from gnmt.errors import UserError
from gnmt.files.json_objects import read_object
from gnmt.files.lines import read_lines, read_stream
from gnmt.files.outputs import atomic_outputs
from gnmt.plots.attention_map import END_MARK, SCHEMES, AttentionMap, of_words, to_pictures
from gnmt.plots.pictures import check_pictures, to_png
from gnmt.plots.training_curves import AXES, LOSS, PANELS, Run, draw, missing
from gnmt.training.training_log import read_log
from gnmt.translation.options import TranslationOptions

SCHEME_OF = {"sentencepiece": "sentencepiece", "moses_subword_nmt": "subword_nmt", "mixed_word_char": "mixed_word_char"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declares the options of the command."""
    commands = parser.add_subparsers(dest="command", required=True)
    training = commands.add_parser("training", help="draw curves of one or several training runs")
    training.add_argument("logs", type=Path, nargs="+", metavar="LOG", help="logs, one per training run")
    training.add_argument("--output", type=Path, required=True, metavar="FILE.png")
    training.add_argument(
        "--names", nargs="+", metavar="NAME", help="names of the training runs (default: file or folder names)"
    )
    training.add_argument("--against", choices=AXES, default="updates", help="horizontal axis (default: updates)")
    training.add_argument(
        "--loss", choices=list(LOSS), default="nll", help="bits per token, or perplexity (default: nll)"
    )

    attention = commands.add_parser("attention", help="draw attention and coverage of translations")
    attention.add_argument("model", type=Path, metavar="MODEL", help="model folder")
    attention.add_argument(
        "file", type=Path, nargs="?", metavar="FILE", help="text, one sentence per line (default: stdin)"
    )
    attention.add_argument("--words", action="store_true", help="draw attention between words instead of subwords")
    add_options(attention, TranslationOptions, ["beam"])
    output = attention.add_mutually_exclusive_group(required=True)
    output.add_argument(
        "--output-dir", type=Path, metavar="DIR", help="folder for one picture per sentence, attention-<line>.png"
    )
    output.add_argument("--page", type=Path, metavar="FILE.png", help="one picture with all sentences")
    for command in (training, attention):
        command.add_argument("--overwrite", action="store_true", help="replace existing pictures")


def run(arguments: argparse.Namespace) -> None:
    """Runs the command."""
    {"training": plot_training, "attention": plot_attention}[arguments.command](arguments)


def plot_training(arguments: argparse.Namespace) -> None:
    """Draws the curves of training runs."""
    if len(set(arguments.logs)) < len(arguments.logs):
        raise UserError("A log is given twice: give each once.")
    check_pictures([arguments.output])
    names = names_of(arguments.logs, arguments.names)
    panels = [LOSS[arguments.loss], *PANELS]
    with atomic_outputs([arguments.output], inputs=arguments.logs, overwrite=arguments.overwrite) as (file,):
        runs = [Run(name, read_log(path)) for name, path in zip(names, arguments.logs)]
        for training_run in runs:
            for sentence in missing(training_run, panels, arguments.against):
                print(sentence)
        file.write(to_png(draw(runs, panels, arguments.against)))
    print(f"{arguments.output}: curves of {', '.join(names)}, by {arguments.against}")


def names_of(paths: Sequence[Path], given: Optional[Sequence[str]]) -> List[str]:
    """Returns the given names; otherwise the shortest of file names, folder names and paths that are distinct.

    Args:
        paths: logs of the training runs.
        given: names on the command line, one per log; None if there are none.

    Raises:
        UserError: if names are not distinct or their number differs from the number of logs.
    """
    if given is not None:
        if len(given) != len(paths) or len(set(given)) < len(given):
            raise UserError(f"--names are {', '.join(given)}, but each of the {len(paths)} logs needs a distinct name.")
        return list(given)
    stems, folders = [path.stem for path in paths], [path.absolute().parent.name for path in paths]
    for names in (stems, folders):
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in paths]


def plot_attention(arguments: argparse.Namespace) -> None:
    """Draws the attention of the best translation of each sentence."""
    check_pictures([arguments.page] if arguments.page else [])
    lines = read_lines(arguments.file) if arguments.file else list(read_stream(sys.stdin.buffer, _warn))
    numbers = [number for number, line in enumerate(lines) if line.strip()]
    if not numbers:
        raise UserError("There are no sentences: give some, one per line.")
    paths = (
        [arguments.page] if arguments.page else [arguments.output_dir / f"attention-{number}.png" for number in numbers]
    )
    inputs = [arguments.file] if arguments.file else []
    with atomic_outputs(paths, inputs=inputs, overwrite=arguments.overwrite) as files:
        maps = attention_maps(arguments.model, [lines[number] for number in numbers], numbers, arguments.beam)
        if arguments.words and (scheme := SCHEME_OF.get(read_object(arguments.model / "tokenizer.json")["type"])):
            maps = [of_words(attention_map, SCHEMES[scheme]) for attention_map in maps]
        for file, picture in zip(files, to_pictures(maps, on_one_page=bool(arguments.page))):
            file.write(picture)
    for attention_map in maps:
        print(f"{attention_map.title}: {' '.join(attention_map.target[:-1])}")
    print(f"written: {', '.join(map(str, paths))}")


def attention_maps(
    model: Path, sentences: Sequence[str], numbers: Sequence[int], beam: Optional[int] = None
) -> List[AttentionMap]:
    """Translates sentences, and returns the attention between tokens of the best translations.

    Args:
        model: model folder.
        sentences: sentences that are not blank.
        numbers: line numbers of the sentences.
        beam: number of hypotheses that continue at each step; None means the model's own.
    """
    from gnmt.translator import Translator

    maps = []
    for number, translation in zip(numbers, Translator.from_pretrained(model).translate(sentences, beam=beam)):
        (sentence,) = translation.sentences
        best = sentence.nbest[0]
        source, target = [*sentence.source_tokens, END_MARK], [*best.tokens, END_MARK]
        maps.append(AttentionMap(number, best.score, source, target, best.attention.float().numpy()))
    return maps


def _warn(sentence: str) -> None:
    print(f"warning: {sentence}", file=sys.stderr)
