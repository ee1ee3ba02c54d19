"""Converts checkpoints between NVIDIA's GNMT v2 for PyTorch and this plugin, in both directions.

`gnmt convert` converts model folders; this script is for fairseq's checkpoints.

    python scripts/convert_nvidia_checkpoint.py to-fairseq --input nvidia.pt --output DIR
    fairseq-interactive DIR --user-dir fairseq_gnmt --task gnmt_translation --path DIR/checkpoint.pt \\
        --source-lang en --target-lang de --tokenizer moses --moses-no-dash-splits \\
        --bpe subword_nmt --bpe-codes DIR/bpecodes

    python scripts/convert_nvidia_checkpoint.py to-nvidia --input our.pt --data DIR --bpe-codes DIR/bpecodes \\
        --output nvidia.pt

DIR contains checkpoint.pt, a dictionary of each language and bpecodes. Reading a file never executes code. Converted
checkpoints are for translation: the optimizer's state is not converted. To continue a training run, use
--finetune-from-model DIR/checkpoint.pt and --nvidia-conventions.
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the checkout, installed or not

import fairseq_gnmt  # noqa: E402, F401  registers the architectures
from fairseq_gnmt.interop.nvidia_conversion import to_fairseq, to_nvidia  # noqa: E402
from gnmt.commands.process import run_command  # noqa: E402


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    directions = parser.add_subparsers(dest="direction", required=True)
    ours = directions.add_parser("to-fairseq", help="convert NVIDIA's checkpoint to a folder for fairseq's commands")
    ours.add_argument("--input", type=Path, required=True, help="checkpoint of NVIDIA's GNMT v2")
    ours.add_argument("--output", type=Path, required=True, help="folder")
    theirs = directions.add_parser("to-nvidia", help="convert a checkpoint of this plugin for NVIDIA's translate.py")
    theirs.add_argument("--input", type=Path, required=True, help="checkpoint trained with --nvidia-conventions")
    theirs.add_argument("--data", type=Path, required=True, help="folder of fairseq-preprocess with the dictionaries")
    theirs.add_argument("--bpe-codes", type=Path, required=True, help="file of subword-nmt learn-bpe")
    theirs.add_argument("--output", type=Path, required=True)
    for direction in (ours, theirs):
        direction.add_argument("--overwrite", action="store_true", help="replace existing files")
    args = parser.parse_args()
    if args.direction == "to-fairseq":
        to_fairseq(args.input, args.output, args.overwrite)
    else:
        to_nvidia(args.input, args.data, args.bpe_codes, args.output, args.overwrite)
    print(f"{args.output}: converted from {args.input}")


if __name__ == "__main__":
    run_command(main)
