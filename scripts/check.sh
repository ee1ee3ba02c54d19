#!/usr/bin/env bash
# Checks that take a few minutes: lint, format, types, unit tests. Stops at the first failure. Arguments go to pytest.
#
#   bash scripts/check.sh
#
# scripts/test.sh also runs the other tests.
set -euo pipefail

root="$(cd -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd -P)"
bash "$root/scripts/environment.sh" dev
cd -- "$root"
export PATH="$root/.venv/bin:$PATH"

say() { printf '== %s\n' "$*"; }

say "ruff check"
ruff check .
say "ruff format"
ruff format --check .
say "mypy"
mypy
say "unit tests"
python -m pytest --quiet --exitfirst --numprocesses 2 --dist loadfile -m "not slow and not end_to_end and not tools" "$@"
