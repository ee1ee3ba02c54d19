"""Prints the number of updates of an epoch on a binarised corpus."""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # a checkout works without being installed
from fairseq.data import data_utils  # noqa: E402

from gnmt.commands.process import run_command  # noqa: E402
from gnmt.errors import UserError  # noqa: E402

BEGIN_OF_SENTENCE = 1  # NVIDIA counts it, fairseq does not store it


def count_pairs(binary: Path, max_length: int) -> int:
    """Returns the number of training pairs with at most `max_length` tokens on both sides, including BOS and EOS."""
    sizes = []
    for language in ("en", "de"):
        dataset = data_utils.load_indexed_dataset(str(binary / f"train.en-de.{language}"), None)
        if dataset is None:
            raise UserError(f"{binary} has no train.en-de.{language}: run prepare.sh first.")
        sizes.append(dataset.sizes.copy())  # the sizes are in a memory map that is closed with the data set
    source, target = sizes
    limit = max_length - BEGIN_OF_SENTENCE  # the stored sizes include EOS
    return int(((source <= limit) & (target <= limit)).sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("data", type=Path, help="folder of fairseq-preprocess")
    parser.add_argument("--max-length", type=int, required=True, help="maximum tokens of a side, including BOS and EOS")
    parser.add_argument(
        "--global-batch", type=int, required=True, help="sentence pairs per update, all devices together"
    )
    parser.add_argument("--epochs", type=int, required=True)
    args = parser.parse_args()
    pairs = count_pairs(args.data, args.max_length)
    if pairs == 0:
        raise UserError(f"{args.data} has no training pair of at most {args.max_length} tokens: raise the limit.")
    updates_per_epoch = -(-pairs // args.global_batch)
    print(f"{pairs} pairs, {updates_per_epoch} updates per epoch", file=sys.stderr)
    print(args.epochs * updates_per_epoch)


if __name__ == "__main__":
    run_command(main)
