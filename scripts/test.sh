#!/usr/bin/env bash
# Runs the tests in two processes; builds .venv first if it is missing. Arguments go to pytest:
#
#   bash scripts/test.sh                the fast tests
#   bash scripts/test.sh -m slow        the tests that take minutes
#   bash scripts/test.sh tests/core/evaluation/test_bleu.py -k signature
#   bash scripts/test.sh -n 0 --pdb     in one process
#
# The exit code is the exit code of pytest.
set -euo pipefail

root="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)"
bash "$root/scripts/environment.sh" dev
cd -- "$root"
export PATH="$root/.venv/bin:$PATH"  # tests call fairseq's commands

results="$(mktemp -d)"
trap 'rm -rf -- "$results"' EXIT
code=0
python -m pytest --numprocesses 2 --dist loadfile --junitxml "$results/junit.xml" "$@" || code=$?
python - "$results/junit.xml" "$SECONDS" <<'PYTHON_CODE'
import pathlib, sys, xml.etree.ElementTree as ElementTree
results, minutes = pathlib.Path(sys.argv[1]), int(sys.argv[2]) / 60
if results.exists():  # not after --help, --collect-only or a --junitxml of the caller
    counts = ElementTree.parse(results).getroot().find("testsuite").attrib
    failed = int(counts["failures"]) + int(counts["errors"])
    print(f"{counts['tests']} tests ({failed} failed, {counts['skipped']} skipped) in {minutes:.1f} minutes, including set-up.")
PYTHON_CODE
exit "$code"
