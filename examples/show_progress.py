"""Prints the progress of a training run in short, from the log of fairseq-train on stdin.

fairseq-train DATA OPTIONS... | tee -a train.log | python examples/show_progress.py DATA OPTIONS...

The options are those of fairseq-train; --max-update gives the time that is left.
"""

import argparse
import signal
import sys

from gnmt.training.progress import TrainingProgress


def main() -> None:
    """Shortens stdin to its end; Ctrl-C ends fairseq-train, whose last lines are still shown."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    parser = argparse.ArgumentParser(allow_abbrev=False)
    parser.add_argument("--max-update", type=int)
    arguments, _ = parser.parse_known_args()
    progress = TrainingProgress(arguments.max_update)
    sys.stdin.reconfigure(encoding="utf-8", errors="replace")
    for line in sys.stdin:
        text = progress.shorten(line.rstrip("\n"))
        if text is not None:
            print(text, flush=True)


if __name__ == "__main__":
    main()
