"""Deprecated path of benchmarks/benchmark_translation.py; the next release removes it."""

import os
import sys
from pathlib import Path

PROGRAM = Path(__file__).resolve().parents[1] / "benchmarks" / "benchmark_translation.py"

if __name__ == "__main__":
    os.execv(sys.executable, [sys.executable, str(PROGRAM), *sys.argv[1:]])
