#!/usr/bin/env bash
# Translates test_2016_flickr (or the validation set) and scores it.
#
#   bash examples/multi30k/evaluate.sh [--output DIR] [--checkpoint FILE] [--subset test|valid] [-- options of fairseq-generate]
#
# Options: see examples/translate_and_score.sh. --output defaults to outputs/multi30k.
set -euo pipefail
exec bash "$(dirname "${BASH_SOURCE[0]}")/../translate_and_score.sh" --output outputs/multi30k "$@"
