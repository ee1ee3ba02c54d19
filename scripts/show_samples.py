"""Shows some translations with their source and reference: the same sentences in every run.

python scripts/show_samples.py --source F --reference F --hypotheses F [--count 5]
"""

import argparse
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the checkout, installed or not

from gnmt.commands.process import run_command  # noqa: E402
from gnmt.errors import UserError  # noqa: E402
from gnmt.files.lines import read_lines  # noqa: E402

PARTS = ("source", "reference", "hypotheses")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for part in PARTS:
        parser.add_argument(f"--{part}", type=Path, required=True, help="plain text, one sentence a line")
    parser.add_argument("--count", type=int, default=5)
    options = parser.parse_args()
    if options.count < 0:
        raise UserError(f"--count is {options.count}, but cannot be negative.")
    texts = [read_lines(getattr(options, part)) for part in PARTS]
    if len({len(text) for text in texts}) != 1:
        counts = ", ".join(f"{getattr(options, part)} has {len(text)}" for part, text in zip(PARTS, texts))
        raise UserError(f"The files must have the same number of lines, but {counts}.")
    step = max(1, len(texts[0]) // max(1, options.count))
    for source, reference, hypothesis in list(zip(*texts))[::step][: options.count]:
        print(f"\n  source      {source}\n  reference   {reference}\n  translation {hypothesis}")


if __name__ == "__main__":
    run_command(main)
