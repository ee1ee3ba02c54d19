#!/usr/bin/env bash
# Translates the unseen combinations of the test set and scores them.
#
#   bash examples/grammar_en_de/evaluate.sh [--output DIR] [--checkpoint FILE] [--subset test|valid] [-- options of fairseq-generate]
#
# Options: see examples/translate_and_score.sh. --output defaults to outputs/grammar_en_de.
set -euo pipefail
exec bash "$(dirname "${BASH_SOURCE[0]}")/../translate_and_score.sh" --output outputs/grammar_en_de "$@"
