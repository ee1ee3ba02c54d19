"""Draws the curves of trainings from fairseq's logs: loss, BLEU, learning rate and speed, against updates or epochs.

    python scripts/plot_training.py outputs/multi30k/checkpoints/train.log --output curves.png
    python scripts/plot_training.py runs/a/train.log runs/b/train.log --names baseline wider --output both.png

A log is a file of --log-file, or what fairseq-train printed, with --log-format simple or json. A run that was resumed
may be in one log; what it did again counts once. What a log does not have is left out, and told.
"""
import argparse
import logging
import sys
from pathlib import Path
from typing import List, Optional, Sequence

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the checkout, installed or not
logging.disable(logging.INFO)  # fairseq lets every library tell all it does

from gnmt.commands.process import run_command  # noqa: E402
from gnmt.errors import UserError  # noqa: E402
from gnmt.files.outputs import atomic_outputs  # noqa: E402
from plotting.pictures import check_pictures, to_png  # noqa: E402
from plotting.training_curves import AXES, LOSS, PANELS, Run, draw, missing  # noqa: E402
from plotting.training_log import read_log  # noqa: E402


def names_of(paths: Sequence[Path], given: Optional[Sequence[str]]) -> List[str]:
    """As given, or else the shortest of file names, folder names and whole paths that tell the logs apart."""
    if given is not None:
        if len(given) != len(paths) or len(set(given)) < len(given):
            raise UserError(f"--names are {', '.join(given)}, but each of the {len(paths)} logs needs one of its own.")
        return list(given)
    stems, folders = [path.stem for path in paths], [path.absolute().parent.name for path in paths]
    for names in (stems, folders):
        if len(set(names)) == len(names):
            return names
    return [str(path) for path in paths]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("logs", type=Path, nargs="+", metavar="LOG", help="of one run each")
    parser.add_argument("--output", type=Path, required=True, metavar="FILE.png")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing --output")
    parser.add_argument("--names", nargs="+", metavar="NAME", help="of the runs (default: of their files or folders)")
    parser.add_argument("--against", choices=AXES, default="updates", help="what runs along the axis")
    parser.add_argument("--loss", choices=list(LOSS), default="nll", help="bits per token, or perplexity")
    args = parser.parse_args()
    if len(set(args.logs)) < len(args.logs):
        raise UserError("A log is given twice: give each once.")
    check_pictures([args.output])
    names = names_of(args.logs, args.names)
    panels = [LOSS[args.loss], *PANELS]
    with atomic_outputs([args.output], inputs=args.logs, overwrite=args.overwrite) as (file,):
        runs = [Run(name, read_log(path)) for name, path in zip(names, args.logs)]
        for run in runs:
            for sentence in missing(run, panels, args.against):
                print(sentence)
        file.write(to_png(draw(runs, panels, args.against)))
    print(f"{args.output}: {', '.join(names)} against {args.against}")


if __name__ == "__main__":
    run_command(main)
