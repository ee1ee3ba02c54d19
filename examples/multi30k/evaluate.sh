#!/usr/bin/env bash
# Translates test_2016_flickr (or the validation set) and scores it.
#
#   bash examples/multi30k/evaluate.sh [--output DIR] [--checkpoint FILE] [--subset test|valid] [-- options of fairseq-generate]
#
# The options are those of examples/translate_and_score.sh; --output is outputs/multi30k unless given. The factors of the
# scores were chosen on the validation set, where the task's own make translations too short.
set -euo pipefail
exec bash "$(dirname "${BASH_SOURCE[0]}")/../translate_and_score.sh" --output outputs/multi30k --length-norm-factor 1.0 --coverage-penalty 0.2 "$@"
